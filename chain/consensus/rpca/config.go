package rpca

import (
	"errors"
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrConfig is wrapped by every refusal of a configuration.
var ErrConfig = errors.New("rpca configuration")

// Config is what a node is made of.
type Config struct {
	Chain      hash.Hash
	Validators *types.ValidatorSet
	Scheme     consensus.Scheme
	// Self is the node's own place in the set; nil makes an observer, who
	// follows what is final but never signs.
	Self *types.ValidatorIndex
	// List is the trusted list, over Validators; empty trusts all of them.
	List bls.Bitmap
	// Order turns the agreed transactions, which come by rising hash, into the
	// order of the ledger. It may leave some out. It must be a pure function,
	// the same one on every node, and keep each sender's sequence.
	Order func(txs [][]byte) [][]byte
	// MaxBytes and MaxTxs bound the transactions of one ledger; they are part
	// of the agreement. What does not fit waits for the next.
	MaxBytes, MaxTxs int
	// Quorum is the part of the list, in percent, that must hold one position,
	// and must validate. 0 is [DefaultQuorum]; anything else voids the
	// reasoning about safety and is there for experiments.
	Quorum int
	Timing Timing
}

// DefaultQuorum is the quorum of the XRP Ledger, in percent of the list.
const DefaultQuorum = 80

// The thresholds of disputed transactions and close times, in percent.
const (
	firstSupport = 50 // in the first round of updates
	supportStep  = 5  // more in each further one
	lastSupport  = 80
	closeSupport = 75 // of the positions, for a close time to be agreed on
	stallRounds  = 4  // updates at the last threshold in which nothing moves
	expiryFactor = 10 // times the previous round is when a round is given up
)

// Timing holds the durations of the protocol. The XRP Ledger's are in
// docs/RPCA.md.
type Timing struct {
	// Tick is the time between two updates of a position: long enough for
	// positions to reach everybody.
	Tick time.Duration
	// MinClose is how long a ledger stays open at least, Idle how long when
	// there is no work.
	MinClose, Idle time.Duration
	// MinConsensus is how long a round collects positions at least.
	MinConsensus time.Duration
	// MaxConsensus is when a round in which nothing moves any more is given up,
	// Abandon when any is. In between, a round that does move is given ten times
	// as long as the one before, counted as MinRound at least: a network that
	// became slow must not give up too early.
	MaxConsensus, Abandon, MinRound time.Duration
	// Fresh is how long a position counts that is not sent again, Resend how
	// often the own one is.
	Fresh, Resend time.Duration
	// Resolution is what close times are rounded to. Clocks that differ by
	// more than about half of it do not agree on a close time.
	Resolution time.Duration
}

// DefaultTiming suits nodes within a second of each other.
func DefaultTiming() Timing {
	return Timing{
		Tick: 250 * time.Millisecond, MinClose: 500 * time.Millisecond, Idle: 5 * time.Second,
		MinConsensus: 500 * time.Millisecond, MaxConsensus: 10 * time.Second, Abandon: 60 * time.Second, MinRound: 2 * time.Second,
		Fresh: 20 * time.Second, Resend: 2 * time.Second, Resolution: 2 * time.Second,
	}
}

// Validate refuses durations that cannot work together.
func (t Timing) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"tick", t.Tick},
		{"min close", t.MinClose},
		{"idle", t.Idle},
		{"min consensus", t.MinConsensus},
		{"max consensus", t.MaxConsensus},
		{"abandon", t.Abandon},
		{"min round", t.MinRound},
		{"fresh", t.Fresh},
		{"resend", t.Resend},
	} {
		if d.value <= 0 {
			return fmt.Errorf("%w: timing: %s must be more than 0", ErrConfig, d.name)
		}
	}
	if t.Resolution < time.Millisecond || t.Resolution%time.Millisecond != 0 {
		return fmt.Errorf("%w: timing: resolution %s: want whole milliseconds", ErrConfig, t.Resolution)
	}
	if t.Resend >= t.Fresh || t.MaxConsensus > t.Abandon || t.MinConsensus >= t.MaxConsensus {
		return fmt.Errorf("%w: timing: want resend < fresh and min consensus < max consensus <= abandon", ErrConfig)
	}
	return nil
}

// validate checks the configuration and fills in defaults.
func (cfg *Config) validate() error {
	n := cfg.Validators.Len()
	if len(cfg.List) == 0 {
		cfg.List = Everyone(n)
	}
	if err := cfg.List.Validate(n); err != nil {
		return fmt.Errorf("%w: trusted list: %w", ErrConfig, err)
	}
	if cfg.List.Count() == 0 {
		return fmt.Errorf("%w: the trusted list is empty", ErrConfig)
	}
	if cfg.Self != nil && int(*cfg.Self) >= n {
		return fmt.Errorf("%w: validator %d of %d", ErrConfig, *cfg.Self, n)
	}
	if cfg.Quorum == 0 {
		cfg.Quorum = DefaultQuorum
	}
	if cfg.Quorum < 1 || cfg.Quorum > 100 || cfg.MaxBytes < 1 || cfg.MaxTxs < 1 || cfg.Order == nil {
		return fmt.Errorf("%w: want a quorum of 1 to 100 percent, positive caps and an order", ErrConfig)
	}
	return cfg.Timing.Validate()
}

// SetBytes is the most that an encoded transaction set may take. The sum of what
// half of the validators contain is at most twice what one may propose.
func (cfg Config) SetBytes() int { return 2*cfg.MaxBytes + 16*2*cfg.MaxTxs + MaxMessage }
