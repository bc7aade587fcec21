package node

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/lanes"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/rpc"
)

// join sets up the streams. Nothing is handled before.
func (l *laneNet) join(network string) {
	m := l.n.mesh
	batch := canon.Codec[*types.Batch]{
		Encode: func(b *types.Batch) ([]byte, error) { return b.Raw(), nil },
		Decode: types.DecodeBatch,
	}
	l.batches = rpc.NewMailbox(m.host, rpc.Letters[*types.Batch]{
		ID: protocol.ID("/starling/" + network + "/batch/1"), Codec: batch, MaxSize: 2*batchBytes + 4096, PerSecond: 100, Handle: l.receiveBatch,
	}, m.log)
	l.notes = rpc.NewMailbox(m.host, rpc.Letters[laneNote]{
		ID: protocol.ID("/starling/" + network + "/lane/1"), Codec: canon.CBOR[laneNote](), MaxSize: 1024, PerSecond: 1000, Handle: l.receiveNote,
	}, m.log)
	l.serve = rpc.Protocol[batchRequest, batchResponse]{
		ID: protocol.ID("/starling/" + network + "/batches/1"), Request: canon.CBOR[batchRequest](), Response: canon.CBOR[batchResponse](),
		MaxRequest: 64, MaxResponse: laneWindow*(2*batchBytes+4096) + 4096, Timeout: 10 * time.Second, PerPeer: 8,
	}
	l.stopServing = rpc.Serve(m.host, l.serve, m.log, func(_ context.Context, _ peer.ID, req batchRequest) (batchResponse, error) { return l.answer(req), nil })
}

// receiveBatch takes a batch from its lane's leader: signed, of transactions of its
// buckets whose signatures are good.
func (l *laneNet) receiveBatch(from peer.ID, b *types.Batch) {
	is, known := l.n.epochs.is(b.Epoch, b.Lane, from)
	if !known {
		return
	}
	buckets, s, err := l.owners(b.Epoch)
	if err != nil {
		return
	}
	if !is || !s.VerifyBlock(b.Lane, b.Hash(), b.Signature) || b.Size > batchBytes {
		l.n.host.Penalise(from, p2p.InvalidMessage)
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, checkPatience)
	defer cancel()
	txs, err := l.n.intake.VerifyBlock(ctx, b.Txs)
	if err == nil {
		for _, tx := range txs {
			if buckets.Owner(tx.Sender()) != b.Lane {
				err = errors.New("a transaction is of another lane's buckets")
				break
			}
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			l.n.mesh.Blame(consensus.Fault{Epoch: b.Epoch, Validator: b.Lane, Reason: "batch: " + err.Error()})
		}
		return
	}
	l.n.spread.sawHeight(b.Epoch, b.Height)
	l.driver.Batch(b)
}

func (l *laneNet) receiveNote(from peer.ID, note laneNote) {
	if a := note.Ack; a != nil {
		if is, known := l.n.epochs.is(a.Epoch, a.Voter, from); is {
			l.driver.Ack(*a)
		} else if known {
			l.n.host.Penalise(from, p2p.InvalidMessage)
		}
	}
	if c := note.Cert; c != nil {
		if is, known := l.n.epochs.is(note.Epoch, c.Lane, from); !known {
			return
		} else if !is || l.checkCert(note.Epoch, *c) != nil {
			l.n.host.Penalise(from, p2p.InvalidMessage)
			return
		}
		l.n.spread.sawHeight(note.Epoch, c.Height)
		l.driver.Cert(note.Epoch, *c)
		l.n.intake.Wake()
	}
}

// answer serves batches that are stored or were ordered, as far as they are kept.
func (l *laneNet) answer(req batchRequest) batchResponse {
	out := batchResponse{Batches: [][]byte{}}
	for id := req.Batch; len(out.Batches) < laneWindow && !id.IsZero(); {
		b := l.find(id)
		if b == nil || b.Height <= req.Above {
			break
		}
		out.Batches = append(out.Batches, b.Raw())
		id = b.Parent
	}
	return out
}

// find returns nil if the batch is not kept, or cannot be read.
func (l *laneNet) find(id hash.Hash) *types.Batch {
	if b, ok := l.driver.Find(id); ok {
		return b
	}
	raw, err := l.n.store.Batch(id)
	if err != nil {
		return nil
	}
	b, err := types.DecodeBatch(raw)
	if err != nil {
		return nil
	}
	return b
}

// SendBatch implements lanesdriver.Network.
func (l *laneNet) SendBatch(b *types.Batch) {
	if l.n.spread.batch(b) {
		return // if it gets lost it is sent again, straight to everybody
	}
	l.toOthers(b.Epoch, func(to peer.ID) error { return l.batches.Send(to, b) })
}

func (l *laneNet) toOthers(epoch types.Epoch, send func(peer.ID) error) {
	s, err := l.n.epochs.at(epoch)
	if err != nil {
		return
	}
	for _, id := range s.peers {
		if id == l.n.host.ID() {
			continue
		}
		if err := send(id); err != nil {
			l.n.mesh.log.Debug("send on a lane", "to", id.String(), "error", err)
		}
	}
}

// SendAck implements lanesdriver.Network.
func (l *laneNet) SendAck(to types.ValidatorIndex, a lanes.Ack) {
	if s, err := l.n.epochs.at(a.Epoch); err == nil && int(to) < len(s.peers) {
		_ = l.notes.Send(s.peers[to], laneNote{Epoch: a.Epoch, Ack: &a}) // the batch comes again if it is lost
	}
}

// SendCert implements lanesdriver.Network.
func (l *laneNet) SendCert(epoch types.Epoch, c types.LaneCert) {
	l.toOthers(epoch, func(to peer.ID) error { return l.notes.Send(to, laneNote{Epoch: epoch, Cert: &c}) })
	l.n.intake.Wake()
}

// FetchBatch implements lanesdriver.Network: it asks the holders one after the other.
func (l *laneNet) FetchBatch(epoch types.Epoch, f lanes.Fetch) {
	s, err := l.n.epochs.at(epoch)
	if err != nil {
		return
	}
	l.fetches.Go(func() {
		for i := range f.Holders.All() {
			if i >= len(s.peers) || s.peers[i] == l.n.host.ID() {
				continue
			}
			if l.fetchFrom(s.peers[i], f) || l.ctx.Err() != nil {
				return
			}
		}
	})
}

// fetchFrom believes what hangs together with the hash that was asked for.
func (l *laneNet) fetchFrom(holder peer.ID, f lanes.Fetch) bool {
	resp, err := rpc.Call(l.ctx, l.n.host, holder, l.serve, batchRequest{Batch: f.Batch, Above: f.Above})
	if err != nil {
		return false
	}
	want := f.Batch
	for _, raw := range resp.Batches {
		b, err := types.DecodeBatch(raw)
		if err != nil || b.Hash() != want {
			l.n.host.Penalise(holder, p2p.BadBlock)
			return false
		}
		want = b.Parent
		l.driver.Batch(b)
	}
	return len(resp.Batches) > 0
}

// BlameLane implements lanesdriver.Network.
func (l *laneNet) BlameLane(epoch types.Epoch, b lanes.Blame) {
	l.n.mesh.Blame(consensus.Fault{Epoch: epoch, Validator: b.Validator, Reason: b.Reason, Evidence: b.Evidence})
}
