package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
)

// gossip spreads the payload by gossipsub, whole or cut into fragments that
// nodes pass on as they come.
//
// The mesh is that of the published comparisons (vac.dev, 2025-08-12): D 8,
// Dlo 6, Dhi 12, heartbeat 1 s, flood publishing off. Limits that would drop
// large payloads are raised, for a fair baseline: message size to the payload
// and 1 MiB, queues to 4096 messages, IDONTWANT to 10 000 ids a message and
// messages a heartbeat, history to 60 heartbeats. IDONTWANT is sent for all
// above 1 KiB. Messages are not signed, their id is their SHA-256: a payload is
// taken to be authenticated by what it is. Fragments are published as one
// batch, which gives every fragment to one peer before any to two.
type gossip struct {
	name      string
	fragments bool
}

// Name implements [Method].
func (g gossip) Name() string { return g.name }

// Hops implements [Method]: a mesh in which nobody is reached twice.
func (g gossip) Hops(nodes int) int {
	hops, covered, width := 1, degree, degree
	for covered < nodes-1 {
		width *= degree - 1
		covered += width
		hops++
	}
	return hops
}

const (
	degree      = 8 // D of GossipSub
	gossipTopic = "block"
	queueLength = 4096
)

func gossipParams() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi = degree, 6, 12
	p.HistoryLength = 60
	p.MaxIDontWantLength, p.MaxIDontWantMessages = 10_000, 10_000
	p.HeartbeatInterval = time.Second
	return p
}

func messageID(m *pb.Message) string {
	id := sha256.Sum256(m.GetData())
	return string(id[:])
}

// Join implements [Method].
func (g gossip) Join(ctx context.Context, s Seat) (Member, error) {
	m := &gossipMember{fragment: s.Size}
	if g.fragments {
		m.fragment = s.Fragment
	}
	ctx, m.cancel = context.WithCancel(ctx)
	fail := func(err error) (Member, error) {
		m.cancel()
		return nil, err
	}
	ps, err := pubsub.NewGossipSub(ctx, s.Host,
		pubsub.WithGossipSubParams(gossipParams()),
		pubsub.WithFloodPublish(false),
		pubsub.WithMaxMessageSize(s.Size+1<<20),
		pubsub.WithPeerOutboundQueueSize(queueLength),
		pubsub.WithValidateQueueSize(queueLength),
		pubsub.WithValidateThrottle(2*queueLength),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)),
		pubsub.WithRawTracer(&gossipTracer{m: m}))
	if err != nil {
		return fail(err)
	}
	m.ps = ps
	if m.topic, err = ps.Join(gossipTopic); err != nil {
		return fail(err)
	}
	sub, err := m.topic.Subscribe(pubsub.WithBufferSize(queueLength))
	if err != nil {
		return fail(err)
	}
	m.wg.Go(func() { m.receive(ctx, sub, s) })
	if err := connect(ctx, s.Host, s.Neighbours); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

type gossipMember struct {
	ps         *pubsub.PubSub
	topic      *pubsub.Topic
	fragment   int
	cancel     context.CancelFunc
	wg         sync.WaitGroup
	duplicates atomic.Uint64
	repairs    atomic.Uint64
}

// Publish implements [Member].
func (m *gossipMember) Publish(ctx context.Context, block []byte) error {
	var batch pubsub.MessageBatch
	for _, f := range cut(block, m.fragment) {
		if err := m.topic.AddToBatch(ctx, &batch, f); err != nil {
			return err
		}
	}
	return m.ps.PublishBatch(&batch)
}

func (m *gossipMember) receive(ctx context.Context, sub *pubsub.Subscription, s Seat) {
	defer sub.Cancel()
	parts := newAssembly(s.Size, m.fragment)
	for {
		msg, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if s.Host.ID() == s.Publisher {
			continue
		}
		if block, ok := parts.add(msg.GetData()); ok {
			s.Got(block)
		}
	}
}

// Counters implements [Member].
func (m *gossipMember) Counters() Counters {
	return Counters{Duplicates: m.duplicates.Load(), Repairs: m.repairs.Load()}
}

// Close implements [Member].
func (m *gossipMember) Close() error {
	m.cancel()
	m.wg.Wait()
	return nil
}
