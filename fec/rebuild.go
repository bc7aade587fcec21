package fec

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Rebuild makes a whole payload again of the wire forms of its sets, in order, working on
// all cores. It is for those who have everything in hand; shreds that come one by one go
// to gatherers.
func Rebuild(sets [][][]byte, chain hash.Hash, codes *Codes, check Check) ([]byte, error) {
	data, errs := make([][]byte, len(sets)), make([]error, len(sets))
	turn := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range turn {
				data[i], errs[i] = rebuildSet(sets[i], chain, codes, check)
			}
		})
	}
	for i := range sets {
		turn <- i
	}
	close(turn)
	wg.Wait()
	size := 0
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("set %d: %w", i, err)
		}
		size += len(data[i])
	}
	whole := make([]byte, 0, size)
	for _, d := range data {
		whole = append(whole, d...)
	}
	return whole, nil
}

func rebuildSet(shreds [][]byte, chain hash.Hash, codes *Codes, check Check) ([]byte, error) {
	var g *Gatherer
	for _, raw := range shreds {
		s, err := Parse(raw)
		if err != nil {
			return nil, err
		}
		if g == nil {
			_, st, err := Verify(s, chain, nil, check)
			if err != nil {
				return nil, err
			}
			g = NewGatherer(st, s.Signature())
		}
		v, err := g.Check(s)
		if err != nil {
			return nil, err
		}
		g.Add(v)
	}
	if g == nil {
		return nil, ErrMissing
	}
	return g.Rebuild(codes)
}
