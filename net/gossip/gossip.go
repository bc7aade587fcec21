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
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/p2p"
)

// ErrTooLarge means that a message is larger than the network allows.
var ErrTooLarge = errors.New("message too large")

// Config is what a node's gossip is made of.
type Config struct {
	// Network is part of every topic's name, so that networks never mix.
	Network string
	// MaxMessage is the largest message, bytes; 0 is 8 MiB. Nodes of one
	// network must agree on it.
	MaxMessage int
}

const (
	defaultMaxMessage = 8 << 20
	envelope          = 1 << 10 // what pubsub adds to a message, at most
	seenFor           = 2 * time.Minute
)

// Gossip is a node's part in the spreading of messages.
type Gossip struct {
	cfg    Config
	host   *p2p.Host
	log    *slog.Logger
	pubsub *pubsub.PubSub
	limits *limits
	stats  stats
	ctx    context.Context // of the subscriptions, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New starts gossip on a host. Close it before the host.
func New(h *p2p.Host, cfg Config, log *slog.Logger) (*Gossip, error) {
	if cfg.Network == "" {
		return nil, errors.New("start gossip: the network has no name")
	}
	cfg.MaxMessage = orDefault(cfg.MaxMessage, defaultMaxMessage)
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gossip{cfg: cfg, host: h, log: log, ctx: ctx, cancel: cancel}
	g.limits = newLimits(h, &g.stats)
	params := pubsub.DefaultGossipSubParams()
	params.HeartbeatInitialDelay = 20 * time.Millisecond
	params.HeartbeatInterval = 500 * time.Millisecond
	params.IDontWantMessageThreshold = 1 << 10
	var err error
	g.pubsub, err = pubsub.NewGossipSub(ctx, h.Host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(cfg.MaxMessage+headSize+envelope),
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true),
		pubsub.WithValidateQueueSize(1<<10),
		pubsub.WithValidateThrottle(1<<12),
		pubsub.WithPeerOutboundQueueSize(1<<8),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithPeerScore(scoring(h)),
		pubsub.WithAppSpecificRpcInspector(g.limits.inspect),
		pubsub.WithRawTracer(&g.stats),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)), // what matters is in Stats
		pubsub.WithRPCLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return g, nil
}

// messageID names a message by its topic and content, so that whoever sends it
// first, everyone else drops the copies.
func messageID(m *pb.Message) string {
	topic := m.GetTopic()
	head := binary.AppendUvarint(make([]byte, 0, len(topic)+2), uint64(len(topic)))
	id := hash.Sum("starling/gossip", append(head, topic...), m.GetData())
	return string(id[:16])
}

// forgiven is the score up to which gossip treats a peer like any other. GossipSub
// cuts its links with whoever is below zero, for a minute: a slow answer or two must
// not do that.
const forgiven = 20

// scoring lets gossip avoid peers that the host has something against, well
// before they are banned. Addresses are not counted: nodes of a test network
// share one.
func scoring(h *p2p.Host) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		AppSpecificScore:  func(id peer.ID) float64 { return min(0, forgiven-h.Score(id)) },
		AppSpecificWeight: 1, DecayInterval: time.Second, DecayToZero: 0.01, RetainScore: 10 * time.Minute,
		Topics:                 map[string]*pubsub.TopicScoreParams{},
		BehaviourPenaltyWeight: -1, BehaviourPenaltyThreshold: 6, BehaviourPenaltyDecay: 0.9,
	}
	thresholds := &pubsub.PeerScoreThresholds{
		GossipThreshold: -20, PublishThreshold: -40, GraylistThreshold: -60, AcceptPXThreshold: 0,
	}
	return params, thresholds
}

// Close leaves all topics and waits for their handlers.
func (g *Gossip) Close() {
	g.cancel()
	g.wg.Wait()
}
