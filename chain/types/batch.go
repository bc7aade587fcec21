package types

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// LaneHeight counts the batches of a lane within an epoch, from 1.
type LaneHeight uint64

// ErrBatch is wrapped by every refusal of a malformed batch.
var ErrBatch = errors.New("malformed batch")

// BatchHeader is what a batch's hash and its lane leader's signature cover.
type BatchHeader struct {
	_      struct{} `cbor:",toarray"`
	Chain  hash.Hash
	Epoch  Epoch
	Lane   ValidatorIndex // the validator whose lane it is
	Height LaneHeight
	Parent hash.Hash // the batch below; zero for the first of the epoch
	Time   int64     // milliseconds since 1970, by the lane leader's clock
	TxRoot hash.Hash // over the transactions with their signatures, in order
	Count  uint32    // transactions
	Size   uint32    // sum of their encodings, bytes
	// Ticks and History are the lane's hash chain (proof of history) when the
	// batch was made: History is the value after Ticks sequential hashes since
	// the epoch began, with TxRoot mixed in last.
	Ticks   uint64
	History hash.Hash
}

// Batch is a piece of a lane: transactions that one validator vouches to hold. It
// is immutable once made by [NewBatch] or [DecodeBatch].
type Batch struct {
	BatchHeader
	Txs       [][]byte
	Signature []byte // the lane leader's, by its identity key, over Hash

	hash hash.Hash
	raw  []byte
}

// SignedBatchHeader is a batch's header as its lane leader signed it.
type SignedBatchHeader struct {
	_         struct{} `cbor:",toarray"`
	Header    canon.Raw
	Signature []byte
}

type wireBatch struct {
	_         struct{} `cbor:",toarray"`
	Header    canon.Raw
	Txs       [][]byte
	Signature []byte
}

// Hash identifies the batch: the hash of its header.
func (b *Batch) Hash() hash.Hash { return b.hash }

// Raw returns the canonical encoding. Callers must not change it.
func (b *Batch) Raw() []byte { return b.raw }

// readBatch takes a batch apart without copying it.
func readBatch(raw []byte) (w wireBatch, err error) {
	r := canon.Read(raw)
	r.Struct(3)
	w.Header, w.Txs, w.Signature = r.Raw(), r.List(), r.Bytes()
	return w, r.Done()
}

// NewBatch computes root, count and size, and has the header signed.
func NewBatch(h BatchHeader, txs [][]byte, sign func(hash.Hash) ([]byte, error)) (*Batch, error) {
	h.TxRoot, h.Count, h.Size = TxRoot(txs), uint32(len(txs)), 0
	for _, tx := range txs {
		h.Size += uint32(len(tx))
	}
	header, err := canon.Marshal(h)
	if err != nil {
		return nil, err
	}
	b := &Batch{BatchHeader: h, Txs: txs, hash: batchHash(header)}
	if b.Signature, err = sign(b.hash); err != nil {
		return nil, fmt.Errorf("sign batch %s: %w", b.hash.Short(), err)
	}
	b.raw, err = canon.Marshal(wireBatch{Header: header, Txs: txs, Signature: nonNil(b.Signature)})
	return b, err
}

// DecodeBatch decodes a batch and checks that its header commits to its
// transactions. It checks neither the signatures nor the transactions. The
// returned batch shares memory with raw.
func DecodeBatch(raw []byte) (*Batch, error) {
	w, err := readBatch(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBatch, err)
	}
	b := &Batch{Txs: w.Txs, Signature: w.Signature, hash: batchHash(w.Header), raw: raw}
	if err := canon.Unmarshal(w.Header, &b.BatchHeader); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBatch, err)
	}
	var size uint64
	for _, tx := range b.Txs {
		size += uint64(len(tx))
	}
	if b.TxRoot != TxRoot(b.Txs) || uint64(b.Count) != uint64(len(b.Txs)) || uint64(b.Size) != size {
		return nil, fmt.Errorf("%w: the transactions are not those that the header names", ErrBatch)
	}
	return b, nil
}

// Signed returns the batch's header with its signature.
func (b *Batch) Signed() (SignedBatchHeader, error) {
	w, err := readBatch(b.raw)
	if err != nil {
		return SignedBatchHeader{}, fmt.Errorf("header of batch %s: %w", b.hash.Short(), err)
	}
	return SignedBatchHeader{Header: w.Header, Signature: w.Signature}, nil
}

// Open decodes the header and returns it with the hash that the leader signed.
func (s SignedBatchHeader) Open() (BatchHeader, hash.Hash, error) {
	var h BatchHeader
	if err := canon.Unmarshal(s.Header, &h); err != nil {
		return h, hash.Hash{}, fmt.Errorf("signed batch header: %w", err)
	}
	return h, batchHash(s.Header), nil
}

func batchHash(header []byte) hash.Hash { return hash.Sum("starling/batch", header) }

// LaneCert proves that a batch, and with it everything below it in its lane, can be
// had: validators with more than a third of the power, so at least one honest,
// signed that they hold it on disk.
type LaneCert struct {
	_         struct{} `cbor:",toarray"`
	Lane      ValidatorIndex
	Height    LaneHeight
	Batch     hash.Hash
	Signers   bls.Bitmap
	Signature []byte // aggregate, 48 bytes
}

// LaneMessage is what the acknowledgement of a batch signs. domain is the epoch's.
func LaneMessage(domain hash.Hash, lane ValidatorIndex, height LaneHeight, batch hash.Hash) hash.Hash {
	return hash.Sum("starling/lane", domain[:], be(uint64(lane)), be(uint64(height)), batch[:])
}
