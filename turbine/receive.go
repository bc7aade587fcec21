package turbine

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/starlingmesh/starling/fec"
)

// The first byte of a packet says what it is.
const (
	kindShred    byte = 'S' // by the trees
	kindStandIn  byte = 'A' // from the sender: relay it in the place of its root
	kindRepaired byte = 'R' // asked for
	kindRequest  byte = 'Q'
	kindHave     byte = 'H' // the member has the whole stream: it needs nothing more of it
)

// MaxPacket is the longest packet in bytes that comes of shreds of fec.DefaultLimit.
const MaxPacket = 1 + fec.DefaultLimit

// Receive takes a packet from a member. A relayed shred costs no allocation.
func (c *Core) Receive(now time.Time, from Index, raw []byte) *Effects {
	c.begin()
	if len(raw) < 2 {
		c.fault(from, "a packet without a body")
		return &c.out
	}
	switch raw[0] {
	case kindShred, kindStandIn, kindRepaired:
		c.receiveShred(now, from, raw)
	case kindHave:
		c.receiveHave(from, raw[1:])
	case kindRequest:
		c.receiveRequest(now, from, raw[1:])
	default:
		c.fault(from, "a packet of an unknown kind")
	}
	return &c.out
}

func (c *Core) receiveShred(now time.Time, from Index, raw []byte) {
	s, err := fec.Parse(raw[1:])
	if err != nil {
		c.fault(from, "a malformed shred")
		return
	}
	id := s.Stream()
	sender, known := c.cfg.Group.Find(id.Sender)
	finished, over := c.past[id]
	if finished && from == sender && c.cfg.Group.Len() == 2 {
		c.tellOne(id, from) // it did not hear it the last time
	}
	if !known || over || sender == c.cfg.Self || !c.admits(id) {
		c.counts.Dropped++
		return
	}
	if raw[0] == kindStandIn && from != sender {
		c.fault(from, "only the sender names stand-ins")
		return
	}
	st, set, v := c.genuine(now, from, sender, s)
	if set == nil {
		return
	}
	if raw[0] == kindRepaired && set.asked.times == 0 && st.asked.times == 0 {
		c.counts.Dropped++ // it was asked for before a restart, or by nobody
		return
	}
	if !set.mark(s.Index()) {
		c.counts.Duplicates++
		if st.finished && from == sender && c.cfg.Group.Len() == 2 {
			c.tellOne(id, from)
		}
		return
	}
	c.counts.Shreds++
	if raw[0] == kindRepaired {
		c.counts.Repaired++
		set.receipt.Repaired++
		set.asked.answered(now, c.cfg.RepairAfter)
	} else {
		st.heard = now
		set.receipt.Tree++
		set.direct[from]++
		if !mayWait(set.statement.Shape, s.Index()) {
			set.prompt++
		}
		c.relay(st, set, s.Index(), raw)
	}
	if !set.done {
		set.g.Add(v)
		c.progress(now, st, set)
	}
}

// relay passes a shred on to the children in its tree.
func (c *Core) relay(st *stream, set *setState, index int, raw []byte) {
	if c.cfg.Self == Nobody {
		return
	}
	begin, as := len(c.to), c.cfg.Self
	if raw[0] == kindStandIn {
		as = set.tree.Root(index)
		c.to = append(c.to, as) // it may be silent to the sender only
	}
	c.to = set.tree.Children(index, as, c.to)
	to := c.to[begin:]
	if len(st.have) > 0 {
		to = slices.DeleteFunc(to, func(m Index) bool { return st.have[m] })
	}
	if raw[0] == kindStandIn {
		for i, m := range to {
			if m == c.cfg.Self {
				// What this one would pass on as itself is not its part now: its
				// children are the root's too, or get it of the others.
				to[i] = to[len(to)-1]
				to = to[:len(to)-1]
				break
			}
		}
		raw = c.packet(kindShred, raw[1:])
	}
	if len(to) > 0 {
		c.counts.Relayed += uint64(len(to))
		// Parity waits for the data of others: without loss nobody needs it in the end.
		c.send(to, raw, mayWait(set.statement.Shape, index))
	}
}

// tellAtMost is the largest group in which everybody tells everybody else.
const tellAtMost = 256

// tell says that this member has a whole stream.
func (c *Core) tell(s *stream) {
	if c.cfg.Self == Nobody || c.cfg.Group.Len() > tellAtMost {
		return
	}
	begin := len(c.to)
	for m := range Index(c.cfg.Group.Len()) {
		if m != c.cfg.Self && !s.have[m] {
			c.to = append(c.to, m)
		}
	}
	if len(c.to) > begin {
		c.sendHave(s.id, c.to[begin:])
	}
}

// tellOne says to one member that this one has a stream.
func (c *Core) tellOne(id fec.Stream, to Index) {
	begin := len(c.to)
	c.to = append(c.to, to)
	c.sendHave(id, c.to[begin:])
}

func (c *Core) sendHave(id fec.Stream, to []Index) {
	at := len(c.packets)
	c.packets = append(c.packets, kindHave, byte(id.Channel))
	c.packets = binary.BigEndian.AppendUint64(c.packets, uint64(id.Sender))
	c.packets = binary.BigEndian.AppendUint64(c.packets, id.Slot)
	c.send(to, c.packets[at:len(c.packets):len(c.packets)], false)
}

func (c *Core) receiveHave(from Index, body []byte) {
	if len(body) != 17 || from == Nobody {
		c.fault(from, "a malformed word")
		return
	}
	id := fec.Stream{Channel: fec.Channel(body[0]), Sender: fec.Sender(binary.BigEndian.Uint64(body[1:])), Slot: binary.BigEndian.Uint64(body[9:])}
	if s := c.streams[id]; s != nil {
		if s.have == nil {
			s.have = map[Index]bool{}
		}
		if before := len(s.have); s.sender == c.cfg.Self && !s.have[from] && before == c.cfg.Group.Len()-2 {
			c.out.Arrived = append(c.out.Arrived, id)
		}
		s.have[from] = true
	}
}

// EveryoneHas reports whether all members have said that they have a stream.
func (c *Core) EveryoneHas(id fec.Stream) bool {
	s := c.streams[id]
	return s != nil && len(s.have) >= c.cfg.Group.Len()-1
}

// genuine finds the stream and the set of a shred and verifies it. The set is nil if the
// shred is of no use.
func (c *Core) genuine(now time.Time, from, sender Index, s fec.Shred) (*stream, *setState, fec.Verified) {
	st := c.streams[s.Stream()]
	if st != nil && st.failed {
		c.counts.Dropped++
		return nil, nil, fec.Verified{}
	}
	var set *setState
	if st != nil {
		set = st.sets[s.Place().Set]
	}
	if set != nil {
		v, err := set.g.Check(s)
		if err != nil {
			c.contradicted(from, st, set, s)
			return nil, nil, fec.Verified{}
		}
		return st, set, v
	}
	v, statement, err := fec.Verify(s, c.cfg.Chain, nil, c.check)
	if err != nil {
		c.fault(from, "a shred that its sender did not sign")
		return nil, nil, fec.Verified{}
	}
	if st == nil {
		st = c.open(now, s.Stream(), sender)
	}
	if !st.fits(statement) {
		c.fault(sender, "sets that do not follow one another")
		return nil, nil, fec.Verified{}
	}
	if set = c.openSet(st, statement, s.Signature()); set == nil {
		c.counts.Dropped++
		if len(st.sets) == 0 {
			c.forget(st)
		}
		return nil, nil, fec.Verified{}
	}
	set.receipt.First = now
	if statement.Last {
		st.last = int(statement.Set)
	}
	return st, set, v
}

func (c *Core) check(sender fec.Sender, message, signature []byte) bool {
	i, ok := c.cfg.Group.Find(sender)
	return ok && c.cfg.Verify(c.cfg.Group.At(i).Key, message, signature)
}

// fits reports whether a set can be part of the stream.
func (s *stream) fits(st fec.Statement) bool {
	if s.last >= 0 && (int(st.Set) > s.last || st.Last) || st.Last && int(st.Set) < s.highest {
		return false
	}
	if before := s.sets[st.Set-1]; st.Set > 0 && before != nil && before.statement.Root != st.Before {
		return false
	}
	after := s.sets[st.Set+1]
	return after == nil || after.statement.Before == st.Root
}

// contradicted deals with a shred that does not belong to the known statement of its set:
// either who sent it made it up, or the sender signed two.
func (c *Core) contradicted(from Index, st *stream, set *setState, s fec.Shred) {
	if set.lied {
		c.counts.Dropped++
		return
	}
	_, other, err := fec.Verify(s, c.cfg.Chain, nil, c.check)
	if errors.Is(err, fec.ErrSignature) {
		c.fault(from, "a shred that its sender did not sign")
		return
	}
	set.lied = true
	c.counts.Refused++
	c.out.Faults = append(c.out.Faults, Fault{
		Member: st.sender, Reason: "two statements about one set",
		Equivocation: &fec.Equivocation{
			One: fec.Signed{Statement: set.statement, Signature: append([]byte{}, set.g.Signature()...)},
			Two: fec.Signed{Statement: other, Signature: append([]byte{}, s.Signature()...)},
		},
	})
}
