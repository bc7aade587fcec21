// Package gossip spreads typed messages to everybody in a network: pubsub topics
// (GossipSub) on which a message is decoded once, checked by a validator, and only
// then relayed and handled. Look at [Join].
//
// Messages have no author: what must be signed is signed by its type. Whoever
// relays what the validator rejects pays for it in score. The package knows
// nothing of what the messages mean.
package gossip

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/p2p"
)

// Verdict is what a validator finds.
type Verdict int

// The verdicts.
const (
	Accept Verdict = iota // relay and handle
	Ignore                // neither, and nobody's fault
	Reject                // neither, and the relayer's fault
)

// Config is what a node's gossip is made of.
type Config struct {
	// Network is part of every topic's name, so that networks never mix.
	Network string
	// MaxMessage is the largest message, bytes.
	MaxMessage int
}

// Gossip is a node's part in the spreading of messages.
type Gossip struct {
	cfg    Config
	host   *p2p.Host
	log    *slog.Logger
	pubsub *pubsub.PubSub
	ctx    context.Context // of the subscriptions, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New starts gossip on a host. Close it before the host.
func New(h *p2p.Host, cfg Config, log *slog.Logger) (*Gossip, error) {
	ctx, cancel := context.WithCancel(context.Background())
	params := pubsub.DefaultGossipSubParams()
	params.HeartbeatInitialDelay = 20 * time.Millisecond
	params.HeartbeatInterval = 500 * time.Millisecond
	params.IDontWantMessageThreshold = 1 << 10
	ps, err := pubsub.NewGossipSub(ctx, h.Host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(cfg.MaxMessage+1<<10),
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true),
		pubsub.WithValidateQueueSize(1<<10),
		pubsub.WithPeerOutboundQueueSize(1<<8),
		pubsub.WithSeenMessagesTTL(2*time.Minute),
		pubsub.WithPeerScore(scoring(h)),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return &Gossip{cfg: cfg, host: h, log: log, pubsub: ps, ctx: ctx, cancel: cancel}, nil
}

// messageID names a message by its content, so that whoever sends it first,
// everyone else drops the copies.
func messageID(m *pb.Message) string {
	id := hash.Sum("starling/gossip", []byte(m.GetTopic()), m.GetData())
	return string(id[:16])
}

// scoring lets gossip avoid peers that the host has something against, well
// before they are banned. Addresses are not counted: nodes of a test network
// share one.
func scoring(h *p2p.Host) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			AppSpecificScore:  func(id peer.ID) float64 { return -h.Score(id) },
			AppSpecificWeight: 1, DecayInterval: time.Second, DecayToZero: 0.01, RetainScore: 10 * time.Minute,
			Topics:                 map[string]*pubsub.TopicScoreParams{},
			BehaviourPenaltyWeight: -1, BehaviourPenaltyThreshold: 6, BehaviourPenaltyDecay: 0.9,
		}, &pubsub.PeerScoreThresholds{
			GossipThreshold: -40, PublishThreshold: -60, GraylistThreshold: -80, AcceptPXThreshold: 0,
		}
}

// Close leaves all topics and waits for their handlers.
func (g *Gossip) Close() {
	g.cancel()
	g.wg.Wait()
}

// Spec describes a topic.
type Spec[T any] struct {
	Name  string
	Codec canon.Codec[T]
	// Validate decides on every message from others before it is relayed. It
	// is called concurrently and may take its time: only the message waits.
	Validate func(ctx context.Context, from peer.ID, msg T) Verdict
	// Handle takes accepted messages from others, one after the other.
	Handle func(from peer.ID, msg T)
	// PerSecond is how many messages one peer may relay, in bursts of four
	// times as many; more are dropped, and the peer pays for the flood.
	PerSecond int
	// Repeats says that the same message may be published again, for those
	// who missed it. Otherwise a repetition is taken for a copy and dropped.
	Repeats bool
}

// Topic is a joined topic.
type Topic[T any] struct {
	gossip *Gossip
	spec   Spec[T]
	topic  *pubsub.Topic

	mu     sync.Mutex
	budget map[peer.ID]*rate.Limiter
}

// Join joins a topic and handles its messages until the gossip is closed.
func Join[T any](g *Gossip, spec Spec[T]) (*Topic[T], error) {
	name := fmt.Sprintf("/starling/%s/%s/1", g.cfg.Network, spec.Name)
	t := &Topic[T]{gossip: g, spec: spec, budget: map[peer.ID]*rate.Limiter{}}
	err := g.pubsub.RegisterTopicValidator(name, t.validate, pubsub.WithValidatorConcurrency(256), pubsub.WithValidatorTimeout(20*time.Second))
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", name, err)
	}
	if t.topic, err = g.pubsub.Join(name); err != nil {
		return nil, fmt.Errorf("join topic %s: %w", name, err)
	}
	sub, err := t.topic.Subscribe(pubsub.WithBufferSize(1 << 10))
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", name, err)
	}
	g.wg.Go(func() {
		defer sub.Cancel()
		for {
			m, err := sub.Next(g.ctx)
			if err != nil {
				return // closed
			}
			if msg, ok := m.ValidatorData.(T); ok && m.ReceivedFrom != g.host.ID() {
				spec.Handle(m.ReceivedFrom, msg)
			}
		}
	})
	return t, nil
}

func (t *Topic[T]) validate(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == t.gossip.host.ID() {
		return pubsub.ValidationAccept
	}
	if !t.allowed(from) {
		t.gossip.host.Penalise(from, p2p.Flood)
		return pubsub.ValidationIgnore
	}
	if len(m.Data) > t.gossip.cfg.MaxMessage {
		return t.rejected(from)
	}
	data := m.Data
	if t.spec.Repeats {
		if len(data) < serialBytes {
			return t.rejected(from)
		}
		data = data[serialBytes:]
	}
	msg, err := t.spec.Codec.Decode(data)
	if err != nil {
		t.gossip.log.Debug("undecodable message", "topic", t.spec.Name, "peer", from.String(), "error", err)
		return t.rejected(from)
	}
	switch t.spec.Validate(ctx, from, msg) {
	case Accept:
		m.ValidatorData = msg
		return pubsub.ValidationAccept
	case Reject:
		return t.rejected(from)
	default:
		return pubsub.ValidationIgnore
	}
}

func (t *Topic[T]) rejected(from peer.ID) pubsub.ValidationResult {
	t.gossip.host.Penalise(from, p2p.InvalidMessage)
	return pubsub.ValidationReject
}

const serialBytes = 8

// maxBudgets bounds the peers whose rates are remembered.
const maxBudgets = 1 << 10

func (t *Topic[T]) allowed(from peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.budget[from]
	if l == nil {
		if len(t.budget) >= maxBudgets {
			clear(t.budget)
		}
		l = rate.NewLimiter(rate.Limit(t.spec.PerSecond), 4*t.spec.PerSecond)
		t.budget[from] = l
	}
	return l.Allow()
}

// Publish sends a message to everybody in the topic but this node.
func (t *Topic[T]) Publish(ctx context.Context, msg T) error {
	data, err := t.spec.Codec.Encode(msg)
	if err != nil {
		return fmt.Errorf("publish on %s: %w", t.spec.Name, err)
	}
	if t.spec.Repeats {
		// Messages are told apart by their content: a serial number makes each
		// repetition another one.
		data = append(binary.BigEndian.AppendUint64(make([]byte, 0, len(data)+serialBytes), rand.Uint64()), data...)
	}
	if len(data) > t.gossip.cfg.MaxMessage {
		return fmt.Errorf("publish on %s: message of %d bytes, at most %d are allowed", t.spec.Name, len(data), t.gossip.cfg.MaxMessage)
	}
	if err := t.topic.Publish(ctx, data); err != nil {
		return fmt.Errorf("publish on %s: %w", t.spec.Name, err)
	}
	return nil
}

// Peers lists the connected peers that have joined the topic.
func (t *Topic[T]) Peers() []peer.ID { return t.topic.ListPeers() }
