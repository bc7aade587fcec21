package testnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/node/api/client"
)

// Data is a run that reads and writes records of the DHT while a part of the nodes is killed.
type Data struct {
	Options
	Rate  int  // reads and writes a second, half of each
	Kill  int  // nodes that are killed at once with -9 in the middle; -1 is a third of all
	Stay  bool // they stay down; else they are started again after three quarters
	Bytes int  // of a value
	Seed  uint64
}

// Validate refuses what cannot be.
func (d Data) Validate() error {
	faults := []error{d.Options.Validate()}
	if d.Rate < 1 || d.Rate > 10_000 {
		faults = append(faults, fmt.Errorf("--rate %d: want 1 to 10000 a second", d.Rate))
	}
	if d.Kill < -1 || d.Kill >= d.Nodes {
		faults = append(faults, fmt.Errorf("--kill %d: want 0 to %d, or -1 for a third", d.Kill, d.Nodes-1))
	}
	if d.Bytes < 8 || d.Bytes > dht.ChunkSize {
		faults = append(faults, fmt.Errorf("--bytes %d: want 8 to %d", d.Bytes, dht.ChunkSize))
	}
	if d.For < 10*time.Second {
		faults = append(faults, fmt.Errorf("--for %s: want at least 10s", d.For))
	}
	return errors.Join(faults...)
}

// DataSummary is what such a run came to.
type DataSummary struct {
	Nodes   int     `json:"nodes"`
	Killed  int     `json:"killed"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`
	Records int     `json:"records"` // of which at least one write was acknowledged
	Writes  int64   `json:"writes"`  // acknowledged
	Unsure  int64   `json:"unsure"`  // writes that failed: perhaps some holders have them
	Reads   int64   `json:"reads"`   // answered
	Failed  int64   `json:"failed"`  // reads without an answer
	Old     int64   `json:"old"`     // reads that gave an earlier value than was acknowledged, or none
	// Lost are records whose newest acknowledged value was not readable: while the killed
	// were down, and in the end.
	LostDown int `json:"lost_while_down"`
	Lost     int `json:"lost"`
}

// dataLoad is the readers and writers of a run.
type dataLoad struct {
	o       Data
	prefix  string
	network string

	mu    sync.Mutex
	nodes []*member // that are up

	writes, unsure, reads, failed, old atomic.Int64
	workers                            []*dataWorker
}

// dataWorker reads and writes records of its own, so that it knows what they must be.
type dataWorker struct {
	load   *dataLoad
	author *store.Author
	dice   *rand.Rand

	mu    sync.Mutex
	acked map[string]uint64
	tried map[string]uint64 // of the worker alone
}

// snapshot copies what was acknowledged.
func (w *dataWorker) snapshot() map[string]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.acked)
}

func (w *dataWorker) newest(name string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked[name]
}

const (
	dataWorkers = 16
	dataNames   = 120 // records of a worker
)

// RunData runs a network under a load of the DHT, kills nodes in the middle, and checks in the
// end that every acknowledged write, or a later one, is read.
func RunData(ctx context.Context, d Data) (DataSummary, error) {
	if err := d.Validate(); err != nil {
		return DataSummary{}, err
	}
	if d.Kill < 0 {
		d.Kill = d.Nodes / 3
	}
	n, err := begin(ctx, d.Options)
	if err != nil {
		return DataSummary{}, err
	}
	s := DataSummary{Nodes: d.Nodes, Killed: d.Kill, Seed: d.Seed}
	began := time.Now()
	runErr := d.run(ctx, n, &s)
	s.Seconds = time.Since(began).Seconds()
	err = errors.Join(runErr, n.stop())
	if err == nil && s.Lost > 0 {
		err = fmt.Errorf("%d of %d records do not have their newest acknowledged value", s.Lost, s.Records)
	}
	d.show(s)
	return s, err
}

func (d Data) run(ctx context.Context, n *Network, s *DataSummary) error {
	if err := n.ringWhole(ctx); err != nil {
		return err
	}
	l, err := newDataLoad(ctx, d, n)
	if err != nil {
		return err
	}
	remark(d.Options, "the ring is whole; %d reads and writes a second for %s, seed %d\n", d.Rate, d.For, d.Seed)
	work, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	for _, w := range l.workers {
		g.Go(func() error { return w.run(work) })
	}
	err = d.strike(ctx, n, l, s)
	stop()
	if err = errors.Join(err, g.Wait()); err != nil {
		return err
	}
	s.Writes, s.Unsure, s.Reads, s.Failed, s.Old = l.writes.Load(), l.unsure.Load(), l.reads.Load(), l.failed.Load(), l.old.Load()
	s.Records, s.Lost, err = l.check(ctx)
	return err
}

// strike kills nodes in the middle of the run, and starts them again later.
func (d Data) strike(ctx context.Context, n *Network, l *dataLoad, s *DataSummary) error {
	if err := sleep(ctx, d.For/2); err != nil {
		return err
	}
	dice := rand.New(rand.NewPCG(d.Seed, 0xdead))
	victims := slices.Clone(n.nodes)
	dice.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	victims = victims[:d.Kill]
	for _, v := range victims {
		v.runner.(*process).kill()
	}
	n.dead = victims
	l.up(slices.DeleteFunc(slices.Clone(n.nodes), func(m *member) bool { return slices.Contains(victims, m) }))
	remark(d.Options, "killed %d of %d nodes with -9\n", len(victims), len(n.nodes))
	if err := sleep(ctx, d.For/4); err != nil {
		return err
	}
	if d.Kill > 0 {
		var records int
		var err error
		if records, s.LostDown, err = l.check(ctx); err != nil {
			return err
		}
		remark(d.Options, "while they are down: %d of %d records read with their newest value\n", records-s.LostDown, records)
	}
	if !d.Stay && d.Kill > 0 {
		for _, v := range victims {
			if err := n.launch(ctx, d.Options, v); err != nil {
				return fmt.Errorf("%s does not start again: %w", v.name, err)
			}
		}
		n.dead = nil
		l.up(n.nodes)
		remark(d.Options, "they are started again\n")
	}
	return sleep(ctx, d.For/4)
}

// ringWhole waits until every node knows its neighbours and holds what it must.
func (n *Network) ringWhole(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, 3*time.Minute)
	defer cancel()
	for {
		waiting := ""
		for _, m := range n.nodes {
			r, err := m.client.Ring(ctx)
			if err != nil || !r.Settled || len(r.Successors) < min(len(n.nodes)-1, 8) {
				waiting = m.name
				break
			}
		}
		if waiting == "" {
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("the ring is not whole after three minutes: %s lacks neighbours: %w", waiting, err)
		}
	}
}

func newDataLoad(ctx context.Context, d Data, n *Network) (*dataLoad, error) {
	status, err := n.nodes[0].client.Status(ctx)
	if err != nil {
		return nil, err
	}
	l := &dataLoad{o: d, prefix: status.AddressPrefix, network: types.MeshName(status.Network, status.ChainID), nodes: n.nodes}
	for i := range dataWorkers {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], d.Seed)
		seed[8] = byte(i)
		key, err := keys.FromSeed(keys.Ed25519, seed[:])
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		l.workers = append(l.workers, &dataWorker{
			load: l, dice: rand.New(rand.NewPCG(d.Seed, uint64(i))), acked: map[string]uint64{}, tried: map[string]uint64{},
			author: &store.Author{Network: store.NewNetwork(l.network), Key: key, Clock: &crdt.Clock{}, Rand: rand.NewChaCha8(seed)},
		})
	}
	return l, nil
}

// up says which nodes are there.
func (l *dataLoad) up(nodes []*member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = nodes
}

// through is a store that asks some node.
func (w *dataWorker) through() *dht.Store {
	w.load.mu.Lock()
	m := w.load.nodes[w.dice.IntN(len(w.load.nodes))]
	w.load.mu.Unlock()
	return dht.NewStore(recordsOf(m.client, w.load.prefix), w.author, dht.Options{})
}

func recordsOf(c *client.Client, prefix string) *client.Records {
	return c.Records(func(o store.Owner) string { return types.Address(o).Format(prefix) })
}

// run reads and writes at the worker's share of the rate.
func (w *dataWorker) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second * dataWorkers / time.Duration(w.load.o.Rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		name := fmt.Sprintf("record %d", w.dice.IntN(dataNames))
		if w.newest(name) == 0 || w.dice.IntN(2) == 0 {
			w.put(ctx, name)
			continue
		}
		switch err := w.get(ctx, name); {
		case ctx.Err() != nil:
		case errors.Is(err, errOld):
			w.load.old.Add(1)
		case err != nil:
			w.load.failed.Add(1)
		default:
			w.load.reads.Add(1)
		}
	}
}

func (w *dataWorker) put(ctx context.Context, name string) {
	w.tried[name]++
	value := make([]byte, w.load.o.Bytes)
	binary.BigEndian.PutUint64(value, w.tried[name])
	switch err := w.through().Put(ctx, name, value); {
	case err == nil:
		w.mu.Lock()
		w.acked[name] = w.tried[name]
		w.mu.Unlock()
		w.load.writes.Add(1)
	case ctx.Err() == nil:
		w.load.unsure.Add(1)
	}
}

var errOld = errors.New("not the newest value")

// get reads a record, which must have the newest value that was acknowledged, or a later one
// that was not.
func (w *dataWorker) get(ctx context.Context, name string) error {
	s, want := w.through(), w.newest(name)
	value, err := s.Get(ctx, s.Own(name))
	if errors.Is(err, store.ErrNotFound) {
		return errOld
	}
	if err != nil {
		return err
	}
	if len(value) != w.load.o.Bytes || binary.BigEndian.Uint64(value) < want || !bytes.Equal(value[8:], make([]byte, len(value)-8)) {
		return errOld
	}
	return nil
}

// check reads all records. One that cannot be read is tried again for a while: what counts is
// whether it is there.
func (l *dataLoad) check(ctx context.Context) (records, lost int, err error) {
	var g errgroup.Group
	var mu sync.Mutex
	for _, w := range l.workers {
		reader := &dataWorker{load: l, author: w.author, dice: rand.New(rand.NewPCG(l.o.Seed, 77)), acked: w.snapshot()}
		g.Go(func() error {
			for name := range reader.snapshot() {
				var err error
				for range 5 {
					if err = reader.get(ctx, name); err == nil {
						break
					}
					if err := sleep(ctx, 500*time.Millisecond); err != nil {
						return err
					}
				}
				mu.Lock()
				records++
				if err != nil {
					lost++
					remark(l.o.Options, "lost: %s of %s: %v\n", name, types.Address(reader.author.Owner()).Format(l.prefix), err)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	return records, lost, g.Wait()
}

func (d Data) show(s DataSummary) {
	if d.JSON {
		_ = json.NewEncoder(d.Out).Encode(s) // the reader may be gone
		return
	}
	fmt.Fprintf(d.Out, "%d nodes, %d killed, seed %d: %d writes acknowledged, %d not; %d reads, %d without an answer, %d with an earlier value\n",
		s.Nodes, s.Killed, s.Seed, s.Writes, s.Unsure, s.Reads, s.Failed, s.Old)
	fmt.Fprintf(d.Out, "%d records: %d had lost their newest value while the killed were down, %d in the end\n", s.Records, s.LostDown, s.Lost)
}
