// Package matrix keeps a sparse array of three dimensions in the DHT: cells that many write at
// once, in blocks of 8x8x8 cells, each block a record of its own. Look at [Matrix].
//
// A block is a map from places to registers, counters or sets, so that changes of different
// cells, or of one cell, by writers who do not know of each other merge. Blocks lie all over
// the ring, and a private matrix seals each with a key of its own. It shows what the store can
// carry.
package matrix

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
)

const (
	// Side is the cells of a block in each direction.
	Side = 8
	// MaxCoordinate is the highest coordinate of a cell; the lowest is 0.
	MaxCoordinate = 1<<20 - 1
	// MaxRange is the most blocks that one read of a range spans.
	MaxRange = 1 << 12

	blocksAtOnce = 8
)

// ErrRange means that coordinates are out of range, or a range is too large.
var ErrRange = errors.New("out of range")

// Place is where a cell is.
type Place struct{ X, Y, Z int }

func (p Place) check() error {
	for _, c := range []int{p.X, p.Y, p.Z} {
		if c < 0 || c > MaxCoordinate {
			return fmt.Errorf("cell %d,%d,%d: %w: coordinates are 0 to %d", p.X, p.Y, p.Z, ErrRange, MaxCoordinate)
		}
	}
	return nil
}

// block is the place of the cell's block.
func (p Place) block() Place { return Place{p.X / Side, p.Y / Side, p.Z / Side} }

// field names the cell in its block.
func (p Place) field() string { return fmt.Sprintf("%d%d%d", p.X%Side, p.Y%Side, p.Z%Side) }

// cell is the place of a field of a block.
func (p Place) cell(field string) (Place, bool) {
	if len(field) != 3 {
		return Place{}, false
	}
	for _, c := range field {
		if c < '0' || c >= '0'+Side {
			return Place{}, false
		}
	}
	return Place{p.X*Side + int(field[0]-'0'), p.Y*Side + int(field[1]-'0'), p.Z*Side + int(field[2]-'0')}, true
}

// Cell is a cell that is not empty. A cell to which values, counts and elements were written
// has all of them.
type Cell struct {
	Place
	Value    []byte // of the register, nil if none was set
	Count    int64
	Elements [][]byte
}

// Matrix is one array. It is safe for concurrent use.
type Matrix struct {
	store *dht.Store
	owner store.Owner
	name  string
}

// Open names a matrix of an owner. The store's options say whether new blocks are private, and
// who may change them.
func Open(s *dht.Store, owner store.Owner, name string) *Matrix { return &Matrix{s, owner, name} }

func (m *Matrix) ref(block Place) store.Ref {
	return store.Ref{Owner: m.owner, Name: fmt.Sprintf("%s/%d.%d.%d", m.name, block.X, block.Y, block.Z)}
}

// Set sets a cell's value.
func (m *Matrix) Set(ctx context.Context, at Place, value []byte) error {
	return m.update(ctx, at, func(field crdt.Path) store.Change { return dht.Set(field, value) })
}

// Increment adds to a cell's count.
func (m *Matrix) Increment(ctx context.Context, at Place, by int64) error {
	return m.update(ctx, at, func(field crdt.Path) store.Change { return dht.Increment(field, by) })
}

// Add puts an element into a cell's set.
func (m *Matrix) Add(ctx context.Context, at Place, element []byte) error {
	return m.update(ctx, at, func(field crdt.Path) store.Change { return dht.Add(field, element) })
}

// Clear empties a cell, as far as it is known.
func (m *Matrix) Clear(ctx context.Context, at Place) error {
	return m.update(ctx, at, func(field crdt.Path) store.Change {
		return dht.Together(dht.Unset(field, crdt.Register), dht.Unset(field, crdt.Counter), dht.Unset(field, crdt.Set))
	})
}

func (m *Matrix) update(ctx context.Context, at Place, change func(crdt.Path) store.Change) error {
	if err := at.check(); err != nil {
		return err
	}
	return m.store.Update(ctx, m.ref(at.block()), crdt.Map, change(crdt.Path{at.field()}))
}

// Change is one change of a cell for [Matrix.Apply].
type Change struct {
	Place
	Value     []byte // to be set, unless nil
	Increment int64
}

// Apply makes many changes, those of a block together.
func (m *Matrix) Apply(ctx context.Context, changes []Change) error {
	blocks := map[Place][]store.Change{}
	for _, c := range changes {
		if err := c.check(); err != nil {
			return err
		}
		field := crdt.Path{c.field()}
		if c.Value != nil {
			blocks[c.block()] = append(blocks[c.block()], dht.Set(field, c.Value))
		}
		if c.Increment != 0 {
			blocks[c.block()] = append(blocks[c.block()], dht.Increment(field, c.Increment))
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(blocksAtOnce)
	for block, all := range blocks {
		g.Go(func() error { return m.store.Update(ctx, m.ref(block), crdt.Map, dht.Together(all...)) })
	}
	return g.Wait()
}

// Get reads a cell; an empty one is no error.
func (m *Matrix) Get(ctx context.Context, at Place) (Cell, error) {
	cells, err := m.Range(ctx, at, at)
	if err != nil || len(cells) == 0 {
		return Cell{Place: at}, err
	}
	return cells[0], nil
}

// Range reads the cells between two corners, both included, that are not empty, in order of
// their coordinates. It spans at most MaxRange blocks.
func (m *Matrix) Range(ctx context.Context, from, to Place) ([]Cell, error) {
	if err := errors.Join(from.check(), to.check()); err != nil {
		return nil, err
	}
	a, b := from.block(), to.block()
	if from.X > to.X || from.Y > to.Y || from.Z > to.Z {
		return nil, fmt.Errorf("a range from %v to %v: %w", from, to, ErrRange)
	}
	if n := (b.X - a.X + 1) * (b.Y - a.Y + 1) * (b.Z - a.Z + 1); n > MaxRange {
		return nil, fmt.Errorf("a range of %d blocks, at most %d: %w", n, MaxRange, ErrRange)
	}
	var mu sync.Mutex
	var out []Cell
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(blocksAtOnce)
	for block := range blocks(a, b) {
		g.Go(func() error {
			rec, err := m.store.Record(ctx, m.ref(block))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			cells := cellsOf(rec.State, block, from, to)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, cells...)
			return nil
		})
	}
	err := g.Wait()
	slices.SortFunc(out, func(a, b Cell) int { return slices.Compare([]int{a.X, a.Y, a.Z}, []int{b.X, b.Y, b.Z}) })
	return out, err
}

func blocks(a, b Place) iter.Seq[Place] {
	return func(yield func(Place) bool) {
		for x := a.X; x <= b.X; x++ {
			for y := a.Y; y <= b.Y; y++ {
				for z := a.Z; z <= b.Z; z++ {
					if !yield(Place{x, y, z}) {
						return
					}
				}
			}
		}
	}
}

// cellsOf reads a block's cells within a range. Fields that no matrix makes are left out.
func cellsOf(s *crdt.State, block, from, to Place) (out []Cell) {
	at := map[Place]*Cell{}
	for _, f := range s.Fields(nil) {
		p, ok := block.cell(f.Name)
		if !ok || p.X < from.X || p.Y < from.Y || p.Z < from.Z || p.X > to.X || p.Y > to.Y || p.Z > to.Z {
			continue
		}
		c := at[p]
		if c == nil {
			c = &Cell{Place: p}
			at[p] = c
		}
		path := crdt.Path{f.Name}
		switch f.Kind {
		case crdt.Register:
			c.Value, _ = s.Value(path)
		case crdt.Counter:
			c.Count = s.Count(path)
		case crdt.Set:
			c.Elements = s.Elements(path)
		case crdt.Log, crdt.Map:
		}
	}
	for _, c := range at {
		out = append(out, *c)
	}
	return out
}
