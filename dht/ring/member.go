package ring

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrNotMember is what somebody answers who has not joined.
var ErrNotMember = errors.New("not a member of the ring yet")

// Net carries questions. done is called exactly once, with the answer or why there is none,
// later, and on the goroutine that steps the member.
type Net interface {
	Ask(to Peer, q Question, done func(Answer, error))
}

// Pace says how often a member looks after itself.
type Pace struct {
	Stabilise time.Duration // asks its successor, and in between its predecessor; 0 is 2 s
	Fingers   time.Duration // looks up one finger; 0 is 15 s
	Patience  time.Duration // looks for a ring to join before it begins one; 0 is 3 s
}

// WithDefaults puts the defaults in the place of zeros.
func (p Pace) WithDefaults() Pace {
	p.Stabilise = cmp.Or(p.Stabilise, 2*time.Second)
	p.Fingers = cmp.Or(p.Fingers, 15*time.Second)
	p.Patience = cmp.Or(p.Patience, 3*time.Second)
	return p
}

// Member is one peer's part in the ring and what it knows beyond: the [Core] with its timers,
// fingers and lookups. It is a deterministic state machine like the core, and not safe for
// concurrent use.
type Member struct {
	self  Peer
	pace  Pace
	core  *Core
	table *Table
	net   Net
	now   time.Time

	wanted   bool      // to be a member
	since    time.Time // when it began to look for a ring
	seeking  bool
	turn     int
	next     time.Time // stabilise or check
	finger   time.Time // the next refresh
	drawn    uint64    // targets of refreshes, to draw the next from
	fruitful bool      // the last refresh of fingers found somebody new
	heard    time.Time // when it last heard of anybody else
}

// NewMember makes a peer that knows length successors and width fingers of each distance; 0
// are the defaults. It asks nothing before Tick.
func NewMember(self Peer, length, width int, pace Pace, group func(Peer) string, net Net) *Member {
	return &Member{self: self, pace: pace.WithDefaults(), core: New(self, length), table: NewTable(self, width, group), net: net}
}

// Self is the peer itself.
func (m *Member) Self() Peer { return m.self }

// Core is the member's place in the ring.
func (m *Member) Core() *Core { return m.core }

// Table is whom the member knows.
func (m *Member) Table() *Table { return m.table }

// Join makes the peer look for a ring from now on, and begin one if it finds none.
func (m *Member) Join(now time.Time) {
	m.now = now
	if !m.wanted {
		m.wanted, m.since = true, now
	}
}

// Leave tells the neighbours that the member is gone, and calls done when they know or do not
// answer. What it held must be elsewhere by then.
func (m *Member) Leave(now time.Time, done func()) {
	m.now, m.wanted = now, false
	s := m.core.State()
	m.core = New(m.self, m.core.length)
	left := 1
	told := func(Answer, error) {
		if left--; left == 0 {
			done()
		}
	}
	for _, p := range slices.Concat([]Peer{s.Predecessor}, s.Before, s.Successors) {
		if p != (Peer{}) {
			left++
			m.net.Ask(p, Question{Kind: Leave}, told)
		}
	}
	told(Answer{}, nil)
}

// Heard notes peers that may be members, such as those of a Kademlia table that are connected.
func (m *Member) Heard(now time.Time, peers ...Peer) {
	m.now = now
	for _, p := range peers {
		if p != m.self {
			m.heard = now
		}
		if !m.table.Shunned(now, p) {
			m.table.Seen(now, p)
		}
	}
}

// LastHeard is when the member was last told of anybody else; zero if never.
func (m *Member) LastHeard() time.Time { return m.heard }

// Lost notes that a peer is gone, without having asked it.
func (m *Member) Lost(now time.Time, p Peer) {
	m.now = now
	m.table.Failed(now, p)
	if s := m.core.State(); len(s.Successors) > 0 && s.Successors[0] == p || s.Predecessor == p {
		m.next = now // look at once
	}
}

// Tick does what is due. It should be called a few times in a pace.
func (m *Member) Tick(now time.Time) {
	m.now = now
	if !m.wanted {
		return
	}
	if !m.core.Member() {
		m.look()
		return
	}
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(m.pace.Stabilise / 3)
	m.turn++
	switch m.turn % 3 { // the core asks one question at a time
	case 0:
		m.do(m.core.CheckPredecessor())
	case 1:
		m.do(m.core.Stabilise())
	case 2:
		m.offer()
	}
	if !now.Before(m.finger) {
		m.refresh()
	}
}

// look finds a ring to join.
func (m *Member) look() {
	if m.seeking || m.core.doing != idle {
		return
	}
	if m.table.Len() == 0 || m.now.Sub(m.since) > m.pace.Patience {
		if m.now.Sub(m.since) >= m.pace.Patience {
			_ = m.core.Start() // it is no member
			m.next = m.now
		}
		return
	}
	m.seek(m.table.First(m.self.ID, 3))
}

// seek looks the own place up and joins there.
func (m *Member) seek(via []Peer) {
	if m.seeking {
		return
	}
	m.seeking = true
	m.Lookup(m.self.ID, 1, via, func(f Found, err error) {
		m.seeking = false
		if err == nil && m.wanted {
			m.do(m.core.Join(f.Owner))
		}
	})
}

// offer tells the core of whoever seems to come before its successor.
func (m *Member) offer() {
	s := m.core.State()
	near := m.table.First(plus(m.self.ID, ID{31: 1}), 1)
	if s.Predecessor != (Peer{}) && len(s.Successors) == 0 {
		near = append(near, s.Predecessor)
	}
	for _, p := range near {
		if len(s.Successors) == 0 || p != s.Successors[0] {
			m.do(m.core.Offer(p))
		}
	}
}

// refresh looks up a finger of a distance at which few are known.
func (m *Member) refresh() {
	s := m.core.State()
	if len(s.Successors) == 0 {
		return
	}
	m.drawn++
	wait := m.pace.Fingers
	stale := m.table.Stale(m.now.Add(-10*m.pace.Fingers), s.Successors[len(s.Successors)-1].ID)
	if len(stale) > 0 {
		before := m.table.Len()
		m.Lookup(m.draw(stale[int(m.drawn)%len(stale)]), 1, nil, func(Found, error) { m.fruitful = m.table.Len() > before })
		if m.fruitful {
			wait /= 8 // many are not known yet
		}
	}
	m.finger = m.now.Add(wait)
}

// draw is some place at a distance of 2^k to 2^(k+1), another one each time.
func (m *Member) draw(k int) ID {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], m.drawn)
	d := hash.Sum("starling/ring/finger", m.self.ID[:], n[:])
	for i := range d {
		switch low := 8 * (31 - i); {
		case low > k:
			d[i] = 0
		case low+8 > k:
			d[i] = d[i]&(1<<(k-low)-1) | 1<<(k-low)
		}
	}
	return plus(m.self.ID, d)
}

// ask asks somebody and notes whether it answers.
func (m *Member) ask(to Peer, q Question, done func(Answer, error)) {
	m.net.Ask(to, q, func(a Answer, err error) {
		if err == nil {
			err = a.Check()
		}
		switch {
		case err == nil:
			m.table.Seen(m.now, to)
		case errors.Is(err, ErrNotMember):
			m.table.drop(to)
		default:
			m.table.Failed(m.now, to)
		}
		done(a, err)
	})
}

// do carries out what the core wants.
func (m *Member) do(effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case Ask:
			m.ask(e.To, Question{Kind: Look}, func(a Answer, err error) {
				if err != nil {
					m.do(m.core.Failed(e.To))
					return
				}
				m.do(m.core.Answered(e.To, a.State()))
			})
		case Tell:
			m.ask(e.To, Question{Kind: Here}, func(Answer, error) {})
		case Seek:
			m.seek([]Peer{e.Via})
		case Joined:
			m.next, m.finger = m.now, m.now
		}
	}
}

// Now sets the time before an answer is handed to what waits for it.
func (m *Member) Now(now time.Time) { m.now = now }

// Serve answers a question.
func (m *Member) Serve(now time.Time, from Peer, q Question) (Answer, error) {
	m.now = now
	if q.Kind == Leave {
		m.table.Failed(now, from)
		m.do(m.core.Left(from))
		return Answer{}, nil
	}
	if !m.core.Member() {
		return Answer{}, ErrNotMember
	}
	var a Answer
	s := m.core.State()
	switch q.Kind {
	case Here:
		m.table.Seen(now, from) // it is a member
		m.do(m.core.Told(from))
		return a, nil
	case Find:
		a.Closer = m.table.Preceding(q.Target, closer)
	case Look, Leave:
	}
	a.Predecessor, a.Before, a.Successors = s.Predecessor, s.Before, s.Successors
	return a, nil
}

// closer is how many a member names who asks the way.
const closer = 3
