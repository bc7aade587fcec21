package node

import (
	"time"

	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/events"
)

// executed follows each executed block: mempool, attestation, those who wait,
// subscribers, metrics.
func (n *Node) executed(x exec.Executed) error {
	b := x.Block
	claim := types.StateClaim{Height: b.Height, Block: b.Hash(), Root: x.Root}
	if err := n.attestations.Executed(claim); err != nil {
		return err
	}
	for _, d := range x.Result.Defects {
		n.log.Error("invariant broken by a transaction: this is a defect of this program", "tx", d.Tx.String(), "error", d.Err)
	}
	for _, s := range x.Result.Slashed {
		n.log.Warn("validator slashed and jailed", "validator", s.Name, "offence", s.Offence.String(), "slashed", s.Amount.String(), "reward", s.Reward.String(), "height", uint64(b.Height))
	}
	n.epochs.executed(b.Height)
	n.evidence.executed(b)
	n.intake.Executed(b.Height, x.Result.Accounts(), x.Result.Images())
	if n.lanes != nil {
		n.lanes.driver.Executed(b.Epoch, b.Cut)
	}
	if len(x.Txs) > 0 {
		n.ordering.lastPaid.Store(uint64(b.Height))
	}
	n.tell(x)
	return nil
}

// tell publishes what a block came to.
func (n *Node) tell(x exec.Executed) {
	b := x.Block
	took := int64(0)
	if p := x.Passage; !p.Prepare.IsZero() && !p.Decide.IsZero() {
		took = p.Decide.Sub(p.Prepare).Milliseconds()
		n.metrics.decide.Observe(p.Decide.Sub(p.Prepare).Seconds())
		if n.lanes != nil && len(x.Txs) > 0 {
			n.lanes.decided(p.Decide.Sub(p.Prepare))
		}
	}
	final := 0
	for _, r := range x.Result.Receipts {
		if r.Code.Final() {
			final++ // what lanes repeat is not
		}
	}
	n.metrics.height.Set(float64(b.Height))
	n.metrics.coins(x.Result.Totals)
	n.metrics.txs.Add(float64(final))
	n.hub.Publish(events.Block{
		Height: uint64(b.Height), Hash: b.Hash(), View: uint64(b.View), Proposer: n.epochs.name(b.Epoch, b.Proposer),
		Txs: final, Time: time.UnixMilli(b.Time), DecideMS: took,
	})
	done := make([]hash.Hash, 0, final)
	for _, r := range x.Result.Receipts {
		if r.Code.Final() {
			done = append(done, r.Tx)
			n.hub.Publish(events.Transaction{ID: r.Tx, Status: "decided", Height: uint64(b.Height), Code: r.Code.String()})
		}
	}
	n.waiters.wake(done...)
	n.lastBlock.Store(&lastBlock{height: b.Height, view: b.View, hash: b.Hash(), time: b.Time, txs: n.lastBlock.Load().txs + final})
}
