package fec

import (
	"bytes"
	"fmt"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Verified is a shred that belongs to a statement whose signature was checked.
type Verified struct {
	Shred
	leaf node
}

// Verify checks a shred alone: its proof must lead to the root that the sender signed.
// check verifies a signature of the named sender. known is the statement of the set if
// its signature was checked before, else nil; a shred that is consistent with it costs no
// signature. The statement is returned in any case. With known, an error that wraps
// ErrProof says that the shred leads to another statement: if its signature is genuine
// the two are an [Equivocation].
func Verify(s Shred, chain hash.Hash, known *Statement, check Check) (Verified, Statement, error) {
	st, leaf := s.examine()
	if known != nil {
		if st != *known {
			return Verified{}, st, ErrProof
		}
		return Verified{s, leaf}, st, nil
	}
	message := st.Message(chain)
	if !check(st.Sender, message[:], s.Signature()) {
		return Verified{}, st, ErrSignature
	}
	return Verified{s, leaf}, st, nil
}

// Trust takes a shred as verified without a look: one that this node cut itself.
func Trust(s Shred) Verified { return Verified{s, leafOf(s.Payload())} }

// Gatherer collects the shreds of one set. It is not safe for concurrent use.
type Gatherer struct {
	statement Statement
	signature [signSize]byte
	slab      []byte
	shards    [][]byte // nil where missing
	path      *path
	leaves    []node
	proofs    []byte
	have      int
	data      int // of them, data shreds
	whole     bool
}

// NewGatherer begins with the statement of a verified shred. It takes memory for the
// whole set: [Statement.Memory] bytes.
func NewGatherer(st Statement, signature []byte) *Gatherer {
	n := st.Shape.Total()
	g := &Gatherer{statement: st, slab: make([]byte, n*st.shard()), shards: make([][]byte, n), path: newPath(n), leaves: make([]node, n), proofs: make([]byte, n*st.Shape.depth()*nodeSize)}
	copy(g.signature[:], signature)
	return g
}

func (s Statement) shard() int { return int(s.Shard) * shardAlign }

// Memory is about what gathering a set takes, in bytes.
func (s Statement) Memory() int {
	return s.Shape.Total() * (s.shard() + (3+s.Shape.depth())*nodeSize + 28)
}

// Check verifies a shred of the set: it must be of the statement that was signed. It
// allocates nothing, and hashes little beyond the payload once some shreds came. ErrProof
// means that the shred belongs to another statement, genuine or not: see [Verify].
func (g *Gatherer) Check(s Shred) (Verified, error) {
	claim := s.claim()
	claim.Root = g.statement.Root
	if claim != g.statement {
		return Verified{}, ErrProof
	}
	leaf := leafOf(s.Payload())
	if !g.path.verify(leaf, s.Index(), s.proof(), g.statement.Root) {
		return Verified{}, ErrProof
	}
	return Verified{s, leaf}, nil
}

// Statement is what the sender signed.
func (g *Gatherer) Statement() Statement { return g.statement }

// Signature is the sender's.
func (g *Gatherer) Signature() []byte { return g.signature[:] }

// Has reports whether a shred is there.
func (g *Gatherer) Has(index int) bool { return index < len(g.shards) && g.shards[index] != nil }

// Count is how many different shreds came.
func (g *Gatherer) Count() int { return g.have }

// Enough reports whether the set can be made again.
func (g *Gatherer) Enough() bool { return g.have >= g.statement.Shape.Data }

// Missing is how many more shreds are needed.
func (g *Gatherer) Missing() int { return max(0, g.statement.Shape.Data-g.have) }

// Add takes a shred of the set and reports whether it is new. It copies what it needs and
// allocates nothing.
func (g *Gatherer) Add(v Verified) bool {
	i := v.Index()
	if g.shards[i] != nil {
		return false
	}
	place := g.place(i)
	copy(place, v.Payload())
	copy(g.proof(i), v.proof())
	g.shards[i], g.leaves[i] = place, v.leaf
	g.have++
	if v.IsData() {
		g.data++
	}
	return true
}

// Rebuild makes the set again and checks that it is what the sender signed. The data
// share memory with the gatherer. An error that wraps ErrInconsistent means that the
// sender lied, see [Gatherer.Inconsistency]: every node comes to the same conclusion,
// whichever shreds it has, because the whole code word is computed anew from the data.
func (g *Gatherer) Rebuild(codes *Codes) ([]byte, error) {
	shape := g.statement.Shape
	if g.whole {
		return g.slab[:g.statement.Size:g.statement.Size], nil
	}
	if !g.Enough() {
		return nil, fmt.Errorf("%w: %d of %d", ErrMissing, g.have, shape.Data)
	}
	code, err := codes.of(shape)
	if err != nil {
		return nil, err
	}
	word := append([][]byte(nil), g.shards...)
	if g.data < shape.Data {
		for i := range shape.Data {
			if word[i] == nil {
				word[i] = g.place(i)[:0] // to be filled
			}
		}
		if err := code.ReconstructData(word); err != nil {
			return nil, fmt.Errorf("rebuild set %d: %w", g.statement.Set, err)
		}
	}
	scratch := codes.borrow(shape.Parity * g.statement.shard())
	defer codes.scratch.Put(scratch)
	for i := range shape.Parity {
		word[shape.Data+i] = (*scratch)[i*g.statement.shard() : (i+1)*g.statement.shard()]
	}
	if err := code.Encode(word); err != nil {
		return nil, fmt.Errorf("encode set %d again: %w", g.statement.Set, err)
	}
	if !g.complete(word) {
		return nil, fmt.Errorf("set %d: %w", g.statement.Set, ErrInconsistent)
	}
	return g.slab[:g.statement.Size:g.statement.Size], nil
}

// place is where the payload of a shred lies.
func (g *Gatherer) place(i int) []byte {
	shard := g.statement.shard()
	return g.slab[i*shard : (i+1)*shard : (i+1)*shard]
}

// complete reports whether a code word is the signed one, and if so takes up the shreds
// that are missing, so that they can be passed on. Leaves of shreds that came were
// computed when they came.
func (g *Gatherer) complete(word [][]byte) bool {
	t := growTree(len(word))
	for i, shard := range word {
		switch {
		case g.shards[i] == nil:
			t.levels[0][i] = leafOf(shard)
		case i < g.statement.Shape.Data || bytes.Equal(shard, g.shards[i]):
			t.levels[0][i] = g.leaves[i]
		default:
			return false
		}
	}
	if t.build() != g.statement.Root {
		return false
	}
	for i, shard := range word {
		if g.shards[i] == nil {
			place := g.place(i)
			copy(place, shard)
			g.shards[i], g.leaves[i] = place, t.levels[0][i]
			t.prove(i, g.proof(i))
		}
	}
	g.whole = true
	return true
}

// Shred makes the wire form of a shred that is here, for those who miss it. It returns
// nil if it is not. After Rebuild all are here.
func (g *Gatherer) Shred(index int) []byte {
	if !g.Has(index) {
		return nil
	}
	return g.AppendShred(nil, index)
}

// AppendShred appends the wire form of a shred that is here.
func (g *Gatherer) AppendShred(out []byte, index int) []byte {
	at := len(out)
	out = append(out, make([]byte, fixedSize)...)
	raw := out[at:]
	g.statement.put(raw, index)
	copy(raw[beforeAt:], g.statement.Before[:])
	copy(raw[signAt:], g.signature[:])
	out = append(out, g.proof(index)...)
	return append(out, g.shards[index]...)
}

func (g *Gatherer) proof(i int) []byte {
	size := g.statement.Shape.depth() * nodeSize
	return g.proofs[i*size : (i+1)*size]
}
