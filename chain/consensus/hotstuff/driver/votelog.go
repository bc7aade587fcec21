package driver

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// VoteLog keeps the records of the core. chain/journal.Journal is one.
type VoteLog interface {
	Append(record []byte) (index uint64, err error)
	Sync() error
	DropBefore(index uint64) error
}

// logged remembers where in the vote log which view is, so that the log can be
// cut behind executed blocks.
type logged struct {
	index  uint64
	bytes  int // since it was last cut
	oldest []logPoint
}

type logPoint struct {
	view  types.View
	index uint64
}

// persist writes a promise down. If that fails the promise must not be made.
func (d *Driver) persist(r hotstuff.Record) error {
	data, err := r.Encode()
	if err != nil {
		return fmt.Errorf("encode vote log record: %w", err)
	}
	index, err := d.cfg.Log.Append(data)
	if err == nil {
		err = d.cfg.Log.Sync()
	}
	if err != nil {
		return fmt.Errorf("write vote log (the node stops voting rather than forget a vote): %w", err)
	}
	d.last.index = index
	d.last.oldest = append(d.last.oldest, logPoint{r.View(), index})
	if d.last.bytes += len(data); len(d.last.oldest)%trimEvery == 0 || d.last.bytes >= trimBytes {
		d.last.bytes = 0
		return d.trim()
	}
	return nil
}

// trim cuts the vote log behind the last executed block: what is decided but not
// executed may exist nowhere else. The newest records stay whatever their view,
// since they hold the highest promise.
func (d *Driver) trim() error {
	executed := d.cfg.Chain.ExecutedView()
	keep := len(d.last.oldest) / 2
	for i, p := range d.last.oldest {
		if p.view+trimMargin >= executed {
			keep = min(keep, i)
			break
		}
	}
	if keep == 0 {
		return nil
	}
	if err := d.cfg.Log.DropBefore(d.last.oldest[keep].index); err != nil {
		return fmt.Errorf("cut vote log: %w", err)
	}
	d.last.oldest = append([]logPoint{}, d.last.oldest[keep:]...)
	return nil
}

// trimEvery is how many records are appended between two attempts to cut the log, and
// trimBytes how many bytes.
const (
	trimEvery = 1024
	trimBytes = 128 << 20
)

// trimMargin is how many views further back the vote log reaches, for peers that
// ask for the blocks of late views.
const trimMargin = 64

// ErrVoteLog is wrapped when a vote log cannot be replayed.
var ErrVoteLog = errors.New("vote log")

// Replay decodes the records of a vote log, oldest first.
func Replay(replay func(func(index uint64, record []byte) error) error) ([]hotstuff.Record, error) {
	var records []hotstuff.Record
	err := replay(func(index uint64, data []byte) error {
		r, err := hotstuff.DecodeRecord(data)
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
