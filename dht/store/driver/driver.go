// Package driver runs a [store.Core] in a node: it gives it a clock, the network, a disk and a
// lock, and lets many callers wait for what it does. Look at [Driver].
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr/net"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/rpc"
)

// Config is what a driver is made of.
type Config struct {
	Network string // names protocols, and is what signatures are bound to
	Core    store.Config
	Limits  store.Limits
	// Disk keeps the items. The driver does not close it.
	Disk datastore.Batching
	// Reach connects to a peer by its identity; nil: by the addresses that are known.
	Reach func(context.Context, peer.ID) error
	// PeerBytes is how many bytes of items a second one peer may write here, four times as much at once;
	// 0 is 64 MiB. Copies that holders exchange among each other do not count.
	PeerBytes int
	// Member is false for a peer that reads and writes but holds nothing.
	Member bool
	// Leave is for how long the end of Run hands over what is held; 0: not at all, others notice.
	Leave time.Duration
}

// Driver is a running store. Its methods are safe for concurrent use.
type Driver struct {
	cfg      Config
	host     *p2p.Host
	log      *slog.Logger
	proto    protocol.ID
	verifier *store.Verifier
	talk     *rpc.Exchange[*store.Request, *store.Response]
	damaged  int
	writes   *p2p.Budgets

	mu   sync.Mutex
	core *store.Core
	mark store.Mark
	// Forged counts items of others whose signature was wrong.
	forged uint64
}

const (
	tick      = 50 * time.Millisecond
	lookEvery = 2 * time.Second
	maxLetter = 1 << 20
	scrubbed  = 64 // items that are read each second, to see whether they are whole
	perSecond = 20_000
	perPeer   = 2000 // writes a second of one peer
	timeout   = 3 * time.Second
)

// New reads what is on disk and begins to answer. Close it before the host.
func New(h *p2p.Host, cfg Config, log *slog.Logger) (*Driver, error) {
	verifier, err := store.NewVerifier(store.NewNetwork(cfg.Network))
	if err != nil {
		return nil, err
	}
	d := &Driver{cfg: cfg, host: h, log: log, verifier: verifier, writes: p2p.NewBudgets(perPeer, cfg.PeerBytes), proto: protocol.ID("/starling/" + cfg.Network + "/dht/1")}
	dsk := disk{cfg.Disk}
	items, damaged, err := dsk.load(context.Background())
	if err != nil {
		return nil, err
	}
	if d.damaged = damaged; damaged > 0 {
		log.Warn("items on disk were damaged; other holders will bring them again", "items", damaged)
	}
	if cfg.Core.Group == nil && !h.Local() {
		cfg.Core.Group = d.groupOf
	}
	d.core = store.New(ring.PeerOf(string(h.ID())), cfg.Core, store.NewShelf(cfg.Limits, dsk, items), outlet{d})
	reach := cfg.Reach
	if reach == nil {
		reach = func(ctx context.Context, to peer.ID) error { return h.Connect(ctx, h.Peerstore().PeerInfo(to)) }
	}
	d.talk = rpc.NewExchange(h, rpc.Talk[*store.Request, *store.Response]{
		ID: d.proto, Request: store.Requests(), Response: store.Responses(),
		MaxSize: maxLetter, PerSecond: perSecond, Timeout: timeout, Reach: reach, Handle: d.serve,
	}, log)
	if cfg.Member {
		d.do(func(c *store.Core, now time.Time) { c.Member().Join(now) })
	}
	return d, nil
}

// groupOf is the network that a peer's address is from: a /16 of IPv4, a /32 of IPv6.
func (d *Driver) groupOf(p ring.Peer) string {
	for _, c := range d.host.Network().ConnsToPeer(peer.ID(p.Name)) {
		if ip, err := manet.ToIP(c.RemoteMultiaddr()); err == nil && !ip.IsPrivate() && !ip.IsLoopback() {
			if v4 := ip.To4(); v4 != nil {
				return string(v4[:2])
			}
			return string(ip[:4])
		}
	}
	return ""
}

// Close stops answering and gives up what is under way.
func (d *Driver) Close() { d.talk.Close() }

// do steps the core.
func (d *Driver) do(f func(c *store.Core, now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.core.At(now)
	f(d.core, now)
}

// outlet is the core's network.
type outlet struct{ d *Driver }

// Call implements store.Net. It is called while the core is being stepped.
func (o outlet) Call(to ring.Peer, req *store.Request, done func(*store.Response, error)) {
	id := peer.ID(to.Name)
	if o.d.host.Banned(id) {
		id = "" // nobody: it fails, later
	}
	o.d.talk.Call(id, req, func(r *store.Response, err error) {
		if err == nil {
			r.Items = o.d.verified(id, r.Items)
		}
		o.d.do(func(*store.Core, time.Time) { done(r, err) })
	})
}

// verified leaves out what is not signed by who it says, and blames the sender.
func (d *Driver) verified(from peer.ID, items []*store.Item) []*store.Item {
	for _, it := range items {
		if d.verifier.Verify(it) != nil {
			d.host.Penalise(from, p2p.InvalidMessage)
			d.mu.Lock()
			d.forged++
			d.mu.Unlock()
			return slices.DeleteFunc(items, func(it *store.Item) bool { return d.verifier.Verify(it) != nil })
		}
	}
	return items
}

// serve answers a peer.
func (d *Driver) serve(from peer.ID, req *store.Request) (resp *store.Response) {
	given := len(req.Put)
	if given > 0 && !d.affords(from, req.Put) {
		return store.Refuse(store.ErrBusy)
	}
	req.Put, req.Push = d.verified(from, req.Put), d.verified(from, req.Push)
	if given > 0 && len(req.Put) < given {
		return store.Refuse(store.ErrForged)
	}
	d.do(func(c *store.Core, now time.Time) { resp = c.Serve(now, ring.PeerOf(string(from)), req) })
	return resp
}

// affords charges a peer for what it writes. Who writes too fast is told, and is no offender: it
// may be the node of many users.
func (d *Driver) affords(from peer.ID, items []*store.Item) bool {
	size := 0
	for _, it := range items {
		size += len(it.Raw())
	}
	return d.writes.Take(time.Now(), from, size) == p2p.Within
}

// Run keeps the core going until ctx ends, and then, if so configured, until what is held was
// handed over.
func (d *Driver) Run(ctx context.Context) error {
	changes := d.host.Changes()
	defer d.host.StopChanges(changes)
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	var look, scrub time.Time
	for {
		select {
		case <-ctx.Done():
			d.goodbye(ticks.C)
			return nil
		case c := <-changes:
			if !c.Connected {
				d.do(func(core *store.Core, now time.Time) { core.Member().Lost(now, ring.PeerOf(string(c.ID))) })
			}
		case now := <-ticks.C:
			d.do(func(c *store.Core, now time.Time) { c.Tick(now) })
			if now.After(look) {
				look = now.Add(lookEvery)
				d.look()
			}
			if now.After(scrub) {
				scrub = now.Add(time.Second)
				d.do(func(c *store.Core, _ time.Time) { d.mark = c.Shelf().Scrub(d.mark, scrubbed) })
			}
		}
	}
}

// goodbye leaves the ring in order, for as long as that may take.
func (d *Driver) goodbye(ticks <-chan time.Time) {
	if d.cfg.Leave == 0 || !d.cfg.Member {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Leave)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- d.Leave(ctx) }()
	for {
		select {
		case now := <-ticks:
			d.do(func(c *store.Core, _ time.Time) { c.Tick(now) })
		case err := <-left:
			if err != nil {
				d.log.Warn("what is held for others was not all handed over; they will notice and copy it", "error", err)
			}
			return
		}
	}
}

// look tells the core of connected peers that take part.
func (d *Driver) look() {
	var found []ring.Peer
	for _, id := range d.host.Network().Peers() {
		if ok, err := d.host.Peerstore().SupportsProtocols(id, d.proto); err == nil && len(ok) > 0 {
			found = append(found, ring.PeerOf(string(id)))
		}
	}
	d.do(func(c *store.Core, now time.Time) { c.Member().Heard(now, found...) })
}

// Get reads a record from want of its holders; 0 is a majority. See [store.Core.Get] for
// errors.
func (d *Driver) Get(ctx context.Context, ref store.Ref, want int) (store.Read, error) {
	type result struct {
		store.Read
		error
	}
	out := make(chan result, 1)
	d.do(func(c *store.Core, _ time.Time) {
		c.Get(ref.Key(), want, func(r store.Read, err error) { out <- result{r, err} })
	})
	select {
	case r := <-out:
		return r.Read, r.error
	case <-ctx.Done():
		return store.Read{}, fmt.Errorf("read a record: %w", ctx.Err())
	}
}

// Local reads what this node holds of a record itself, without asking anybody: perhaps an
// earlier value.
func (d *Driver) Local(ref store.Ref) (r store.Read, err error) {
	key := ref.Key()
	d.do(func(c *store.Core, now time.Time) {
		r.Items, r.Digest = c.Shelf().Items(now, key), c.Shelf().Digest(now, key)
	})
	if len(r.Items) == 0 || r.Items[0].Header == nil || r.Items[0].Header.Deleted {
		return r, store.ErrNotFound
	}
	return r, nil
}

// Put gives items of one record to want of its holders; 0 is a majority. See [store.Core.Put]
// for errors.
func (d *Driver) Put(ctx context.Context, ref store.Ref, items []*store.Item, want int) (store.Written, error) {
	for _, it := range items {
		if err := d.verifier.Verify(it); err != nil {
			return store.Written{}, err
		}
		if it.Key() != ref.Key() {
			return store.Written{}, fmt.Errorf("an item of another record than %q: %w", ref.Name, store.ErrItem)
		}
	}
	if len(items) == 0 {
		return store.Written{}, fmt.Errorf("nothing to write: %w", store.ErrItem)
	}
	type result struct {
		store.Written
		error
	}
	out := make(chan result, 1)
	d.do(func(c *store.Core, _ time.Time) {
		c.Put(want, items, func(w store.Written, err error) { out <- result{w, err} })
	})
	select {
	case r := <-out:
		return r.Written, r.error
	case <-ctx.Done():
		return store.Written{}, fmt.Errorf("write a record: %w", errors.Join(ctx.Err(), store.ErrQuorum))
	}
}

// Watch waits until a record may have changed from what the caller has, or ctx ends.
func (d *Driver) Watch(ctx context.Context, ref store.Ref, have hash.Hash) error {
	key := ref.Key()
	changed := make(chan struct{}, 1)
	var number int
	d.do(func(c *store.Core, _ time.Time) {
		number = c.Watch(key, have, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	defer d.do(func(c *store.Core, _ time.Time) { c.Unwatch(key, number) })
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lookup finds who holds a key.
func (d *Driver) Lookup(ctx context.Context, key ring.ID, paths int) (ring.Found, error) {
	type result struct {
		ring.Found
		error
	}
	out := make(chan result, 1)
	d.do(func(c *store.Core, _ time.Time) {
		c.Member().Lookup(key, paths, nil, func(f ring.Found, err error) { out <- result{f, err} })
	})
	select {
	case r := <-out:
		return r.Found, r.error
	case <-ctx.Done():
		return ring.Found{}, fmt.Errorf("look up a key: %w", ctx.Err())
	}
}

// Leave hands over what the node holds and leaves the ring.
func (d *Driver) Leave(ctx context.Context) error {
	out := make(chan error, 1)
	d.do(func(c *store.Core, now time.Time) { c.Leave(now, func(err error) { out <- err }) })
	select {
	case err := <-out:
		return err
	case <-ctx.Done():
		return fmt.Errorf("leave the ring: %w", ctx.Err())
	}
}

// Status is how a store is.
type Status struct {
	Self    ring.Peer
	Member  bool
	Settled bool
	State   ring.State
	Known   int // peers
	Records int
	Bytes   int64
	Owners  int
	Forged  uint64
	Damaged int
	Twice   int // parts of one replica that have one number and differ
	Count   store.Counters
}

// Status tells how the store is.
func (d *Driver) Status() (s Status) {
	d.do(func(c *store.Core, _ time.Time) {
		shelf := c.Shelf()
		s = Status{
			Self: c.Member().Self(), Member: c.Member().Core().Member(), Settled: c.Settled(), State: c.Member().Core().State(), Known: c.Member().Table().Len(),
			Records: shelf.Len(), Bytes: shelf.Bytes(), Owners: shelf.Owners(), Forged: d.forged, Damaged: d.damaged + shelf.Lost, Twice: shelf.Equivocations, Count: c.Count,
		}
	})
	return s
}

// WorkFor is how many bits of work a new record of an owner takes, as far as this node's own
// share tells.
func (d *Driver) WorkFor(o store.Owner) (bits int) {
	d.do(func(c *store.Core, _ time.Time) { bits = c.Shelf().WorkFor(o) })
	return bits
}
