package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrSignature means that a message is not from the validator that it names: who
// passed it on did not check it.
var ErrSignature = errors.New("signature is not that of the validator named")

// Position hands in a position. The signature is checked here, in the goroutine
// of the caller.
func (d *Driver) Position(p rpca.Position) error {
	if !d.cfg.Core.Scheme.Verify(p.Voter, p.Message(d.cfg.Core.Chain), p.Signature) {
		return fmt.Errorf("position of validator %d: %w", p.Voter, ErrSignature)
	}
	d.put(rpca.PositionIn{Position: p})
	return nil
}

// Validation hands in a validation. The signature is checked here, in the
// goroutine of the caller.
func (d *Driver) Validation(v rpca.Validation) error {
	if !d.cfg.Core.Scheme.Verify(v.Voter, v.Message(d.cfg.Core.Chain), v.Signature) {
		return fmt.Errorf("validation of validator %d: %w", v.Voter, ErrSignature)
	}
	d.put(rpca.ValidationIn{Validation: v})
	return nil
}

// TxSet hands in a transaction set that a peer served. One that nobody named is
// ignored.
func (d *Driver) TxSet(set *rpca.TxSet) { d.put(rpca.TxSetIn{Set: set}) }

// Ledgers hands in ledgers that a peer served, ancestors first.
func (d *Driver) Ledgers(from string, ledgers []rpca.Ledger) {
	d.put(rpca.Ledgers{From: from, Ledgers: ledgers})
}

// ServeTxSet finds a transaction set for a peer.
func (d *Driver) ServeTxSet(ctx context.Context, id hash.Hash) (set *rpca.TxSet, ok bool) {
	d.ask(ctx, func(c *rpca.Core) { set, ok = c.TxSet(id) })
	return set, ok
}

func (d *Driver) put(ev rpca.Event) {
	select {
	case d.inbox <- ev:
	case <-d.done:
	}
}

// ask has the goroutine of Run look something up.
func (d *Driver) ask(ctx context.Context, look func(*rpca.Core)) {
	answered := make(chan struct{})
	ask := func(c *rpca.Core) {
		look(c)
		close(answered)
	}
	select {
	case d.asks <- ask:
		<-answered
	case <-d.done:
	case <-ctx.Done():
	}
}

// List takes a published trusted list. The signature is checked here, in the
// goroutine of the caller. It returns an [rpca.OverlapError] if the list shares
// too little with the own one: nothing stops because of it, or any liar could
// stop everybody, but a person should look.
func (d *Driver) List(l rpca.TrustedList) error {
	if !d.cfg.Core.Scheme.Verify(l.Validator, l.Message(d.cfg.Core.Chain), l.Signature) {
		return fmt.Errorf("trusted list of validator %d: %w", l.Validator, ErrSignature)
	}
	if !d.lists.learn(l) {
		return nil
	}
	if d.cfg.OnList != nil {
		d.cfg.OnList()
	}
	if own, ok := d.lists.own(); ok {
		d.cfg.Network.BroadcastList(own) // whoever is new does not have it
	}
	return rpca.CheckOverlap(d.lists.trusted, []rpca.TrustedList{l})
}

// Lists are the published trusted lists that are known, the own one included.
// Kept over a restart, they are what [Config.Published] wants.
func (d *Driver) Lists() []rpca.TrustedList { return d.lists.all() }

// Overlaps compares the own list with all known ones, for display.
func (d *Driver) Overlaps() (out []rpca.Overlap) {
	for _, l := range d.Lists() {
		out = append(out, rpca.OverlapOf(d.lists.trusted, l))
	}
	return out
}
