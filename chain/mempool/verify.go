package mempool

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

func rawKey(raw []byte) hash.Hash { return hash.Sum("starling/txraw", raw) }

// verify decodes and verifies; what was verified before costs one hash, and what
// worth refuses costs no verification. Faults go into results, whose IDs are set
// wherever the bytes decode.
func (in *Intake) verify(raws [][]byte, results []Result, worth func(*types.Tx) error) []*types.Tx {
	txs := make([]*types.Tx, len(raws))
	rawKeys := make([]hash.Hash, len(raws))
	var items []keys.Item
	var places []int
	for i, raw := range raws {
		if len(raw) <= rememberBytes {
			rawKeys[i] = rawKey(raw)
			if tx, ok := in.verified.Get(rawKeys[i]); ok {
				txs[i], results[i].ID = tx, tx.ID()
				continue
			}
		}
		tx, item, err := in.decode(raw)
		if err != nil {
			results[i].Err = err
			continue
		}
		txs[i], results[i].ID = tx, tx.ID()
		if results[i].Err = worth(tx); results[i].Err != nil {
			continue
		}
		items, places = append(items, item), append(places, i)
	}
	for _, bad := range keys.BatchVerify(items) {
		results[places[bad]].Err = ErrSignature
	}
	for _, i := range places {
		if results[i].Err == nil {
			if len(raws[i]) <= rememberBytes {
				in.verified.Add(rawKeys[i], txs[i])
			}
		}
	}
	return txs
}

func (in *Intake) decode(raw []byte) (*types.Tx, keys.Item, error) {
	tx, err := types.DecodeTx(raw)
	if err != nil {
		return nil, keys.Item{}, err
	}
	if tx.Chain != in.cfg.Ledger.Chain() {
		return nil, keys.Item{}, ledger.ErrWrongChain
	}
	key, err := in.keys.Parse(tx.Key)
	if err != nil {
		return nil, keys.Item{}, fmt.Errorf("%w: sender's key: %w", types.ErrTx, err)
	}
	id := tx.ID()
	return tx, keys.Item{Key: key, Msg: id[:], Sig: tx.Signature}, nil
}

// VerifyBlock decodes and verifies the transactions of a proposed block, on all
// processors if many are new. One bad transaction makes the block bad.
func (in *Intake) VerifyBlock(ctx context.Context, raws [][]byte) ([]*types.Tx, error) {
	txs := make([]*types.Tx, len(raws))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for start := 0; start < len(raws); start += batchTxs {
		end := min(start+batchTxs, len(raws))
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			results := make([]Result, end-start)
			copy(txs[start:end], in.verify(raws[start:end], results, whatever))
			for i, r := range results {
				if r.Err != nil {
					return fmt.Errorf("transaction %d of the block: %w", start+i, r.Err)
				}
			}
			return nil
		})
	}
	return txs, g.Wait()
}

// whatever a block holds is verified.
func whatever(*types.Tx) error { return nil }

// DecodeBlock decodes the transactions of a block whose signatures a quorum has
// checked.
func (in *Intake) DecodeBlock(raws [][]byte) ([]*types.Tx, error) {
	txs := make([]*types.Tx, len(raws))
	for i, raw := range raws {
		if len(raw) <= rememberBytes {
			if tx, ok := in.verified.Peek(rawKey(raw)); ok {
				txs[i] = tx
				continue
			}
		}
		tx, err := types.DecodeTx(raw)
		if err != nil {
			return nil, fmt.Errorf("transaction %d of the block: %w", i, err)
		}
		txs[i] = tx
	}
	return txs, nil
}
