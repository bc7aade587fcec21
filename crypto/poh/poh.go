// Package poh is a proof of history: a chain of sequential hashes into which events
// are mixed as they happen. Look at [Chain].
//
// Each hash needs the one before, so the chain takes time to make and shows in which
// order its maker mixed events in, and at least how much work lay between them. Any
// number of cores can check it at once, segment by segment ([Verify]). It proves
// nothing about wall-clock time, nor in which order events of different chains
// happened: a fast machine makes a chain faster than a slow one, and a maker may
// hold an event back. The package imports crypto/hash only.
package poh

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrHistory is wrapped when a chain does not lead where it says.
var ErrHistory = errors.New("the history does not follow from what came before")

// Chain is the state of a chain: its value after Ticks sequential hashes. The zero
// value is the beginning of none; start with [New]. It is a value: copies are
// independent.
type Chain struct {
	Value hash.Hash
	Ticks uint64
}

// New begins a chain: what it is for goes into its seed.
func New(seed hash.Hash) Chain { return Chain{Value: hash.Sum("starling/poh/seed", seed[:])} }

// Tick advances the chain by n hashes.
func (c *Chain) Tick(n uint64) {
	for range n {
		c.Value = hash.Sum("starling/poh/tick", c.Value[:])
	}
	c.Ticks += n
}

// Mix advances the chain by one hash that takes an event in.
func (c *Chain) Mix(event hash.Hash) {
	c.Value = hash.Sum("starling/poh/mix", c.Value[:], event[:])
	c.Ticks++
}

// Segment is a stretch of a chain that ends with an event.
type Segment struct {
	From  Chain     // the state before
	Event hash.Hash // mixed in last
	To    Chain     // the state after
}

// Length is the number of hashes, 0 if the segment goes backwards.
func (s Segment) Length() uint64 { return s.To.Ticks - min(s.From.Ticks, s.To.Ticks) }

// Check verifies the segment: as many hashes as it is long.
func (s Segment) Check() error {
	n := s.Length()
	if n == 0 {
		return fmt.Errorf("%w: from tick %d to tick %d", ErrHistory, s.From.Ticks, s.To.Ticks)
	}
	c := s.From
	c.Tick(n - 1)
	c.Mix(s.Event)
	if c != s.To {
		return fmt.Errorf("%w: at tick %d", ErrHistory, s.To.Ticks)
	}
	return nil
}

// Verify checks segments on up to workers cores (0: all), and that each begins where
// the one before ended. Checked segments prove that their events were mixed in in
// this order. It returns an error for the first segment that is wrong.
func Verify(segments []Segment, workers int) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	for i := 1; i < len(segments); i++ {
		if segments[i].From != segments[i-1].To {
			return fmt.Errorf("%w: segment %d does not begin where the one before ended", ErrHistory, i)
		}
	}
	errs := make([]error, len(segments))
	var wg sync.WaitGroup
	next := make(chan int, len(segments))
	for i := range segments {
		next <- i
	}
	close(next)
	for range min(workers, len(segments)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = segments[i].Check()
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	return nil
}
