package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// Streams of randomness that one seed gives, apart from each other.
const (
	saltLinks uint64 = iota + 1
	saltPayload
	saltGraph
	saltChurn
	saltRegions
)

const (
	warmUp    = 5 * time.Second       // for meshes to form, not counted
	pollEvery = 10 * time.Millisecond // how often it is asked whether all have it
	awayFor   = 2 * time.Second       // of nodes that come back
)

// Run measures each method in a fresh network with the same seed, one after
// the other. The seed decides keys, payload, who dials whom, regions and who
// goes away when; loss follows the order of packets. That order depends also on
// TLS and goroutine scheduling, so figures of two runs differ a little.
//
// A payload that arrives with other bytes is an error. Ending ctx ends the run.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var all []Result
	for _, name := range o.Methods {
		var r Result
		cpu := cpuTime()
		err := inBubble(ctx, func(ctx context.Context) (err error) {
			r, err = measure(ctx, o, name)
			return err
		})
		if err != nil {
			return all, fmt.Errorf("measure %s: %w", name, err)
		}
		r.CPU = (cpuTime() - cpu).Seconds()
		all = append(all, r)
	}
	return all, nil
}

// trial is one method's run.
type trial struct {
	o       Options
	method  Method
	fabric  *fabric
	hosts   []host.Host
	members []Member
	block   []byte
	gone    []bool // away for good

	mu    sync.Mutex
	start time.Time
	at    []time.Duration // arrival after start, or -1
	wrong error
}

// measure runs in the bubble; when it returns, all its goroutines have ended.
func measure(ctx context.Context, o Options, name string) (r Result, err error) {
	method, err := methodOf(name)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &trial{o: o, method: method, block: payload(o), gone: make([]bool, o.Nodes)}
	t.fabric = newFabric(o, delays(o))
	t.at = slices.Repeat([]time.Duration{-1}, o.Nodes)
	t.fabric.net.Start()
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		err = errors.Join(err, t.close())
	}()
	if err := t.join(ctx); err != nil {
		return r, err
	}
	if err := sleep(ctx, warmUp); err != nil {
		return r, err
	}
	before := t.counts()
	t.mu.Lock()
	t.start = time.Now()
	t.mu.Unlock()
	t.churn(ctx, &wg)
	if err := t.members[0].Publish(ctx, t.block); err != nil {
		return r, fmt.Errorf("publish: %w", err)
	}
	if err := t.wait(ctx); err != nil {
		return r, err
	}
	return t.result(before), nil
}

func payload(o Options) []byte {
	b := make([]byte, o.Size)
	var key [32]byte
	key[0] = byte(saltPayload)
	for i := range 8 {
		key[8+i] = byte(o.Seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// join starts the hosts and lets them take part.
func (t *trial) join(ctx context.Context) error {
	var ids []peer.ID
	for i := range t.o.Nodes {
		h, err := newHost(t.fabric, t.o.Seed, i)
		if err != nil {
			return err
		}
		t.hosts, ids = append(t.hosts, h), append(ids, h.ID())
	}
	want := sha256.Sum256(t.block)
	graph := neighbours(t.o, ids)
	for _, h := range t.hosts {
		for _, other := range t.hosts {
			h.Peerstore().AddAddrs(other.ID(), other.Addrs(), peerstore.PermanentAddrTTL)
		}
	}
	for i, h := range t.hosts {
		m, err := t.method.Join(ctx, Seat{
			Host: h, Peers: ids, Publisher: ids[0], Neighbours: graph[i], Size: len(t.block), Fragment: int(t.o.Fragment), Rate: int(t.o.Uplink / 8 * 95 / 100),
			Got: func(b []byte) { t.got(i, want, b) },
		})
		if err != nil {
			return fmt.Errorf("join node %d: %w", i, err)
		}
		t.members = append(t.members, m)
	}
	return nil
}

// neighbours draws whom each node dials: the one before it, so that the graph
// is connected, and others up to the degree.
func neighbours(o Options, ids []peer.ID) [][]peer.ID {
	draw := rand.New(rand.NewPCG(o.Seed, saltGraph))
	all := make([][]peer.ID, len(ids))
	for i := range ids {
		if i > 0 {
			all[i] = append(all[i], ids[i-1])
		}
		for _, j := range draw.Perm(len(ids)) {
			if len(all[i]) < o.Degree && j != i && j != i-1 {
				all[i] = append(all[i], ids[j])
			}
		}
	}
	return all
}

// got notes that a node has the payload.
func (t *trial) got(node int, want [sha256.Size]byte, b []byte) {
	same := sha256.Sum256(b) == want
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !same:
		t.wrong = fmt.Errorf("node %d got a block that differs from the published one", node)
	case t.at[node] < 0:
		t.at[node] = time.Since(t.start)
	}
}

// churn cuts nodes off at moments of the first half of the theoretical time at
// least half a second; every second one comes back.
func (t *trial) churn(ctx context.Context, wg *sync.WaitGroup) {
	draw := rand.New(rand.NewPCG(t.o.Seed, saltChurn))
	span := max(t.o.Bound(1)/2, 500*time.Millisecond)
	order := draw.Perm(t.o.Nodes - 1)
	for k, i := range order[:int(t.o.Churn*float64(t.o.Nodes-1)+0.5)] {
		node, at, back := i+1, time.Duration(draw.Int64N(int64(span))), k%2 == 0
		t.gone[node] = !back
		wg.Go(func() {
			if sleep(ctx, at) != nil {
				return
			}
			t.fabric.away[node].Store(true)
			if back && sleep(ctx, awayFor) == nil {
				t.fabric.away[node].Store(false)
			}
		})
	}
}

// wait returns when every node that stays has the payload, or at the deadline.
func (t *trial) wait(ctx context.Context) error {
	for tick := 0; ; tick++ {
		reached, missing, wrong := t.state()
		if wrong != nil {
			return wrong
		}
		now := time.Since(t.start)
		if t.o.Progress != nil && tick%10 == 0 {
			t.o.Progress(t.method.Name(), reached, t.o.Nodes-1, now)
		}
		if missing == 0 || now >= t.o.Deadline {
			return nil
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func (t *trial) state() (reached, missing int, wrong error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 1; i < t.o.Nodes; i++ {
		if t.at[i] >= 0 {
			reached++
		} else if !t.gone[i] {
			missing++
		}
	}
	return reached, missing, t.wrong
}

// close ends members first, then hosts, then links.
func (t *trial) close() error {
	var errs []error
	for _, m := range t.members {
		errs = append(errs, m.Close())
	}
	for _, h := range t.hosts {
		errs = append(errs, h.Close())
	}
	t.fabric.net.Close()
	return errors.Join(errs...)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
