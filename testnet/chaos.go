package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Chaos is a network whose validators are killed under load.
type Chaos struct {
	Options
	Kills    int
	Together int           // how many validators are killed at a time
	Down     time.Duration // how long they are down, at most
	StayDown bool          // until the load has ended; all kills together then leave a quorum
	Seed     uint64
}

// Validate refuses what cannot be.
func (c Chaos) Validate() error {
	var faults []error
	if c.Nodes < 4 {
		faults = append(faults, fmt.Errorf("--nodes %d: with fewer than 4 validators the network stands still while one is down", c.Nodes))
	}
	if c.Kills < 1 {
		faults = append(faults, fmt.Errorf("--kills %d: want at least 1", c.Kills))
	}
	if most := (c.Nodes - 1) / 3; c.Together < 1 || c.Together > most {
		faults = append(faults, fmt.Errorf("--together %d: want 1 to %d, fewer than a third of %d validators", c.Together, most, c.Nodes))
	}
	if most := (c.Nodes - 1) / 3; c.StayDown && c.Kills*c.Together > most {
		faults = append(faults, fmt.Errorf("--stay-down with %d times %d killed: want at most %d in all, fewer than a third of %d validators", c.Kills, c.Together, most, c.Nodes))
	}
	if c.Down <= 0 {
		faults = append(faults, fmt.Errorf("--down %s: want a positive duration", c.Down))
	}
	return errors.Join(append(faults, c.Options.Validate())...)
}

var errStuck = errors.New("it did not get there")

const (
	maxUptime        = 1500 * time.Millisecond // between a comeback and the next kill
	rejoinPatience   = 60 * time.Second
	progressPatience = 30 * time.Second
	revivePatience   = 30 * time.Minute // for what may be gigabytes over a bad link
)

// RunChaos kills validators with -9 and starts them again, as often as asked for, and
// audits the network in the end. After each kill the others must go on, and after each
// start the victims must reach them. With For the kills are spread over that time.
func RunChaos(ctx context.Context, c Chaos) (Summary, error) {
	if err := c.Validate(); err != nil {
		return Summary{}, err
	}
	n, err := begin(ctx, c.Options)
	if err != nil {
		return Summary{}, err
	}
	began := time.Now()
	show := newDisplay(c.Options, n)
	payments, err := newLoad(n.layout, n.clients(), c.Load, c.LoadBytes, c.Seed)
	if err != nil {
		return Summary{}, errors.Join(err, n.stop())
	}
	defer payments.close()
	show.load = payments
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	var paying errgroup.Group
	paying.Go(func() error { return payments.run(work) })
	remark(c.Options, "killing %d times, seed %d\n", c.Kills, c.Seed)
	summary := Summary{Nodes: c.Nodes}
	dice := rand.New(rand.NewPCG(c.Seed, 9))
	var killErr error
	for summary.Kills < c.Kills && killErr == nil {
		wait := time.Duration(dice.Int64N(int64(maxUptime)))
		if c.For > 0 {
			slot := c.For / time.Duration(c.Kills)
			wait = time.Until(began.Add(slot*time.Duration(summary.Kills) + time.Duration(dice.Int64N(int64(slot)*3/4+1))))
		}
		if killErr = sleep(ctx, wait); killErr != nil {
			break
		}
		if killErr = n.kill(ctx, c, dice, summary.Kills+1); killErr == nil {
			summary.Kills++
		}
	}
	if killErr == nil {
		killErr = sleep(ctx, time.Until(began.Add(c.For)))
	}
	stopWork()
	loadErr := paying.Wait()
	if killErr == nil {
		killErr = n.revive(ctx, c)
	}
	drain(ctx, c.Options, n)
	stopErr := n.stop()
	summary.Seconds = time.Since(began).Seconds()
	auditErr := summary.conclude(c.Options, n, payments, show)
	err = errors.Join(killErr, loadErr, stopErr, auditErr)
	show.summary(summary, err)
	return summary, err
}

// kill kills random validators, sees that the others go on, and unless they are to stay
// down starts them again and sees that they come back.
func (n *Network) kill(ctx context.Context, c Chaos, dice *rand.Rand, count int) error {
	var up []*member
	for _, m := range n.nodes {
		if !slices.Contains(n.dead, m) {
			up = append(up, m)
		}
	}
	dice.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
	victims, other := up[:c.Together], up[c.Together]
	var names []string
	for _, v := range victims {
		names = append(names, v.name)
		v.runner.(*process).kill()
	}
	who, down := strings.Join(names, " and "), time.Duration(dice.Int64N(int64(c.Down)))
	before, err := n.height(ctx, other)
	if err != nil {
		return err
	}
	if err := sleep(ctx, down); err != nil {
		return err
	}
	if err := n.reach(ctx, other, before+1, progressPatience); err != nil {
		return fmt.Errorf("kill %d (%s): the others stand still: %w", count, who, err)
	}
	if c.StayDown {
		n.dead = append(n.dead, victims...)
		remark(c.Options, "%3d  killed %s at height %d; the others go on without\n", count, who, before)
		return nil
	}
	took, target, err := n.comeBack(ctx, c, victims, other, rejoinPatience)
	if err != nil {
		return fmt.Errorf("kill %d: %w", count, err)
	}
	remark(c.Options, "%3d  killed %s at height %d, down %4d ms, back at height %d after %4d ms\n",
		count, who, before, down.Milliseconds(), target, took.Milliseconds())
	return nil
}

// comeBack starts killed validators and waits until they are where another one was then.
func (n *Network) comeBack(ctx context.Context, c Chaos, victims []*member, other *member, patience time.Duration) (time.Duration, uint64, error) {
	for _, v := range victims {
		if err := n.launch(ctx, c.Options, v); err != nil {
			return 0, 0, fmt.Errorf("%s does not start again: %w", v.name, err)
		}
	}
	target, err := n.height(ctx, other)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for _, v := range victims {
		if err := n.reach(ctx, v, target, patience); err != nil {
			return 0, 0, fmt.Errorf("%s does not catch up (its log is %s): %w", v.name, filepath.Join(v.config.Home, logName), err)
		}
	}
	return time.Since(began), target, nil
}

// revive starts those that stayed down.
func (n *Network) revive(ctx context.Context, c Chaos) error {
	if len(n.dead) == 0 {
		return nil
	}
	other := n.nodes[slices.IndexFunc(n.nodes, func(m *member) bool { return !slices.Contains(n.dead, m) })]
	took, target, err := n.comeBack(ctx, c, n.dead, other, revivePatience)
	if err == nil {
		remark(c.Options, "     all are back at height %d after %s\n", target, took.Round(time.Second))
	}
	return err
}

func (n *Network) height(ctx context.Context, m *member) (uint64, error) {
	s, err := m.client.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", m.name, err)
	}
	return s.StateHeight, nil
}

// reach waits until a node has executed a height.
func (n *Network) reach(ctx context.Context, m *member, height uint64, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		have, err := n.height(ctx, m)
		if err == nil && have >= height {
			return nil
		}
		if sleepErr := sleep(ctx, 50*time.Millisecond); sleepErr != nil {
			if err == nil {
				err = errStuck
			}
			return fmt.Errorf("%s is at height %d, not %d, after %s: %w", m.name, have, height, patience, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
