package store

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/dht/ring"
)

// deaf is a network in which every call fails, after a while.
type deaf struct{ failing []func() }

func (d *deaf) Call(_ ring.Peer, _ *Request, done func(*Response, error)) {
	d.failing = append(d.failing, func() { done(nil, errors.New("nobody is there")) })
}

// run lets time pass.
func (d *deaf) run(c *Core, from time.Time, long time.Duration) time.Time {
	for now := from; ; now = now.Add(250 * time.Millisecond) {
		c.At(now)
		failing := d.failing
		d.failing = nil
		for _, f := range failing {
			f()
		}
		c.Tick(now)
		if now.Sub(from) > long {
			return now
		}
	}
}

// A member that is alone because there is nobody else keeps records by itself. One that was told
// of others, and cannot reach them, must neither acknowledge what only it keeps nor say that there
// is nothing where it has nothing.
func TestWhoHasLostTheOthersDoesNotSpeakForThem(t *testing.T) {
	for _, told := range []bool{false, true} {
		net := &deaf{}
		c := New(ring.PeerOf("self"), Config{}, newShelf(), net)
		c.Member().Join(start)
		if told {
			c.Member().Heard(start, ring.PeerOf("gone"))
		}
		now := net.run(c, start, 90*time.Second)
		require.True(t, c.Member().Core().Member(), "a ring of one")
		put, got := error(nil), error(nil)
		items := samples(t)
		c.At(now)
		c.Put(0, items, func(_ Written, err error) { put = err })
		c.Get(Ref{Name: "nothing"}.Key(), 0, func(_ Read, err error) { got = err })
		now = net.run(c, now, time.Minute)
		if told {
			require.ErrorIs(t, put, ErrQuorum)
			require.ErrorIs(t, got, ErrQuorum)
			now = net.run(c, now, isolation)
			c.At(now)
			c.Put(0, items, func(_ Written, err error) { put = err })
			require.NoError(t, put, "after long enough it is the ring")
			continue
		}
		require.NoError(t, put)
		require.ErrorIs(t, got, ErrNotFound)
	}
}
