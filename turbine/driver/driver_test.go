package driver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/turbine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mesh is a network in memory: a queue a member, and a goroutine that empties it.
type mesh struct {
	drivers []*Driver
	queues  []chan func()
	absent  map[peer.ID]bool
	loss    func() bool
}

// end is one member's side of the mesh.
type end struct {
	m    *mesh
	self peer.ID
}

func name(i int) peer.ID { return peer.ID(fmt.Sprintf("member %d", i)) }

func (e end) TrySend(to peer.ID, packet []byte, _ bool) bool {
	if e.m.absent[to] {
		return false
	}
	if e.m.loss() {
		return true
	}
	packet = bytes.Clone(packet)
	for i := range e.m.drivers {
		if name(i) == to {
			e.m.queues[i] <- func() { e.m.drivers[i].Receive(e.self, packet) }
		}
	}
	return true
}

func (e end) Send(_ context.Context, to peer.ID, packet []byte, mayWait bool) error {
	if !e.TrySend(to, packet, mayWait) {
		return errors.New("not connected")
	}
	return nil
}

func (e end) Connected(to peer.ID) bool { return !e.m.absent[to] }

type arrival struct {
	member  int
	id      fec.Stream
	payload []byte
}

func newMesh(t *testing.T, n, maxPayload int, loss func() bool) (*mesh, chan arrival) {
	m := &mesh{absent: map[peer.ID]bool{}, loss: loss}
	arrivals := make(chan arrival, 100)
	var members []turbine.Member
	var peers []peer.ID
	var keys []ed25519.PrivateKey
	for i := range n {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, 32))
		keys = append(keys, key)
		peers = append(peers, name(i))
		members = append(members, turbine.Member{Sender: fec.SenderOf([]byte(name(i))), Key: key.Public().(ed25519.PublicKey), Stake: 1})
	}
	group, err := turbine.NewGroup(members)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range n {
		m.queues = append(m.queues, make(chan func(), 100_000))
		m.drivers = append(m.drivers, New(Config{
			Core: turbine.Config{
				Chain: hash.Sum("test"), Group: group, Self: turbine.Index(i), Codes: fec.NewCodes(),
				Verify: func(key, message, signature []byte) bool { return ed25519.Verify(key, message, signature) },
			},
			Peers: peers, Packets: end{m, name(i)}, Compress: fec.S2, Loss: 0.1, MaxPayload: maxPayload, Logger: slog.New(slog.DiscardHandler),
			Sign:      func(message []byte) ([]byte, error) { return ed25519.Sign(keys[i], message), nil },
			OnPayload: func(id fec.Stream, payload []byte, _ turbine.Receipt) { arrivals <- arrival{i, id, payload} },
		}))
	}
	for i := range n {
		wg.Go(func() { _ = m.drivers[i].Run(ctx) })
		wg.Go(func() {
			for {
				select {
				case do := <-m.queues[i]:
					do()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return m, arrivals
}

func never() bool { return false }

func expect(t *testing.T, arrivals chan arrival, members []int, payload []byte) {
	t.Helper()
	missing := map[int]bool{}
	for _, i := range members {
		missing[i] = true
	}
	for len(missing) > 0 {
		select {
		case a := <-arrivals:
			require.True(t, missing[a.member], "member %d was given it twice", a.member)
			require.True(t, bytes.Equal(payload, a.payload), "member %d", a.member)
			delete(missing, a.member)
		case <-time.After(30 * time.Second):
			require.FailNow(t, "it does not arrive", "missing: %v", missing)
		}
	}
}

func TestPayloadsArriveWholeCompressedOrNot(t *testing.T) {
	m, arrivals := newMesh(t, 6, 4<<20, never)
	random := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	for slot, payload := range [][]byte{{1}, bytes.Repeat([]byte("starling "), 100_000), random} {
		require.NoError(t, m.drivers[2].Publish(t.Context(), 1, uint64(slot), payload))
		expect(t, arrivals, []int{0, 1, 3, 4, 5}, payload)
	}
	require.Less(t, m.drivers[0].Counts().Shreds, uint64(5000), "text travels compressed")
}

func TestMembersSendAtTheSameTime(t *testing.T) {
	m, arrivals := newMesh(t, 5, 1<<20, never)
	want := map[fec.Sender][]byte{}
	var wg sync.WaitGroup
	for i, d := range m.drivers {
		payload := make([]byte, 300_000)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(payload)
		want[fec.SenderOf([]byte(name(i)))] = payload
		wg.Go(func() { require.NoError(t, d.Publish(t.Context(), 1, 1, payload)) })
	}
	wg.Wait()
	for range 5 * 4 {
		a := <-arrivals
		require.True(t, bytes.Equal(want[a.id.Sender], a.payload))
	}
}

func TestLostPacketsAndAbsentMembersDoNotStopAPayload(t *testing.T) {
	var mu sync.Mutex
	draw := rand.New(rand.NewPCG(1, 2))
	m, arrivals := newMesh(t, 8, 1<<20, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return draw.IntN(100) < 20
	})
	m.absent[name(3)] = true
	payload := make([]byte, 500_000)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(payload)
	require.NoError(t, m.drivers[0].Publish(t.Context(), 1, 1, payload))
	expect(t, arrivals, []int{1, 2, 4, 5, 6, 7}, payload)
}

// Parity follows what got lost on the way of payloads before.
func TestParityAdaptsToMeasuredLoss(t *testing.T) {
	for _, percent := range []int{0, 15} {
		t.Run(fmt.Sprintf("%d%% a hop", percent), func(t *testing.T) {
			var mu sync.Mutex
			draw := rand.New(rand.NewPCG(uint64(percent), 2))
			m, arrivals := newMesh(t, 8, 4<<20, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return draw.IntN(100) < percent
			})
			payload := make([]byte, 2<<20)
			_, _ = rand.NewChaCha8([32]byte{byte(percent)}).Read(payload)
			require.Equal(t, 0.1, m.drivers[7].expectedLoss())
			for i, d := range m.drivers[:3] {
				require.NoError(t, d.Publish(t.Context(), 1, uint64(i), payload))
				others := []int{0, 1, 2, 3, 4, 5, 6, 7}
				expect(t, arrivals, slices.DeleteFunc(others, func(j int) bool { return i == j }), payload)
			}
			hop := float64(percent) / 100
			twoHops := 1 - (1-hop)*(1-hop) // but one in seven comes from the sender itself
			for _, d := range m.drivers {
				loss, known := d.Loss()
				require.True(t, known)
				require.InDelta(t, (6*twoHops+hop)/7, loss, 0.06)
				require.InDelta(t, loss+spareLoss, d.expectedLoss(), 1e-9)
			}
		})
	}
}

func TestSlotsAreUsedOnce(t *testing.T) {
	m, arrivals := newMesh(t, 3, 1000, never)
	require.NoError(t, m.drivers[0].Publish(t.Context(), 1, 5, []byte("five")))
	expect(t, arrivals, []int{1, 2}, []byte("five"))
	publish := func(ch fec.Channel, slot uint64) error {
		return m.drivers[0].Publish(t.Context(), ch, slot, []byte("again"))
	}
	require.ErrorIs(t, publish(1, 5), ErrUsed)
	require.NoError(t, publish(1, 4), "not used yet")
	require.ErrorIs(t, publish(1, 4), ErrUsed)
	require.NoError(t, publish(2, 5), "another channel")
	require.NoError(t, publish(1, 5000))
	require.ErrorIs(t, publish(1, 6), ErrUsed, "nobody remembers so far back")
	for slot := range uint64(3 * slotsKept) {
		require.True(t, m.drivers[0].use(3, slot))
	}
	require.LessOrEqual(t, len(m.drivers[0].used[3].recent), 2*slotsKept+1)
}

func TestPayloadsThatCannotBeSentAreRefused(t *testing.T) {
	m, _ := newMesh(t, 3, 1000, never)
	require.ErrorIs(t, m.drivers[0].Publish(t.Context(), 1, 1, nil), ErrPayload)
	require.ErrorIs(t, m.drivers[0].Publish(t.Context(), 1, 1, make([]byte, 1001)), ErrPayload)
}

// A sender whose payload unpacks to more than is allowed reaches nobody's memory.
func TestBombIsNotUnpacked(t *testing.T) {
	m, arrivals := newMesh(t, 3, 1<<20, never)
	m.drivers[0].cfg.MaxPayload = 1 << 30
	require.NoError(t, m.drivers[0].Publish(t.Context(), 1, 1, make([]byte, 8<<20)))
	payload := []byte("and afterwards all is well")
	require.NoError(t, m.drivers[0].Publish(t.Context(), 1, 2, payload))
	expect(t, arrivals, []int{1, 2}, payload)
}
