package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/events"
)

// display shows a running network: facts once, then a line per node.
type display struct {
	o     Options
	net   *Network
	load  *load
	lines int // of the table drawn last, to be drawn over

	mu    sync.Mutex
	nodes []*seen
	all   []time.Duration // latencies of the run, newest kept
}

// seen is what was learnt of one node since its last line.
type seen struct {
	txs       int
	latencies []time.Duration // since the last line
}

// row is one node's line.
type row struct {
	Node    string  `json:"node"`
	Height  uint64  `json:"height"`
	View    uint64  `json:"view"`
	Peers   int     `json:"peers"`
	Mempool int     `json:"mempool"`
	TxRate  float64 `json:"tx_per_second"`
	P50     float64 `json:"commit_p50_ms"`
	P99     float64 `json:"commit_p99_ms"`
	Remark  string  `json:"remark,omitempty"`
}

const (
	latenciesKept = 200_000
	redrawEvery   = time.Second
	printEvery    = 5 * time.Second
)

func newDisplay(o Options, n *Network) *display {
	d := &display{o: o, net: n}
	for range n.nodes {
		d.nodes = append(d.nodes, &seen{})
	}
	return d
}

// facts prints what a person needs to use the network.
func (d *display) facts() {
	l := d.net.layout
	if d.o.JSON {
		d.json(map[string]any{"event": "up", "dir": l.Dir, "resumed": l.Resumed, "chain_id": l.Genesis.ChainID(), "apis": d.apis(), "accounts": l.People()})
		return
	}
	p := func(format string, args ...any) { fmt.Fprintf(d.o.Out, format+"\n", args...) }
	p("\nThe network is up: %d validators, %s %s, chain %s", d.o.Nodes, d.o.Engine, d.o.Rule, l.Genesis.ChainID().Short())
	p("")
	p("  node     API (open /docs there)      mesh")
	for _, m := range d.net.nodes {
		p("  %-8s %-27s %s", m.name, "http://"+m.config.API.Listen, strings.Split(m.address, "/p2p/")[0])
	}
	p("")
	p("  funded accounts (1,000,000 coins at the start; passphrase %q)", Passphrase)
	for _, a := range l.People() {
		p("  %-8s %s", a.Name, a.Address)
	}
	first := d.net.nodes[0].config.API.Listen
	p("")
	p("Send a payment, in another terminal:")
	p("")
	p("  bin/starling wallet send --home %s --api http://%s --passphrase-file %s \\", l.Dir, first, l.PassphraseFile())
	p("      --from rich1 --to %s --amount 12.5", l.People()[1].Address)
	p("")
	p("See what became of it:  bin/starling wallet balance --home %s --api http://%s rich2", l.Dir, first)
	p("Stop: Ctrl-C.  Start again: the same command.  Reset: rm -r %s", l.Dir)
	p("Logs: %s\n", filepath.Join(l.Dir, "node*", logName))
}

func (d *display) apis() []string {
	var out []string
	for _, m := range d.net.nodes {
		out = append(out, "http://"+m.config.API.Listen)
	}
	return out
}

func (d *display) json(v any) {
	data, err := json.Marshal(v)
	if err == nil {
		fmt.Fprintln(d.o.Out, string(data))
	}
}

// run follows the nodes' events and draws until ctx ends.
func (d *display) run(ctx context.Context) error {
	var g errgroup.Group
	for i, m := range d.net.nodes {
		g.Go(func() error {
			for ctx.Err() == nil {
				for e, err := range m.client.Events(ctx, events.Live, events.KindTransaction) {
					if err == nil {
						d.note(i, e)
					}
				}
				if pause(ctx) != nil {
					return nil
				}
			}
			return nil
		})
	}
	every := printEvery
	if d.o.Terminal || d.o.JSON {
		every = redrawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
			if rows := d.rows(ctx, every); ctx.Err() == nil {
				d.draw(rows)
			}
		}
	}
}

// note takes a decided transaction.
func (d *display) note(i int, e api.Event) {
	var tx events.Transaction
	if json.Unmarshal(e.Data, &tx) != nil || tx.Status != "decided" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.nodes[i]
	s.txs++
	if d.load == nil {
		return
	}
	if at, ok := d.load.submittedAt(tx.ID); ok {
		took := time.Since(at)
		s.latencies = append(s.latencies, took)
		if len(d.all) < latenciesKept {
			d.all = append(d.all, took)
		}
	}
}

func (d *display) rows(ctx context.Context, since time.Duration) []row {
	out := make([]row, len(d.net.nodes))
	var g errgroup.Group
	for i, m := range d.net.nodes {
		g.Go(func() error {
			r := row{Node: m.name}
			ctx, cancel := context.WithTimeout(ctx, since)
			defer cancel()
			if s, err := m.client.Status(ctx); err != nil {
				r.Remark = "does not answer"
			} else {
				r.Height, r.View, r.Peers, r.Mempool = s.StateHeight, s.View, s.Peers, s.MempoolTxs
				if s.Syncing {
					r.Remark = "catching up"
				}
			}
			out[i] = r
			return nil
		})
	}
	_ = g.Wait() // the functions return nil
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range d.nodes {
		out[i].TxRate = float64(s.txs) / since.Seconds()
		out[i].P50, out[i].P99 = percentile(s.latencies, 0.50), percentile(s.latencies, 0.99)
		s.txs, s.latencies = 0, s.latencies[:0]
	}
	return out
}

func (d *display) draw(rows []row) {
	if d.o.JSON {
		d.json(map[string]any{"event": "status", "nodes": rows})
		return
	}
	var b strings.Builder
	if d.o.Terminal && d.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", d.lines)
	}
	fmt.Fprintf(&b, "  %-8s %8s %8s %6s %8s %8s %9s %9s\n", "node", "height", "view", "peers", "mempool", "tx/s", "p50 ms", "p99 ms")
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-8s %8d %8d %6d %8d %8.1f %9s %9s  %s\n", r.Node, r.Height, r.View, r.Peers, r.Mempool, r.TxRate, millis(r.P50), millis(r.P99), r.Remark)
	}
	if !d.o.Terminal {
		b.WriteString("\n")
	}
	d.lines = len(rows) + 1
	fmt.Fprint(d.o.Out, b.String())
}

func millis(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", ms)
}

// latency is a percentile over the whole run, in milliseconds.
func (d *display) latency(p float64) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return percentile(d.all, p)
}

func percentile(of []time.Duration, p float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return float64(sorted[min(len(sorted)-1, int(p*float64(len(sorted))))].Microseconds()) / 1000
}

// summary prints the end of a run.
func (d *display) summary(s Summary, err error) {
	if d.o.JSON {
		out := map[string]any{"event": "summary", "summary": s, "ok": err == nil}
		if err != nil {
			out["error"] = err.Error()
		}
		d.json(out)
		return
	}
	p := func(format string, args ...any) { fmt.Fprintf(d.o.Out, format+"\n", args...) }
	p("\nAfter %.1f s, all nodes stopped and their disks were compared:", s.Seconds)
	p("  blocks        the same on all %d nodes up to height %d, %d transactions in them", s.Nodes, s.Height, s.Transactions)
	p("  state         root %s on all of them", short(s.Root))
	p("  money         %s coins exist, %s were burned in fees: it adds up", s.Supply, s.Burned)
	p("  votes         %d in the logs, never two in a view", s.Votes)
	if s.Submitted > 0 {
		p("  payments      %d submitted, %d accepted, %d decided", s.Submitted, s.Accepted, s.Decided)
	}
	if s.P50 > 0 {
		p("  latency       from submission to execution: p50 %.0f ms, p99 %.0f ms", s.P50, s.P99)
	}
	if s.Kills > 0 {
		p("  kills         %d validators were killed with -9 and came back", s.Kills)
	}
	if err != nil {
		p("\nNOT ALL IS WELL (what stands above may not hold): %v", err)
	} else {
		p("  all of it holds")
	}
}

func short(h hash.Hash) string { return h.Short() }

// Addresses lists the APIs of the network's nodes.
func (n *Network) Addresses() []string {
	var out []string
	for _, m := range n.nodes {
		out = append(out, "http://"+m.config.API.Listen)
	}
	return out
}
