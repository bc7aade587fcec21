package rpca

import (
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// wantedSet is the own set after an update: of the transactions in any position,
// those that at least support percent of the positions contain.
func (c *Core) wantedSet(others []Position, support int) *TxSet {
	own := c.sets[c.round.own.Set]
	weights := map[hash.Hash]int{own.ID(): 1}
	sets, positions := []*TxSet{own}, 1
	for _, p := range others {
		set := c.sets[p.Set]
		if set == nil {
			continue // being fetched: nobody knows yet what it votes for
		}
		positions++
		if weights[p.Set] == 0 {
			sets = append(sets, set)
		}
		weights[p.Set]++
	}
	if len(sets) == 1 {
		return own
	}
	yes := map[hash.Hash]int{}
	for _, s := range sets {
		for _, id := range s.ids {
			yes[id] += weights[s.id]
		}
	}
	var wanted []candidate
	for _, s := range sets {
		for i, id := range s.ids {
			if yes[id]*100 >= support*positions {
				wanted = append(wanted, candidate{id, s.txs[i]})
				yes[id] = -1 // taken
			}
		}
	}
	return setOf(limited(wanted, 2*c.cfg.MaxBytes, 2*c.cfg.MaxTxs))
}

// wantedClose is the own close time after an update: the one that most positions
// name, if enough do. When the last threshold is reached without agreement, it
// is 0, on which all can agree: the ledger then follows its parent by 1 ms.
func wantedClose(own Position, others []Position, support int) int64 {
	votes := map[int64]int{own.Close: 1}
	for _, p := range others {
		votes[p.Close]++
	}
	best := own.Close
	for t, n := range votes { // the order is of no matter: ties go to the later time
		if n > votes[best] || n == votes[best] && t > best {
			best = t
		}
	}
	part, all := votes[best]*100, len(others)+1
	switch {
	case part >= closeSupport*all:
		return best
	case support == lastSupport:
		return 0
	case part >= support*all:
		return best
	}
	return own.Close
}

// needSets asks for the transaction sets of positions in this round, at most one
// a validator and tick.
func (c *Core) needSets() {
	if c.cfg.Self == nil {
		return
	}
	others := c.here()
	asked := map[hash.Hash]bool{}
	for _, p := range others {
		if c.sets[p.Set] != nil || c.voices[p.Voter].asked || asked[p.Set] {
			continue
		}
		asked[p.Set] = true
		c.voices[p.Voter].asked = true
		holders := bls.NewBitmap(c.cfg.Validators.Len())
		for _, o := range others {
			if o.Set == p.Set {
				holders.Set(int(o.Voter))
			}
		}
		c.emit(FetchTxSet{Set: p.Set, Holders: holders})
	}
}

// onTxSet keeps a set that a position of this round names.
func (c *Core) onTxSet(s *TxSet) {
	if c.sets[s.ID()] != nil || !c.named(s.ID()) {
		return
	}
	size := 0
	for _, tx := range s.txs {
		size += len(tx)
	}
	if size <= 2*c.cfg.MaxBytes && s.Len() <= 2*c.cfg.MaxTxs {
		c.sets[s.ID()] = s
		c.dropSets()
	}
}

func (c *Core) named(set hash.Hash) bool {
	for _, p := range c.here() {
		if p.Set == set {
			return true
		}
	}
	return false
}

// dropSets forgets the sets that no position names any more: of each validator
// at most one is kept, and two of the own.
func (c *Core) dropSets() {
	kept := map[hash.Hash]*TxSet{}
	keep := func(id hash.Hash) {
		if s := c.sets[id]; s != nil {
			kept[id] = s
		}
	}
	for _, p := range c.here() {
		keep(p.Set)
	}
	for _, p := range []*Position{c.round.own, c.round.before} {
		if p != nil {
			keep(p.Set)
		}
	}
	c.sets = kept
}
