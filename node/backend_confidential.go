package node

import (
	"context"
	"fmt"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/api"
)

// Outputs implements api.Ledger.
func (b backend) Outputs(_ context.Context, from uint64, limit int) (api.OutputsRecord, error) {
	return b.readOutputs(func(r ledger.Reader, rec *api.OutputsRecord) error {
		for n := from; n < rec.Pool.Outputs && len(rec.Outputs) < limit; n++ {
			raw, err := r.Get(types.OutputKey(n))
			if err != nil {
				return err
			}
			rec.Outputs = append(rec.Outputs, raw)
		}
		return nil
	})
}

// OutputsAt implements api.Ledger.
func (b backend) OutputsAt(_ context.Context, numbers []uint64) (api.OutputsRecord, error) {
	return b.readOutputs(func(r ledger.Reader, rec *api.OutputsRecord) error {
		for _, n := range numbers {
			raw, err := r.Get(types.OutputKey(n))
			if err != nil {
				return err
			}
			if raw == nil {
				return fmt.Errorf("%w: there is no output %d", api.ErrNotFound, n)
			}
			rec.Outputs = append(rec.Outputs, raw)
		}
		return nil
	})
}

// readOutputs reads of the newest state.
func (b backend) readOutputs(read func(ledger.Reader, *api.OutputsRecord) error) (api.OutputsRecord, error) {
	snapshot := b.state.Latest()
	defer snapshot.Close()
	rec := api.OutputsRecord{Height: types.Height(snapshot.Version())}
	var err error
	if rec.Pool, err = ledger.ReadPool(snapshot); err == nil {
		err = read(snapshot, &rec)
	}
	return rec, err
}
