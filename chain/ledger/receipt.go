package ledger

import (
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Receipt says what became of one transaction of a block. A transaction that was
// not applied may have receipts in several blocks; at most one of them is final
// ([Code.Final]).
type Receipt struct {
	_    struct{}    `cbor:",toarray"`
	Tx   hash.Hash   `json:"tx"`
	Code Code        `json:"code"`
	Fee  types.Drops `json:"fee_drops"` // burned
}

// EncodeReceipts encodes the receipts of a block in order.
func EncodeReceipts(receipts []Receipt) []byte {
	if receipts == nil {
		receipts = []Receipt{}
	}
	return canon.MustMarshal(receipts)
}

// DecodeReceipts decodes what [EncodeReceipts] wrote.
func DecodeReceipts(raw []byte) ([]Receipt, error) {
	var receipts []Receipt
	if err := canon.Unmarshal(raw, &receipts); err != nil {
		return nil, fmt.Errorf("receipts: %w: %w", ErrEncoding, err)
	}
	if receipts == nil { // null
		return nil, fmt.Errorf("receipts: %w", ErrEncoding)
	}
	for _, r := range receipts {
		if _, known := codeNames[r.Code]; !known {
			return nil, fmt.Errorf("receipts: %w: %s is not known", ErrEncoding, r.Code)
		}
	}
	return receipts, nil
}
