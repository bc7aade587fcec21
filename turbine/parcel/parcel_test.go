package parcel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

// network hands packets over in the order in which they were sent, but for those that it
// loses. It runs in a bubble of virtual time.
type network struct {
	t        *testing.T
	channels map[peer.ID]*Channel
	lose     func(from peer.ID, packet []byte) bool
	queue    chan func()
}

// end is one peer's side.
type end struct {
	*network
	self peer.ID
}

func (e end) TrySend(to peer.ID, packet []byte, _ bool) bool {
	if e.lose(e.self, packet) {
		return true
	}
	packet = bytes.Clone(packet)
	select {
	case e.queue <- func() {
		<-time.After(10 * time.Microsecond) // a link of about 100 MB/s
		e.channels[to].Receive(e.self, packet)
	}:
		return true
	default:
		return false
	}
}

func (e end) Send(ctx context.Context, to peer.ID, packet []byte, mayWait bool) error {
	for !e.TrySend(to, packet, mayWait) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e end) Connected(peer.ID) bool { return true }

// peers runs n peers until the test ends; the function runs in the same bubble.
func peers(t *testing.T, n int, lose func(peer.ID, []byte) bool, f func(*testing.T, []*Channel)) {
	synctest.Test(t, func(t *testing.T) {
		w := &network{t: t, channels: map[peer.ID]*Channel{}, lose: lose, queue: make(chan func(), 1000)}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var all []*Channel
		for range n {
			key, _, err := crypto.GenerateEd25519Key(rand.Reader)
			require.NoError(t, err)
			id, err := peer.IDFromPrivateKey(key)
			require.NoError(t, err)
			c, err := New(Config{Identity: key, Network: "test", Packets: end{w, id}, MaxPayload: 4 << 20, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			w.channels[id] = c
			all = append(all, c)
			wg.Go(func() { _ = c.Run(ctx) })
		}
		wg.Go(func() {
			for {
				select {
				case do := <-w.queue:
					do()
				case <-ctx.Done():
					return
				}
			}
		})
		f(t, all)
		cancel()
		wg.Wait()
	})
}

func none(peer.ID, []byte) bool { return false }

// some loses a share of all packets.
func some(percent int) func(peer.ID, []byte) bool {
	var mu sync.Mutex
	r := mrand.New(mrand.NewPCG(1, uint64(percent)))
	return func(peer.ID, []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(100) < percent
	}
}

func random(size int) []byte {
	out := make([]byte, size)
	_, _ = rand.Read(out)
	return out
}

func TestParcelsArriveWholeAtAnyLoss(t *testing.T) {
	for _, percent := range []int{0, 5, 30} {
		for _, o := range []Options{{}, {Data: 16, Parity: 4}, {Data: 64, Parity: 64}} {
			t.Run(fmt.Sprintf("%d%% %d+%d", percent, o.Data, o.Parity), func(t *testing.T) {
				peers(t, 2, some(percent), func(t *testing.T, c []*Channel) {
					for _, size := range []int{1, 1000, 1_500_000} {
						payload := random(size)
						r, err := c[1].Reserve(c[0].self)
						require.NoError(t, err)
						sent := make(chan error, 1)
						go func() { sent <- c[0].Send(t.Context(), c[1].self, r.Number(), payload, o) }()
						got, err := r.Wait(t.Context())
						require.NoError(t, err)
						require.True(t, bytes.Equal(payload, got))
						require.NoError(t, <-sent, "the sender learns of it, whatever gets lost")
					}
				})
			})
		}
	}
}

func TestManyParcelsInBothDirections(t *testing.T) {
	peers(t, 3, some(10), func(t *testing.T, c []*Channel) {
		var wg sync.WaitGroup
		for i := range 30 {
			from, to := c[i%3], c[(i+1+i%2)%3]
			if from == to {
				continue
			}
			payload := random(10_000 * (1 + i%7))
			r, err := to.Reserve(from.self)
			require.NoError(t, err)
			wg.Go(func() { require.NoError(t, from.Send(t.Context(), to.self, r.Number(), payload, Options{})) })
			wg.Go(func() {
				got, err := r.Wait(t.Context())
				require.NoError(t, err)
				require.True(t, bytes.Equal(payload, got))
			})
		}
		wg.Wait()
	})
}

func TestWhatIsNotReservedIsNotTaken(t *testing.T) {
	peers(t, 3, none, func(t *testing.T, c []*Channel) {
		r, err := c[1].Reserve(c[0].self)
		require.NoError(t, err)
		before := time.Now()
		o := Options{Deadline: before.Add(3 * time.Second)}
		for _, send := range []struct {
			from   *Channel
			number uint64
		}{{c[0], r.Number() + 1}, {c[0], r.Number() - 1}, {c[2], r.Number()}} {
			err := send.from.Send(t.Context(), c[1].self, send.number, random(100_000), o)
			require.ErrorIs(t, err, ErrDeadline)
			for _, p := range c[1].pairs {
				require.Zero(t, p.driver.Held())
			}
			o.Deadline = time.Now().Add(3 * time.Second)
		}
		r.GiveUp()
		require.ErrorIs(t, c[0].Send(t.Context(), c[1].self, r.Number(), random(1000), o), ErrDeadline, "given up")
		r.GiveUp()
	})
}

func TestDeadlineEndsBothSides(t *testing.T) {
	peers(t, 2, func(peer.ID, []byte) bool { return true }, func(t *testing.T, c []*Channel) {
		r, err := c[1].Reserve(c[0].self)
		require.NoError(t, err)
		err = c[0].Send(t.Context(), c[1].self, r.Number(), random(100_000), Options{Deadline: time.Now().Add(time.Second)})
		require.ErrorIs(t, err, ErrDeadline)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = r.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for _, x := range c {
			for _, p := range x.pairs {
				require.Zero(t, p.driver.Held(), "nothing stays behind")
			}
		}
	})
}

// A receiver that gave up must not make the sender believe that it has the parcel.
func TestGivingUpIsNoConfirmation(t *testing.T) {
	var few atomic.Bool
	var count atomic.Int64
	few.Store(true)
	lose := func(_ peer.ID, packet []byte) bool { return few.Load() && count.Add(1) > 3 } // a few shreds open the stream
	peers(t, 2, lose, func(t *testing.T, c []*Channel) {
		r, err := c[1].Reserve(c[0].self)
		require.NoError(t, err)
		sent := make(chan error, 1)
		go func() {
			sent <- c[0].Send(t.Context(), c[1].self, r.Number(), random(500_000), Options{Deadline: time.Now().Add(10 * time.Second)})
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = r.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		few.Store(false)
		require.ErrorIs(t, <-sent, ErrDeadline)
	})
}

func TestParcelsThatCannotBeSentAreRefused(t *testing.T) {
	peers(t, 2, none, func(t *testing.T, c []*Channel) {
		require.Error(t, c[0].Send(t.Context(), c[1].self, 1, nil, Options{}))
		require.Error(t, c[0].Send(t.Context(), c[1].self, 2, make([]byte, 4<<20+1), Options{}))
		require.Error(t, c[0].Send(t.Context(), c[1].self, 3, []byte{1}, Options{Data: 5000, Parity: 1}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := c[0].Send(ctx, c[1].self, 4, []byte{1}, Options{})
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, errors.Is(err, ErrDeadline))
		_, err = c[0].Reserve("no key in this name")
		require.Error(t, err)
	})
}

func TestPairsThatNobodyUsesAreForgotten(t *testing.T) {
	peers(t, 2, none, func(t *testing.T, c []*Channel) {
		r, err := c[1].Reserve(c[0].self)
		require.NoError(t, err)
		<-time.After(2 * idle)
		synctest.Wait()
		require.Len(t, c[1].pairs, 1, "it waits for a parcel")
		r.GiveUp()
		<-time.After(2 * idle)
		synctest.Wait()
		require.Empty(t, c[1].pairs)
	})
}
