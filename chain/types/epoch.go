package types

import (
	"errors"
	"fmt"
	"math"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Epoch counts the validator sets that have decided blocks, from 0. An epoch is a
// fixed number of blocks; its votes, timeouts and certificates are valid in it
// only.
type Epoch uint64

// EpochDomain is what votes and timeouts of an epoch sign instead of the chain id:
// nothing signed in one epoch means anything in another.
func EpochDomain(chain hash.Hash, e Epoch) hash.Hash {
	return hash.Sum("starling/epoch", chain[:], be(uint64(e)))
}

// EpochOf is the epoch that decides the block at a height. The genesis block
// belongs to epoch 0.
func (p Params) EpochOf(h Height) Epoch {
	if p.EpochBlocks == 0 || h == 0 {
		return 0
	}
	return Epoch(uint64(h-1) / p.EpochBlocks)
}

// LastOf is the height of an epoch's last block. Without epochs there is none, and
// it is out of reach.
func (p Params) LastOf(e Epoch) Height {
	if p.EpochBlocks == 0 || uint64(e) >= math.MaxUint64/p.EpochBlocks {
		return math.MaxUint64
	}
	return Height((uint64(e) + 1) * p.EpochBlocks)
}

// Handover proves that the last block of an epoch was decided: the headers of
// blocks that were certified on top of it (they stay empty, and are no part of the
// chain), oldest first, and the certificate of the last. The first block of the
// next epoch carries it.
type Handover struct {
	_       struct{} `cbor:",toarray"`
	Headers []canon.Raw
	Cert    QC
}

// Ending tells those who are still in an epoch that it has ended. It is as good from
// anybody: the handover proves it.
type Ending struct {
	_        struct{} `cbor:",toarray"`
	Epoch    Epoch
	Last     hash.Hash // the epoch's last block
	Handover Handover
}

// ErrHandover is wrapped by every refusal of a [Handover].
var ErrHandover = errors.New("bad handover")

// Chain checks that the headers form a chain on top of the block with the given
// hash, certified by Cert, and decodes them. It checks neither the signature of
// Cert nor that the views decide the block: the engine's rule knows.
func (h *Handover) Chain(last hash.Hash) ([]BlockHeader, error) {
	if len(h.Headers) == 0 {
		return nil, fmt.Errorf("%w: no headers", ErrHandover)
	}
	headers := make([]BlockHeader, len(h.Headers))
	parent, view := last, View(0)
	for i, raw := range h.Headers {
		header := &headers[i]
		if err := canon.Unmarshal(raw, header); err != nil {
			return nil, fmt.Errorf("%w: header %d: %w", ErrHandover, i, err)
		}
		if header.Justify.Block != parent || i > 0 && header.Justify.View != view {
			return nil, fmt.Errorf("%w: header %d does not extend the one before", ErrHandover, i)
		}
		parent, view = blockHash(raw), header.View
	}
	if h.Cert.Block != parent || h.Cert.View != view {
		return nil, fmt.Errorf("%w: the certificate is for another block than the last header", ErrHandover)
	}
	return headers, nil
}
