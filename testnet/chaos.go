package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Chaos is a network whose validators are killed under load.
type Chaos struct {
	Options
	Kills int
	Seed  uint64
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
	return errors.Join(append(faults, c.Options.Validate())...)
}

var errStuck = errors.New("it did not get there")

const (
	maxUptime        = 1500 * time.Millisecond // between a comeback and the next kill
	maxDowntime      = 1500 * time.Millisecond
	rejoinPatience   = 60 * time.Second
	progressPatience = 30 * time.Second
)

// RunChaos kills one validator at a time with -9 and starts it again, as often as
// asked for, and audits the network in the end. After each kill the others must go
// on, and after each start the victim must reach them.
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
	payments, err := newLoad(n.layout, n.clients(), c.Load, c.Seed)
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
		if killErr = n.killOne(ctx, c, dice, summary.Kills+1); killErr == nil {
			summary.Kills++
		}
	}
	stopWork()
	loadErr := paying.Wait()
	drain(ctx, c.Options, n, payments)
	stopErr := n.stop()
	summary.Seconds = time.Since(began).Seconds()
	auditErr := summary.conclude(c.Options, n, payments, show)
	err = errors.Join(killErr, loadErr, stopErr, auditErr)
	show.summary(summary, err)
	return summary, err
}

// killOne waits a random while, kills a random validator, sees that the others go
// on, starts it again, and sees that it comes back.
func (n *Network) killOne(ctx context.Context, c Chaos, dice *rand.Rand, count int) error {
	if err := sleep(ctx, time.Duration(dice.Int64N(int64(maxUptime)))); err != nil {
		return err
	}
	victim := n.nodes[dice.IntN(len(n.nodes))]
	other := n.nodes[dice.IntN(len(n.nodes))]
	for other == victim {
		other = n.nodes[dice.IntN(len(n.nodes))]
	}
	down := time.Duration(dice.Int64N(int64(maxDowntime)))
	victim.runner.(*process).kill()
	before, err := n.height(ctx, other)
	if err != nil {
		return err
	}
	if err := sleep(ctx, down); err != nil {
		return err
	}
	if err := n.reach(ctx, other, before+1, progressPatience); err != nil {
		return fmt.Errorf("kill %d (%s): the others stand still: %w", count, victim.name, err)
	}
	if err := n.launch(ctx, c.Options, victim); err != nil {
		return fmt.Errorf("kill %d: %s does not start again: %w", count, victim.name, err)
	}
	target, err := n.height(ctx, other)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := n.reach(ctx, victim, target, rejoinPatience); err != nil {
		return fmt.Errorf("kill %d: %s does not catch up (its log is %s): %w", count, victim.name, filepath.Join(victim.config.Home, logName), err)
	}
	remark(c.Options, "%3d  killed %s at height %d, down %4d ms, back at height %d after %4d ms\n",
		count, victim.name, before, down.Milliseconds(), target, time.Since(began).Milliseconds())
	return nil
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
