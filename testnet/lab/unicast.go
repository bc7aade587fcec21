package lab

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// unicast sends the whole payload from the publisher to each node, on one
// stream each, all at once. A stream that breaks is begun again after a second.
type unicast struct{}

// Name implements [Method].
func (unicast) Name() string { return "unicast" }

// Hops implements [Method].
func (unicast) Hops(int) int { return 1 }

const (
	unicastProtocol = "/starling/lab/unicast/1"
	retryAfter      = time.Second
	dialAttempts    = 5
	dialBackoff     = 8 * time.Second // libp2p refuses to dial again sooner
)

// Join implements [Method].
func (unicast) Join(ctx context.Context, s Seat) (Member, error) {
	u := &unicastMember{host: s.Host, peers: s.Peers}
	if s.Host.ID() != s.Publisher {
		s.Host.SetStreamHandler(unicastProtocol, func(st network.Stream) {
			block := make([]byte, s.Size)
			if _, err := io.ReadFull(st, block); err != nil {
				_ = st.Reset()
				return
			}
			s.Got(block)
			_ = st.Close()
		})
		return u, nil
	}
	return u, connect(ctx, s.Host, s.Peers)
}

type unicastMember struct {
	host    host.Host
	peers   []peer.ID
	repairs atomic.Uint64
	wg      sync.WaitGroup
}

// Publish implements [Member].
func (u *unicastMember) Publish(ctx context.Context, block []byte) error {
	for _, p := range u.peers {
		if p != u.host.ID() {
			u.wg.Go(func() { u.send(ctx, p, block) })
		}
	}
	return nil
}

func (u *unicastMember) send(ctx context.Context, p peer.ID, block []byte) {
	for u.try(ctx, p, block) != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
			u.repairs.Add(1)
		}
	}
}

func (u *unicastMember) try(ctx context.Context, p peer.ID, block []byte) error {
	st, err := u.host.NewStream(ctx, p, unicastProtocol)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	if _, err := st.Write(block); err != nil {
		_ = st.Reset()
		return err
	}
	if err := st.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, st) // the receiver closes once it has all
	_ = st.Close()
	return err
}

// Counters implements [Member].
func (u *unicastMember) Counters() Counters { return Counters{Repairs: u.repairs.Load()} }

// Close implements [Member].
func (u *unicastMember) Close() error {
	u.host.RemoveStreamHandler(unicastProtocol)
	u.wg.Wait()
	return nil
}

// connect dials all peers at once; a lossy link may need another attempt.
func connect(ctx context.Context, h host.Host, peers []peer.ID) error {
	var wg sync.WaitGroup
	errs := make([]error, len(peers))
	for i, p := range peers {
		if p == h.ID() {
			continue
		}
		wg.Go(func() {
			for range dialAttempts {
				errs[i] = h.Connect(ctx, h.Peerstore().PeerInfo(p))
				if errs[i] == nil || sleep(ctx, dialBackoff) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
