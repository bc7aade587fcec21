package parcel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/turbine"
	"github.com/starlingmesh/starling/turbine/driver"
)

// Config is what a channel is made of. All fields are required unless said otherwise.
type Config struct {
	Identity crypto.PrivKey // Ed25519
	Network  string         // signatures for one network mean nothing in another
	Packets  driver.Packets
	// MaxPayload is the largest parcel in bytes.
	MaxPayload int
	// Loss is the share of packets that is expected to get lost before anything was
	// measured; 0 is 0.05.
	Loss   float64
	Logger *slog.Logger
}

// Options say how a parcel is sent. The zero value follows from what was measured.
type Options struct {
	// Data and Parity are how many shreds of each a set has; zero: as many as the size and
	// the measured loss ask for.
	Data, Parity int
	// Deadline is when the parcel is of no use any more; zero is never. What has not
	// arrived by then is given up on both sides.
	Deadline time.Time
}

// ErrDeadline means that the parcel had not arrived whole in time.
var ErrDeadline = errors.New("the parcel did not arrive in time")

// Channel sends and receives parcels. All methods are safe for concurrent use.
type Channel struct {
	cfg   Config
	self  peer.ID
	codes *fec.Codes

	mu    sync.Mutex
	pairs map[peer.ID]*pair
	last  uint64 // number given out
}

const (
	// stream is the one channel that pairs use.
	stream fec.Channel = 1
	// idle is how long a pair that nobody uses is kept.
	idle = time.Minute
	// askEvery is how often a sender asks whether a parcel has arrived.
	askEvery = 500 * time.Millisecond
	tick     = 50 * time.Millisecond
	// inFlight is how many parcels of a peer are kept for repair at least.
	inFlight = 64
)

// New makes a channel. Packets must be handed to [Channel.Receive].
func New(cfg Config) (*Channel, error) {
	self, err := peer.IDFromPrivateKey(cfg.Identity)
	if err != nil {
		return nil, fmt.Errorf("identity of the parcel channel: %w", err)
	}
	if cfg.Loss == 0 {
		cfg.Loss = 0.05
	}
	// Numbers ascend over restarts: a sender must not use one twice.
	return &Channel{cfg: cfg, self: self, codes: fec.NewCodes(), pairs: map[peer.ID]*pair{}, last: uint64(time.Now().UnixNano())}, nil
}

// Run repairs what got lost until ctx ends.
func (c *Channel) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			for _, p := range c.sweep(now) {
				p.driver.Tick(now)
			}
		}
	}
}

// sweep forgets pairs that nobody uses, and lists the others.
func (c *Channel) sweep(now time.Time) []*pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*pair, 0, len(c.pairs))
	for id, p := range c.pairs {
		if p.unused(now) {
			delete(c.pairs, id)
			continue
		}
		out = append(out, p)
	}
	return out
}

// Receive takes a packet of a peer, and keeps nothing of it.
func (c *Channel) Receive(from peer.ID, packet []byte) {
	c.mu.Lock()
	p := c.pairs[from]
	c.mu.Unlock()
	if p != nil {
		p.driver.Receive(from, packet)
	}
}

// pair is this node and another one.
type pair struct {
	driver *driver.Driver
	other  fec.Sender
	self   fec.Sender

	mu      sync.Mutex
	used    time.Time
	waiting map[uint64]chan []byte   // parcels to come, by number
	sending map[uint64]chan struct{} // closed when the other has it
}

func (p *pair) unused(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)+len(p.sending) == 0 && now.Sub(p.used) > idle
}

// with returns the pair with a peer, and notes that it is used.
func (c *Channel) with(other peer.ID) (*pair, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pairs[other]; p != nil {
		p.mu.Lock()
		p.used = time.Now()
		p.mu.Unlock()
		return p, nil
	}
	peers := []peer.ID{c.self, other}
	slices.Sort(peers)
	group, err := driver.GroupOf(peers, nil)
	if err != nil {
		return nil, fmt.Errorf("parcels of %s: %w", other, err)
	}
	memory := max(64<<20, 3*c.cfg.MaxPayload) // with as much parity, and some room
	p := &pair{
		used: time.Now(), waiting: map[uint64]chan []byte{}, sending: map[uint64]chan struct{}{},
		self: fec.SenderOf([]byte(c.self)), other: fec.SenderOf([]byte(other)),
	}
	p.driver = driver.New(driver.Config{
		Core: turbine.Config{
			Chain: hash.Sum("starling/parcel", []byte(c.cfg.Network), []byte(peers[0]), []byte(peers[1])), Group: group,
			Self: turbine.Index(slices.Index(peers, c.self)), Codes: c.codes, Keep: inFlight, GiveUp: time.Hour,
			MaxBytes: memory, MaxStream: memory,
		},
		Peers: peers, Packets: c.cfg.Packets, Compress: fec.S2, Loss: c.cfg.Loss, MaxPayload: c.cfg.MaxPayload,
		Sign: c.cfg.Identity.Sign, OnPayload: p.arrived, OnArrived: p.confirmed, Logger: c.cfg.Logger,
	})
	p.driver.Admit(stream, 1, 0) // nothing is taken before it is reserved
	c.pairs[other] = p
	return p, nil
}

func (p *pair) arrived(id fec.Stream, payload []byte, _ turbine.Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.waiting[id.Slot]; w != nil {
		select {
		case w <- payload:
		default: // cannot be: a stream finishes once
		}
	}
}

func (p *pair) confirmed(id fec.Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sending[id.Slot]; s != nil {
		close(s)
		delete(p.sending, id.Slot)
	}
}
