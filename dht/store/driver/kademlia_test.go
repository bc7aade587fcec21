package driver

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

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
