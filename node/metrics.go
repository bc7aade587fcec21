package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the node's own; each node has a registry of its own, since many may
// share a process.
type metrics struct {
	registry   *prometheus.Registry
	height     prometheus.Gauge
	views      prometheus.Counter
	lostViews  prometheus.Counter
	complaints *prometheus.CounterVec
	txs        prometheus.Counter
	decide     prometheus.Histogram
}

func newMetrics() *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector())
	f := promauto.With(r)
	return &metrics{
		registry:   r,
		height:     f.NewGauge(prometheus.GaugeOpts{Name: "starling_executed_height", Help: "Height of the newest executed block."}),
		views:      f.NewCounter(prometheus.CounterOpts{Name: "starling_views_total", Help: "Views entered."}),
		lostViews:  f.NewCounter(prometheus.CounterOpts{Name: "starling_lost_views_total", Help: "Views that ended in a timeout."}),
		complaints: f.NewCounterVec(prometheus.CounterOpts{Name: "starling_leader_complaints_total", Help: "Views that were lost through a validator's silence, by whom."}, []string{"validator"}),
		txs:        f.NewCounter(prometheus.CounterOpts{Name: "starling_executed_transactions_total", Help: "Transactions in executed blocks."}),
		decide: f.NewHistogram(prometheus.HistogramOpts{
			Name: "starling_decide_seconds", Help: "From the acceptance of a proposal to its decision.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
}

// watch adds the figures that are read when somebody asks.
func (m *metrics) watch(n *Node) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	gauge("starling_peers", "Connected peers.", func() float64 { return float64(len(n.host.Network().Peers())) })
	gauge("starling_view", "Present view.", func() float64 { return float64(n.engine.Status().View) })
	gauge("starling_decided_height", "Height of the newest decided block.", func() float64 { return float64(n.engine.Status().DecidedHeight) })
	gauge("starling_execution_backlog", "Decided blocks that wait for execution.", func() float64 { return float64(len(n.executor.Pending())) })
	gauge("starling_mempool_transactions", "Transactions that wait for a block.", func() float64 { return float64(n.intake.Stats().Txs) })
	gauge("starling_mempool_bytes", "Their size.", func() float64 { return float64(n.intake.Stats().Bytes) })
	counter("starling_bans_total", "Peers banned.", func() float64 { return float64(n.host.Bans()) })
	counter("starling_votes_dropped_total", "Votes that could not be sent.", func() float64 { return float64(n.mesh.ballots.Dropped()) })
}
