package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/turbine"
)

// ScaleOptions say what groups a model of Turbine is run for.
type ScaleOptions struct {
	Nodes  int           // of the largest group; smaller ones are run before it
	Size   int64         // of the payload, in bytes
	Uplink int64         // bit/s of each node
	RTT    time.Duration // between any two nodes
	Loss   float64       // share of packets lost
	Dead   float64       // share of nodes that neither relay nor count
	Fanout int
	Seed   uint64
	// Progress is told before each group; optional.
	Progress func(nodes int)
}

// DefaultScale is a large group on ordinary links.
func DefaultScale() ScaleOptions {
	return ScaleOptions{Nodes: 10_000, Size: 32 << 20, Uplink: 100_000_000, RTT: 80 * time.Millisecond, Loss: 0.01, Dead: 0.05, Fanout: turbine.DefaultFanout, Seed: 1}
}

// Validate refuses what cannot be, all at once.
func (o ScaleOptions) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(o.Nodes >= 2 && o.Nodes <= turbine.MaxMembers, "%d nodes: want 2 to %d", o.Nodes, turbine.MaxMembers)
	check(o.Size >= 1 && o.Size <= 128<<20, "a payload of %d bytes: want 1 to 128 MiB", o.Size)
	check(o.Uplink >= 1000, "an uplink of %d bit/s: want at least 1 kbit", o.Uplink)
	check(o.RTT >= 0, "a round trip of %s", o.RTT)
	check(o.Loss >= 0 && o.Loss <= 0.5, "loss of %g%%: want 0 to 50%%", 100*o.Loss)
	check(o.Dead >= 0 && o.Dead <= 0.5, "%g%% dead nodes: want 0 to 50%%", 100*o.Dead)
	check(o.Fanout >= 2, "a fan-out of %d: want at least 2", o.Fanout)
	return errors.Join(faults...)
}

// ScalePoint is what came of one group. Times are seconds; -1 if so many nodes were not
// reached without repair.
type ScalePoint struct {
	Nodes    int     `json:"nodes"`
	Depth    int     `json:"hops"`
	Shape    string  `json:"shape"`
	P50      float64 `json:"p50_s"`
	P99      float64 `json:"p99_s"`
	All      float64 `json:"all_s"`
	Repaired float64 `json:"need_repair"` // share of nodes that would have to ask for something
	Bound    float64 `json:"bound_s"`     // payload/uplink + hops x rtt/2
}

// sampled is how many sets of a payload are modelled at most: each then stands for
// several, on an uplink slower by as much.
const sampled = 16

// Scale models groups of 10, 32, 100, ... nodes. The trees, shapes and sizes are those of
// packages turbine and fec; links are queues of a fixed rate, and there is neither
// congestion control nor repair. It says how the time grows with the group, not what a
// real network does on top.
func Scale(ctx context.Context, o ScaleOptions) ([]ScalePoint, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	var points []ScalePoint
	for _, n := range groupSizes(o.Nodes) {
		if o.Progress != nil {
			o.Progress(n)
		}
		p, err := scaleOne(ctx, o, n)
		if err != nil {
			return points, err
		}
		points = append(points, p)
	}
	return points, nil
}

// groupSizes are half powers of ten, and the largest.
func groupSizes(most int) (sizes []int) {
	for e := 2; ; e++ {
		n := int(math.Round(math.Pow(10, float64(e)/2)))
		if n >= most {
			return append(sizes, most)
		}
		sizes = append(sizes, n)
	}
}

func scaleOne(ctx context.Context, o ScaleOptions, n int) (ScalePoint, error) {
	members := make([]turbine.Member, n)
	for i := range members {
		members[i] = turbine.Member{Sender: fec.Sender(i + 1), Stake: 1}
	}
	group, err := turbine.NewGroup(members)
	if err != nil {
		return ScalePoint{}, err
	}
	m := newModel(o, group)
	for set := range m.sets {
		m.trees = append(m.trees, group.Tree(hash.Sum("starling/lab"), fec.Place{Stream: fec.Stream{Sender: 1, Slot: o.Seed}, Set: uint32(set)}, o.Fanout))
	}
	if err := m.run(ctx); err != nil {
		return ScalePoint{}, err
	}
	return m.result(n), nil
}

// model carries the sets of a payload over the uplinks of a group.
type model struct {
	o      ScaleOptions
	draw   *rand.Rand
	shape  fec.Shape
	sets   int // modelled
	trees  []*turbine.Tree
	packet float64
	oneWay float64
	free   []float64 // when each uplink is free
	dead   []bool
	came   [][]int16 // by set and node: shreds that arrived
	lacks  []int     // sets that each node still lacks
	done   []float64 // when it lacked none any more
	queue  []arrival // a heap, the earliest first
	buffer []turbine.Index
}

// arrival is a shred that reaches a node.
type arrival struct {
	at         float64
	set, shred int32
	to         turbine.Index
}

// perPacket is what QUIC, UDP and IP add to a shred, in bytes.
const perPacket = 70

func newModel(o ScaleOptions, group *turbine.Group) *model {
	n := group.Len()
	m := &model{o: o, draw: rand.New(rand.NewPCG(o.Seed, uint64(n))), oneWay: o.RTT.Seconds() / 2}
	const shard = 960
	hops := group.Tree(hash.Hash{}, fec.Place{Stream: fec.Stream{Sender: 1}}, o.Fanout).Depth()
	loss := 1 - math.Pow(1-o.Loss, float64(hops))*math.Pow(1-o.Dead, float64(hops-1)) // the last hop's end is alive
	m.shape = turbine.ShapeFor(int(o.Size), shard, loss)
	all := (int(o.Size) + m.shape.Data*shard - 1) / (m.shape.Data * shard)
	m.sets = min(all, sampled)
	each := float64(all) / float64(m.sets)
	m.packet = (fec.DefaultLimit + perPacket) * 8 / float64(o.Uplink) * each
	m.free, m.dead, m.done, m.lacks = make([]float64, n), make([]bool, n), make([]float64, n), make([]int, n)
	for _, i := range m.draw.Perm(n - 1)[:int(o.Dead*float64(n-1))] {
		m.dead[i+1] = true
	}
	for i := range m.lacks {
		m.lacks[i] = m.sets
	}
	for range m.sets {
		m.came = append(m.came, make([]int16, n))
	}
	return m
}

// run sends the data of all sets and then their parity, and lets nodes pass on what
// arrives in order of time.
func (m *model) run(ctx context.Context) error {
	for _, part := range [][2]int{{0, m.shape.Data}, {m.shape.Data, m.shape.Total()}} {
		for set := range m.sets {
			for shred := part[0]; shred < part[1]; shred++ {
				m.transmit(0, 0, arrival{set: int32(set), shred: int32(shred), to: m.trees[set].Root(shred)})
			}
		}
	}
	for count := 0; len(m.queue) > 0; count++ {
		if count%100_000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		a := m.pop()
		m.take(a)
		m.buffer = m.trees[a.set].Children(int(a.shred), a.to, m.buffer[:0])
		for _, child := range m.buffer {
			m.transmit(a.to, a.at, arrival{set: a.set, shred: a.shred, to: child})
		}
	}
	return nil
}

// take counts a shred that arrived.
func (m *model) take(a arrival) {
	m.came[a.set][a.to]++
	if int(m.came[a.set][a.to]) == m.shape.Data {
		if m.lacks[a.to]--; m.lacks[a.to] == 0 {
			m.done[a.to] = a.at
		}
	}
}

// transmit puts a packet into a node's uplink.
func (m *model) transmit(node turbine.Index, from float64, a arrival) {
	m.free[node] = max(m.free[node], from) + m.packet
	if m.dead[a.to] || m.draw.Float64() < m.o.Loss {
		return
	}
	a.at = m.free[node] + m.oneWay
	m.push(a)
}

// push and pop keep the queue a binary heap. (container/heap would box every arrival.)
func (m *model) push(a arrival) {
	q := append(m.queue, a)
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if q[up].at <= q[i].at {
			break
		}
		q[up], q[i] = q[i], q[up]
		i = up
	}
	m.queue = q
}

func (m *model) pop() arrival {
	q := m.queue
	first := q[0]
	q[0] = q[len(q)-1]
	q = q[:len(q)-1]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q); child++ {
			if q[child].at < q[least].at {
				least = child
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	m.queue = q
	return first
}

func (m *model) result(n int) ScalePoint {
	var times []float64
	lacking := 0
	for i := 1; i < n; i++ {
		switch {
		case m.dead[i]:
		case m.lacks[i] > 0:
			lacking++
		default:
			times = append(times, m.done[i])
		}
	}
	slices.Sort(times)
	alive, depth := max(1, len(times)+lacking), m.trees[0].Depth()
	return ScalePoint{
		Nodes: n, Depth: depth, Shape: m.shape.String(), Repaired: float64(lacking) / float64(alive),
		P50: quantile(times, alive, .5), P99: quantile(times, alive, .99), All: quantile(times, alive, 1),
		Bound: float64(m.o.Size)*8/float64(m.o.Uplink) + float64(depth)*m.oneWay,
	}
}
