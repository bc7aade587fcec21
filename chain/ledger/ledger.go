package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

var (
	supplyKey = []byte("m/supply")
	burnedKey = []byte("m/burned")
)

// Ledger holds the rules of one network. It is immutable and safe for concurrent
// use.
type Ledger struct {
	genesis     *types.Genesis
	params      types.Params
	chain       hash.Hash
	supply      types.Drops // the genesis supply: nothing mints
	transactors map[types.Kind]transactor
	charge      func(*view, *types.Tx)
	invariants  []func(*Ledger) invariant
}

// Block is what [Ledger.Execute] needs of a decided block.
type Block struct {
	Height types.Height
	Time   int64 // milliseconds since 1970, as the block says
	Txs    []*types.Tx
	// Who proposed it, and what offences it proves.
	Epoch    types.Epoch
	Proposer types.ValidatorIndex
	Faults   []Fault
	// Proven tells whether the proofs of a confidential transaction were verified and hold, on
	// the state before the block. Nil: of none.
	Proven func(*types.Tx) bool
}

// Totals are the coins of the whole ledger.
type Totals struct {
	Supply   types.Drops // exist now
	Burned   types.Drops // since genesis
	Shielded types.Drops // of the supply: in confidential outputs
}

// Defect is an invariant that a transaction broke: an error in this program.
type Defect struct {
	Tx  hash.Hash
	Err error // wraps ErrInvariant
}

// Result is what a block does.
type Result struct {
	Changes  []state.Change // one for every key that ends different, ascending by key
	Receipts []Receipt      // one for every transaction, in the block's order
	Totals   Totals         // after the block
	Defects  []Defect       // empty unless this program is wrong: log loudly
	Slashed  []Slash        // one a fault that was not punished before
}

// New returns the ledger of a network. The genesis must be valid.
func New(g *types.Genesis) *Ledger {
	l := &Ledger{
		genesis: g,
		params:  g.Params,
		chain:   g.ChainID(),
		supply:  g.Supply(),
		transactors: map[types.Kind]transactor{
			types.KindPayment: payment{g.Params.Reserve}, types.KindData: data{},
			types.KindSetSigners: setSigners{},
			types.KindShield:     shield{g.Params.Reserve}, types.KindTransfer: spend{g.Params.Reserve}, types.KindUnshield: spend{g.Params.Reserve},
		},
		charge:     chargeFee,
		invariants: allInvariants,
	}
	if g.Params.EpochBlocks > 0 {
		l.transactors[types.KindBond] = bond{l}
		l.transactors[types.KindUnbond] = unbond{l}
		l.transactors[types.KindRotate] = rotate{}
		l.transactors[types.KindUnjail] = unjail{l}
	}
	return l
}

// Chain is the chain id that transactions must name.
func (l *Ledger) Chain() hash.Hash { return l.chain }

// Params are the network's rules.
func (l *Ledger) Params() types.Params { return l.params }

// GenesisChanges makes the state of height 0 out of an empty one.
func (l *Ledger) GenesisChanges() ([]state.Change, error) {
	changes := []state.Change{
		{Key: burnedKey, Value: encodeDrops(0)},
		{Key: supplyKey, Value: encodeDrops(l.supply)},
	}
	for _, a := range l.genesis.Accounts {
		address, err := types.ParseAddress(a.Address, l.genesis.AddressPrefix)
		if err != nil {
			return nil, fmt.Errorf("genesis account: %w", err)
		}
		changes = append(changes, state.Change{Key: types.AccountKey(address), Value: Account{Balance: a.Balance}.Encode()})
	}
	if l.params.EpochBlocks > 0 {
		put := func(key, value []byte) { changes = append(changes, state.Change{Key: key, Value: value}) }
		if err := l.genesisStakes(put); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(changes, func(a, b state.Change) int { return bytes.Compare(a.Key, b.Key) })
	return changes, nil
}

// Execute runs a decided block on the state before it. Transactions never make it
// fail: an error means that the state cannot be read or is corrupt ([ErrCorrupt]),
// and the node must stop.
func (l *Ledger) Execute(in Block, r Reader) (Result, error) {
	block := newOverlay(r, 2*len(in.Txs)+2)
	var err error
	if block.pool, err = ReadPool(block); err != nil {
		return Result{}, err
	}
	if in.Proven == nil {
		in.Proven = func(*types.Tx) bool { return false }
	}
	out := Result{Receipts: make([]Receipt, 0, len(in.Txs))}
	var burned types.Drops
	for _, tx := range in.Txs {
		did, err := l.transact(block, in, tx)
		if err != nil {
			return Result{}, fmt.Errorf("execute transaction %s at height %d: %w", tx.ID().Short(), in.Height, err)
		}
		out.Receipts = append(out.Receipts, Receipt{Tx: tx.ID(), Code: did.code, Fee: did.fee})
		burned += did.burned // within the supply: each was taken out of a balance
		for _, defect := range did.defects {
			out.Defects = append(out.Defects, Defect{Tx: tx.ID(), Err: defect})
		}
	}
	slashed, err := l.settle(block, in)
	if err != nil {
		return Result{}, err
	}
	out.Slashed = slashed.list
	burned += slashed.burned
	if err := closePool(block); err != nil {
		return Result{}, fmt.Errorf("outputs at height %d: %w", in.Height, err)
	}
	if out.Totals, err = mergeTotals(block, burned); err != nil {
		return Result{}, fmt.Errorf("totals at height %d: %w", in.Height, err)
	}
	out.Changes = block.changes()
	return out, nil
}

// settled is what a block does beside its transactions.
type settled struct {
	list   []Slash
	burned types.Drops
}

// settle punishes what the block proves and, at the end of an epoch, decides who
// validates later. It makes sure that no coin was made or lost.
func (l *Ledger) settle(block *overlay, in Block) (settled, error) {
	if l.params.EpochBlocks == 0 {
		return settled{}, nil
	}
	books := newBooks(block)
	list, burned, err := l.punish(books.overlay, in)
	if err == nil && in.Height == l.params.LastOf(l.params.EpochOf(in.Height)) {
		err = l.endEpoch(books.overlay, l.params.EpochOf(in.Height))
	}
	if err == nil {
		err = books.close(burned)
	}
	if err != nil {
		return settled{}, fmt.Errorf("settle block %d: %w", in.Height, err)
	}
	return settled{list, burned}, nil
}

// outcome is what one transaction did.
type outcome struct {
	code        Code
	fee, burned types.Drops
	defects     []error
	pool        [2]types.Drops // what went in and out
}

// transact runs one transaction: body and fee, else the fee alone, else nothing.
func (l *Ledger) transact(block *overlay, in Block, tx *types.Tx) (outcome, error) {
	if _, anonymous := tx.Body.(types.Anonymous); anonymous {
		return l.transactAnonymous(block, in, tx)
	}
	v := newView(block, in, tx)
	sender, exists := v.account(tx.Sender())
	if v.err != nil {
		return outcome{}, v.err
	}
	code := l.admit(tx, sender, exists, in.Height)
	if code != Applied {
		return outcome{code: code}, nil
	}
	l.charge(v, tx)
	code = l.transactors[tx.Body.Kind()].apply(v, tx)
	if v.err != nil {
		return outcome{}, v.err
	}
	var defects []error
	if v.refused != nil {
		code = AccessViolation
	}
	if code == Applied {
		if err := l.verify(v, tx, code); err != nil {
			code, defects = InvariantBroken, append(defects, err)
		}
	}
	if code != Applied {
		v.discard()
		l.charge(v, tx)
		if err := l.verify(v, tx, code); err != nil {
			return outcome{code: FeeInvariantBroken, defects: append(defects, err)}, v.err
		}
	}
	v.commit()
	return outcome{code: code, fee: v.fee, burned: v.burned, defects: defects}, v.err
}

// chargeFee burns the fee and uses up the sequence number. admit has seen that
// the balance covers it.
func chargeFee(v *view, tx *types.Tx) {
	account, _ := v.account(tx.Sender())
	account.Balance -= tx.Fee
	account.Sequence++
	v.setAccount(tx.Sender(), account)
	v.fee = tx.Fee
	v.burn(tx.Fee)
}

// mergeTotals adds what a block burned to the ledger's totals.
func mergeTotals(block *overlay, burned types.Drops) (Totals, error) {
	supply, err := readTotal(block, supplyKey)
	if err != nil {
		return Totals{}, err
	}
	before, err := readTotal(block, burnedKey)
	if err != nil {
		return Totals{}, err
	}
	if burned > supply || supply > types.MaxSupply || before > types.MaxSupply-supply {
		return Totals{}, fmt.Errorf("burn %s of %s coins: %w", burned, supply, ErrCorrupt)
	}
	t := Totals{Supply: supply - burned, Burned: before + burned, Shielded: block.pool.Shielded}
	block.put(supplyKey, encodeDrops(t.Supply))
	block.put(burnedKey, encodeDrops(t.Burned))
	return t, nil
}

func readTotal(block *overlay, key []byte) (types.Drops, error) {
	raw, err := block.get(key)
	if err != nil {
		return 0, fmt.Errorf("read state %q: %w", key, err)
	}
	d, ok := decodeDrops(raw)
	if !ok {
		return 0, fmt.Errorf("%s: %w", key, ErrCorrupt)
	}
	return d, nil
}
