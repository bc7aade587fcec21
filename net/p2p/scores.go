package p2p

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Offence is a way in which a peer can break the rules.
type Offence int

// The offences, from slips that happen to the honest to what only a liar does.
const (
	Slow           Offence = iota // did not answer in time
	Flood                         // sent more than its share
	InvalidMessage                // sent what does not decode or verify
	BadBlock                      // served or proposed a block that cannot be

	offenceKinds
)

// String names the offence for logs and metrics.
func (o Offence) String() string {
	switch o {
	case Slow:
		return "slow"
	case Flood:
		return "flood"
	case InvalidMessage:
		return "invalid-message"
	case BadBlock:
		return "bad-block"
	}
	return "unknown"
}

// price is what an offence adds to a peer's score.
func (o Offence) price() float64 {
	switch o {
	case Slow:
		return 2
	case Flood:
		return 5
	case InvalidMessage:
		return 25
	case BadBlock:
		return banAt
	}
	return 0
}

const (
	banAt    = 100.0
	halfLife = 2 * time.Minute // of a score
	maxBan   = 24 * time.Hour
	// maxScored bounds the peers remembered. New identities are free, so past it
	// the best behaved are forgotten first.
	maxScored = 4096
)

// Scores remembers offences: each adds its price to the peer's score, which
// halves every two minutes, and at 100 the peer is banned for a time that doubles
// with every ban, up to a day. It is a pure data structure: callers say what time
// it is, and keep it to one goroutine at a time.
type Scores struct {
	banTime time.Duration
	peers   map[peer.ID]*record
}

type record struct {
	score  float64
	at     time.Time // of the score
	bans   int
	banned time.Time // until
}

// NewScores makes an empty memory; banTime is the length of a first ban.
func NewScores(banTime time.Duration) *Scores {
	return &Scores{banTime: banTime, peers: map[peer.ID]*record{}}
}

// Penalise notes an offence and reports whether the peer is banned for it now.
func (s *Scores) Penalise(now time.Time, id peer.ID, o Offence) (banned bool) {
	r := s.peers[id]
	if r == nil {
		if len(s.peers) >= maxScored {
			s.forget(now)
		}
		r = &record{at: now}
		s.peers[id] = r
	}
	if now.Before(r.banned) {
		return false // what was on its way when the ban fell is not held against it again
	}
	r.score = r.decayed(now) + o.price()
	r.at = now
	if r.score < banAt {
		return false
	}
	length := min(s.banTime, maxBan)
	for range min(r.bans, 10) {
		length = min(2*length, maxBan)
	}
	r.bans++
	r.banned = now.Add(length)
	r.score = 0
	return true
}

// Banned reports whether the peer is banned.
func (s *Scores) Banned(now time.Time, id peer.ID) bool {
	r := s.peers[id]
	return r != nil && now.Before(r.banned)
}

// Score is the peer's present score, 0 for one that nothing is known against.
func (s *Scores) Score(now time.Time, id peer.ID) float64 {
	if r := s.peers[id]; r != nil {
		return r.decayed(now)
	}
	return 0
}

func (r *record) decayed(now time.Time) float64 {
	return r.score * math.Exp2(-float64(max(0, now.Sub(r.at)))/float64(halfLife))
}

// forget makes room: the quarter with the least against it goes. So many at a time,
// as new identities are free and must not cost a search each.
func (s *Scores) forget(now time.Time) {
	type weighed struct {
		id     peer.ID
		weight float64
	}
	all := make([]weighed, 0, len(s.peers))
	for id, r := range s.peers {
		w := r.decayed(now)
		if now.Before(r.banned) {
			w += banAt * float64(r.bans)
		}
		all = append(all, weighed{id, w})
	}
	slices.SortFunc(all, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.id, b.id))
	})
	for _, w := range all[:len(all)/4] {
		delete(s.peers, w.id)
	}
}
