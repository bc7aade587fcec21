package lab

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"
)

// simHost closes the connection manager that was handed to its host, which
// the host does not.
type simHost struct {
	host.Host
	quic *quicreuse.ConnManager
}

func (h *simHost) Close() error { return errors.Join(h.Host.Close(), h.quic.Close()) }

// sourceIP tells QUIC the only address a node has.
type sourceIP struct{ ip net.IP }

func (s sourceIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return s.ip, nil }

// hostKey is a node's Ed25519 key, decided by the seed.
func hostKey(seed uint64, node int) (crypto.PrivKey, error) {
	s := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(s, seed)
	binary.BigEndian.PutUint64(s[8:], uint64(node)+1)
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(s))
}

// newHost starts a libp2p host on the fabric.
func newHost(f *fabric, seed uint64, node int) (host.Host, error) {
	key, err := hostKey(seed, node)
	if err != nil {
		return nil, err
	}
	ip := simnet.IntToPublicIPv4(node)
	sim := &simHost{}
	reuse := func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		cm, err := quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return sourceIP{ip}, nil }),
			quicreuse.OverrideListenUDP(func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
				return f.listen(node, addr), nil
			}))
		sim.quic = cm
		return cm, err
	}
	sim.Host, err = libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.QUICReuse(reuse),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
	)
	if err != nil {
		return nil, fmt.Errorf("start host %d: %w", node, err)
	}
	return sim, nil
}
