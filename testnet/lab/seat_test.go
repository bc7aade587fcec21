package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wired is a seat in this process, by pipes.
type wired struct {
	orders  *json.Encoder
	in      io.Closer
	reports chan report
	done    chan error
}

func wire(t *testing.T) *wired {
	in, orders := io.Pipe()
	out, told := io.Pipe()
	w := &wired{orders: json.NewEncoder(orders), in: orders, reports: make(chan report, 100), done: make(chan error, 1)}
	go func() {
		err := RunSeat(t.Context(), in, told)
		_ = told.Close()
		w.done <- err
	}()
	go func() {
		dec := json.NewDecoder(out)
		for {
			var r report
			if dec.Decode(&r) != nil {
				close(w.reports)
				return
			}
			w.reports <- r
		}
	}()
	return w
}

// await takes reports until one is wanted.
func (w *wired) await(t *testing.T, wanted func(report) bool) report {
	for {
		select {
		case r, ok := <-w.reports:
			require.True(t, ok, "it ended")
			require.Empty(t, r.Error)
			if wanted(r) {
				return r
			}
		case <-time.After(20 * time.Second):
			require.FailNow(t, "no such report")
		}
	}
}

func isDone(r report) bool { return r.Done }

func TestSeatsFollowOrders(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("one machine answers to many loopback addresses on Linux only")
	}
	for k, method := range Methods() {
		t.Run(method, func(t *testing.T) {
			subnet := fmt.Sprintf("127.%d.%d.", os.Getpid()%250+1, k)
			first := begin{Method: method, Addresses: []string{subnet + "1", subnet + "2", subnet + "3"}, Size: 300_000, Uplink: 1e9, Fragment: 64 << 10, Degree: 2, Seed: 7}
			var all []*wired
			for i := range first.Addresses {
				w := wire(t)
				first.Index = i
				require.NoError(t, w.orders.Encode(order{Begin: &first}))
				w.await(t, isDone)
				all = append(all, w)
			}
			for _, w := range all {
				require.NoError(t, w.orders.Encode(order{Join: true}))
				w.await(t, isDone)
			}
			<-time.After(3 * time.Second) // GossipSub makes its meshes by the clock, and tells nobody
			for _, w := range all[1:] {
				require.NoError(t, w.orders.Encode(order{Publish: true}))
				w.await(t, isDone)
			}
			require.NoError(t, all[0].orders.Encode(order{Publish: true}))
			published := all[0].await(t, func(r report) bool { return r.Published > 0 })
			for _, w := range all[1:] {
				require.Greater(t, w.await(t, func(r report) bool { return r.Got > 0 }).Got, published.Published)
			}
			for _, w := range all {
				require.NoError(t, w.orders.Encode(order{End: true}))
				w.await(t, func(r report) bool { return r.Final != nil })
				require.NoError(t, <-w.done)
			}
		})
	}
}

func TestSeatThatIsOrderedNonsenseSaysSo(t *testing.T) {
	w := wire(t)
	for _, o := range []order{{Join: true}, {Publish: true}, {Begin: &begin{Method: "turbine", Addresses: []string{"nowhere"}}}} {
		require.NoError(t, w.orders.Encode(o))
		require.NotEmpty(t, (<-w.reports).Error)
	}
	require.NoError(t, w.in.Close())
	require.NoError(t, <-w.done, "no more orders")
}

func TestNamespacesTakeNoChurn(t *testing.T) {
	o := Defaults()
	o.Churn = 0.1
	_, err := RunReal(t.Context(), o, "")
	require.ErrorContains(t, err, "no churn")
}
