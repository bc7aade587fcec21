package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

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
	// times as many; more are dropped. Everybody relays what everybody
	// publishes: it must be well above the rate of the whole network. 0 is 500.
	PerSecond int
	// BytesPerSecond bounds their size in the same way; 0 is 64 MiB.
	BytesPerSecond int
	// Concurrency is how many messages are validated at a time; 0 is 256.
	Concurrency int
	// Queue is how many accepted messages may wait for Handle before new ones
	// are relayed without being handled; 0 is 1024.
	Queue int
	// Repeats says that the same message may be published again, for those
	// who missed it. Otherwise a repetition is taken for a copy and dropped.
	Repeats bool
	// Self also handles what this node publishes.
	Self bool
}

// GossipSub drops what it has seen within the last two to three minutes, also
// where it was lost on the way to somebody. On topics with Repeats every message
// therefore begins with a byte that differs from one repetition to the next, such
// as of the wish to give up a view that lasts. As it is one byte, a stranger can
// replay a message only so often.
const headSize = 1

const (
	validateTimeout = 20 * time.Second
	maxPublished    = 4096 // own messages whose repetitions are told apart
)

// Topic is a joined topic. Its methods are safe for concurrent use.
type Topic[T any] struct {
	gossip *Gossip
	spec   Spec[T]
	topic  *pubsub.Topic

	mu        sync.Mutex
	published *lru.LRU[hash.Hash, byte] // number of the next repetition
}

// Join joins a topic and handles its messages until the gossip is closed.
func Join[T any](g *Gossip, spec Spec[T]) (*Topic[T], error) {
	name := fmt.Sprintf("/starling/%s/%s/1", g.cfg.Network, spec.Name)
	t := &Topic[T]{gossip: g, spec: spec}
	if err := t.join(name); err != nil {
		return nil, fmt.Errorf("join topic %s: %w", name, err)
	}
	return t, nil
}

func (t *Topic[T]) join(name string) error {
	if t.spec.Name == "" || t.spec.Validate == nil || t.spec.Handle == nil || t.spec.Codec.Encode == nil || t.spec.Codec.Decode == nil {
		return errors.New("a topic needs a name, a codec, a validator and a handler")
	}
	var err error
	if t.published, err = lru.NewLRU[hash.Hash, byte](maxPublished, nil); err != nil {
		return err
	}
	g := t.gossip
	// Before the subscription: no message may come in that is not budgeted.
	g.limits.set(name, p2p.NewBudgets(t.spec.PerSecond, t.spec.BytesPerSecond))
	if err = g.pubsub.RegisterTopicValidator(name, t.validate,
		pubsub.WithValidatorConcurrency(orDefault(t.spec.Concurrency, 256)), pubsub.WithValidatorTimeout(validateTimeout)); err != nil {
		return err
	}
	if t.topic, err = g.pubsub.Join(name); err != nil {
		return err
	}
	sub, err := t.topic.Subscribe(pubsub.WithBufferSize(orDefault(t.spec.Queue, 1024)))
	if err != nil {
		return err
	}
	g.wg.Go(func() {
		defer sub.Cancel()
		for {
			m, err := sub.Next(g.ctx)
			if err != nil {
				return // closed
			}
			if msg, ok := m.ValidatorData.(T); ok {
				t.handle(m.ReceivedFrom, msg)
			}
		}
	})
	return nil
}

func (t *Topic[T]) validate(ctx context.Context, from peer.ID, m *pubsub.Message) (result pubsub.ValidationResult) {
	if from == t.gossip.host.ID() {
		return pubsub.ValidationAccept
	}
	defer func() {
		if t.panicked(recover()) {
			result = pubsub.ValidationIgnore
		}
	}()
	head := t.headSize()
	if len(m.Data) < head || len(m.Data)-head > t.gossip.cfg.MaxMessage {
		return t.rejected(from)
	}
	msg, err := t.spec.Codec.Decode(m.Data[head:])
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

func (t *Topic[T]) handle(from peer.ID, msg T) {
	defer func() { t.panicked(recover()) }()
	t.spec.Handle(from, msg)
}

// panicked logs a panic of a validator or handler. It is a bug of this program,
// which must show, but must not let a peer take the node down.
func (t *Topic[T]) panicked(r any) bool {
	if r == nil {
		return false
	}
	t.gossip.log.Error("topic panicked", "topic", t.spec.Name, "panic", r, "stack", string(debug.Stack()))
	return true
}

// Publish sends a message to everybody in the topic but this node.
func (t *Topic[T]) Publish(ctx context.Context, msg T) error {
	body, err := t.spec.Codec.Encode(msg)
	if err != nil {
		return fmt.Errorf("publish on %s: %w", t.spec.Name, err)
	}
	if len(body) > t.gossip.cfg.MaxMessage {
		return fmt.Errorf("publish on %s: %d bytes, at most %d are allowed: %w", t.spec.Name, len(body), t.gossip.cfg.MaxMessage, ErrTooLarge)
	}
	data := body
	if t.spec.Repeats {
		data = append(append(make([]byte, 0, headSize+len(body)), t.repetition(body)), body...)
	}
	var opts []pubsub.PubOpt
	if t.spec.Self {
		opts = append(opts, pubsub.WithValidatorData(msg))
	}
	if err := t.topic.Publish(ctx, data, opts...); err != nil {
		return fmt.Errorf("publish on %s: %w", t.spec.Name, err)
	}
	return nil
}

// repetition numbers the publications of a message. The first number is drawn, as
// others may remember the numbers from before a restart.
func (t *Topic[T]) repetition(body []byte) byte {
	id := hash.Sum("starling/gossip/published", body)
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.published.Get(id)
	if !ok {
		n = byte(rand.Uint32())
	}
	t.published.Add(id, n+1)
	return n
}

func (t *Topic[T]) headSize() int {
	if t.spec.Repeats {
		return headSize
	}
	return 0
}

// Peers lists the connected peers that have joined the topic.
func (t *Topic[T]) Peers() []peer.ID { return t.topic.ListPeers() }

func orDefault(n, fallback int) int {
	if n <= 0 {
		return fallback
	}
	return n
}
