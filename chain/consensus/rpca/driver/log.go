package driver

import (
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
)

// logPoint remembers where in the vote log which height is, so that the log can
// be cut behind executed ledgers.
type logPoint struct {
	height types.Height
	index  uint64
}

// trimEvery is how many records are appended between two attempts to cut the log.
const trimEvery = 1024

// persist writes a promise down. If that fails the promise must not be made.
func (d *Driver) persist(r rpca.Record) error {
	data, err := r.Encode()
	if err != nil {
		return fmt.Errorf("encode vote log record: %w", err)
	}
	index, err := d.cfg.Log.Append(data)
	if err == nil {
		err = d.cfg.Log.Sync()
	}
	if err != nil {
		return fmt.Errorf("write vote log (the node stops signing rather than forget a promise): %w", err)
	}
	d.logged = append(d.logged, logPoint{r.Height(), index})
	if len(d.logged)%trimEvery == 0 {
		return d.trim()
	}
	return nil
}

// trim cuts the vote log behind the last executed ledger: what was validated
// above it must not be contradicted however long nothing becomes final. The newer
// half stays in any case, since it holds the highest promise of each sort.
func (d *Driver) trim() error {
	executed := types.Height(d.cfg.Chain.ExecutedView()) // a ledger's view is its height
	for _, r := range d.cfg.Restored.Records {
		if r.Height() > executed {
			return nil
		}
	}
	keep := len(d.logged) / 2
	for i, p := range d.logged {
		if p.height > executed {
			keep = min(keep, i)
			break
		}
	}
	if keep == 0 {
		return nil
	}
	if err := d.cfg.Log.DropBefore(d.logged[keep].index); err != nil {
		return fmt.Errorf("cut vote log: %w", err)
	}
	d.logged = append([]logPoint{}, d.logged[keep:]...)
	return nil
}

// Replay decodes the records of a vote log, oldest first.
func Replay(replay func(func(index uint64, record []byte) error) error) ([]rpca.Record, error) {
	var records []rpca.Record
	err := replay(func(index uint64, data []byte) error {
		r, err := rpca.DecodeRecord(data)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVoteLog, err)
	}
	return records, nil
}
