package state

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/crypto/hash"
)

// place names a node by its depth in nibbles and the bits of the keys below it.
type place struct {
	depth  uint8
	prefix hash.Hash // zero after depth nibbles
}

func placeOf(key *hash.Hash, depth int) place {
	p := place{depth: uint8(depth)}
	copy(p.prefix[:depth/2], key[:])
	if depth&1 == 1 {
		p.prefix[depth/2] = key[depth/2] & 0xf0
	}
	return p
}

// op sets or removes one leaf.
type op struct {
	leaf
	remove bool
}

// sortOps orders by key hash, which is the order of the tree.
func sortOps(ops []op) {
	slices.SortFunc(ops, func(a, b op) int {
		x, y := binary.BigEndian.Uint64(a.key[:]), binary.BigEndian.Uint64(b.key[:])
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return bytes.Compare(a.key[8:], b.key[8:])
	})
}

// loader reads the node at a place and checks that it hashes to want.
type loader func(at place, want hash.Hash) (*node, error)

// sink takes a changed node; nil means that the place is empty now. It is
// called by several goroutines if there is more than one worker.
type sink func(at place, n *node) error

// updater applies one sorted batch to a tree without changing any node of the
// version before.
type updater struct {
	load    loader
	store   sink
	workers int
}

// parallelFrom is the batch size below which goroutines cost more than they save.
const parallelFrom = 512

// run applies ops, sorted and without duplicates, and returns the new root.
func (u *updater) run(root hash.Hash, ops []op) (hash.Hash, error) {
	old := slot{}
	if !root.IsZero() {
		old = slot{kind: kindInner, hash: root}
	}
	s, err := u.apply(0, old, ops)
	return s.hash, err
}

func (u *updater) apply(depth int, old slot, ops []op) (slot, error) {
	at := placeOf(&ops[0].key, depth)
	n := newNode()
	if old.kind == kindInner {
		var err error
		if n, err = u.load(at, old.hash); err != nil {
			return slot{}, err
		}
	} else {
		ops = settle(old, ops)
		switch {
		case len(ops) == 0:
			return slot{}, nil
		case len(ops) == 1 && depth > 0:
			return leafSlot(ops[0].leaf), nil
		}
	}
	var changed [16]slot
	mask, err := u.children(depth, n, ops, &changed)
	if err != nil {
		return slot{}, err
	}
	next := n.with(&changed, mask)
	if next.root() == old.hash {
		return old, nil
	}
	if next.empty() {
		return slot{}, u.store(at, nil)
	}
	if s, ok := next.only(); ok && depth > 0 {
		if old.kind != kindInner {
			return s, nil // was never stored
		}
		return s, u.store(at, nil)
	}
	return slot{kind: kindInner, hash: next.root()}, u.store(at, next)
}

// children applies each run of ops with the same nibble to its slot.
func (u *updater) children(depth int, n *node, ops []op, changed *[16]slot) (mask uint16, err error) {
	if depth == 0 && u.workers > 1 && len(ops) >= parallelFrom {
		return u.parallel(n, ops, changed)
	}
	for len(ops) > 0 {
		i, end := run(ops, depth)
		if changed[i], err = u.apply(depth+1, n.slot(i), ops[:end]); err != nil {
			return 0, err
		}
		mask |= 1 << i
		ops = ops[end:]
	}
	return mask, nil
}

// parallel is children of the root with a goroutine for each slot. What its
// goroutines share is allocated here, so that the rest stays on the stack.
func (u *updater) parallel(n *node, ops []op, changed *[16]slot) (mask uint16, err error) {
	var group errgroup.Group
	group.SetLimit(u.workers)
	results := new([16]slot)
	for len(ops) > 0 {
		i, end := run(ops, 0)
		part := ops[:end]
		group.Go(func() (err error) {
			results[i], err = u.apply(1, n.slot(i), part)
			return err
		})
		mask |= 1 << i
		ops = ops[end:]
	}
	err = group.Wait()
	*changed = *results
	return mask, err
}

// run returns the first slot that ops touch, and how many of them do.
func run(ops []op, depth int) (i, end int) {
	i = nibble(&ops[0].key, depth)
	for end = 1; end < len(ops) && nibble(&ops[end].key, depth) == i; end++ {
	}
	return i, end
}

// settle returns the leaves that a slot without a node holds after ops, as ops
// that set them.
func settle(old slot, ops []op) []op {
	removes := slices.ContainsFunc(ops, func(o op) bool { return o.remove })
	if old.kind == kindNone && !removes {
		return ops
	}
	out := make([]op, 0, len(ops)+1)
	kept := old.kind == kindLeaf
	for _, o := range ops {
		if kept {
			if c := bytes.Compare(old.leaf.key[:], o.key[:]); c <= 0 {
				kept = false
				if c < 0 {
					out = append(out, op{leaf: old.leaf})
				}
			}
		}
		if !o.remove {
			out = append(out, o)
		}
	}
	if kept {
		out = append(out, op{leaf: old.leaf})
	}
	return out
}

// trace walks from the root towards key and hands over each node on the way.
func trace(load loader, root hash.Hash, key *hash.Hash, visit func(depth int, n *node)) error {
	for depth, want := 0, root; !want.IsZero(); depth++ {
		n, err := load(placeOf(key, depth), want)
		if err != nil {
			return err
		}
		visit(depth, n)
		s := n.slot(nibble(key, depth))
		if s.kind != kindInner {
			return nil
		}
		want = s.hash
	}
	return nil
}
