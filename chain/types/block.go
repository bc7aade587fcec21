package types

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrBlock is wrapped by every refusal of a malformed block.
var ErrBlock = errors.New("malformed block")

// BlockHeader is what a block's hash and its proposer's signature cover.
type BlockHeader struct {
	_        struct{} `cbor:",toarray"`
	Chain    hash.Hash
	Height   Height // the parent's height plus one
	View     View
	Proposer ValidatorIndex
	Time     int64     // milliseconds since 1970, by the proposer's clock, later than the parent's
	TxRoot   hash.Hash // over the transactions with their signatures, in order
	Justify  QC        // certifies the parent block
	Timeouts *TC       // present if the parent is not of the view before
	State    *StateCert
	Epoch    Epoch
	// NextSet is the hash of the next epoch's validator set, in the last block
	// of an epoch and the empty ones that decide it; zero elsewhere.
	NextSet  hash.Hash
	Handover *Handover // in the first block of an epoch but the first
	// Cut orders the batches of lanes: at most one certificate a lane, each
	// newer than any before it, ascending by lane. They come after Txs.
	Cut      []LaneCert
	Evidence []Evidence
}

// Block is a proposed or decided block. It is immutable once made by
// [NewBlock] or [DecodeBlock].
type Block struct {
	BlockHeader
	Txs       [][]byte // encoded transactions
	Signature []byte   // the proposer's, by its identity key, over Hash

	hash hash.Hash
	raw  []byte
}

// Hash identifies the block: the hash of its header.
func (b *Block) Hash() hash.Hash { return b.hash }

// Parent is the hash of the block that Justify certifies.
func (b *Block) Parent() hash.Hash { return b.Justify.Block }

// Raw returns the canonical encoding. Callers must not change it.
func (b *Block) Raw() []byte { return b.raw }

// Payload is what a leader puts into a block. Only Txs count as the block's bytes.
type Payload struct {
	Txs      [][]byte
	State    *StateCert
	Cut      []LaneCert
	Evidence []Evidence
}

// Works reports whether the payload does anything: a state certificate alone
// need not come soon.
func (p Payload) Works() bool { return len(p.Txs)+len(p.Cut)+len(p.Evidence) > 0 }

// Works reports whether the block does anything, see [Payload.Works].
func (b *Block) Works() bool { return len(b.Txs)+len(b.Cut)+len(b.Evidence) > 0 }

type wireBlock struct {
	_         struct{} `cbor:",toarray"`
	Header    canon.Raw
	Txs       [][]byte
	Signature []byte
}

// readBlock takes a block apart without copying it.
func readBlock(raw []byte) (w wireBlock, err error) {
	r := canon.Read(raw)
	r.Struct(3)
	w.Header, w.Txs, w.Signature = r.Raw(), r.List(), r.Bytes()
	return w, r.Done()
}

// NewBlock computes the transaction root, hashes the header and has it signed.
func NewBlock(h BlockHeader, txs [][]byte, sign func(hash.Hash) ([]byte, error)) (*Block, error) {
	if txs == nil {
		txs = [][]byte{}
	}
	h.TxRoot = TxRoot(txs)
	if h.Cut == nil {
		h.Cut = []LaneCert{}
	}
	if h.Evidence == nil {
		h.Evidence = []Evidence{}
	}
	header, err := canon.Marshal(h)
	if err != nil {
		return nil, err
	}
	b := &Block{BlockHeader: h, Txs: txs, hash: blockHash(header)}
	if b.Signature, err = sign(b.hash); err != nil {
		return nil, fmt.Errorf("sign block %s: %w", b.hash.Short(), err)
	}
	b.raw, err = canon.Marshal(wireBlock{Header: header, Txs: txs, Signature: nonNil(b.Signature)})
	return b, err
}

// DecodeBlock decodes a block and checks that its header commits to its
// transactions. It checks neither the signatures nor the transactions.
// The returned block shares memory with raw.
func DecodeBlock(raw []byte) (*Block, error) {
	w, err := readBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBlock, err)
	}
	b := &Block{Txs: w.Txs, Signature: w.Signature, hash: blockHash(w.Header), raw: raw}
	if err := canon.Unmarshal(w.Header, &b.BlockHeader); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBlock, err)
	}
	if b.Cut == nil || b.Evidence == nil {
		return nil, fmt.Errorf("%w: a list is null", ErrBlock) // would be a second form of empty
	}
	if b.TxRoot != TxRoot(b.Txs) {
		return nil, fmt.Errorf("%w: the transactions are not those that the header names", ErrBlock)
	}
	return b, nil
}

// TxRoot commits to transactions with their signatures, in order.
func TxRoot(txs [][]byte) hash.Hash {
	hashes := make([]byte, 0, len(txs)*hash.Size)
	for _, tx := range txs {
		h := hash.Sum("starling/txraw", tx)
		hashes = append(hashes, h[:]...)
	}
	return hash.Sum("starling/txs", hashes)
}

func blockHash(header []byte) hash.Hash { return hash.Sum("starling/block", header) }

// GenesisBlock is the block of height 0 and view 0, which every node makes for
// itself: its hash is the chain id.
func GenesisBlock(chain hash.Hash, created int64) *Block {
	return &Block{BlockHeader: BlockHeader{Chain: chain, Time: created}, hash: chain}
}

// GenesisQC certifies the genesis block.
func GenesisQC(chain hash.Hash) QC { return QC{Block: chain, Signers: []byte{}, Signature: []byte{}} }
