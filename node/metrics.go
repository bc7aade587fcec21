package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/turbine"
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
	supply     *prometheus.GaugeVec
	decide     prometheus.Histogram
	parcels    prometheus.Counter
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
		supply:     f.NewGaugeVec(prometheus.GaugeOpts{Name: "starling_coins", Help: "Coins of the ledger: that exist, that were burned, and that are in confidential outputs."}, []string{"which"}),
		parcels:    f.NewCounter(prometheus.CounterOpts{Name: "starling_parcels_delivered_total", Help: "Large answers that arrived as parcels, over lossy paths."}),
		decide: f.NewHistogram(prometheus.HistogramOpts{
			Name: "starling_decide_seconds", Help: "From the acceptance of a proposal to its decision.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
}

// coins shows the totals after a block.
func (m *metrics) coins(t ledger.Totals) {
	for which, d := range map[string]types.Drops{"supply": t.Supply, "burned": t.Burned, "shielded": t.Shielded} {
		m.supply.WithLabelValues(which).Set(float64(d) / float64(types.DropsPerCoin))
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
	m.watchTurbine(n.spread)
	n.data.watch(gauge, counter)
	counter("starling_bans_total", "Peers banned.", func() float64 { return float64(n.host.Bans()) })
	counter("starling_votes_dropped_total", "Votes that could not be sent.", func() float64 { return float64(n.mesh.ballots.Dropped()) })
}

// watchTurbine adds the figures of large payloads. The counts of all groups are summed up
// once for every reading.
func (m *metrics) watchTurbine(s *spreading) {
	counter := func(name, help string, pick func(turbine.Counts) uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "starling_turbine_" + name + "_total", Help: help},
			func() float64 { return float64(pick(s.counts())) }))
	}
	counter("shreds", "Genuine shreds, each once.", func(c turbine.Counts) uint64 { return c.Shreds })
	counter("duplicates", "Shreds that came again.", func(c turbine.Counts) uint64 { return c.Duplicates })
	counter("repaired", "Shreds that had to be asked for.", func(c turbine.Counts) uint64 { return c.Repaired })
	counter("recovered", "Shreds rebuilt from others.", func(c turbine.Counts) uint64 { return c.Recovered })
	counter("relayed", "Shreds sent on.", func(c turbine.Counts) uint64 { return c.Relayed })
	counter("dropped", "Packets of no use.", func(c turbine.Counts) uint64 { return c.Dropped })
	counter("refused", "Packets that break a rule.", func(c turbine.Counts) uint64 { return c.Refused })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "starling_turbine_silent", Help: "Validators by whom no shreds came lately.",
	}, func() float64 {
		if g := s.group(s.n.engine.Status().Epoch); g != nil {
			return float64(len(g.driver.Silent()))
		}
		return 0
	}))
}
