package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// shrinkRuns bounds the work of [Shrink].
const shrinkRuns = 2000

// Shrink drops rounds, faults, tricks and time from a schedule as long as the same
// law stays broken, and returns the least schedule it found with its error.
func Shrink(s Schedule, broken error) (Schedule, error) {
	last := broken
	for runs, smaller := 0, true; smaller; {
		smaller = false
		for candidate := range s.smaller {
			if runs++; runs > shrinkRuns {
				return s, last
			}
			if _, err := Run(candidate); sameLaw(err, broken) {
				s, last, smaller = candidate, err, true
				break
			}
		}
	}
	return s, last
}

func sameLaw(a, b error) bool {
	for _, law := range []error{ErrFork, ErrOrder, ErrPromise, ErrBlock, ErrBlame, ErrStall} {
		if errors.Is(b, law) {
			return errors.Is(a, law)
		}
	}
	return false
}

// smaller yields schedules with one thing less, the biggest steps first.
func (s Schedule) smaller(yield func(Schedule) bool) {
	try := func(change func(*Schedule)) bool {
		c := s
		change(&c)
		return yield(c)
	}
	_ = s.fewerFaults(try) && s.fewerActors(try) && s.calmerNetwork(try)
}

func (s *Schedule) fewerFaults(try func(func(*Schedule)) bool) bool {
	if len(s.Skews) > 0 && !try(func(c *Schedule) { c.Skews = nil }) {
		return false
	}
	for n := len(s.Crashes); n > 0; n /= 2 {
		for i := 0; i+n <= len(s.Crashes); i += n {
			if !try(func(c *Schedule) { c.Crashes = without(s.Crashes, i, n) }) {
				return false
			}
		}
	}
	for i := range s.Cuts {
		if !try(func(c *Schedule) { c.Cuts = without(s.Cuts, i, 1) }) {
			return false
		}
	}
	for i, r := range slices.Backward(s.Rounds) {
		if i == len(s.Rounds)-1 && !try(func(c *Schedule) { c.Rounds = s.Rounds[:i] }) {
			return false
		}
		if !try(func(c *Schedule) { c.Rounds = without(s.Rounds, i, 1) }) {
			return false
		}
		if r.Sides != nil && !try(func(c *Schedule) {
			c.Rounds = slices.Clone(s.Rounds)
			c.Rounds[i].Sides = nil
		}) {
			return false
		}
	}
	return true
}

func (s *Schedule) fewerActors(try func(func(*Schedule)) bool) bool {
	for i := range trickNames {
		if s.Tricks.Has(1<<i) && !try(func(c *Schedule) { c.Tricks &^= 1 << i }) {
			return false
		}
	}
	if s.EpochBlocks > 0 && !try(func(c *Schedule) { c.EpochBlocks = 0 }) {
		return false
	}
	if s.Reputation && !try(func(c *Schedule) { c.Reputation = false }) {
		return false
	}
	return s.Liars == 0 || try(func(c *Schedule) {
		if c.Liars--; c.Liars == 0 {
			c.Tricks = 0
		}
	})
}

func (s *Schedule) calmerNetwork(try func(func(*Schedule)) bool) bool {
	if s.Loss > 0 && !try(func(c *Schedule) { c.Loss = 0 }) {
		return false
	}
	if s.Duplicate > 0 && !try(func(c *Schedule) { c.Duplicate = 0 }) {
		return false
	}
	for _, by := range []time.Duration{2, 4} {
		if s.Chaos > 20*time.Millisecond && !try(func(c *Schedule) { c.Chaos -= (s.Chaos / by).Truncate(time.Millisecond) }) {
			return false
		}
	}
	return s.Delay <= time.Millisecond || try(func(c *Schedule) { c.Delay = max(time.Millisecond, (s.Delay / 2).Truncate(time.Millisecond)) })
}

func without[T any](all []T, at, n int) []T { return slices.Delete(slices.Clone(all), at, at+n) }

// Explain says which law a schedule breaks, and prints the least script that
// breaks it and how to run that.
func Explain(s Schedule, broken error) string {
	least, err := Shrink(s, broken)
	return fmt.Sprintf("%v\nThe least script that shows it; put it into a file and run\n  go test ./testnet/sim -run TestScriptFile -v -script FILE -log WHERE\n# %v\n%s", broken, err, least)
}
