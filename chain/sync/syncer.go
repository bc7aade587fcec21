package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Peers is how a syncer reaches others. Peers are named by opaque strings.
type Peers interface {
	// Candidates lists connected peers, those that surely hold the wanted
	// block first.
	Candidates(w Want) []string
	// Request asks one peer.
	Request(ctx context.Context, peer string, req Request) (Response, error)
	// Bad reports a peer that answered with something that cannot be right.
	Bad(peer string, reason error)
	// Slow reports a peer that did not answer in time.
	Slow(peer string)
}

// Engine takes what was fetched.
type Engine interface {
	Fetched(from string, blocks []*types.Block)
}

// Want is a block that the engine lacks, with its ancestors above a height.
type Want struct {
	Block   hash.Hash
	Above   types.Height
	Holders []string // peers who voted for it
}

// Config is what a syncer is made of. All fields but Patience are required.
type Config struct {
	Peers  Peers
	Engine Engine
	Logger *slog.Logger
	// Backlog is how many decided blocks wait for execution; fetching waits
	// while there are more than maxBacklog.
	Backlog func() int
	// Patience is how long one request may take; 0 is 5 s. The largest block must get
	// through in it.
	Patience time.Duration
	// Decided is the engine's highest decided height.
	Decided func() types.Height
}

const (
	parallel     = 4             // windows fetched at once
	maxBacklog   = 4 * MaxBlocks // blocks
	attempts     = 4             // peers asked for one window
	pollInterval = 20 * time.Millisecond
)

// ErrNoPeer means that nobody asked could serve a window.
var ErrNoPeer = errors.New("no peer could serve the missing blocks")

var errUnlinked = errors.New("blocks do not follow one another")

// Syncer fetches what the engine lacks, one want at a time.
type Syncer struct {
	cfg   Config
	wants chan Want
}

// New makes a syncer. Nothing runs before Run.
func New(cfg Config) *Syncer {
	cfg.Patience = cmp.Or(cfg.Patience, 5*time.Second)
	return &Syncer{cfg: cfg, wants: make(chan Want, 1)}
}

// Want asks for a block. While another fetch runs, only the latest want is
// kept: the engine repeats what it still lacks. It never waits.
func (s *Syncer) Want(w Want) {
	for {
		select {
		case s.wants <- w:
			return
		default:
		}
		select {
		case <-s.wants:
		default:
		}
	}
}

// Run fetches until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-s.wants:
			if w.Above < s.cfg.Decided() {
				w.Above = s.cfg.Decided()
			}
			if err := s.fetch(ctx, w); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Debug("fetch blocks", "block", w.Block.Short(), "above", w.Above, "error", err)
			}
		}
	}
}

// fetch brings one want home: first what one peer gives, and if that shows that
// the node is far behind, the rest in parallel windows. It breaks off where the
// windows do not fit together, since one of their peers lies: the engine finds
// out which, and asks again from where it is.
func (s *Syncer) fetch(ctx context.Context, w Want) error {
	got, tip, err := s.window(ctx, w, w.Above, s.peers(w)(0))
	if err != nil {
		return err
	}
	s.cfg.Engine.Fetched(got.from, got.blocks)
	if tip > got.last() {
		s.cfg.Logger.Info("catching up", "height", got.last(), "target", tip)
	}
	stride := len(got.blocks)
	for tip > got.last() && ctx.Err() == nil {
		if err := s.room(ctx); err != nil {
			return err
		}
		windows, err := s.windows(ctx, w, got.last(), tip, stride)
		before := got.last()
		stride = 1
		for _, win := range windows {
			next := win.after(got.last())
			if len(next.blocks) == 0 {
				break
			}
			if next.blocks[0].Parent() != got.tail().Hash() {
				return fmt.Errorf("peers %s and %s: %w", got.from, win.from, errUnlinked)
			}
			s.cfg.Engine.Fetched(next.from, next.blocks)
			got, stride = next, max(stride, len(win.blocks))
		}
		if got.last() == before {
			return errors.Join(err, ErrNoPeer)
		}
	}
	return ctx.Err()
}

// room waits until execution has caught up with what was fetched before.
func (s *Syncer) room(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for s.cfg.Backlog() > maxBacklog {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// windows fetches the next few windows at once, each from another peer. They
// begin a stride apart: as many blocks as a peer served last. Large blocks make
// it short, since a response is bounded in bytes too.
func (s *Syncer) windows(ctx context.Context, w Want, reached, tip types.Height, stride int) ([]run, error) {
	out := make([]run, parallel)
	peers := s.peers(w)
	var g errgroup.Group
	for i := range out {
		above := reached + types.Height(i*stride)
		if above >= tip {
			break
		}
		g.Go(func() error {
			var err error
			out[i], _, err = s.window(ctx, w, above, peers(i))
			return err
		})
	}
	return out, g.Wait()
}

// run is a checked sequence of blocks from one peer.
type run struct {
	from   string
	blocks []*types.Block
}

func (r run) tail() *types.Block { return r.blocks[len(r.blocks)-1] }

func (r run) last() types.Height { return r.tail().Height }

// after is the part of the run from the block above a height on; nothing if the
// run begins higher.
func (r run) after(above types.Height) run {
	if len(r.blocks) == 0 || r.blocks[0].Height > above+1 || r.last() <= above {
		return run{from: r.from}
	}
	return run{from: r.from, blocks: r.blocks[above+1-r.blocks[0].Height:]}
}

// window asks peers in turn until one serves the blocks above a height.
func (s *Syncer) window(ctx context.Context, w Want, above types.Height, peers []string) (run, types.Height, error) {
	err := ErrNoPeer
	for i, peer := range peers {
		if i == attempts || ctx.Err() != nil {
			break
		}
		r, tip, askErr := s.ask(ctx, peer, Request{Above: above, Block: w.Block})
		if askErr == nil && len(r.blocks) > 0 {
			return r, tip, nil
		}
		if askErr != nil {
			err = fmt.Errorf("peer %s: %w", peer, askErr)
		}
	}
	return run{}, 0, err
}

// peers draws an order in which to ask, holders first. The i-th window begins
// with the i-th of them.
func (s *Syncer) peers(w Want) func(i int) []string {
	all := slices.Clone(s.cfg.Peers.Candidates(w))
	n := min(len(w.Holders), len(all))
	for _, p := range [][]string{all[:n], all[n:]} {
		rand.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
	}
	return func(i int) []string {
		if len(all) == 0 {
			return nil
		}
		i %= len(all)
		return slices.Concat(all[i:], all[:i])
	}
}

func (s *Syncer) ask(ctx context.Context, peer string, req Request) (run, types.Height, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	resp, err := s.cfg.Peers.Request(ctx, peer, req)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.cfg.Peers.Slow(peer)
		}
		return run{}, 0, err
	}
	r, err := decode(peer, req, resp)
	if err != nil {
		s.cfg.Peers.Bad(peer, err)
		return run{}, 0, err
	}
	return r, resp.Tip, nil
}

// decode checks what can be checked without the chain: that the blocks are
// blocks, and each is the certified parent of the next.
func decode(peer string, req Request, resp Response) (run, error) {
	r := run{from: peer}
	if len(resp.Blocks) > MaxBlocks {
		return r, fmt.Errorf("%d blocks in one response", len(resp.Blocks))
	}
	for i, raw := range resp.Blocks {
		b, err := types.DecodeBlock(raw)
		if err != nil {
			return r, err
		}
		if b.Height != req.Above+1+types.Height(i) || i > 0 && b.Parent() != r.blocks[i-1].Hash() {
			return r, fmt.Errorf("block %d: %w", b.Height, errUnlinked)
		}
		r.blocks = append(r.blocks, b)
	}
	return r, nil
}
