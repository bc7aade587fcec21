package turbine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

// DefaultFanout makes one layer of relays for groups of up to 201 members.
const DefaultFanout = 200

// Config is what a core is made of. Chain, Group and Codes are required.
type Config struct {
	Chain hash.Hash
	Group *Group
	Self  Index // Nobody if it only watches
	Codes *fec.Codes
	// Verify checks a member's signature.
	Verify func(key, message, signature []byte) bool
	// Fanout is how many members one passes a shred on to; 0 is DefaultFanout.
	Fanout int
	// RepairAfter is how long a stream must be quiet before what is missing of it is
	// late; 0 is 250 ms. It should exceed twice the largest round trip.
	RepairAfter time.Duration
	// MaxBytes bounds the memory of all streams; 0 is 1 GiB.
	MaxBytes int
	// MaxStream bounds the memory of one stream; 0 is 512 MiB, enough for 128 MiB of
	// payload with as much parity.
	MaxStream int
	// GiveUp is how long a stream may take; 0 is a minute.
	GiveUp time.Duration
	// Keep is how many finished streams are kept for members that ask; 0 is 8.
	Keep int
	// ServePerSecond is how many shreds a second one member is given when it asks; 0 is
	// 4096, about 5 MB.
	ServePerSecond int
}

func (c Config) withDefaults() Config {
	c.Fanout = cmp.Or(c.Fanout, DefaultFanout)
	c.RepairAfter = cmp.Or(c.RepairAfter, 250*time.Millisecond)
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<30)
	c.MaxStream = cmp.Or(c.MaxStream, 512<<20)
	c.Keep = cmp.Or(c.Keep, 8)
	c.GiveUp = cmp.Or(c.GiveUp, time.Minute)
	c.ServePerSecond = cmp.Or(c.ServePerSecond, 4096)
	return c
}

// ErrFull means that there is no memory for another set: older payloads are on their way.
var ErrFull = errors.New("too much is on its way already")

// window is which slots of a channel are taken.
type window struct{ low, high uint64 }

// defaultWindow is taken of channels that nobody set a window for.
var defaultWindow = window{0, 64}

// Core receives, relays, rebuilds and repairs. It is not safe for concurrent use. Its
// methods are the events: each is told the time, which must not decrease, and returns
// what is to be done, valid until the next call. (Values of an Event interface would
// allocate for every shred.)
type Core struct {
	cfg     Config
	streams map[fec.Stream]*stream
	windows map[fec.Channel]window
	served  map[Index]*allowance
	silent  map[Index]silence   // relays that were silent lately, and how often
	losses  map[Index]float64   // by sender: the share of shreds that did not come, smoothed
	held    int                 // bytes
	done    []fec.Stream        // finished, oldest first
	past    map[fec.Stream]bool // over: whether it was finished
	passed  []fec.Stream        // the same, oldest first
	counts  Counts
	out     Effects
	to      []Index // of out.Sends
	packets []byte  // of out.Sends
}

// Counts tells what happened since the start.
type Counts struct {
	Shreds     uint64 // genuine, new
	Duplicates uint64
	Repaired   uint64 // of Shreds, those that were asked for
	Recovered  uint64 // rebuilt from others
	Relayed    uint64 // copies sent on
	Asked      uint64 // requests sent
	Served     uint64 // shreds sent to who asked
	Dropped    uint64 // packets of no use: unknown senders, slots out of range, no memory
	Refused    uint64 // packets that cost their sender score
}

// Effects is what a call asks for, in order: sends, then news.
type Effects struct {
	Sends    []Send
	Finished []Finished
	// Arrived are own streams of which every member has said that it has them.
	Arrived []fec.Stream
	Faults  []Fault
}

// Send asks for a packet to be sent to members.
type Send struct {
	To  []Index
	Raw []byte
	// Later is set if it should wait until the payload itself is on its way: parity.
	Later bool
}

// Finished is a stream that is complete.
type Finished struct {
	Stream  fec.Stream
	Codec   fec.Codec
	Data    [][]byte // the packed payload, a piece a set
	Receipt Receipt
}

// Fault is a broken rule: by a member that sent a packet, or by the sender of a stream
// if there is a proof.
type Fault struct {
	Member        Index
	Reason        string
	Equivocation  *fec.Equivocation
	Inconsistency *fec.Inconsistency
}

// New makes a core.
func New(cfg Config) *Core {
	return &Core{
		cfg: cfg.withDefaults(), streams: map[fec.Stream]*stream{}, windows: map[fec.Channel]window{},
		served: map[Index]*allowance{}, silent: map[Index]silence{}, losses: map[Index]float64{}, past: map[fec.Stream]bool{},
	}
}

// Counts tells what happened since the start.
func (c *Core) Counts() Counts { return c.counts }

// Held is the memory of all streams in bytes.
func (c *Core) Held() int { return c.held }

func (c *Core) begin() {
	c.out.Sends, c.out.Finished, c.out.Arrived, c.out.Faults = c.out.Sends[:0], c.out.Finished[:0], c.out.Arrived[:0], c.out.Faults[:0]
	c.to, c.packets = c.to[:0], c.packets[:0]
}

// Admit sets which slots of a channel are taken, both ends included. Others' streams below
// are forgotten.
func (c *Core) Admit(ch fec.Channel, low, high uint64) {
	c.windows[ch] = window{low, high}
	for id, s := range c.streams {
		if id.Channel == ch && id.Slot < low && s.sender != c.cfg.Self {
			c.forget(s)
		}
	}
}

func (c *Core) admits(id fec.Stream) bool {
	w, set := c.windows[id.Channel]
	if !set {
		w = defaultWindow
	}
	return w.low <= id.Slot && id.Slot <= w.high
}

// Expect makes the core ask for a stream of which nothing may have come.
func (c *Core) Expect(now time.Time, id fec.Stream) {
	sender, known := c.cfg.Group.Find(id.Sender)
	if _, over := c.past[id]; known && !over && sender != c.cfg.Self && c.admits(id) && c.streams[id] == nil {
		c.open(now, id, sender)
	}
}

// Forget drops a stream: nothing of it is taken or served any more.
func (c *Core) Forget(id fec.Stream) {
	if s := c.streams[id]; s != nil {
		s.failed = true
		c.forget(s)
	}
}

// Offer takes a set of an own stream, in order, and has its shreds sent to the roots of
// their trees.
//
// It returns ErrFull if there is no memory for it.
func (c *Core) Offer(now time.Time, s *fec.Set) (*Effects, error) {
	c.begin()
	id := s.Statement.Stream
	st := c.streams[id]
	if st == nil {
		st = c.open(now, id, c.cfg.Self)
	}
	first, err := fec.Parse(s.Shreds[0])
	if err != nil {
		return &c.out, fmt.Errorf("offer set %d: %w", s.Statement.Set, err)
	}
	set := c.openSet(st, s.Statement, first.Signature())
	if set == nil {
		return &c.out, fmt.Errorf("offer set %d of slot %d: %w", s.Statement.Set, id.Slot, ErrFull)
	}
	for i, raw := range s.Shreds {
		sh, err := fec.Parse(raw)
		if err != nil {
			return &c.out, fmt.Errorf("offer set %d: %w", s.Statement.Set, err)
		}
		set.mark(i)
		set.g.Add(fec.Trust(sh))
		c.sendRoot(set, i, raw)
	}
	set.done = true
	if st.doneSets++; s.Statement.Last {
		st.last = int(s.Statement.Set)
		c.finish(now, st)
		c.out.Finished = c.out.Finished[:0] // it knows
	}
	return &c.out, nil
}

// sendRoot sends an own shred to the root of its tree, or, if that one has been silent, to
// a substitute.
func (c *Core) sendRoot(set *setState, index int, raw []byte) {
	root, kind := set.tree.Root(index), kindShred
	if c.isSilent(root) {
		for i := 1; i < len(set.tree.order) && i <= maxSubstitutes; i++ {
			if other := set.tree.Root(index + i*c.stride(len(set.tree.order))); !c.isSilent(other) {
				root, kind = other, kindStandIn
				break
			}
		}
	}
	begin := len(c.to)
	c.to = append(c.to, root)
	c.send(c.to[begin:], c.packet(kind, raw), mayWait(set.statement.Shape, index))
}

// mayWait reports whether a shred can wait until all data are on their way. Some parity
// goes with the data: links that are filled lose a few packets in a hundred.
func mayWait(shape fec.Shape, index int) bool { return index >= prompt(shape) }

// prompt is how many shreds of a set go at once.
func prompt(shape fec.Shape) int { return shape.Data + (shape.Parity+3)/4 }

// stride spreads the shreds of one silent relay over the others.
func (c *Core) stride(n int) int { return max(1, n/7) }

// packet puts a kind before a body.
func (c *Core) packet(kind byte, body []byte) []byte {
	begin := len(c.packets)
	c.packets = append(append(c.packets, kind), body...)
	return c.packets[begin:len(c.packets):len(c.packets)]
}

func (c *Core) send(to []Index, raw []byte, later bool) {
	c.out.Sends = append(c.out.Sends, Send{To: to, Raw: raw, Later: later})
}

func (c *Core) fault(m Index, reason string) {
	c.counts.Refused++
	c.out.Faults = append(c.out.Faults, Fault{Member: m, Reason: reason})
}

// sorted are the streams in order of their slots.
func (c *Core) sorted() []*stream {
	all := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream) int {
		return cmp.Or(cmp.Compare(a.id.Slot, b.id.Slot), cmp.Compare(a.id.Channel, b.id.Channel), cmp.Compare(a.id.Sender, b.id.Sender))
	})
	return all
}
