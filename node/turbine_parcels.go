package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/sync"
	"github.com/starlingmesh/starling/turbine/parcel"
)

const (
	// parcelFrom is the size of an answer from which on a parcel is worth it, and
	// lossyPath the share of lost packets: below it a stream costs less.
	parcelFrom = 256 << 10
	lossyPath  = 0.005
)

// parcelled answers with a parcel, sent in the background, if the answer is large and the
// path to who asks is lossy; else it returns the answer as it is.
func (s *spreading) parcelled(to peer.ID, number uint64, resp sync.Response, within time.Duration) (sync.Response, error) {
	size := 0
	for _, b := range resp.Blocks {
		size += len(b)
	}
	if loss, known := s.packets.Loss(to); size < parcelFrom || !known || loss < lossyPath {
		return resp, nil
	}
	raw, err := canon.Marshal(resp)
	if err != nil {
		return resp, err
	}
	s.start(func() {
		err := s.parcels.Send(s.ctx, to, number, raw, parcel.Options{Deadline: time.Now().Add(within)})
		if err != nil && s.ctx.Err() == nil {
			s.n.log.Debug("an answer of blocks did not arrive", "peer", to.String(), "error", err)
		}
		if err == nil {
			s.n.metrics.parcels.Inc()
		}
	})
	return sync.Response{Tip: resp.Tip, Blocks: [][]byte{}, Parcelled: true}, nil
}
