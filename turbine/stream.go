package turbine

import (
	"time"

	"github.com/starlingmesh/starling/fec"
)

// stream is a payload on its way.
type stream struct {
	id       fec.Stream
	sender   Index
	sets     map[uint32]*setState
	last     int // number of the last set, -1 if it is not known
	highest  int // number of the highest set known, -1 if none is
	doneSets int
	held     int
	heard    time.Time      // when something new last came
	asked    asking         // for what comes after the highest known set
	have     map[Index]bool // members that said that they have it all
	finished bool
	failed   bool
	receipt  Receipt
}

// setState is a set on its way.
type setState struct {
	statement fec.Statement
	g         *fec.Gatherer
	tree      *Tree
	seen      []uint64      // bits: which shreds came
	prompt    int           // of those that do not wait, how many came by the trees
	direct    map[Index]int // how many came by the trees from a member
	data      []byte        // once done
	done      bool
	lied      bool // the sender's contradiction was reported
	asked     asking
	receipt   *SetReceipt
}

// asking is how often was asked, and when next to ask.
type asking struct {
	times int
	next  time.Time
}

// answered makes the next question come sooner: somebody answers.
func (a *asking) answered(now time.Time, after time.Duration) {
	a.times = 1
	if soon := now.Add(after); soon.Before(a.next) {
		a.next = soon
	}
}

// Receipt tells how a stream came.
type Receipt struct {
	Began    time.Time
	Finished time.Time
	Sets     []SetReceipt // in order of arrival
}

// SetReceipt tells how a set came.
type SetReceipt struct {
	Set       uint32
	First     time.Time
	Done      time.Time
	Tree      int // shreds that came by the trees
	Repaired  int // that were asked for
	Recovered int // that were rebuilt
}

func (c *Core) open(now time.Time, id fec.Stream, sender Index) *stream {
	s := &stream{id: id, sender: sender, sets: map[uint32]*setState{}, last: -1, highest: -1, heard: now, receipt: Receipt{Began: now}}
	c.streams[id] = s
	return s
}

// openSet makes room for a set, or returns nil if there is none.
func (c *Core) openSet(s *stream, st fec.Statement, signature []byte) *setState {
	need := st.Memory()
	if s.held+need > c.cfg.MaxStream || !c.room(s, need) {
		return nil
	}
	set := &setState{
		statement: st, g: fec.NewGatherer(st, signature), tree: c.cfg.Group.Tree(c.cfg.Chain, st.Place(), c.cfg.Fanout),
		seen: make([]uint64, (st.Shape.Total()+63)/64), receipt: &SetReceipt{Set: st.Set}, direct: map[Index]int{},
	}
	s.sets[st.Set] = set
	s.highest = max(s.highest, int(st.Set))
	s.held += need
	c.held += need
	return set
}

// room makes room by giving up finished streams, oldest first, and then streams of
// higher slots: what is older is needed sooner.
func (c *Core) room(wanted *stream, need int) bool {
	for c.held+need > c.cfg.MaxBytes {
		if len(c.done) > 0 && c.streams[c.done[0]] != wanted {
			c.forget(c.streams[c.done[0]])
			continue
		}
		all := c.sorted()
		newest := all[len(all)-1]
		if newest == wanted || newest.id.Slot <= wanted.id.Slot {
			return false
		}
		c.forget(newest)
	}
	return true
}

// forget drops a stream and all that is known of it.
func (c *Core) forget(s *stream) {
	if s == nil || c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	c.held -= s.held
	if s.finished || s.failed {
		c.pass(s.id, s.finished)
	}
	for i, id := range c.done {
		if id == s.id {
			c.done = append(c.done[:i], c.done[i+1:]...)
			break
		}
	}
}

// pastKept is how many streams that are over are remembered, so that a late shred does
// not begin them again.
const pastKept = 4096

func (c *Core) pass(id fec.Stream, finished bool) {
	if len(c.passed) == pastKept {
		delete(c.past, c.passed[0])
		c.passed = c.passed[1:]
	}
	c.past[id] = finished
	c.passed = append(c.passed, id)
}

// mark notes that a shred came and reports whether it is new.
func (set *setState) mark(index int) bool {
	bit := uint64(1) << (index % 64)
	if set.seen[index/64]&bit != 0 {
		return false
	}
	set.seen[index/64] |= bit
	return true
}

// progress rebuilds a set that has enough shreds, and finishes the stream with its last.
func (c *Core) progress(now time.Time, s *stream, set *setState) {
	if set.done || s.failed || !set.g.Enough() {
		return
	}
	data, err := set.g.Rebuild(c.cfg.Codes)
	if err != nil {
		// Everybody finds the same, so that no stream of it can be finished.
		s.failed = true
		proof := set.g.Inconsistency()
		c.counts.Refused++
		c.out.Faults = append(c.out.Faults, Fault{Member: s.sender, Reason: "a signed set is no code word", Inconsistency: &proof})
		return
	}
	set.done, set.data = true, data
	set.receipt.Done = now
	set.receipt.Recovered = set.statement.Shape.Data - min(set.statement.Shape.Data, set.g.Count())
	for i := range set.statement.Shape.Data {
		if set.seen[i/64]>>(i%64)&1 == 0 {
			set.receipt.Recovered++
			c.counts.Recovered++
		}
	}
	s.doneSets++
	c.finish(now, s)
}

// finish hands a complete stream over.
func (c *Core) finish(now time.Time, s *stream) {
	if s.finished || s.last < 0 || s.doneSets <= s.last {
		return
	}
	s.finished = true
	s.receipt.Finished = now
	f := Finished{Stream: s.id}
	for i := range s.last + 1 {
		set := s.sets[uint32(i)]
		f.Codec = set.statement.Codec
		f.Data = append(f.Data, set.data)
		s.receipt.Sets = append(s.receipt.Sets, *set.receipt)
	}
	f.Receipt = s.receipt
	c.out.Finished = append(c.out.Finished, f)
	c.done = append(c.done, s.id)
	if s.sender != c.cfg.Self {
		c.tell(s)
	}
	c.blame(now, s)
	c.measure(s)
	for len(c.done) > c.cfg.Keep {
		c.forget(c.streams[c.done[0]])
	}
}

const (
	// strikes is how many streams in a row a relay must be silent in before others take
	// its place in the trees of this node's own streams.
	strikes = 2
	// probation is how long a silent relay has no place.
	probation = 30 * time.Second
	// maxSubstitutes is how many members are tried to find one that was not silent.
	maxSubstitutes = 7
)

// blame counts the relays that should have passed on shreds of a finished stream to this
// member, and passed on none. It changes the trees of this node's own streams only.
func (c *Core) blame(now time.Time, s *stream) {
	if s.sender == c.cfg.Self || c.cfg.Self == Nobody {
		return
	}
	due, came := map[Index]int{}, map[Index]int{}
	for _, set := range s.sets {
		for i := range prompt(set.statement.Shape) {
			if parent, ok := set.tree.Parent(i, c.cfg.Self); ok {
				due[parent]++
			}
		}
		for m, n := range set.direct {
			came[m] += n
		}
	}
	for m := range came {
		delete(c.silent, m)
	}
	for m, n := range due {
		if n >= 3 && came[m] == 0 { // by fewer it can be chance
			c.silent[m] = silence{c.silent[m].streams + 1, now}
		}
	}
}

// silence is how many streams in a row nothing came in by a relay, and when the last was.
type silence struct {
	streams int
	last    time.Time
}

// isSilent reports whether a relay has lost its place.
func (c *Core) isSilent(m Index) bool { return c.silent[m].streams >= strikes }

// forgive gives relays their place again for once: who has none cannot show that it is back.
func (c *Core) forgive(now time.Time) {
	for m, s := range c.silent {
		if s.streams >= strikes && now.Sub(s.last) >= probation {
			c.silent[m] = silence{strikes - 1, now}
		}
	}
}

// Absent notes that a member is not connected: until something comes by it, others take
// its place in the trees of this node's own streams.
func (c *Core) Absent(now time.Time, m Index) { c.silent[m] = silence{strikes, now} }

// Silent are the relays that have been silent in several streams in a row.
func (c *Core) Silent() (out []Index) {
	for m := range Index(c.cfg.Group.Len()) {
		if c.isSilent(m) {
			out = append(out, m)
		}
	}
	return out
}
