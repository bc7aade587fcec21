package p2p

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// Allowance is what a peer's budget says of one more message.
type Allowance int

// The allowances.
const (
	Within   Allowance = iota // take it
	Beyond                    // drop it; nobody's fault, the whole network may be busy
	Flooding                  // drop it and penalise: far beyond what the honest relay
)

const (
	burstSeconds = 4    // of the rate, that may come at once
	grossFactor  = 4    // times the rate is a flood
	maxBudgets   = 1024 // peers remembered; the one silent longest goes first

	defaultPerSecond      = 500
	defaultBytesPerSecond = 64 << 20
)

// Budgets bounds what each peer may send of one kind of message. An honest peer
// relays what others publish and cannot know a limit, so beyond the rate messages
// are merely dropped; only four times the rate is an offence, and it is priced
// once a second, not once a message. Callers say what time it is. It is safe for
// concurrent use.
type Budgets struct {
	perSecond, bytesPerSecond int

	mu    sync.Mutex
	peers *lru.LRU[peer.ID, *budget]
}

type budget struct {
	messages, bytes, gross *rate.Limiter
	blamed                 time.Time
}

// NewBudgets gives each peer so many messages and bytes a second, in bursts of
// four times as many. 0 is 500 messages, 64 MiB.
func NewBudgets(perSecond, bytesPerSecond int) *Budgets {
	if perSecond <= 0 {
		perSecond = defaultPerSecond
	}
	if bytesPerSecond <= 0 {
		bytesPerSecond = defaultBytesPerSecond
	}
	peers, _ := lru.NewLRU[peer.ID, *budget](maxBudgets, nil) // fails only for a size below 1
	return &Budgets{perSecond: perSecond, bytesPerSecond: bytesPerSecond, peers: peers}
}

// Take charges a peer for a message of the given size in bytes.
func (b *Budgets) Take(now time.Time, id peer.ID, size int) Allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.peers.Get(id)
	if !ok {
		p = &budget{
			messages: limiter(b.perSecond), bytes: limiter(b.bytesPerSecond), gross: limiter(grossFactor * b.perSecond),
		}
		b.peers.Add(id, p)
	}
	gross := !p.gross.AllowN(now, 1)
	if p.messages.AllowN(now, 1) && p.bytes.AllowN(now, size) {
		return Within
	}
	if gross && now.Sub(p.blamed) >= time.Second {
		p.blamed = now
		return Flooding
	}
	return Beyond
}

func limiter(perSecond int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), burstSeconds*perSecond)
}
