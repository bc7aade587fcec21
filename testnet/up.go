package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/testnet/netns"
)

// Options say what network to run, and how.
type Options struct {
	Shape
	Dir       string
	Load      int           // payments a second; 0: none
	For       time.Duration // 0: until the context ends
	Processes bool          // each node in a process of its own
	LaneAfter time.Duration // see config.Consensus
	Liars     int           // so many validators, the last ones, equivocate
	// LoadBytes has every transaction of the load publish so many bytes in place of paying.
	LoadBytes int
	// BlockInterval is how long leaders wait before they propose; 0 is the default.
	BlockInterval time.Duration
	KeepBlocks    uint64 // newest blocks that nodes keep; 0 is all
	// Links puts every node into a network namespace with such a link; nil is loopback.
	Links    *netns.Link
	Binary   string    // the program that those processes run
	JSON     bool      // NDJSON instead of tables
	Terminal bool      // Out is a terminal: the table is redrawn in place
	Out      io.Writer // results
	Remarks  io.Writer // progress
	Version  string
	LogLevel slog.Level
}

// Validate refuses what cannot be, all at once.
func (o Options) Validate() error {
	var faults []error
	if o.Nodes < 1 || o.Nodes > 64 {
		faults = append(faults, fmt.Errorf("--nodes %d: want 1 to 64", o.Nodes))
	}
	if o.Engine != types.EngineHotStuff && o.Engine != types.EngineRPCA {
		faults = append(faults, fmt.Errorf("--engine %q is not known: use %s or %s", o.Engine, types.EngineHotStuff, types.EngineRPCA))
	}
	if o.Engine == types.EngineRPCA && o.Liars > 0 {
		faults = append(faults, errors.New("--equivocate: hotstuff only"))
	}
	if o.Rule != "three-phase" && o.Rule != "two-phase" {
		faults = append(faults, fmt.Errorf("--rule %q is not known: use three-phase or two-phase", o.Rule))
	}
	if o.Load < 0 || o.Load > 100_000 {
		faults = append(faults, fmt.Errorf("--load %d: want 0 to 100000 payments a second", o.Load))
	}
	if o.Liars < 0 || o.Liars > (o.Nodes-1)/3 {
		faults = append(faults, fmt.Errorf("--equivocate %d: want 0 to %d, fewer than a third of %d validators: more can break any network", o.Liars, (o.Nodes-1)/3, o.Nodes))
	}
	if o.Liars > 0 && o.Processes {
		faults = append(faults, errors.New("--equivocate: not with --processes"))
	}
	if o.LoadBytes < 0 || o.LoadBytes > types.MaxContent {
		faults = append(faults, fmt.Errorf("--load-bytes %d: want 0 (payments) to %d", o.LoadBytes, types.MaxContent))
	}
	if o.BlockInterval < 0 || o.BlockInterval > time.Minute {
		faults = append(faults, fmt.Errorf("--block-interval %s: want 0 to 1m", o.BlockInterval))
	}
	if o.Links != nil && !o.Processes {
		faults = append(faults, errors.New("links between namespaces: only with --processes"))
	}
	if o.For < 0 {
		faults = append(faults, fmt.Errorf("--for %s: want a positive duration", o.For))
	}
	return errors.Join(faults...)
}

// Summary is what a run came to.
type Summary struct {
	Audited
	Nodes     int     `json:"nodes"`
	Seconds   float64 `json:"seconds"`
	Submitted int64   `json:"submitted"`
	Accepted  int     `json:"accepted"`
	Decided   int     `json:"decided"` // of the accepted payments
	P50       float64 `json:"commit_p50_ms"`
	P99       float64 `json:"commit_p99_ms"`
	Kills     int     `json:"kills,omitempty"`
}

// Up runs a network until its time is over or ctx ends, and then audits it. The
// error is nil only if everything that an operator may rely on held.
func Up(ctx context.Context, o Options) (Summary, error) {
	net, err := begin(ctx, o)
	if err != nil {
		return Summary{}, err
	}
	began := time.Now()
	show := newDisplay(o, net)
	show.facts()
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	if o.For > 0 {
		work, stopWork = context.WithTimeout(ctx, o.For)
		defer stopWork()
	}
	var payments *load
	watch, stopWatch := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatch()
	var background, paying errgroup.Group
	if o.Load > 0 {
		if payments, err = newLoad(net.layout, net.clients()[:o.Nodes-o.Liars], o.Load, o.LoadBytes, uint64(began.UnixNano())); err != nil {
			return Summary{}, errors.Join(err, net.stop())
		}
		defer payments.close()
		show.load = payments
		paying.Go(func() error { return payments.run(work) })
	}
	background.Go(func() error { return show.run(watch) })
	failed := net.wait(work)
	stopWork()
	loadErr := paying.Wait()
	if payments != nil {
		drain(watch, o, net)
	}
	stopWatch()
	seconds := time.Since(began).Seconds()
	showErr := background.Wait()
	stopErr := net.stop()
	summary := Summary{Nodes: o.Nodes, Seconds: seconds}
	auditErr := summary.conclude(o, net, payments, show)
	show.summary(summary, errors.Join(failed, loadErr, showErr, stopErr, auditErr))
	return summary, errors.Join(failed, loadErr, showErr, stopErr, auditErr)
}

// begin lays the network out, starts all nodes, and waits for the first block.
func begin(ctx context.Context, o Options) (*Network, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	remark(o, "starting %d validators in %s\n", o.Nodes, o.Dir)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	layout, err := Prepare(o.Dir, o.Shape)
	if err != nil {
		return nil, err
	}
	if layout.Resumed {
		remark(o, "resuming the network that is there (remove %s to start afresh)\n", o.Dir)
	}
	n := &Network{layout: layout}
	tune := tuning{laneAfter: o.LaneAfter, blockInterval: o.BlockInterval, keepBlocks: o.KeepBlocks}
	if o.Links != nil {
		remark(o, "every node in a network namespace of its own: %s\n", o.Links)
		if n.links, err = netns.New(ctx, o.Nodes, *o.Links); err != nil {
			return nil, err
		}
		tune.links, tune.uplink = n.links, int(o.Links.Rate/1_000_000)
	}
	if n.nodes, err = layout.configure(tune); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	if err := layout.fillWallet(); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	var g errgroup.Group
	for _, m := range n.nodes {
		g.Go(func() error { return n.launch(ctx, o, m) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	if err := n.firstBlock(ctx, o); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// command makes the command that runs a node.
func (n *Network) command(o Options, m *member) *exec.Cmd {
	args := []string{"node", "run", "--home", m.config.Home}
	if n.links != nil {
		return n.links.Command(slices.Index(n.nodes, m), o.Binary, args...)
	}
	return exec.Command(o.Binary, args...) //nolint:noctx // ended by stop, so that it can end cleanly
}

// launch starts one node.
func (n *Network) launch(ctx context.Context, o Options, m *member) error {
	if o.Processes {
		m.runner = &process{command: n.command(o, m), home: m.config.Home, client: m.client, done: make(chan struct{})}
	} else {
		keys, err := node.LoadKeys(m.config.Home)
		if err != nil {
			return err
		}
		log, err := os.OpenFile(filepath.Join(m.config.Home, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		options := node.Options{
			Config: m.config, Genesis: n.layout.Genesis, Keys: keys, Version: o.Version,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: o.LogLevel})),
		}
		if slices.Index(n.nodes, m) >= len(n.nodes)-o.Liars {
			options.Intercept = func(mesh consensus.Network, scheme func(types.Epoch) consensus.Scheme) consensus.Network {
				return &equivocator{mesh, n.layout.Genesis.ChainID(), scheme}
			}
		}
		m.runner = &inProcess{done: make(chan struct{}), options: options}
	}
	if err := m.runner.start(context.WithoutCancel(ctx)); err != nil {
		m.runner = nil
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

const (
	firstBlockPatience = 30 * time.Second
	drainPatience      = 20 * time.Second
)

// firstBlock waits until every node has executed a block of this run.
func (n *Network) firstBlock(parent context.Context, o Options) error {
	patience := firstBlockPatience + 8*o.BlockInterval // a decision takes some
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	first := map[string]uint64{}
	lastRemark := time.Now()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting := ""
		for _, m := range n.nodes {
			s, err := m.client.Status(ctx)
			if err != nil {
				waiting = m.name + " does not answer yet"
				continue
			}
			if _, seen := first[m.name]; !seen {
				first[m.name] = s.StateHeight
			}
			if s.StateHeight == first[m.name] && s.StateHeight == 0 || s.Peers < min(1, len(n.nodes)-1) {
				waiting = fmt.Sprintf("%s: height %d, view %d, %d peers", m.name, s.StateHeight, s.View, s.Peers)
			}
		}
		if waiting == "" {
			return nil
		}
		if time.Since(lastRemark) > 2*time.Second {
			lastRemark = time.Now()
			remark(o, "waiting: %s\n", waiting)
		}
		select {
		case <-ctx.Done():
			if parent.Err() != nil {
				return fmt.Errorf("stopped while starting: %w", parent.Err())
			}
			return fmt.Errorf("no first block within %s (%s; the logs are %s)", patience, waiting, filepath.Join(n.layout.Dir, "node*", logName))
		case <-tick.C:
		}
	}
}

// wait returns when ctx ends, or with an error when a node ends before.
func (n *Network) wait(ctx context.Context) error {
	ended := make(chan string, len(n.nodes))
	for _, m := range n.nodes {
		go func() {
			select {
			case <-m.runner.ended():
				ended <- m.name
			case <-ctx.Done():
			}
		}()
	}
	select {
	case name := <-ended:
		if ctx.Err() == nil {
			return fmt.Errorf("%s ended by itself (its log is %s)", name, filepath.Join(n.layout.Dir, name, logName))
		}
	case <-ctx.Done():
	}
	return nil
}

// stop stops all nodes that run.
func (n *Network) stop() error {
	var g errgroup.Group
	for _, m := range n.nodes {
		if m.runner == nil {
			continue
		}
		g.Go(func() error {
			if err := m.runner.stop(); err != nil {
				return fmt.Errorf("stop %s: %w", m.name, err)
			}
			return nil
		})
	}
	err := g.Wait()
	for _, m := range n.nodes {
		m.client.Close()
	}
	if n.links != nil {
		err = errors.Join(err, n.links.Close())
	}
	return err
}

// drain waits until nothing waits any more, as far as that happens at all: nobody is asked
// for single payments, since that costs a node the whole block each time.
func drain(ctx context.Context, o Options, n *Network) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	remark(o, "waiting for the last payments to be decided\n")
	last, progress := uint64(0), time.Now()
	for time.Since(progress) < drainPatience {
		waiting, height := 0, uint64(0)
		for _, m := range n.nodes {
			s, err := m.client.Status(ctx)
			if err != nil {
				continue // it is stopped, or will be asked again
			}
			waiting, height = waiting+s.MempoolTxs, max(height, s.StateHeight)
		}
		if height > 0 && waiting == 0 {
			return
		}
		if height > last && works(ctx, n.nodes[0]) {
			last, progress = height, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// works reports whether one of a node's newest blocks holds transactions.
func works(ctx context.Context, m *member) bool {
	newest, err := m.client.Blocks(ctx, 0, 4)
	return err == nil && slices.ContainsFunc(newest.Blocks, func(b api.Block) bool { return b.TxCount > 0 })
}

// conclude audits the disks and fills in the rest of the summary.
func (s *Summary) conclude(o Options, n *Network, l *load, show *display) error {
	var err error
	if l == nil {
		s.Audited, err = Audit(n.layout, o.Nodes-o.Liars, nil)
		return err
	}
	ids, idsErr := l.ids()
	s.Audited, err = Audit(n.layout, o.Nodes-o.Liars, ids)
	err = errors.Join(idsErr, err)
	s.Submitted, s.Accepted, s.Decided = l.submitted.Load(), len(ids), len(ids)-s.Missing
	s.P50, s.P99 = show.latency(0.50), show.latency(0.99)
	if err == nil && s.Submitted > 0 && int64(s.Decided)*100 < s.Submitted*99 {
		err = fmt.Errorf("%w: only %d of %d payments were decided", ErrAudit, s.Decided, s.Submitted)
	}
	return err
}

func remark(o Options, format string, args ...any) {
	if !o.JSON {
		fmt.Fprintf(o.Remarks, format, args...)
	}
}

// DefaultShape is a network of n nodes with the default engine and rule.
func DefaultShape(n int) Shape {
	return Shape{Nodes: n, Engine: "hotstuff", Rule: "three-phase", EpochBlocks: 500, Lanes: true}
}
