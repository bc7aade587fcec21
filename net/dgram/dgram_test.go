package dgram

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/v2/writer.(*MirrorWriter).logRoutine"))
}

const testProtocol = "/starling/test/packets/1"

func newHost(t testing.TB, listen string) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings(listen), libp2p.DisableMetrics())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

const testPort = 7

// run runs a service and opens a port of it.
func run(t testing.TB, h host.Host, cfg Config, handle func(peer.ID, []byte)) (*Service, *Port) {
	s := New(h, testProtocol, cfg, slog.New(slog.DiscardHandler))
	port := s.Port(testPort)
	port.Handle(handle)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, func() bool {
		return slices.Contains(h.Mux().Protocols(), protocol.ID(testProtocol))
	}, 5*time.Second, time.Millisecond)
	return s, port
}

func connect(t testing.TB, a, b host.Host) {
	require.NoError(t, a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}))
}

func TestPacketsArriveWholeByEveryWay(t *testing.T) {
	for _, c := range []struct {
		listen string
		mode   Mode
		used   Mode
	}{
		{"/ip4/127.0.0.1/udp/0/quic-v1", Streams, Streams},
		{"/ip4/127.0.0.1/udp/0/quic-v1", Datagrams, Datagrams},
		{"/ip4/127.0.0.1/udp/0/quic-v1", Auto, Streams},
		{"/ip4/127.0.0.1/tcp/0", Datagrams, Streams},
	} {
		t.Run(fmt.Sprintf("%s by %s", c.listen, c.mode), func(t *testing.T) {
			a, b := newHost(t, c.listen), newHost(t, c.listen)
			connect(t, a, b)
			got := make(chan []byte, 1000)
			run(t, b, Config{}, func(from peer.ID, packet []byte) {
				require.Equal(t, a.ID(), from)
				got <- bytes.Clone(packet)
			})
			s, port := run(t, a, Config{Mode: c.mode}, func(peer.ID, []byte) {})
			for i := range 50 { // few enough not to be dropped by quic-go's queue
				packet := bytes.Repeat([]byte{byte(i)}, 1+i*MaxPacket/50)
				require.NoError(t, port.Send(t.Context(), b.ID(), packet, false))
				select {
				case arrived := <-got:
					require.Equal(t, packet, arrived)
				case <-time.After(10 * time.Second):
					require.FailNow(t, "nothing arrives")
				}
			}
			stats := s.Paths()
			require.Len(t, stats, 1)
			require.Equal(t, c.used, stats[0].Mode)
			require.EqualValues(t, 50, stats[0].Packets)
		})
	}
}

func TestWhatCannotBeSentIsRefused(t *testing.T) {
	a, b := newHost(t, "/ip4/127.0.0.1/udp/0/quic-v1"), newHost(t, "/ip4/127.0.0.1/udp/0/quic-v1")
	_, port := run(t, a, Config{}, func(peer.ID, []byte) {})
	require.False(t, port.TrySend(b.ID(), []byte{1}, false))
	require.ErrorIs(t, port.Send(t.Context(), b.ID(), []byte{1}, false), ErrNotConnected)
	connect(t, a, b)
	for _, bad := range [][]byte{nil, make([]byte, MaxPacket+1)} {
		require.False(t, port.TrySend(b.ID(), bad, false))
		require.ErrorIs(t, port.Send(t.Context(), b.ID(), bad, false), ErrLength)
	}
}

// What may wait lets everything else go first.
func TestWhatMayWaitGoesLast(t *testing.T) {
	a, b := newHost(t, "/ip4/127.0.0.1/tcp/0"), newHost(t, "/ip4/127.0.0.1/tcp/0")
	connect(t, a, b)
	got := make(chan byte, 100)
	run(t, b, Config{}, func(_ peer.ID, packet []byte) { got <- packet[0] })
	s, _ := run(t, a, Config{}, func(peer.ID, []byte) {})
	p := newPath(s, b.ID())
	for i := range byte(10) {
		require.True(t, p.put(testPort, []byte{100 + i}, true))
		require.True(t, p.put(testPort, []byte{i}, false))
	}
	s.mu.Lock()
	s.paths[b.ID()] = p
	s.group.Go(func() { p.run(s.ctx) })
	s.mu.Unlock()
	for i := range byte(20) {
		want := i
		if i >= 10 {
			want = 100 + i - 10
		}
		require.Equal(t, want, <-got)
	}
	require.Zero(t, s.urgent.Load())
}

// A peer that takes nothing fills its own queue and nothing else.
func TestFullQueueDropsAndSendWaitsForRoom(t *testing.T) {
	a := newHost(t, "/ip4/127.0.0.1/tcp/0")
	s, port := run(t, a, Config{QueueBytes: 64 << 10}, func(peer.ID, []byte) {})
	p := newPath(s, "slow") // nobody empties its queue
	s.mu.Lock()
	s.paths["slow"] = p
	s.mu.Unlock()
	packet := make([]byte, 1200)
	for range (64 << 10) / (1200 + headSize) {
		require.True(t, port.TrySend("slow", packet, false))
	}
	require.False(t, port.TrySend("slow", packet, false))
	require.EqualValues(t, 1, s.Paths()[0].Dropped)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() { waiting <- port.Send(ctx, "slow", packet, false) }()
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	go func() { waiting <- port.Send(t.Context(), "slow", packet, false) }()
	p.queue.take(nil, 10_000)
	require.NoError(t, <-waiting)
}

func TestPacketsComeToThePortTheyWereSentFrom(t *testing.T) {
	a, b := newHost(t, "/ip4/127.0.0.1/tcp/0"), newHost(t, "/ip4/127.0.0.1/tcp/0")
	connect(t, a, b)
	got := make(chan string, 10)
	take := func(name string) func(peer.ID, []byte) {
		return func(_ peer.ID, p []byte) { got <- name + string(p) }
	}
	there, first := run(t, b, Config{}, take("first "))
	here, one := run(t, a, Config{}, func(peer.ID, []byte) {})
	two := here.Port(testPort + 1)
	send := func(p *Port, text string) { require.NoError(t, p.Send(t.Context(), b.ID(), []byte(text), false)) }
	send(two, "to a port that is not open")
	send(one, "x")
	require.Equal(t, "first x", <-got)
	second, third := there.Port(testPort+1), there.Port(testPort+1)
	second.Handle(take("second "))
	send(two, "y")
	require.Equal(t, "second y", <-got)
	third.Handle(take("third "))
	second.Close() // it has been replaced: this changes nothing
	send(two, "z")
	require.Equal(t, "third z", <-got)
	third.Close()
	send(two, "nobody is there any more")
	send(one, "x")
	require.Equal(t, "first x", <-got)
	first.Close()
}

func TestStreamsThatBreakTheRulesAreReset(t *testing.T) {
	for name, raw := range map[string][]byte{
		"empty packet":    {0, 1, 7},
		"no port":         {0, 0},
		"too long":        binary.BigEndian.AppendUint16(nil, MaxPacket+2),
		"ends in between": {0, 9, 7},
	} {
		var got int
		err := readPackets(bytes.NewReader(append([]byte{0, 2, 7, 7}, raw...)), func([]byte) { got++ })
		require.Error(t, err, name)
		require.Equal(t, 1, got, name)
	}
}

func TestMoreStreamsThanAllowedAreReset(t *testing.T) {
	a, b := newHost(t, "/ip4/127.0.0.1/tcp/0"), newHost(t, "/ip4/127.0.0.1/tcp/0")
	connect(t, a, b)
	run(t, b, Config{}, func(peer.ID, []byte) {})
	reset := 0
	for range maxStreams + 3 {
		st, err := a.NewStream(t.Context(), b.ID(), testProtocol)
		require.NoError(t, err)
		_, err = st.Write([]byte{0, 2, 7, 7})
		require.NoError(t, err)
		_ = st.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := st.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			reset++
		}
	}
	require.Equal(t, 3, reset)
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func TestRingKeepsOrderWithinItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRing(rapid.IntRange(2000, 40_000).Draw(t, "limit"), make(chan struct{}, 1))
		var model [][]byte
		used := 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "put") {
				p := bytes.Repeat([]byte{byte(len(model))}, rapid.IntRange(1, MaxPacket).Draw(t, "size"))
				fits := used+headSize+len(p) <= r.limit
				require.Equal(t, fits, r.put(testPort, p))
				if fits {
					model = append(model, p)
					used += headSize + len(p)
				}
				continue
			}
			taken := r.take(nil, rapid.IntRange(1, 8000).Draw(t, "most"))
			require.Equal(t, len(model) > 0, len(taken) > 0, "at least one")
			err := readPackets(bytes.NewReader(taken), func(p []byte) {
				require.EqualValues(t, testPort, p[0])
				require.Equal(t, model[0], p[1:])
				used -= lengthSize + len(p)
				model = model[1:]
			})
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

func TestQueueingAllocatesNothing(t *testing.T) {
	r := newRing(1<<20, make(chan struct{}, 1))
	packet := make([]byte, 1200)
	for range 40 {
		r.put(testPort, packet)
	}
	out := r.take(make([]byte, 0, 64<<10), 64<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.put(testPort, packet)
		out = r.take(out[:0], 32<<10)
	}))
}

func FuzzReadPackets(f *testing.F) {
	f.Add([]byte{0, 2, 7, 1, 0, 3, 7, 8, 9})
	f.Add([]byte{255, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		total := 0
		_ = readPackets(bytes.NewReader(raw), func(p []byte) { total += lengthSize + len(p) })
		require.LessOrEqual(t, total, len(raw))
	})
}

// BenchmarkLoopback measures bytes a second that arrive, by each way, and a bare QUIC
// stream beside them.
func BenchmarkLoopback(b *testing.B) {
	const packets, size = 20_000, 1200
	for _, mode := range []Mode{Streams, Datagrams} {
		b.Run(mode.String(), func(b *testing.B) {
			x, y := newHost(b, "/ip4/127.0.0.1/udp/0/quic-v1"), newHost(b, "/ip4/127.0.0.1/udp/0/quic-v1")
			connect(b, x, y)
			var got atomic.Int64
			run(b, y, Config{}, func(_ peer.ID, p []byte) { got.Add(int64(len(p))) })
			_, port := run(b, x, Config{Mode: mode}, func(peer.ID, []byte) {})
			packet := make([]byte, size)
			arrived, began := int64(0), time.Now()
			for b.Loop() {
				before := got.Load()
				for range packets {
					require.NoError(b, port.Send(b.Context(), y.ID(), packet, false))
				}
				for still := time.Now(); got.Load()-before < packets*size && time.Since(still) < 200*time.Millisecond; time.Sleep(time.Millisecond) {
				}
				arrived += got.Load() - before
			}
			b.ReportMetric(float64(arrived)/1e6/time.Since(began).Seconds(), "MB/s")
			b.ReportMetric(100*float64(arrived)/float64(b.N*packets*size), "%arrived")
		})
	}
	b.Run("bare stream", func(b *testing.B) {
		x, y := newHost(b, "/ip4/127.0.0.1/udp/0/quic-v1"), newHost(b, "/ip4/127.0.0.1/udp/0/quic-v1")
		connect(b, x, y)
		var got atomic.Int64
		y.SetStreamHandler(testProtocol, func(st network.Stream) {
			buf := make([]byte, 64<<10)
			for {
				n, err := st.Read(buf)
				got.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		st, err := x.NewStream(b.Context(), y.ID(), testProtocol)
		require.NoError(b, err)
		chunk := make([]byte, 32<<10)
		began := time.Now()
		for b.Loop() {
			before := got.Load()
			for sent := 0; sent < packets*size; sent += len(chunk) {
				_, err := st.Write(chunk)
				require.NoError(b, err)
			}
			for got.Load()-before < packets*size {
				time.Sleep(time.Millisecond)
			}
		}
		b.ReportMetric(float64(got.Load())/1e6/time.Since(began).Seconds(), "MB/s")
		_ = st.Reset()
	})
}
