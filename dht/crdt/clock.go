package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Stamp is a moment of a hybrid logical clock: milliseconds since 1970, and a count that
// orders what happened within one.
type Stamp struct {
	_     struct{} `cbor:",toarray"`
	Wall  uint64
	Count uint32
}

// Compare orders stamps.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Wall, o.Wall), cmp.Compare(s.Count, o.Count))
}

// Time is the stamp's wall clock.
func (s Stamp) Time() time.Time { return time.UnixMilli(int64(min(s.Wall, math.MaxInt64))) }

// ErrFuture means that a stamp is further ahead of the clock than may be. It becomes good
// with time.
var ErrFuture = errors.New("from too far in the future")

// DefaultDrift is how far apart clocks may be.
const DefaultDrift = 60 * time.Second

// Clock makes stamps that are later than all it made or observed. It is not safe for
// concurrent use.
type Clock struct {
	// Drift is how far ahead of the wall clock an observed stamp may be; 0 is DefaultDrift.
	Drift time.Duration
	last  Stamp
}

// Tick returns the next stamp.
func (c *Clock) Tick(now time.Time) Stamp {
	wall := millis(now)
	switch {
	case wall > c.last.Wall:
		c.last = Stamp{Wall: wall}
	case c.last.Count == math.MaxUint32:
		c.last = Stamp{Wall: c.last.Wall + 1}
	default:
		c.last.Count++
	}
	return c.last
}

// Check returns [ErrFuture] if a stamp cannot be taken yet.
func (c *Clock) Check(now time.Time, s Stamp) error {
	drift := cmp.Or(c.Drift, DefaultDrift)
	if s.Wall > millis(now.Add(drift)) {
		return fmt.Errorf("%s, more than %s ahead: %w", s.Time().UTC().Format(time.RFC3339), drift, ErrFuture)
	}
	return nil
}

// Observe makes all later stamps later than s, or returns [ErrFuture].
func (c *Clock) Observe(now time.Time, s Stamp) error {
	if err := c.Check(now, s); err != nil {
		return err
	}
	if s.Compare(c.last) > 0 {
		c.last = s
	}
	return nil
}

func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }
