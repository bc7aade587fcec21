package driver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

var (
	kadHosts = flag.Int("kad-hosts", 32, "hosts of the comparison with Kademlia")
	kadKeys  = flag.Int("kad-keys", 200, "records of the comparison")
	kadBytes = flag.Int("kad-bytes", 256, "bytes of a value")
)

// tcp alone: what is dead refuses connections at once, so that no dial timeouts are measured.
const tcp = "/ip4/127.0.0.1/tcp/0"

// contender is a network that stores values: this one, or Kademlia's.
type contender interface {
	put(ctx context.Context, node int, name string, value []byte) error
	get(ctx context.Context, node int, name string) ([]byte, error)
	// stale writes a value that is older than what is there.
	stale(ctx context.Context, node int, name string) error
	kill(node int)
	add() // another node, that replaces one
	alive() []int
}

// race is what is measured of one contender.
type race struct {
	put, get                []time.Duration
	killed30, killed50      float64 // share of values found at once
	turnover                float64 // share after all nodes were replaced, without a read in between
	staleRefused, staleSeen int
}

// explain logs where a value is that was not found.
func (o *ours) explain(i int, err error) {
	ref := store.Ref{Owner: o.a.Owner(), Name: name(i)}
	var text []string
	all := o.alive()
	slices.SortFunc(all, func(a, b int) int {
		x, y := ring.Distance(ref.Key(), o.seats[a].Status().Self.ID), ring.Distance(ref.Key(), o.seats[b].Status().Self.ID)
		return slices.Compare(x[:], y[:])
	})
	for at, s := range all {
		if _, err := o.seats[s].Local(ref); err == nil {
			text = append(text, fmt.Sprintf("holder %d", at))
		}
	}
	o.tb.Logf("%s: %v; it is with %v", name(i), err, text)
}

// percentile is a quantile of durations.
func percentile(d []time.Duration, q float64) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func (r race) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("put p50 %s p99 %s ms, get p50 %s p99 %s ms; found after 30%% die %.1f%%, 50%% %.1f%%, all replaced %.1f%%; stale writes refused %d of %d",
		ms(percentile(r.put, .5)), ms(percentile(r.put, .99)), ms(percentile(r.get, .5)), ms(percentile(r.get, .99)),
		100*r.killed30, 100*r.killed50, 100*r.turnover, r.staleRefused, r.staleSeen)
}

func name(i int) string { return fmt.Sprint("name ", i) }

func valueOf(i int) []byte { return bytes.Repeat([]byte{byte(i)}, *kadBytes) }

// found is the share of values that are there.
func found(tb testing.TB, c contender, r *rand.Rand) float64 {
	ok := 0
	for i := range *kadKeys {
		ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
		nodes := c.alive()
		v, err := c.get(ctx, nodes[r.IntN(len(nodes))], name(i))
		cancel()
		if err == nil && bytes.Equal(v, valueOf(i)) {
			ok++
		} else if o, is := c.(*ours); is {
			o.explain(i, err)
		}
	}
	return float64(ok) / float64(*kadKeys)
}

// fill writes all values through random nodes.
func fill(tb testing.TB, c contender, r *rand.Rand) (took []time.Duration) {
	for i := range *kadKeys {
		nodes := c.alive()
		began := time.Now()
		require.NoError(tb, c.put(tb.Context(), nodes[r.IntN(len(nodes))], name(i), valueOf(i)))
		took = append(took, time.Since(began))
	}
	return took
}

// measure runs a contender's race: fresh makes a network of it.
func measure(tb testing.TB, fresh func() contender) (out race) {
	r := rand.New(rand.NewPCG(1, 2))
	var c contender
	began := time.Now()
	c = fresh()
	tb.Logf("a network in %s", time.Since(began))
	out.put = fill(tb, c, r)
	for range 3 {
		for i := range *kadKeys {
			nodes := c.alive()
			began := time.Now()
			v, err := c.get(tb.Context(), nodes[r.IntN(len(nodes))], name(i))
			out.get = append(out.get, time.Since(began))
			require.NoError(tb, err)
			require.Equal(tb, valueOf(i), v)
		}
	}
	for i := range 20 {
		nodes := c.alive()
		out.staleSeen++
		if c.stale(tb.Context(), nodes[r.IntN(len(nodes))], name(i)) != nil {
			out.staleRefused++
		}
	}
	die := func(c contender, share float64) float64 {
		nodes := c.alive()
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for _, n := range nodes[:int(share*float64(len(nodes)))] {
			c.kill(n)
		}
		return found(tb, c, r)
	}
	if o, ok := c.(*ours); ok {
		var n store.Counters
		for _, s := range o.seats {
			st := s.Status()
			n.Gets, n.Puts, n.Requests, n.Served, n.Syncs, n.Failed = n.Gets+st.Count.Gets, n.Puts+st.Count.Puts, n.Requests+st.Count.Requests, n.Served+st.Count.Served, n.Syncs+st.Count.Syncs, n.Failed+st.Count.Failed
		}
		tb.Logf("%d gets, %d puts, %d requests; served %d, compared %d, failed %d", n.Gets, n.Puts, n.Requests, n.Served, n.Syncs, n.Failed)
	}
	out.killed30 = die(c, .3)
	tb.Logf("30%% dead until %s", time.Since(began))
	c = fresh()
	fill(tb, c, r)
	out.killed50 = die(c, .5)
	c = fresh()
	fill(tb, c, r)
	for range *kadHosts {
		c.kill(c.alive()[0]) // the oldest
		c.add()
		time.Sleep(700 * time.Millisecond) // both may look after what they hold
	}
	out.turnover = found(tb, c, r)
	return out
}

// ours is a network of stores.
type ours struct {
	tb    testing.TB
	seats []*seat
	dead  map[int]bool
	a     *store.Author

	replicas int
}

func newOurs(tb testing.TB, replicas int) contender {
	o := &ours{tb: tb, replicas: replicas, dead: map[int]bool{}, a: author(tb)}
	for _, h := range p2ptest.Mesh(tb, *kadHosts, tcp) {
		o.seats = append(o.seats, start(tb, h, o.config()))
	}
	whole(tb, o.seats)
	return o
}

func (o *ours) config() Config {
	cfg := config(memory())
	cfg.Core.Replicas = o.replicas
	// As in a node, but four times as fast: so that the turnover is over in seconds.
	cfg.Core.Pace = ring.Pace{Stabilise: 500 * time.Millisecond, Fingers: 4 * time.Second, Patience: 500 * time.Millisecond}
	cfg.Core.Settle, cfg.Core.Sync = 500*time.Millisecond, 15*time.Second
	return cfg
}

func (o *ours) put(ctx context.Context, node int, name string, value []byte) error {
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	for work := 4; ; work += 2 {
		items, err := o.a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: work}, nil, store.Write(value))
		if err != nil {
			return err
		}
		if _, err = o.seats[node].Put(ctx, ref, items, 0); !errors.Is(err, store.ErrWork) {
			return err
		}
	}
}

func (o *ours) get(ctx context.Context, node int, name string) ([]byte, error) {
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	r, err := o.seats[node].Get(ctx, ref, 0)
	if err != nil {
		return nil, err
	}
	rec, err := store.Open(ref, r.Items, nil)
	if err != nil {
		return nil, err
	}
	v, _ := rec.State.Value(nil)
	return v, nil
}

func (o *ours) stale(ctx context.Context, node int, name string) error {
	old := &store.Author{Network: o.a.Network, Key: o.a.Key, Clock: &crdt.Clock{}, Rand: o.a.Rand}
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	items, err := old.Create(time.Now().Add(-time.Hour), ref, store.Spec{Kind: crdt.Register, Work: 8, Life: 48 * time.Hour}, nil, store.Write([]byte("old")))
	if err != nil {
		o.tb.Fatal(err)
	}
	_, err = o.seats[node].Put(ctx, ref, items, 0)
	return err
}

func (o *ours) kill(node int) {
	o.dead[node] = true
	o.seats[node].stop()
	require.NoError(o.tb, o.seats[node].host.Close())
}

func (o *ours) add() {
	h := p2ptest.New(o.tb, tcp)
	for _, i := range o.alive() {
		p2ptest.Connect(o.tb, h, o.seats[i].host)
	}
	o.seats = append(o.seats, start(o.tb, h, o.config()))
}

func (o *ours) alive() (out []int) {
	for i := range o.seats {
		if !o.dead[i] {
			out = append(out, i)
		}
	}
	return out
}

// kademlia is a network of go-libp2p-kad-dht with signed values, as IPNS has them.
type kademlia struct {
	tb    testing.TB
	k     int
	hosts []*p2p.Host
	dhts  []*kad.IpfsDHT
	dead  map[int]bool
	key   keys.PrivateKey
}

// signedValue is what Kademlia stores: a stamp, a value, and the owner's signature of both.
type signedValue struct {
	_     struct{} `cbor:",toarray"`
	Stamp uint64
	Value []byte
	Sig   []byte
}

func (k *kademlia) sign(name string, stamp uint64, value []byte) []byte {
	sig, err := k.key.Sign(message(name, stamp, value))
	require.NoError(k.tb, err)
	return canon.MustMarshal(signedValue{Stamp: stamp, Value: value, Sig: sig})
}

func message(name string, stamp uint64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(name), stamp), value...)
}

// validator accepts values that the owner signed, and prefers the latest.
type validator struct{ key keys.PublicKey }

func (v validator) Validate(key string, raw []byte) error {
	var s signedValue
	if err := canon.Unmarshal(raw, &s); err != nil {
		return err
	}
	if !v.key.Verify(message(key, s.Stamp, s.Value), s.Sig) {
		return errors.New("forged")
	}
	return nil
}

func (validator) Select(_ string, values [][]byte) (best int, _ error) {
	var latest uint64
	for i, raw := range values {
		var s signedValue
		if canon.Unmarshal(raw, &s) == nil && s.Stamp > latest {
			best, latest = i, s.Stamp
		}
	}
	return best, nil
}

var _ record.Validator = validator{}

func newKademlia(tb testing.TB, k int) contender {
	n := &kademlia{tb: tb, k: k, dead: map[int]bool{}, key: author(tb).Key}
	hosts := p2ptest.Hosts(tb, *kadHosts, tcp)
	for _, h := range hosts {
		n.join(h)
	}
	p2ptest.ConnectAll(tb, hosts)
	for _, d := range n.dhts {
		require.Eventually(tb, func() bool { return d.RoutingTable().Size() >= min(k, *kadHosts-1) }, 10*time.Second, time.Millisecond)
	}
	return n
}

func (k *kademlia) join(h *p2p.Host) {
	d, err := kad.New(h.Host, kad.ProtocolPrefix(protocol.ID("/bench")), kad.Mode(kad.ModeServer), kad.BucketSize(k.k),
		kad.Validator(validator{k.key.Public()}), kad.AddressFilter(func(a []ma.Multiaddr) []ma.Multiaddr { return a }), kad.RoutingTablePeerDiversityFilter(nil), kad.DisableProviders())
	require.NoError(k.tb, err)
	k.hosts, k.dhts = append(k.hosts, h), append(k.dhts, d)
	k.tb.Cleanup(func() { _ = d.Close() })
}

func (k *kademlia) put(ctx context.Context, node int, name string, value []byte) error {
	return k.dhts[node].PutValue(ctx, "/v/"+name, k.sign("/v/"+name, uint64(time.Now().UnixNano()), value))
}

func (k *kademlia) get(ctx context.Context, node int, name string) ([]byte, error) {
	raw, err := k.dhts[node].GetValue(ctx, "/v/"+name)
	if err != nil {
		return nil, err
	}
	var s signedValue
	return s.Value, errors.Join(canon.Unmarshal(raw, &s), func() error { return nil }())
}

func (k *kademlia) stale(ctx context.Context, node int, name string) error {
	return k.dhts[node].PutValue(ctx, "/v/"+name, k.sign("/v/"+name, 1, []byte("old")))
}

func (k *kademlia) kill(node int) {
	k.dead[node] = true
	_ = k.dhts[node].Close()
	require.NoError(k.tb, k.hosts[node].Close())
}

func (k *kademlia) add() {
	h := p2ptest.New(k.tb, tcp)
	others := k.alive()
	k.join(h)
	for _, i := range others {
		p2ptest.Connect(k.tb, h, k.hosts[i])
	}
	d := k.dhts[len(k.dhts)-1]
	require.Eventually(k.tb, func() bool { return d.RoutingTable().Size() >= min(k.k, len(others)) }, 10*time.Second, time.Millisecond)
}

func (k *kademlia) alive() (out []int) {
	for i := range k.hosts {
		if !k.dead[i] {
			out = append(out, i)
		}
	}
	return out
}

// BenchmarkAgainstKademlia measures the store and go-libp2p-kad-dht side by side: the same
// hosts, values and signatures.
func BenchmarkAgainstKademlia(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	type entry struct {
		name  string
		fresh func() contender
	}
	var all []entry
	for _, k := range []int{4, 8, 20} {
		all = append(all, entry{fmt.Sprint("kademlia-", k), func() contender { return newKademlia(b, k) }}, entry{fmt.Sprint("ring-", k), func() contender { return newOurs(b, k) }})
	}
	for _, c := range append(all, entry{"ring", func() contender { return newOurs(b, store.DefaultReplicas) }}) {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				r := measure(b, c.fresh)
				b.Log(r)
				for unit, v := range map[string]time.Duration{
					"put-p50-µs": percentile(r.put, .5), "put-p99-µs": percentile(r.put, .99), "get-p50-µs": percentile(r.get, .5), "get-p99-µs": percentile(r.get, .99),
				} {
					b.ReportMetric(float64(v.Microseconds()), unit)
				}
				b.ReportMetric(r.killed30, "found-30%")
				b.ReportMetric(r.killed50, "found-50%")
				b.ReportMetric(r.turnover, "found-all-new")
				b.ReportMetric(float64(r.staleRefused)/float64(r.staleSeen), "stale-refused")
			}
		})
	}
}

// BenchmarkOurs measures single operations, for profiles.
func BenchmarkOurs(b *testing.B) {
	o := newOurs(b, store.DefaultReplicas).(*ours)
	i := 0
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if i++; i%100 == 0 {
				o.a = author(b) // so that each record takes the least work
			}
			require.NoError(b, o.put(b.Context(), i%*kadHosts, name(i), valueOf(i)))
		}
	})
	b.Run("get", func(b *testing.B) {
		for i := range 51 {
			require.NoError(b, o.put(b.Context(), 0, name(i), valueOf(i)))
		}
		for b.Loop() {
			_, err := o.get(b.Context(), i%*kadHosts, name(1+i%50))
			require.NoError(b, err)
			i++
		}
	})
}
