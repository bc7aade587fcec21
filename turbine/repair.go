package turbine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

// Request asks a member for shreds of a set.
type Request struct {
	Place fec.Place
	// Want is how many shreds are enough.
	Want int
	// Lacking has a bit for each shred that would help; if it is empty, all would.
	Lacking []byte
}

// ErrRequest is wrapped by every refusal of a request.
var ErrRequest = errors.New("bad request for shreds")

const requestFixed = 1 + 8 + 8 + 4 + 2

// Append appends the encoding: the place, how many, the bits.
func (r Request) Append(out []byte) []byte {
	out = append(out, byte(r.Place.Channel))
	out = binary.BigEndian.AppendUint64(out, uint64(r.Place.Sender))
	out = binary.BigEndian.AppendUint64(out, r.Place.Slot)
	out = binary.BigEndian.AppendUint32(out, r.Place.Set)
	out = binary.BigEndian.AppendUint16(out, uint16(r.Want))
	return append(out, r.Lacking...)
}

// DecodeRequest reads what [Request.Append] wrote.
func DecodeRequest(raw []byte) (Request, error) {
	if len(raw) < requestFixed || len(raw) > requestFixed+fec.MaxShreds/8 {
		return Request{}, fmt.Errorf("%w: %d bytes", ErrRequest, len(raw))
	}
	r := Request{Want: int(binary.BigEndian.Uint16(raw[21:])), Lacking: raw[requestFixed:]}
	r.Place.Channel, r.Place.Sender = fec.Channel(raw[0]), fec.Sender(binary.BigEndian.Uint64(raw[1:]))
	r.Place.Slot, r.Place.Set = binary.BigEndian.Uint64(raw[9:]), binary.BigEndian.Uint32(raw[17:])
	if r.Want == 0 || r.Want > fec.MaxShreds {
		return Request{}, fmt.Errorf("%w: for %d shreds", ErrRequest, r.Want)
	}
	return r, nil
}

const (
	// perTick is how many shreds are asked for at a time.
	perTick = 2048
	// alone is how many shreds are asked of one member: more are shared out.
	alone = 16
	// askedAtMost is how many members share a set out.
	askedAtMost = 4
	// lookahead is how many sets after the highest known one are asked for at a time when
	// the last is not known.
	lookahead = 4
)

// Tick asks for what is late. It should be called several times within RepairAfter.
func (c *Core) Tick(now time.Time) *Effects {
	c.begin()
	c.forgive(now)
	budget := perTick
	for _, s := range c.sorted() {
		if !s.finished && now.Sub(s.receipt.Began) >= c.cfg.GiveUp {
			s.failed = true
			c.forget(s)
			continue
		}
		if !s.finished && !s.failed && s.sender != c.cfg.Self && now.Sub(s.heard) >= c.cfg.RepairAfter {
			c.repair(now, s, &budget)
		}
	}
	return &c.out
}

func (c *Core) repair(now time.Time, s *stream, budget *int) {
	for i := 0; i <= s.highest && *budget > 0; i++ {
		set := s.sets[uint32(i)]
		switch {
		case set == nil:
			// Nothing came of it: it is asked for like those after the highest.
		case !set.done && c.due(now, &set.asked):
			*budget -= c.ask(s, uint32(i), set)
		}
	}
	if !c.due(now, &s.asked) {
		return
	}
	unknown := 0
	for i := 0; i <= s.highest && unknown < lookahead; i++ {
		if s.sets[uint32(i)] == nil {
			*budget -= c.ask(s, uint32(i), nil)
			unknown++
		}
	}
	if s.last < 0 {
		for i := s.highest + 1; unknown < lookahead; i++ {
			*budget -= c.ask(s, uint32(i), nil)
			unknown++
		}
	}
}

// due reports whether it is time to ask, and if so when the next time is: later each time.
func (c *Core) due(now time.Time, a *asking) bool {
	if now.Before(a.next) {
		return false
	}
	a.next = now.Add(c.cfg.RepairAfter << min(a.times, 2))
	a.times++
	return true
}

// ask asks for the missing shreds of a set, or for any if nothing is known of it, and
// returns for how many. What many are needed of is shared out.
func (c *Core) ask(s *stream, number uint32, set *setState) int {
	place := fec.Place{Stream: s.id, Set: number}
	if set == nil {
		c.request(Request{Place: place, Want: 1}, c.helper(s, place, s.asked.times, 0))
		return 1
	}
	missing, n := set.g.Missing(), set.statement.Shape.Total()
	members := min(askedAtMost, (missing+alone-1)/alone)
	lacking := make([][]byte, members)
	for i := range lacking {
		lacking[i] = make([]byte, (n+7)/8)
	}
	next := 0
	for i := range n {
		if set.seen[i/64]>>(i%64)&1 == 0 {
			lacking[next%members][i/8] |= 1 << (i % 8)
			next++
		}
	}
	for i := range lacking {
		share := (missing + members - 1 - i) / members
		if set.asked.times > 2 {
			share *= 2 // answers get lost as well
		}
		c.request(Request{Place: place, Want: share, Lacking: lacking[i]}, c.helper(s, place, set.asked.times, i))
	}
	return missing
}

// helper chooses whom to ask: another one each time, other ones than most others ask, and
// the sender, whose uplink everybody waits for, only when others did not help.
func (c *Core) helper(s *stream, place fec.Place, times, nth int) Index {
	n := c.cfg.Group.Len()
	if n == 2 || times > 2 && times%2 == 1 && nth == 0 {
		return s.sender
	}
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(c.cfg.Self))
	binary.BigEndian.PutUint32(seed[8:], place.Set)
	binary.BigEndian.PutUint16(seed[12:], uint16(times))
	binary.BigEndian.PutUint16(seed[14:], uint16(nth))
	sum := hash.Sum("starling/turbine/helper", seed[:])
	start := int(binary.BigEndian.Uint32(sum[:]) % uint32(n))
	for i := range n {
		m := Index((start + i) % n)
		if m != c.cfg.Self && m != s.sender && !c.isSilent(m) {
			return m
		}
	}
	return s.sender
}

func (c *Core) request(r Request, to Index) {
	begin := len(c.to)
	c.to = append(c.to, to)
	at := len(c.packets)
	c.packets = r.Append(append(c.packets, kindRequest))
	c.send(c.to[begin:], c.packets[at:len(c.packets):len(c.packets)], false)
	c.counts.Asked++
}

// allowance is what a member may still ask for.
type allowance struct {
	shreds int
	at     time.Time
}

// allow takes up to want shreds from a member's allowance.
func (c *Core) allow(now time.Time, m Index, want int) int {
	a := c.served[m]
	if a == nil {
		a = &allowance{shreds: c.cfg.ServePerSecond, at: now}
		c.served[m] = a
	}
	if refill := int(now.Sub(a.at) * time.Duration(c.cfg.ServePerSecond) / time.Second); refill > 0 {
		a.shreds, a.at = min(c.cfg.ServePerSecond, a.shreds+refill), now
	}
	want = min(want, a.shreds)
	a.shreds -= want
	return want
}

// receiveRequest sends a member what it lacks and this one has.
func (c *Core) receiveRequest(now time.Time, from Index, body []byte) {
	r, err := DecodeRequest(body)
	if err != nil {
		c.fault(from, "a malformed request")
		return
	}
	s := c.streams[r.Place.Stream]
	if s == nil || s.sets[r.Place.Set] == nil {
		return
	}
	set := s.sets[r.Place.Set]
	want := min(r.Want, set.statement.Shape.Total())
	if len(r.Lacking) == 0 {
		// Whoever has nothing of a set learns its shape from one shred, and asks again.
		want = min(want, 1)
	}
	if want = c.allow(now, from, want); want == 0 {
		c.counts.Dropped++
		return
	}
	begin := len(c.to)
	c.to = append(c.to, from)
	to := c.to[begin:]
	// Different members begin at different places, so that several answers add up.
	n := set.statement.Shape.Total()
	start := int(bits.RotateLeft32(uint32(c.cfg.Self)*2654435761, 16) % uint32(n))
	for k := 0; k < n && want > 0; k++ {
		i := (start + k) % n
		if !set.g.Has(i) || len(r.Lacking) > 0 && (i/8 >= len(r.Lacking) || r.Lacking[i/8]>>(i%8)&1 == 0) {
			continue
		}
		at := len(c.packets)
		c.packets = set.g.AppendShred(append(c.packets, kindRepaired), i)
		c.send(to, c.packets[at:len(c.packets):len(c.packets)], false)
		c.counts.Served++
		want--
	}
}

// Again sends the last shred of an own stream to everybody that has not said that it has
// the stream: who has it says so again.
func (c *Core) Again(id fec.Stream) *Effects {
	c.begin()
	s := c.streams[id]
	if s == nil || s.sender != c.cfg.Self || s.last < 0 {
		return &c.out
	}
	begin := len(c.to)
	for m := range Index(c.cfg.Group.Len()) {
		if m != c.cfg.Self && !s.have[m] {
			c.to = append(c.to, m)
		}
	}
	set := s.sets[uint32(s.last)]
	at := len(c.packets)
	c.packets = set.g.AppendShred(append(c.packets, kindShred), 0)
	if len(c.to) > begin {
		c.send(c.to[begin:], c.packets[at:len(c.packets):len(c.packets)], false)
	}
	return &c.out
}
