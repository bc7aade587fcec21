package rpca

import (
	"bytes"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

const (
	chainLedgers = 2048      // fetched ones that do not yet reach what is wanted
	chainBytes   = 128 << 20 // of these
	treeLedgers  = 1024      // above the last final one
	treeBytes    = 128 << 20 // of these
)

// fetcher gets missing ledgers, one wanted ledger at a time.
type fetcher struct {
	at    time.Time // of the last request
	turn  int       // counts requests, to try one wanted ledger after the other
	chain []*types.Block
	bytes int
}

// want is a ledger that somebody trusted names and this node lacks.
type want struct {
	block     hash.Hash
	height    types.Height // or above
	holders   bls.Bitmap
	certified bool
}

// wants lists what is missing: what is certified, or else what trusted
// validators work on, most named first.
func (c *Core) wants() []want {
	var certified, named []want
	for h, qc := range c.certs {
		if c.tree.get(h) == nil {
			certified = append(certified, want{h, types.Height(qc.View), qc.Signers, true})
		}
	}
	if len(certified) > 0 {
		return []want{slices.MaxFunc(certified, func(a, b want) int { return compareWants(b, a) })}
	}
	for _, i := range c.members {
		last := c.voices[i].last
		if last == nil || last.Height <= c.tree.root.block.Height || c.tree.get(last.Block) != nil || c.final(last.Block) {
			continue
		}
		at := slices.IndexFunc(named, func(w want) bool { return w.block == last.Block })
		if at < 0 {
			at = len(named)
			named = append(named, want{block: last.Block, height: last.Height, holders: bls.NewBitmap(c.cfg.Validators.Len())})
		}
		named[at].holders.Set(int(i))
	}
	slices.SortFunc(named, compareWants)
	return named
}

// compareWants orders by holders, then height, both falling.
func compareWants(a, b want) int {
	if d := b.holders.Count() - a.holders.Count(); d != 0 && !a.certified {
		return d
	}
	if a.height != b.height {
		return int(min(max(int64(b.height-a.height), -1), 1))
	}
	return bytes.Compare(a.block[:], b.block[:])
}

// final says that a ledger is known to be final and below the root.
func (c *Core) final(h hash.Hash) bool {
	for _, f := range c.recent { // any order gives the same answer
		if f == h {
			return true
		}
	}
	return false
}

// behind says that a ledger above the working one is final elsewhere.
func (c *Core) behind() bool {
	w := c.wants()
	return len(w) > 0 && w[0].certified && w[0].height > c.working.block.Height
}

// refetch asks for what is missing, though not more often than with each tick.
func (c *Core) refetch() {
	if c.halted || !c.fetch.at.IsZero() && c.now.Sub(c.fetch.at) < c.cfg.Timing.Tick {
		return
	}
	wants := c.wants()
	if len(wants) == 0 {
		c.fetch.chain, c.fetch.bytes = nil, 0
		return
	}
	w := wants[c.fetch.turn%len(wants)]
	c.fetch.turn++
	c.fetch.at = c.now
	c.emit(FetchLedger{Block: w.block, Above: c.fetched(), Holders: w.holders})
}

// fetched is the height up to which the way to what is wanted is there.
func (c *Core) fetched() types.Height {
	if n := len(c.fetch.chain); n > 0 {
		return c.fetch.chain[n-1].Height
	}
	return c.tree.root.block.Height
}

// onLedgers takes what a peer served.
func (c *Core) onLedgers(e Ledgers) {
	blocks := make([]*types.Block, len(e.Ledgers))
	for i, l := range e.Ledgers {
		blocks[i] = l.Block
		if !c.wellFormed(l.Block) || i > 0 && !follows(l.Block, blocks[i-1]) {
			c.emit(Blame{From: e.From, Reason: "served ledgers that are none, or not one on top of the other"})
			return
		}
	}
	for _, l := range e.Ledgers {
		if l.Cert != nil && l.Block.Height > c.tree.root.block.Height && c.certs[l.Block.Hash()].Block.IsZero() && c.checkCert(l.Block, l.Cert) {
			c.certs[l.Block.Hash()] = *l.Cert
		}
	}
	for len(blocks) > 0 && (blocks[0].Height <= c.tree.root.block.Height || c.tree.get(blocks[0].Hash()) != nil) {
		blocks = blocks[1:]
	}
	before := c.fetched()
	if len(blocks) == 0 || !c.chainOn(blocks) {
		c.settle()
		return
	}
	grown := c.fetched() > before
	if c.link() {
		c.settle()
	}
	if grown { // more of the same at once, rather than with the next tick
		c.fetch.at = time.Time{}
		c.refetch()
	}
}

// chainOn adds served ledgers to the chain, or begins a new one with them.
func (c *Core) chainOn(blocks []*types.Block) bool {
	f := &c.fetch
	if n := len(f.chain); n > 0 && blocks[0].Parent() == f.chain[n-1].Hash() {
		f.chain = append(f.chain, blocks...)
	} else if c.tree.get(blocks[0].Parent()) != nil {
		f.chain = blocks
	} else {
		c.contradiction(blocks)
		f.chain, f.bytes = nil, 0
		return false
	}
	f.measure()
	if len(f.chain) > chainLedgers || f.bytes > chainBytes {
		f.chain, f.bytes = nil, 0
		return false
	}
	return true
}

// contradiction stops the node if the ledgers branch off below the last final one
// and yet are certified.
func (c *Core) contradiction(blocks []*types.Block) {
	root := c.tree.root.block
	if blocks[0].Height != root.Height+1 || blocks[0].Parent() == root.Hash() {
		return
	}
	for _, b := range blocks {
		if _, certified := c.certs[b.Hash()]; certified {
			c.halt(&ConflictError{Height: b.Height, Final: root.Hash(), Other: b.Hash()})
			return
		}
	}
}

// link moves the fetched chain into the tree as far as it leads to a ledger
// that is certified, or that a trusted validator names.
func (c *Core) link() bool {
	f := &c.fetch
	named := map[hash.Hash]bool{}
	for _, i := range c.members {
		if last := c.voices[i].last; last != nil {
			named[last.Block] = true
		}
	}
	reach := -1
	certified := false
	for i, b := range f.chain {
		if _, ok := c.certs[b.Hash()]; ok {
			reach, certified = i, true
		} else if named[b.Hash()] {
			reach = i
		}
	}
	if reach < 0 || !certified && !c.room(f.chain[:reach+1]) {
		return false
	}
	n := c.tree.get(f.chain[0].Parent())
	for _, b := range f.chain[:reach+1] {
		n = c.tree.insert(b, n)
	}
	f.chain = slices.Clone(f.chain[reach+1:])
	f.measure()
	return true
}

// room makes room in the tree for ledgers that are not known to be final, at the
// expense of those that nobody works on any more.
func (c *Core) room(blocks []*types.Block) bool {
	fits := func() bool {
		size := 0
		for _, n := range c.tree.byHash {
			size += len(n.block.Raw())
		}
		for _, b := range blocks {
			size += len(b.Raw())
		}
		return size <= treeBytes && len(c.tree.byHash)+len(blocks) <= treeLedgers
	}
	if fits() {
		return true
	}
	anchor := c.tree.get(blocks[0].Parent())
	wanted := []*node{c.working, anchor}
	for _, i := range c.members {
		if last := c.voices[i].last; last != nil {
			wanted = append(wanted, c.tree.get(last.Block))
		}
	}
	c.tree.prune(wanted)
	return fits()
}

// trim drops what is final.
func (f *fetcher) trim(final types.Height) {
	f.chain = slices.DeleteFunc(f.chain, func(b *types.Block) bool { return b.Height <= final })
	f.measure()
}

func (f *fetcher) measure() {
	f.bytes = 0
	for _, b := range f.chain {
		f.bytes += len(b.Raw())
	}
}

// wellFormed says that a block is what this engine builds.
func (c *Core) wellFormed(b *types.Block) bool {
	return b.Chain == c.cfg.Chain && b.Height > 0 && b.View == types.View(b.Height) && b.Proposer == 0 && b.Timeouts == nil && b.State == nil &&
		b.Justify.View+1 == b.View && len(b.Justify.Signers)+len(b.Justify.Signature)+len(b.Signature) == 0
}

func follows(b, parent *types.Block) bool {
	return b.Height == parent.Height+1 && b.Parent() == parent.Hash() && b.Time > parent.Time
}
