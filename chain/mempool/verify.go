package mempool

import (
	"context"
	"errors"
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
	var places, fresh []int // of the items, and of all that was not verified before
	for i, raw := range raws {
		if len(raw) <= rememberBytes {
			rawKeys[i] = rawKey(raw)
			if tx, ok := in.verified.Get(rawKeys[i]); ok {
				txs[i], results[i].ID = tx, tx.ID()
				continue
			}
		}
		tx, err := in.decode(raw)
		if err != nil {
			results[i].Err = err
			continue
		}
		txs[i], results[i].ID = tx, tx.ID()
		if results[i].Err = worth(tx); results[i].Err != nil {
			continue
		}
		if _, anonymous := tx.Body.(types.Anonymous); !anonymous {
			item, err := in.claim(tx)
			if results[i].Err = err; err != nil {
				continue
			}
			items, places = append(items, item), append(places, i)
		}
		fresh = append(fresh, i)
	}
	for _, bad := range keys.BatchVerify(items) {
		results[places[bad]].Err = ErrSignature
	}
	for _, i := range fresh {
		if results[i].Err == nil && len(raws[i]) <= rememberBytes {
			in.verified.Add(rawKeys[i], txs[i])
		}
	}
	return txs
}

// verifyProofs verifies those of confidential transactions, as for the block of height h on the
// executed state. What was verified before on the same outputs costs little.
func (in *Intake) verifyProofs(txs []*types.Tx, results []Result, h types.Height) {
	var candidates []*types.Tx
	for i, tx := range txs {
		if results[i].Err == nil {
			candidates = append(candidates, tx)
		}
	}
	bad, err := in.cfg.Proofs.Verify(context.Background(), in.cfg.State, candidates, h)
	for i, tx := range txs {
		switch {
		case results[i].Err != nil:
		case err != nil:
			if _, confidential := tx.Body.(types.Confidential); confidential {
				results[i].Err = err
			}
		default:
			results[i].Err = bad[tx.ID()]
		}
	}
}

func (in *Intake) decode(raw []byte) (*types.Tx, error) {
	tx, err := types.DecodeTx(raw)
	if err != nil {
		return nil, err
	}
	if tx.Chain != in.cfg.Ledger.Chain() {
		return nil, ledger.ErrWrongChain
	}
	return tx, nil
}

// claim is what the signature of a transaction says. Parsing its key takes long, for a multi-key.
func (in *Intake) claim(tx *types.Tx) (keys.Item, error) {
	key, err := in.keys.Parse(tx.Key)
	if err != nil {
		return keys.Item{}, fmt.Errorf("%w: sender's key: %w", types.ErrTx, err)
	}
	id := tx.ID()
	return keys.Item{Key: key, Msg: id[:], Sig: tx.Signature}, nil
}

// VerifyBlock decodes and verifies the transactions of a proposed block, on all
// processors if many are new. One bad transaction makes the block bad.
func (in *Intake) VerifyBlock(ctx context.Context, raws [][]byte) ([]*types.Tx, error) {
	txs := make([]*types.Tx, len(raws))
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for start := 0; start < len(raws); start += batchTxs {
		end := min(start+batchTxs, len(raws))
		g.Go(func() error {
			if each.Err() != nil {
				return each.Err()
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
	if err := g.Wait(); err != nil {
		return nil, err
	}
	work := 0
	for _, tx := range txs {
		work += types.ProofWork(tx.Body)
	}
	if work > types.MaxProofWork {
		return nil, fmt.Errorf("%w: the proofs take %d, at most %d", errProofWork, work, types.MaxProofWork)
	}
	return txs, in.blockProofs(ctx, txs)
}

var errProofWork = errors.New("a block with more proofs than may be")

// blockProofs refuses a block with a proof that does not hold. A ring that names what the executed
// state does not have yet tells nothing: execution will judge it.
func (in *Intake) blockProofs(ctx context.Context, txs []*types.Tx) error {
	in.mu.Lock()
	h := in.pool.tip + 1
	in.mu.Unlock()
	bad, err := in.cfg.Proofs.Verify(ctx, in.cfg.State, txs, h)
	if err != nil {
		return fmt.Errorf("verify the proofs of the block: %w", err)
	}
	for id, err := range bad {
		if errors.Is(err, ledger.ErrProof) {
			return fmt.Errorf("transaction %s of the block: %w", id.Short(), err)
		}
	}
	return nil
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
