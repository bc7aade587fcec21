package turbine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

var testChain = hash.Sum("test")

func newGroup(t testing.TB, stakes ...uint64) *Group {
	members := make([]Member, len(stakes))
	for i, s := range stakes {
		members[i] = Member{Sender: fec.Sender(1000 + i), Stake: s}
	}
	g, err := NewGroup(members)
	require.NoError(t, err)
	return g
}

func placeOf(sender, slot, set int) fec.Place {
	return fec.Place{Stream: fec.Stream{Channel: 1, Sender: fec.Sender(1000 + sender), Slot: uint64(slot)}, Set: uint32(set)}
}

// Every member but the sender is reached exactly once, within the depth.
func TestTreeReachesEveryoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stakes := rapid.SliceOfN(rapid.Uint64Range(0, 1000), 2, 300).Draw(t, "stakes")
		members := make([]Member, len(stakes))
		for i, s := range stakes {
			members[i] = Member{Sender: fec.Sender(1000 + i), Stake: s}
		}
		g, err := NewGroup(members)
		require.NoError(t, err)
		sender := rapid.IntRange(0, len(stakes)-1).Draw(t, "sender")
		tree := g.Tree(testChain, placeOf(sender, rapid.IntRange(0, 9).Draw(t, "slot"), 0), rapid.SampledFrom([]int{1, 2, 3, 10, 200}).Draw(t, "fanout"))
		shred := rapid.IntRange(0, 2000).Draw(t, "shred")
		hops := map[Index]int{}
		layer := []Index{tree.Root(shred)}
		for hop := 1; len(layer) > 0; hop++ {
			require.LessOrEqual(t, hop, tree.Depth())
			var next []Index
			for _, m := range layer {
				require.NotContains(t, hops, m, "reached twice")
				require.NotEqual(t, Index(sender), m)
				hops[m] = hop
				children := tree.Children(shred, m, nil)
				for _, child := range children {
					parent, ok := tree.Parent(shred, child)
					require.True(t, ok)
					require.Equal(t, m, parent)
				}
				next = append(next, children...)
			}
			layer = next
		}
		require.Len(t, hops, len(stakes)-1)
		require.Empty(t, tree.Children(shred, Index(sender), nil))
		for _, m := range []Index{tree.Root(shred), Index(sender)} {
			_, ok := tree.Parent(shred, m)
			require.False(t, ok)
		}
	})
}

func TestMembersRelayInProportionToTheirStake(t *testing.T) {
	g := newGroup(t, 1, 100, 200, 300, 400, 500)
	first := make([]float64, g.Len())
	const rounds = 20_000
	for slot := range rounds {
		first[g.Tree(testChain, placeOf(0, slot, 0), 2).order[0]]++
	}
	for i := 1; i < g.Len(); i++ {
		want := float64(i) * 100 / 1500 * rounds
		require.InDelta(t, want, first[i], 6*math.Sqrt(want), "member %d", i)
	}
}

func TestEveryMemberIsRootOfAShareOfTheShreds(t *testing.T) {
	g := newGroup(t, make([]uint64, 50)...)
	tree := g.Tree(testChain, placeOf(7, 1, 1), 200)
	roots := map[Index]int{}
	for shred := range 49 * 3 {
		roots[tree.Root(shred)]++
	}
	require.Len(t, roots, 49)
	for m, n := range roots {
		require.Equal(t, 3, n, "member %d", m)
	}
}

// A member must not depend on one other for many shreds of a set.
func TestParentsDifferFromShredToShred(t *testing.T) {
	const n, shreds = 1000, 170
	g := newGroup(t, make([]uint64, n)...)
	tree := g.Tree(testChain, placeOf(7, 1, 1), 200)
	parents := make([]map[Index]int, n)
	for shred := range shreds {
		for m := range Index(n) {
			for _, child := range tree.Children(shred, m, nil) {
				if parents[child] == nil {
					parents[child] = map[Index]int{}
				}
				parents[child][m]++
			}
		}
	}
	for m, of := range parents {
		for parent, count := range of {
			require.LessOrEqual(t, count, shreds/8, "member %d depends on %d", m, parent)
		}
	}
}

func TestTreesOfOtherSetsSlotsAndNetworksDiffer(t *testing.T) {
	g := newGroup(t, make([]uint64, 40)...)
	base := g.Tree(testChain, placeOf(1, 1, 1), 3).order
	require.Equal(t, base, g.Tree(testChain, placeOf(1, 1, 1), 3).order)
	require.NotEqual(t, base, g.Tree(testChain, placeOf(1, 1, 2), 3).order)
	require.NotEqual(t, base, g.Tree(testChain, placeOf(1, 2, 1), 3).order)
	require.NotEqual(t, base, g.Tree(hash.Sum("other"), placeOf(1, 1, 1), 3).order)
}

func TestBadGroupsAreRefused(t *testing.T) {
	for name, members := range map[string][]Member{
		"alone":    {{Sender: 1}},
		"twice":    {{Sender: 1}, {Sender: 1}},
		"overflow": {{Sender: 1, Stake: math.MaxUint64}, {Sender: 2}},
	} {
		_, err := NewGroup(members)
		require.ErrorIs(t, err, ErrGroup, name)
	}
}

func BenchmarkTree(b *testing.B) {
	for _, n := range []int{50, 1000, 10_000} {
		g := newGroup(b, make([]uint64, n)...)
		b.Run("", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				g.Tree(testChain, placeOf(1, i, 1), 200)
			}
			b.ReportMetric(float64(n), "members")
		})
	}
}
