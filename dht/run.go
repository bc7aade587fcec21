package dht

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/p2p"
)

const (
	calmInterval   = 5 * time.Second
	attemptTimeout = 5 * time.Second
	attemptsAtOnce = 8
)

// walk stands among the peers being tried for a walk through the network.
const walk = peer.ID("")

// runner is the state of Run, of its goroutine alone.
type runner struct {
	*Discovery
	bootstrap map[peer.ID]peer.AddrInfo
	attempts  *attempts
	walks     backoff
	done      chan outcome
	wg        sync.WaitGroup
}

type outcome struct {
	id  peer.ID
	err error
}

// Run joins the mesh and stays in it until ctx ends. Whoever is missing is tried
// at once, again after growing pauses, and at once when somebody new connects, who
// may know more.
func (d *Discovery) Run(ctx context.Context) error {
	r := &runner{
		Discovery: d, bootstrap: map[peer.ID]peer.AddrInfo{}, attempts: newAttempts(),
		done: make(chan outcome, attemptsAtOnce+1), // and a walk
	}
	for _, s := range d.cfg.Bootstrap {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return fmt.Errorf("p2p.bootstrap: %q: %w", s, err)
		}
		known := r.bootstrap[info.ID]
		r.bootstrap[info.ID] = peer.AddrInfo{ID: info.ID, Addrs: append(known.Addrs, info.Addrs...)}
	}
	if d.cfg.MDNS {
		service := mdns.NewMdnsService(d.host.Host, d.mdnsName(), found{ctx, d})
		if err := service.Start(); err != nil {
			d.log.Info("no mDNS on this machine", "error", err)
		} else {
			defer service.Close()
		}
	}
	defer r.wg.Wait()
	r.loop(ctx)
	return nil
}

// mdnsName is the network's service on the local network. DNS labels are short
// and plain; names of networks need not be.
func (d *Discovery) mdnsName() string {
	return "_starling-" + hash.Sum("starling/mdns", []byte(d.cfg.Network)).Short() + "._udp"
}

func (r *runner) loop(ctx context.Context) {
	changes := r.host.Changes()
	defer r.host.StopChanges(changes)
	for {
		timer := time.NewTimer(r.begin(ctx, time.Now()))
		select {
		case <-ctx.Done():
		case c := <-changes:
			if drain(changes) || c.Connected {
				clear(r.attempts.byPeer)
				r.walks.soon(time.Now())
			}
		case o := <-r.done:
			r.finish(ctx, o)
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// drain takes what else has changed, and reports whether somebody came.
func drain(c <-chan p2p.PeerChange) (connected bool) {
	for {
		select {
		case change := <-c:
			connected = connected || change.Connected
		default:
			return connected
		}
	}
}

// begin starts what is due and returns how long nothing else will be.
func (r *runner) begin(ctx context.Context, now time.Time) time.Duration {
	targets := map[peer.ID]bool{}
	for _, id := range r.cfg.Wanted() {
		targets[id] = r.lacks(id)
	}
	lonely := len(r.host.Network().Peers()) < r.cfg.MinPeers
	if lonely {
		for id := range r.bootstrap {
			targets[id] = r.lacks(id)
		}
	}
	r.attempts.keep(targets)
	maps.DeleteFunc(targets, func(_ peer.ID, missing bool) bool { return !missing })
	wait := calmInterval
	for id := range targets {
		switch b := r.attempts.of(id); {
		case r.attempts.running[id], len(r.attempts.running) >= attemptsAtOnce: // its end wakes the loop
		case b.due(now):
			r.start(id, func() error { return r.seek(ctx, id) })
		default:
			wait = min(wait, b.next.Sub(now))
		}
	}
	if (lonely || len(targets) > 0) && r.kad.RoutingTable().Size() > 0 {
		switch {
		case r.attempts.running[walk]:
		case r.walks.due(now):
			r.walks.failed(now, maxDelay) // until somebody connects
			r.start(walk, func() error { return r.explore(ctx) })
		default:
			wait = min(wait, r.walks.next.Sub(now))
		}
	}
	return wait
}

func (r *runner) start(id peer.ID, attempt func() error) {
	r.attempts.running[id] = true
	r.wg.Go(func() {
		o := outcome{id, attempt()}
		select {
		case r.done <- o:
		default: // there is room for all that run: only after the end of the loop
		}
	})
}

func (r *runner) finish(ctx context.Context, o outcome) {
	delete(r.attempts.running, o.id)
	if o.id == walk {
		return
	}
	if o.err == nil {
		delete(r.attempts.byPeer, o.id)
		return
	}
	r.attempts.of(o.id).failed(time.Now(), maxBackoff)
	if ctx.Err() == nil {
		r.log.Debug("peer not reached", "peer", o.id.String(), "error", o.err)
	}
}

// lacks reports whether a peer is not connected and may be tried.
func (d *Discovery) lacks(id peer.ID) bool {
	return id != d.host.ID() && d.host.Network().Connectedness(id) != network.Connected && !d.host.Banned(id)
}

// seek connects to a peer: where it is said to be, where it was last seen, or else
// where the network says that it is.
func (r *runner) seek(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	info := r.host.Peerstore().PeerInfo(id)
	info.Addrs = append(info.Addrs, r.bootstrap[id].Addrs...)
	if len(info.Addrs) == 0 {
		return r.FindPeer(ctx, id)
	}
	if err := r.host.Connect(ctx, info); err != nil {
		// It may have moved: look it up next time.
		r.host.Peerstore().ClearAddrs(id)
		return fmt.Errorf("connect to %s: %w", id, err)
	}
	return nil
}

// explore asks the network for peers near a point drawn at random, and connects
// to them while there are too few.
func (r *runner) explore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	near, err := r.kad.GetClosestPeers(ctx, rand.Text())
	if err != nil {
		return fmt.Errorf("look around: %w", err)
	}
	var errs []error
	for _, id := range near {
		if len(r.host.Network().Peers()) >= r.cfg.MinPeers {
			break
		}
		if r.lacks(id) {
			errs = append(errs, r.host.Connect(ctx, r.host.Peerstore().PeerInfo(id)))
		}
	}
	return errors.Join(errs...)
}

// found connects to peers that mDNS saw.
type found struct {
	ctx context.Context // of Run
	d   *Discovery
}

// HandlePeerFound implements mdns.Notifee.
func (f found) HandlePeerFound(info peer.AddrInfo) {
	if !f.d.lacks(info.ID) {
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, attemptTimeout)
	defer cancel()
	if err := f.d.host.Connect(ctx, info); err != nil && f.ctx.Err() == nil {
		f.d.log.Debug("peer of the local network not reached", "peer", info.ID.String(), "error", err)
	}
}
