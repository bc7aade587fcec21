package node

import (
	"errors"
	"slices"
	"sync"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/gossip"
	"github.com/starlingmesh/starling/node/events"
)

// evidencePool keeps checked proofs of offences until a block carries them. It is
// safe for concurrent use.
type evidencePool struct {
	n *Node

	mu      sync.Mutex
	waiting map[hash.Hash]types.Evidence // by offence
	done    map[hash.Hash]struct{}       // offences that an executed block carries
}

const (
	evidenceKept = 256  // proofs that wait
	doneKept     = 4096 // offences remembered
)

func newEvidencePool(n *Node) *evidencePool {
	return &evidencePool{n: n, waiting: map[hash.Hash]types.Evidence{}, done: map[hash.Hash]struct{}{}}
}

// add takes up a proof that came by gossip.
func (p *evidencePool) add(ev types.Evidence) gossip.Verdict {
	id, err := p.check(&ev)
	switch {
	case errors.Is(err, errUnknownEpoch):
		return gossip.Ignore
	case err != nil:
		return gossip.Reject
	}
	if p.keep(id, ev) {
		return gossip.Accept
	}
	return gossip.Ignore
}

// accuse takes up a proof that this node found, and gossips it.
func (p *evidencePool) accuse(ev types.Evidence) {
	id, err := p.check(&ev)
	if err != nil {
		p.n.log.Error("own evidence does not hold: this is a defect of this program", "offence", ev.Offence.String(), "error", err)
		return
	}
	if p.keep(id, ev) {
		p.n.mesh.publishEvidence(ev)
	}
}

// check returns the offence that the evidence proves.
func (p *evidencePool) check(ev *types.Evidence) (hash.Hash, error) {
	seat, err := p.n.epochs.at(ev.Epoch)
	if err != nil {
		return hash.Hash{}, err
	}
	place, err := seat.authority.CheckEvidence(ev)
	if err != nil {
		return hash.Hash{}, err
	}
	return ev.ID(place), nil
}

func (p *evidencePool) keep(id hash.Hash, ev types.Evidence) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, done := p.done[id]
	_, waits := p.waiting[id]
	if done || waits || len(p.waiting) >= evidenceKept {
		return false
	}
	p.waiting[id] = ev
	p.n.log.Warn("a validator broke the protocol, and it can be proven", "validator", p.n.epochs.name(ev.Epoch, ev.Culprit), "offence", ev.Offence.String())
	p.n.hub.Publish(events.Offence{Validator: p.n.epochs.name(ev.Epoch, ev.Culprit), Offence: ev.Offence.String(), ID: id})
	return true
}

// selected lists proofs for a block that neither an executed nor one of the given
// blocks carries.
func (p *evidencePool) selected(ancestors []*types.Block) []types.Evidence {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil
	}
	carried := map[hash.Hash]bool{}
	for _, b := range ancestors {
		for i := range b.Evidence {
			if id, err := p.check(&b.Evidence[i]); err == nil {
				carried[id] = true
			}
		}
	}
	ids := make([]hash.Hash, 0, len(p.waiting))
	for id := range p.waiting {
		if !carried[id] {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b hash.Hash) int { return slices.Compare(a[:], b[:]) })
	var out []types.Evidence
	for _, id := range ids[:min(len(ids), types.MaxBlockEvidence)] {
		out = append(out, p.waiting[id])
	}
	return out
}

// executed drops what a block carries.
func (p *evidencePool) executed(b *types.Block) {
	if len(b.Evidence) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.done) > doneKept {
		clear(p.done)
	}
	for i := range b.Evidence {
		if id, err := p.check(&b.Evidence[i]); err == nil {
			delete(p.waiting, id)
			p.done[id] = struct{}{}
		}
	}
}
