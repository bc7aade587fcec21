package rpc

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

type letter struct {
	_ struct{} `cbor:",toarray"`
	N uint64
	B []byte
}

func mailbox(tb testing.TB, h *p2p.Host, handle func(peer.ID, letter)) *Mailbox[letter] {
	tb.Helper()
	m := NewMailbox(h, Letters[letter]{
		ID: "/test/letters/1", Codec: canon.CBOR[letter](), MaxSize: 1 << 10, PerSecond: 1 << 20, Handle: handle,
	}, quiet)
	tb.Cleanup(m.Close)
	return m
}

func into(c chan<- letter) func(peer.ID, letter) { return func(_ peer.ID, l letter) { c <- l } }

func nobody(peer.ID, letter) {}

func TestLettersArriveInOrder(t *testing.T) {
	a, b := pair(t)
	got := make(chan letter, 1000)
	mailbox(t, b, into(got))
	from := mailbox(t, a, nobody)
	for i := range uint64(200) {
		require.NoError(t, from.Send(b.ID(), letter{N: i}))
	}
	for i := range uint64(200) {
		require.Equal(t, i, (<-got).N)
	}
	require.Zero(t, from.Dropped())
}

func TestLettersWaitForAPeerThatComesBack(t *testing.T) {
	a, b := p2ptest.New(t), p2ptest.New(t)
	got := make(chan letter, 1000)
	mailbox(t, b, into(got))
	from := mailbox(t, a, nobody)
	for i := range uint64(outboxSize + 10) {
		require.NoError(t, from.Send(b.ID(), letter{N: i}))
	}
	require.EqualValues(t, 10, from.Dropped(), "the oldest made room")
	p2ptest.Connect(t, a, b)
	for i := range uint64(outboxSize) {
		require.Equal(t, i+10, (<-got).N)
	}
	// And again over another connection. What was written to the old one when
	// it broke may be lost, so nothing is sent before the break is known.
	require.NoError(t, a.Network().ClosePeer(b.ID()))
	require.Eventually(t, func() bool { return a.Network().Connectedness(b.ID()) != network.Connected }, 5*time.Second, time.Millisecond)
	require.NoError(t, from.Send(b.ID(), letter{N: 1000}))
	p2ptest.Connect(t, a, b)
	require.EqualValues(t, 1000, (<-got).N)
}

func TestOneSilentPeerDoesNotHoldUpOthers(t *testing.T) {
	hosts := p2ptest.Mesh(t, 3)
	block := make(chan struct{})
	mailbox(t, hosts[1], func(peer.ID, letter) { <-block })
	got := make(chan letter, 1000)
	mailbox(t, hosts[2], into(got))
	t.Cleanup(func() { close(block) })
	from := mailbox(t, hosts[0], nobody)
	for i := range uint64(200) {
		require.NoError(t, from.Send(hosts[1].ID(), letter{N: i, B: make([]byte, 900)}))
		require.NoError(t, from.Send(hosts[2].ID(), letter{N: i}))
	}
	for i := range uint64(200) {
		require.Equal(t, i, (<-got).N)
	}
}

func TestBadLettersArePenalised(t *testing.T) {
	for name, wire := range map[string][]byte{
		"too large": appendFrame(nil, make([]byte, 1<<10+1)), "undecodable": {1, 0xff}, "bad length": {0x80, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			mailbox(t, b, nobody)
			s, err := a.NewStream(t.Context(), b.ID(), "/test/letters/1")
			require.NoError(t, err)
			_, err = s.Write(wire)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return b.Score(a.ID()) > 0 }, 5*time.Second, time.Millisecond)
			_ = s.Reset()
		})
	}
}

func TestFloodOfLettersIsDroppedAndPenalised(t *testing.T) {
	a, b := pair(t)
	handled := make(chan letter, 1000)
	m := NewMailbox(b, Letters[letter]{
		ID: "/test/letters/1", Codec: canon.CBOR[letter](), MaxSize: 1 << 10, PerSecond: 1, Handle: into(handled),
	}, quiet)
	t.Cleanup(m.Close)
	from := mailbox(t, a, nobody)
	for i := range uint64(200) {
		require.NoError(t, from.Send(b.ID(), letter{N: i}))
	}
	require.Eventually(t, func() bool { return b.Score(a.ID()) > 0 }, 5*time.Second, time.Millisecond)
	require.Less(t, len(handled), 10)
	require.False(t, b.Banned(a.ID()), "one burst is not enough")
}

func TestNewestStreamReplacesTheOld(t *testing.T) {
	a, b := pair(t)
	got := make(chan letter, 10)
	m := mailbox(t, b, into(got))
	var streams []network.Stream
	for i := range uint64(5) {
		s, err := a.NewStream(t.Context(), b.ID(), "/test/letters/1")
		require.NoError(t, err)
		data, err := canon.Marshal(letter{N: i})
		require.NoError(t, err)
		_, err = s.Write(appendFrame(nil, data))
		require.NoError(t, err)
		require.Equal(t, i, (<-got).N)
		streams = append(streams, s)
	}
	m.mu.Lock()
	require.Len(t, m.inbound, 1)
	m.mu.Unlock()
	require.Zero(t, b.Score(a.ID()))
	for _, s := range streams {
		_ = s.Reset()
	}
}

func TestPanickingHandlerDoesNotStopLetters(t *testing.T) {
	a, b := pair(t)
	got := make(chan letter, 10)
	mailbox(t, b, func(_ peer.ID, l letter) {
		if l.N == 0 {
			panic("bug")
		}
		got <- l
	})
	from := mailbox(t, a, nobody)
	require.NoError(t, from.Send(b.ID(), letter{N: 0}))
	require.NoError(t, from.Send(b.ID(), letter{N: 1}))
	require.EqualValues(t, 1, (<-got).N)
}

func TestClosedMailboxRefuses(t *testing.T) {
	a, b := pair(t)
	m := mailbox(t, a, nobody)
	require.ErrorIs(t, m.Send(b.ID(), letter{B: make([]byte, 2<<10)}), ErrTooLarge)
	require.NoError(t, m.Send(b.ID(), letter{}))
	m.Close()
	require.ErrorIs(t, m.Send(b.ID(), letter{}), ErrClosed)
}
