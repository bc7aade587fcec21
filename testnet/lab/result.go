package lab

import (
	"math"
	"slices"
	"time"
)

// Result is what one method did. Times are seconds of virtual time after
// publishing; a share that was not reached has -1.
type Result struct {
	Method         string    `json:"method"`
	Nodes          int       `json:"nodes"`
	Size           int64     `json:"size"`
	P50            float64   `json:"p50_s"`
	P90            float64   `json:"p90_s"`
	P99            float64   `json:"p99_s"`
	All            float64   `json:"all_s"`
	Bound          float64   `json:"bound_s"`           // payload/uplink + hops x one way
	PublisherBytes float64   `json:"publisher_payload"` // bytes on the wire / payload
	TotalBytes     float64   `json:"total_payload"`     // bytes on the wire / (payload x nodes)
	Duplicates     uint64    `json:"duplicates"`
	Repairs        uint64    `json:"repairs"`
	CPU            float64   `json:"cpu_s"`     // of the process, set-up included
	Unreached      int       `json:"unreached"` // of nodes that stayed or came back
	Gone           int       `json:"gone"`      // left without the payload; not counted above
	Arrivals       []float64 `json:"arrivals_s"`
}

// Bound is the least time in which a method whose messages take so many hops could reach
// all: the payload through one uplink, then hops times one way. It looks away from
// headers and loss.
func (o Options) Bound(hops int) time.Duration {
	seconds := float64(o.Size) * 8 / float64(o.Uplink)
	oneWay := o.RTT / 2
	if o.Topology != nil {
		oneWay = o.Topology.nearest() / 2
	}
	return time.Duration(seconds*float64(time.Second)) + time.Duration(hops)*oneWay
}

// sample is the state of all counters at a moment.
type sample struct {
	publisher, total    int64
	duplicates, repairs uint64
}

func (t *trial) counts() sample {
	s := sample{publisher: t.fabric.sent[0].Load(), total: t.fabric.total()}
	for _, m := range t.members {
		c := m.Counters()
		s.duplicates += c.Duplicates
		s.repairs += c.Repairs
	}
	return s
}

func (t *trial) result(before sample) Result {
	now := t.counts()
	size := float64(t.o.Size)
	r := Result{
		Method: t.method.Name(), Nodes: t.o.Nodes, Size: t.o.Size, Bound: t.o.Bound(t.method.Hops(t.o.Nodes)).Seconds(),
		PublisherBytes: float64(now.publisher-before.publisher) / size,
		TotalBytes:     float64(now.total-before.total) / size / float64(t.o.Nodes-1),
		Duplicates:     now.duplicates - before.duplicates, Repairs: now.repairs - before.repairs,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 1; i < t.o.Nodes; i++ {
		switch {
		case t.at[i] >= 0:
			r.Arrivals = append(r.Arrivals, t.at[i].Seconds())
		case t.gone[i]:
			r.Gone++
		default:
			r.Unreached++
		}
	}
	r.rank()
	return r
}

// rank finds when shares of the nodes were reached.
func (r *Result) rank() {
	slices.Sort(r.Arrivals)
	n := len(r.Arrivals) + r.Unreached
	r.P50, r.P90, r.P99, r.All = quantile(r.Arrivals, n, .5), quantile(r.Arrivals, n, .9), quantile(r.Arrivals, n, .99), quantile(r.Arrivals, n, 1)
}

// quantile is when the share q of n nodes was reached, -1 if never.
func quantile(sorted []float64, n int, q float64) float64 {
	k := int(math.Ceil(q * float64(n)))
	if k < 1 || k > len(sorted) {
		return -1
	}
	return sorted[k-1]
}
