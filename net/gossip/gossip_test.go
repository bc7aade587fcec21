package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

var quiet = slog.New(slog.DiscardHandler)

// note is a message of the tests. Its first byte tells the validator what to say.
type note = []byte

func verdict(_ context.Context, _ peer.ID, n note) Verdict {
	switch {
	case len(n) > 0 && n[0] == 'R':
		return Reject
	case len(n) > 0 && n[0] == 'I':
		return Ignore
	case len(n) > 0 && n[0] == 'P':
		panic("bug")
	}
	return Accept
}

func notes(handle func(peer.ID, note)) Spec[note] {
	return Spec[note]{Name: "notes", Codec: canon.CBOR[note](), Validate: verdict, Handle: handle}
}

func start(tb testing.TB, h *p2p.Host, network string) *Gossip {
	tb.Helper()
	g, err := New(h, Config{Network: network, MaxMessage: 2 << 20}, quiet)
	require.NoError(tb, err)
	tb.Cleanup(g.Close)
	return g
}

func join(tb testing.TB, g *Gossip, spec Spec[note]) *Topic[note] {
	tb.Helper()
	topic, err := Join(g, spec)
	require.NoError(tb, err)
	return topic
}

// member is a node that has joined the topic of notes.
type member struct {
	*Topic[note]
	host *p2p.Host
	got  chan note
}

// members joins the topic on hosts, connects them as a node does it, after joining,
// and waits until all relay to all.
func members(tb testing.TB, hosts []*p2p.Host, change func(int, *Spec[note])) []member {
	tb.Helper()
	out := make([]member, len(hosts))
	for i, h := range hosts {
		got := make(chan note, 1<<12)
		spec := notes(func(_ peer.ID, n note) { got <- n })
		if change != nil {
			change(i, &spec)
		}
		out[i] = member{join(tb, start(tb, h, "test"), spec), h, got}
	}
	p2ptest.ConnectAll(tb, hosts)
	for _, m := range out {
		require.Eventually(tb, func() bool {
			return len(m.Peers()) == len(hosts)-1 && m.gossip.Stats().Links == len(hosts)-1
		}, 5*time.Second, time.Millisecond)
	}
	return out
}

func (m member) publish(tb testing.TB, text string) {
	tb.Helper()
	require.NoError(tb, m.Publish(tb.Context(), note(text)))
}

// receive waits for one value, not for ever.
func receive[T any](tb testing.TB, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestEverybodyElseGetsAMessageOnce(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 4), nil)
	for i, m := range ms {
		m.publish(t, fmt.Sprint("hello from ", i))
	}
	for i, m := range ms {
		seen := map[string]int{}
		for range len(ms) - 1 {
			seen[string(receive(t, m.got))]++
		}
		require.Len(t, seen, len(ms)-1)
		require.NotContains(t, seen, fmt.Sprint("hello from ", i), "not one's own")
	}
	for _, m := range ms {
		require.Empty(t, m.got)
	}
}

func TestMessagesOfAllSizesAreRelayedAlongALine(t *testing.T) {
	a, b, c := p2ptest.New(t), p2ptest.New(t), p2ptest.New(t)
	got := make(chan note, 10)
	first := join(t, start(t, a, "test"), notes(func(peer.ID, note) {}))
	relay := start(t, b, "test")
	middle := join(t, relay, notes(func(peer.ID, note) {}))
	join(t, start(t, c, "test"), notes(func(from peer.ID, n note) {
		require.Equal(t, b.ID(), from, "from is who relayed it")
		got <- n
	}))
	p2ptest.Connect(t, a, b)
	p2ptest.Connect(t, b, c)
	require.Eventually(t, func() bool {
		return len(first.Peers()) == 1 && len(middle.Peers()) == 2 && relay.Stats().Links == 2
	}, 5*time.Second, time.Millisecond)
	for _, size := range []int{0, 1, 1 << 10, 1<<21 - 8} {
		msg := bytes.Repeat([]byte{1}, size)
		require.NoError(t, first.Publish(t.Context(), msg))
		require.True(t, bytes.Equal(msg, receive(t, got)))
	}
	require.ErrorIs(t, first.Publish(t.Context(), make(note, 1<<21)), ErrTooLarge)
}

func TestRejectedMessagesGoNoFurtherAndCost(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 3), nil)
	ms[0].publish(t, "Reject me")
	ms[0].publish(t, "Ignore me")
	for _, m := range ms[1:] {
		require.Eventually(t, func() bool { return m.gossip.Stats().Refused == 2 }, 5*time.Second, time.Millisecond)
		require.Empty(t, m.got)
		require.InDelta(t, 25, m.host.Score(ms[0].host.ID()), 1)
	}
	require.Zero(t, ms[1].host.Score(ms[2].host.ID()), "nobody relayed it")
}

func TestASlipOrTwoDoesNotCutLinks(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 2), nil)
	for range 5 {
		ms[1].host.Penalise(ms[0].host.ID(), p2p.Slow)
	}
	params, thresholds := scoring(ms[1].host)
	require.Zero(t, params.AppSpecificScore(ms[0].host.ID()))
	for range 3 {
		ms[1].host.Penalise(ms[0].host.ID(), p2p.InvalidMessage)
	}
	require.Less(t, params.AppSpecificScore(ms[0].host.ID()), thresholds.GraylistThreshold, "avoided before it is banned")
	require.False(t, ms[1].host.Banned(ms[0].host.ID()))
}

func TestUndecodableMessagesCost(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 2), nil)
	require.NoError(t, ms[0].topic.Publish(t.Context(), []byte{0xff}))
	require.Eventually(t, func() bool { return ms[1].host.Score(ms[0].host.ID()) > 0 }, 5*time.Second, time.Millisecond)
}

func TestPanickingValidatorIgnoresTheMessage(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 2), nil)
	ms[0].publish(t, "Panic")
	require.Eventually(t, func() bool { return ms[1].gossip.Stats().Refused == 1 }, 5*time.Second, time.Millisecond)
	ms[0].publish(t, "go on")
	require.Equal(t, "go on", string(receive(t, ms[1].got)))
	require.Zero(t, ms[1].host.Score(ms[0].host.ID()), "the bug is ours")
}

func TestRepetitionsArriveOnlyWhereAskedFor(t *testing.T) {
	for _, repeats := range []bool{false, true} {
		t.Run(fmt.Sprint(repeats), func(t *testing.T) {
			ms := members(t, p2ptest.Hosts(t, 2), func(_ int, s *Spec[note]) { s.Repeats = repeats })
			for range 5 {
				ms[0].publish(t, "again")
			}
			ms[0].publish(t, "last")
			want := 2
			if repeats {
				want = 6
			}
			for range want {
				receive(t, ms[1].got)
			}
			require.Empty(t, ms[1].got)
		})
	}
}

func TestRepetitionsOfOneMessageAreBounded(t *testing.T) {
	topic := members(t, p2ptest.Hosts(t, 1), func(_ int, s *Spec[note]) { s.Repeats = true })[0]
	heads := map[byte]bool{}
	for range 1000 {
		heads[topic.repetition([]byte("x"))] = true
	}
	require.Len(t, heads, 256)
}

func TestOwnMessagesAreHandledIfAsked(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 1), func(_ int, s *Spec[note]) { s.Self = true })
	ms[0].publish(t, "note to self")
	require.Equal(t, "note to self", string(receive(t, ms[0].got)))
}

// A peer that has used up its budget must not be able to make others drop the
// honest copies of what it relays.
func TestMessagesBeyondABudgetAreNotRemembered(t *testing.T) {
	ms := members(t, p2ptest.Hosts(t, 3), func(i int, s *Spec[note]) {
		if i == 2 {
			s.PerSecond = 1 // four at once
		}
	})
	flooder, honest, victim := ms[0], ms[1], ms[2]
	for i := range 8 {
		flooder.publish(t, fmt.Sprint("Ignore ", i))
	}
	require.Eventually(t, func() bool { return victim.gossip.Stats().Limited > 0 }, 5*time.Second, time.Millisecond)
	flooder.publish(t, "censored?") // the victim drops this copy
	require.Equal(t, "censored?", string(receive(t, honest.got)))
	require.Equal(t, "censored?", string(receive(t, victim.got)), "and takes the honest one")
	require.False(t, victim.host.Banned(flooder.host.ID()))
}

func TestNetworksNeverMix(t *testing.T) {
	hosts := p2ptest.Mesh(t, 2)
	a := join(t, start(t, hosts[0], "one"), notes(func(peer.ID, note) {}))
	b := join(t, start(t, hosts[1], "two"), notes(func(peer.ID, note) { t.Error("a message of another network") }))
	require.NoError(t, a.Publish(t.Context(), note("hello")))
	require.Empty(t, a.Peers())
	require.Empty(t, b.Peers())
}

func TestIncompleteTopicsAreRefused(t *testing.T) {
	g := start(t, p2ptest.New(t), "test")
	_, err := Join(g, Spec[note]{Name: "notes"})
	require.ErrorContains(t, err, "/starling/test/notes/1")
	_, err = New(p2ptest.New(t), Config{}, quiet)
	require.Error(t, err)
}

func TestMessageIDSeparatesTopicAndData(t *testing.T) {
	id := func(topic, data string) string {
		return messageID(&pb.Message{Topic: &topic, Data: []byte(data)})
	}
	require.NotEqual(t, id("ab", "c"), id("a", "bc"))
	require.Equal(t, id("ab", "c"), id("ab", "c"))
}
