package sim

import (
	"fmt"
	"strings"
)

// Tricks is what liars do, a set.
type Tricks uint16

// The tricks. Liars know each other's keys, and vote for anything.
const (
	// Equivocate shows others different proposals for one view.
	Equivocate Tricks = 1 << iota
	// Withhold keeps proposals and votes back, from some or from all.
	Withhold
	// Replay sends old messages again: proposals and timeouts of anybody, votes
	// of its own.
	Replay
	// Forge lies about certificates: too few signers, signers who did not sign,
	// one signer counted many times, old ones passed off as new, hidden higher ones.
	Forge
	// Delay sends everything just before the others' timers run out.
	Delay
	// DoubleVote votes for every proposal, even in views it gave up.
	DoubleVote
	// Usurp proposes in views that others lead.
	Usurp
	// Branch leads with proposals on any certificate that was ever made, with any
	// timeout certificate, shown to whom it likes.
	Branch
	// Tamper sends honest replicas' timeouts on with other attachments: the
	// signature of a timeout covers its view and the view of its certificate only.
	Tamper
	// Backdate reports uncertified blocks as certified in views long decided, which
	// nobody needs to check as long as nobody draws conclusions from them.
	Backdate
	// Mute says nothing at all.
	Mute

	// DefaultTricks are those that random schedules draw from.
	DefaultTricks = Mute - 1
)

var trickNames = []string{"equivocate", "withhold", "replay", "forge", "delay", "double-vote", "usurp", "branch", "tamper", "backdate", "mute"}

// Has reports whether the set has a trick.
func (t Tricks) Has(trick Tricks) bool { return t&trick != 0 }

// String lists the tricks.
func (t Tricks) String() string {
	var names []string
	for i, name := range trickNames {
		if t.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func parseTricks(list string) (t Tricks, err error) {
	for word := range strings.SplitSeq(list, ",") {
		known := false
		for i, name := range trickNames {
			if name == word {
				t |= 1 << i
				known = true
			}
		}
		if !known {
			return 0, fmt.Errorf("no such trick: %s", word)
		}
	}
	return t, nil
}
