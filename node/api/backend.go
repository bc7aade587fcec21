package api

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/poh"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store/driver"
	"github.com/starlingmesh/starling/node/events"
)

// Backend is what the API shows. All methods are called concurrently and must
// not wait for the network, except Wait and those of Data.
type Backend interface {
	Node
	Ledger
	Staking
	Submitter
	// Data is where nodes keep data for each other.
	Data() Data
}

// Data reads and writes the records of the DHT. Unlike the rest it waits for the network.
type Data interface {
	dht.Holders
	Lookup(ctx context.Context, key ring.ID, paths int) (ring.Found, error)
	Status() driver.Status
}

// Node tells how the node is doing.
type Node interface {
	// Status may leave out what follows from the genesis (network, chain id,
	// fees): the server fills that in.
	Status() Status
	Health() Health
	Peers() []Peer
	Validators() []Validator
	// Turbine tells how large payloads travel, and TurbineSlot how those of a slot did:
	// nothing if none is kept.
	Turbine() Turbine
	TurbineSlot(slot uint64) []TurbineReceipt
	Genesis() *types.Genesis
	Events() *events.Hub
}

// Ledger answers what was decided. Its errors wrap [ErrNotFound] for what does
// not exist or is not kept, and [ErrNotReady] for what this node cannot tell yet.
type Ledger interface {
	Block(ctx context.Context, ref BlockRef) (BlockRecord, error)
	// Blocks returns up to limit blocks below the height before, newest first;
	// if before is 0, the newest.
	Blocks(ctx context.Context, before types.Height, limit int) ([]BlockRecord, error)
	Account(ctx context.Context, a types.Address) (AccountRecord, error)
	Tx(ctx context.Context, id hash.Hash) (TxRecord, error)
	Proof(ctx context.Context, a types.Address) (ProofRecord, error)
	// Outputs reads confidential outputs by number, up to limit from one on, or those listed. One
	// that does not exist ends the first, and wraps [ErrNotFound] in the second.
	Outputs(ctx context.Context, from uint64, limit int) (OutputsRecord, error)
	OutputsAt(ctx context.Context, numbers []uint64) (OutputsRecord, error)
	// EpochEnd returns the encoding of chain/light.End.
	EpochEnd(ctx context.Context, e types.Epoch) ([]byte, error)
}

// OutputsRecord are confidential outputs of one state.
type OutputsRecord struct {
	Height  types.Height
	Pool    ledger.Pool
	Outputs [][]byte // encoded ledger.Output
}

// Staking answers who has a stake, and who validates when, by the newest executed
// state.
type Staking interface {
	// Stake wraps [ErrNotFound] if the account never had one.
	Stake(ctx context.Context, operator types.Address) (StakeRecord, error)
	// Stakes lists all in which there are coins, ascending by operator.
	Stakes(ctx context.Context) ([]StakeRecord, error)
	Epoch(ctx context.Context) (EpochRecord, error)
}

// Submitter takes transactions in. It may keep raw.
type Submitter interface {
	// Submit returns the transaction's identifier once the mempool has it. That
	// it had it before, or that the transaction is decided, is no error. A
	// refusal is a [*Rejection], with a Code beginning in "sequence-" if a new
	// signature under the next sequence number would do: wallets rely on it. A
	// full mempool wraps [ErrBusy], undecodable bytes types.ErrTx or [ErrInvalid].
	Submit(ctx context.Context, raw []byte) (hash.Hash, error)
	// SubmitMany does the same for each of raws; the results are in order.
	SubmitMany(ctx context.Context, raws [][]byte) []SubmitResult
	// Wait returns when the transaction is decided or can no longer be, or
	// with ctx's error.
	Wait(ctx context.Context, id hash.Hash) (TxRecord, error)
}

// SubmitResult is what became of one transaction of a batch.
type SubmitResult struct {
	ID  hash.Hash
	Err error
}

// BlockRef names a block: by hash if Hash is not zero, else the latest or the
// one at Height.
type BlockRef struct {
	Latest bool
	Height types.Height
	Hash   hash.Hash
}

// ParseBlockRef reads a height, a hash or "latest".
func ParseBlockRef(s string) (BlockRef, error) {
	if s == "latest" {
		return BlockRef{Latest: true}, nil
	}
	if len(s) == 2*hash.Size {
		h, err := hash.Parse(s)
		if err == nil {
			return BlockRef{Hash: h}, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return BlockRef{}, fmt.Errorf("block %q: %w: want a height, a hash of 64 hexadecimal digits, or latest", s, ErrInvalid)
	}
	return BlockRef{Height: types.Height(n)}, nil
}

// String is the form that [ParseBlockRef] reads.
func (r BlockRef) String() string {
	switch {
	case r.Latest:
		return "latest"
	case !r.Hash.IsZero():
		return r.Hash.String()
	default:
		return strconv.FormatUint(uint64(r.Height), 10)
	}
}

// BlockRecord is a decided block and what is known about it.
type BlockRecord struct {
	Block       *types.Block
	Validators  *types.ValidatorSet // of the block's epoch; nil if not kept, or if they never change
	Txs         [][]byte            // all that the block orders: its own, then those of batches
	Batches     []LaneBatch         // that it orders, in order
	Certificate types.QC            // certifies Block; the zero value if it is not kept
	Results     []Result            // one a transaction in order; empty until the block is executed
	StateRoot   hash.Hash           // after the block; zero until it is executed
	Passage     Passage             // as this node saw it; zero for blocks that it caught up with
}

// LaneBatch is a batch and where its lane's proof of history stood before it.
type LaneBatch struct {
	*types.Batch
	From poh.Chain
}

// Result is what executing a transaction gave.
type Result struct {
	ID      hash.Hash
	Success bool
	Code    string // the ledger's word for it, "applied" on success
	Fee     types.Drops
}

// Passage is when this node saw a block pass the phases of consensus. A phase
// that the engine does not have, or that was not seen, is zero.
type Passage struct{ Prepare, Precommit, Commit, Decide time.Time }

// AccountRecord is an account in the newest executed state.
type AccountRecord struct {
	Exists       bool
	Balance      types.Drops
	Sequence     uint64 // of the next transaction, by the executed state
	NextSequence uint64 // the same, counting what waits in the mempool
	Height       types.Height
	Signers      keys.PublicKey // sign for the account; zero if its own key does
}

// TxStatus says how far a transaction got.
type TxStatus string

// The stations of a transaction.
const (
	TxPending TxStatus = "pending" // waits for a block
	TxDecided TxStatus = "decided" // in a decided block, applied or refused by the ledger
	TxExpired TxStatus = "expired" // can no longer be decided
)

// TxRecord is a transaction and what became of it.
type TxRecord struct {
	ID     hash.Hash
	Status TxStatus
	Tx     *types.Tx // nil if its bytes are not kept
	// The rest is set once it is decided; Result is zero until it is executed.
	Height types.Height
	Block  hash.Hash
	Index  int
	Result Result
}

// ProofRecord is an account with its proof. Bundle is the encoding that
// chain/light verifies; the API does not look inside.
type ProofRecord struct {
	AccountRecord
	Root   hash.Hash
	Bundle []byte
}

// StakeRecord is a stake as the executed state has it.
type StakeRecord struct {
	Operator types.Address
	Stake    *ledger.Stake
}

// EpochRecord is who validates now and soon.
type EpochRecord struct {
	Epoch  types.Epoch
	Height types.Height // of the newest executed block
	// Sets are the validators of Epoch and of the two after it; nil if they are not
	// decided yet.
	Sets [3]*types.ValidatorSet
}
