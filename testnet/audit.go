package testnet

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff/driver"
	rpcadriver "github.com/starlingmesh/starling/chain/consensus/rpca/driver"
	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrAudit is wrapped by everything that an audit finds wrong.
var ErrAudit = errors.New("audit")

// Audited is what an audit saw.
type Audited struct {
	Height       types.Height `json:"common_height"` // up to which all nodes were compared
	Root         hash.Hash    `json:"state_root"`    // at that height
	Transactions int          `json:"transactions"`  // in blocks up to there
	Supply       types.Drops  `json:"supply_drops"`
	Burned       types.Drops  `json:"burned_drops"`
	Missing      int          `json:"missing"` // accepted payments in no block
	Votes        int          `json:"votes"`   // in the vote logs
}

// disk is one stopped node's data.
type disk struct {
	name  string
	db    *state.DB
	state *state.State
	store *store.Store
}

// Audit examines the disks of a network whose nodes have all stopped: the same
// blocks at every height, the same state root at the common one, money that
// adds up on each, no validator with two votes in a view, and every accepted
// payment in a block. Only the first so many nodes are examined: the others lied.
func Audit(l *Layout, honest int, accepted []hash.Hash) (Audited, error) {
	var disks []*disk
	defer func() {
		for _, d := range disks {
			_ = d.db.Close() // nothing was written
		}
	}()
	chain := l.Genesis.ChainID()
	for i := range honest {
		d := &disk{name: NodeName(i)}
		var err error
		if d.db, err = state.OpenDB(filepath.Join(l.Home(i), "chain"), state.DBOptions{}); err != nil {
			return Audited{}, fmt.Errorf("%w: %s: %w", ErrAudit, d.name, err)
		}
		disks = append(disks, d)
		if d.state, err = state.Open(d.db, state.Options{Chain: chain[:], History: 1000}); err != nil {
			return Audited{}, fmt.Errorf("%w: %s: %w", ErrAudit, d.name, err)
		}
		d.store = store.New(d.state)
	}
	var out Audited
	err := errors.Join(
		out.compareBlocks(disks), out.compareStates(l, disks),
		out.findPayments(disks, accepted), out.readVoteLogs(l, honest))
	return out, err
}

func (a *Audited) compareBlocks(disks []*disk) error {
	a.Height = types.Height(disks[0].state.Version())
	for _, d := range disks {
		a.Height = min(a.Height, types.Height(d.state.Version()))
	}
	for h := uint64(1); h <= uint64(a.Height); h++ {
		first, err := exec.Read(h, disks[0].store)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, disks[0].name, err)
		}
		receipts, err := disks[0].store.Receipts(h)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, disks[0].name, err)
		}
		list, err := ledger.DecodeReceipts(receipts)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, disks[0].name, err)
		}
		for _, r := range list {
			if r.Code.Final() {
				a.Transactions++
			}
		}
		for _, d := range disks[1:] {
			other, err := exec.Read(h, d.store)
			if err != nil {
				return fmt.Errorf("%w: %s: %w", ErrAudit, d.name, err)
			}
			if other.Block.Hash() != first.Block.Hash() {
				return fmt.Errorf("%w: FORK at height %d: %s holds %s, %s holds %s", ErrAudit, h,
					disks[0].name, first.Block.Hash().Short(), d.name, other.Block.Hash().Short())
			}
		}
	}
	return nil
}

func (a *Audited) compareStates(l *Layout, disks []*disk) error {
	rules := ledger.New(l.Genesis)
	for i, d := range disks {
		root, err := d.state.RootAt(uint64(a.Height))
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, d.name, err)
		}
		if i == 0 {
			a.Root = root
		} else if root != a.Root {
			return fmt.Errorf("%w: %s has root %s at height %d, %s has %s", ErrAudit, d.name, root.Short(), a.Height, disks[0].name, a.Root.Short())
		}
		totals, err := rules.Audit(func(yield func(key, value []byte) error) error { return d.state.Range(nil, yield) })
		if err != nil {
			return fmt.Errorf("%w: %s: money does not add up: %w", ErrAudit, d.name, err)
		}
		if i == 0 {
			a.Supply, a.Burned = totals.Supply, totals.Burned
		}
	}
	return nil
}

// findPayments looks for accepted payments on the node that is furthest.
func (a *Audited) findPayments(disks []*disk, accepted []hash.Hash) error {
	furthest := disks[0]
	for _, d := range disks {
		if d.state.Version() > furthest.state.Version() {
			furthest = d
		}
	}
	for _, id := range accepted {
		if _, _, err := furthest.store.TxLocation(id); errors.Is(err, store.ErrNotFound) {
			a.Missing++
		} else if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, furthest.name, err)
		}
	}
	if a.Missing > 0 {
		return fmt.Errorf("%w: %d of %d accepted payments are in no block", ErrAudit, a.Missing, len(accepted))
	}
	return nil
}

// readVoteLogs checks that no log holds votes for two blocks in one view.
func (a *Audited) readVoteLogs(l *Layout, honest int) error {
	for i := range honest {
		log, err := journal.Open(filepath.Join(l.Home(i), "votes"), journal.Options{Label: l.Genesis.ChainID()})
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, NodeName(i), err)
		}
		if l.Genesis.Engine == types.EngineRPCA {
			err := errors.Join(a.readValidations(NodeName(i), log), log.Close())
			if err != nil {
				return err
			}
			continue
		}
		records, err := driver.Replay(log.Replay)
		if err := errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAudit, NodeName(i), err)
		}
		type place struct {
			epoch types.Epoch
			view  types.View
		}
		voted := map[place]hash.Hash{}
		for _, r := range records {
			if r.Vote == nil {
				continue
			}
			a.Votes++
			at := place{r.Epoch, r.Vote.View}
			if before, ok := voted[at]; ok && before != r.Vote.Block {
				return fmt.Errorf("%w: %s VOTED TWICE in view %d", ErrAudit, NodeName(i), r.Vote.View)
			}
			voted[at] = r.Vote.Block
		}
	}
	return nil
}

// readValidations checks that a log of the RPCA engine holds no two full
// validations of one height.
func (a *Audited) readValidations(name string, log *journal.Journal) error {
	records, err := rpcadriver.Replay(log.Replay)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAudit, name, err)
	}
	validated := map[types.Height]hash.Hash{}
	for _, r := range records {
		if r.Validation == nil || !r.Validation.Full {
			continue
		}
		a.Votes++
		if before, ok := validated[r.Validation.Height]; ok && before != r.Validation.Block {
			return fmt.Errorf("%w: %s VALIDATED TWICE at height %d", ErrAudit, name, r.Validation.Height)
		}
		validated[r.Validation.Height] = r.Validation.Block
	}
	return nil
}
