package ring

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// peersInOrder makes peers, ascending by identifier.
func peersInOrder(n int) (out []Peer) {
	for i := range n {
		out = append(out, PeerOf(string(rune('a'+i))))
	}
	slices.SortFunc(out, func(a, b Peer) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

func TestRingBeginsWithEnoughMembers(t *testing.T) {
	all := peersInOrder(4)
	c := New(all[1], 3)
	require.ErrorIs(t, c.Begin(all[:3]), ErrSmall)
	require.ErrorIs(t, New(PeerOf("somebody else"), 3).Begin(all), ErrSmall)
	require.NoError(t, c.Begin(all))
	require.Equal(t, State{Predecessor: all[0], Successors: []Peer{all[2], all[3], all[0]}}, c.State())
	require.ErrorIs(t, c.Begin(all), ErrMember)
	require.ErrorIs(t, c.Start(), ErrMember)
	require.Empty(t, c.Join(all[2]), "it is a member")
}

func TestJoiningBehindWhoHasComeInBetween(t *testing.T) {
	all := peersInOrder(6)
	c := New(all[1], 2)
	effects := c.Join(all[3])
	require.Equal(t, []Effect{Ask{all[3]}}, effects)
	effects = c.Answered(all[3], State{Predecessor: all[2], Successors: []Peer{all[4], all[5]}})
	require.Equal(t, []Effect{Ask{all[2]}}, effects, "it comes first")
	require.False(t, c.Member())
	effects = c.Answered(all[2], State{Predecessor: all[0], Successors: []Peer{all[3], all[4]}})
	require.Equal(t, []Effect{Joined{}, Tell{all[2]}}, effects)
	require.Equal(t, []Peer{all[2], all[3]}, c.State().Successors)
}

func TestAnswersThatNobodyAskedForChangeNothing(t *testing.T) {
	all := peersInOrder(6)
	c := New(all[0], 2)
	require.NoError(t, c.Begin(all[:3]))
	before := c.State()
	lie := State{Predecessor: all[5], Successors: []Peer{all[4]}}
	require.Empty(t, c.Answered(all[1], lie))
	require.Equal(t, []Effect{Ask{all[1]}}, c.Stabilise())
	require.Empty(t, c.Answered(all[4], lie), "another one was asked")
	require.Empty(t, c.Failed(all[4]))
	require.Empty(t, c.Stabilise(), "one question at a time")
	require.Equal(t, before, c.State())
}

// Of all members exactly one owns a key: the first at or after it.
func TestEveryKeyHasOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := peersInOrder(rapid.IntRange(1, 20).Draw(t, "members"))
		key := KeyOf([]byte(rapid.String().Draw(t, "key")))
		if rapid.Bool().Draw(t, "a member's own place") {
			key = rapid.SampledFrom(all).Draw(t, "whose").ID
		}
		var owners []Peer
		for i, p := range all {
			if Owns(all[(i+len(all)-1)%len(all)].ID, p.ID, key) {
				owners = append(owners, p)
			}
		}
		require.Len(t, owners, 1)
		for _, p := range all {
			if slices.Compare(p.ID[:], key[:]) >= 0 {
				require.Equal(t, p, owners[0])
				return
			}
		}
		require.Equal(t, all[0], owners[0], "past the highest it is the lowest's")
	})
}
