package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	rpcadriver "github.com/starlingmesh/starling/chain/consensus/rpca/driver"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/gossip"
	"github.com/starlingmesh/starling/net/rpc"
	"github.com/starlingmesh/starling/node/config"
)

// ErrTrusted means that the configured trusted list names nobody that there is.
var ErrTrusted = errors.New("trusted list")

// trust is the network of the RPCA engine: it carries positions, validations,
// trusted lists and transaction sets, and implements its driver's Network.
type trust struct {
	*mesh
	n      *Node
	engine *rpcadriver.Driver
	begun  atomic.Bool // the engine runs

	positions   *gossip.Topic[rpca.Position]
	validations *gossip.Topic[testimony]
	lists       *gossip.Topic[rpca.TrustedList]
	sets        rpc.Protocol[hash.Hash, []byte]
	stopServing func()
}

// testimony is a validation and the validator's newest attestations, which ride
// along.
type testimony struct {
	_            struct{} `cbor:",toarray"`
	Validation   rpca.Validation
	Attestations []types.Attestation
}

// trustedList is the configured list, everyone if it is empty.
func trustedList(c config.Consensus, set *types.ValidatorSet) (bls.Bitmap, error) {
	if len(c.Trusted) == 0 {
		return rpca.Everyone(set.Len()), nil
	}
	list := bls.NewBitmap(set.Len())
	for _, name := range c.Trusted {
		found := false
		for i, v := range set.All() {
			if v.Name == name || v.Identity == name {
				list.Set(int(i))
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("%w: consensus.trusted names %q, which is no validator's name or identity in the genesis", ErrTrusted, name)
		}
	}
	return list, nil
}

// newTrust makes the RPCA engine.
func newTrust(n *Node, root consensus.Decision) (*trust, error) {
	seat, err := n.epochs.at(0)
	if err != nil {
		return nil, err
	}
	list, err := trustedList(n.cfg.Consensus, seat.Set())
	if err != nil {
		return nil, err
	}
	records, err := rpcadriver.Replay(n.votes.Replay)
	if err != nil {
		return nil, err
	}
	keeper := &listKeeper{home: n.cfg.Home}
	published, err := keeper.load(n.chain, seat.Set(), seat.Committee)
	if err != nil {
		return nil, err
	}
	t := &trust{mesh: n.mesh, n: n}
	t.engine, err = rpcadriver.New(rpcadriver.Config{
		Core: rpca.Config{
			Chain: n.chain, Validators: seat.Set(), Scheme: seat.Committee, Self: seat.self, List: list, Order: bySender,
			MaxBytes: int(n.genesis.Params.MaxBlockBytes), MaxTxs: int(n.genesis.Params.MaxBlockTxs), Timing: rpca.DefaultTiming(),
		},
		Restored: rpca.Restored{Root: root.Block, Records: records},
		Log:      n.votes, Network: t, Chain: n.ordering, Logger: n.log.With("component", "consensus"),
		Published: published, AllowOverlap: n.cfg.Consensus.AllowOverlap, ListVersion: uint64(time.Now().UnixMilli()), Now: n.clock,
		OnRound: func(r rpca.EnterRound) {
			n.metrics.views.Inc()
			if r.Expired {
				n.metrics.lostViews.Inc()
			}
		},
		OnList: func() {
			if err := keeper.keep(t.engine.Lists); err != nil {
				n.log.Warn("published trusted lists are not kept", "error", err)
			}
		},
	})
	if errors.Is(err, rpca.ErrOverlap) {
		err = fmt.Errorf("%w (consensus.allow_overlap = true starts all the same: the network may then fork)", err)
	}
	return t, err
}

// bySender orders the transactions of a ledger: senders by a hash that changes with
// the content of the ledger, so that no address is always first, and each sender's
// by sequence.
func bySender(raws [][]byte) [][]byte {
	salt := types.TxRoot(raws)
	type entry struct {
		raw      []byte
		sender   hash.Hash
		sequence uint64
		id       hash.Hash
	}
	var entries []entry
	for _, raw := range raws {
		if tx, err := types.DecodeTx(raw); err == nil {
			from := tx.Sender()
			entries = append(entries, entry{raw, hash.Sum("starling/order", salt[:], from[:]), tx.Sequence, tx.ID()})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.sender[:], b.sender[:]), cmp.Compare(a.sequence, b.sequence), bytes.Compare(a.id[:], b.id[:]))
	})
	out := make([][]byte, len(entries))
	for i, e := range entries {
		out[i] = e.raw
	}
	return out
}

// joinTrust sets up the engine's topics and its protocol.
func (t *trust) joinTrust(network string) error {
	var err error
	if t.positions, err = gossip.Join(t.gossip, gossip.Spec[rpca.Position]{
		Name: "position", Codec: canon.Codec[rpca.Position]{Encode: rpca.Position.Encode, Decode: rpca.DecodePosition}, PerSecond: 200, Repeats: true,
		Handle: func(peer.ID, rpca.Position) {},
		Validate: func(_ context.Context, _ peer.ID, p rpca.Position) gossip.Verdict {
			return verdict(t.engine.Position(p))
		},
	}); err != nil {
		return err
	}
	if t.validations, err = gossip.Join(t.gossip, gossip.Spec[testimony]{
		Name: "validation", Codec: canon.CBOR[testimony](), PerSecond: 200, Repeats: true,
		Handle:   func(peer.ID, testimony) {},
		Validate: func(_ context.Context, _ peer.ID, v testimony) gossip.Verdict { return t.testify(v) },
	}); err != nil {
		return err
	}
	lists := canon.Codec[rpca.TrustedList]{
		Encode: rpca.TrustedList.Encode,
		Decode: func(raw []byte) (rpca.TrustedList, error) {
			return rpca.DecodeTrustedList(raw, t.epochs.present().Set().Len())
		},
	}
	if t.lists, err = gossip.Join(t.gossip, gossip.Spec[rpca.TrustedList]{
		Name: "trusted-list", Codec: lists, PerSecond: 20, Repeats: true,
		Handle:   func(peer.ID, rpca.TrustedList) {},
		Validate: func(_ context.Context, _ peer.ID, l rpca.TrustedList) gossip.Verdict { return t.publishes(l) },
	}); err != nil {
		return err
	}
	raw := canon.Codec[[]byte]{
		Encode: func(b []byte) ([]byte, error) { return b, nil },
		Decode: func(b []byte) ([]byte, error) { return b, nil },
	}
	largest := rpca.Config{MaxBytes: int(t.n.genesis.Params.MaxBlockBytes), MaxTxs: int(t.n.genesis.Params.MaxBlockTxs)}.SetBytes()
	t.sets = rpc.Protocol[hash.Hash, []byte]{
		ID: protocol.ID("/starling/" + network + "/txset/1"), Request: canon.CBOR[hash.Hash](), Response: raw,
		MaxRequest: 64, MaxResponse: largest, Timeout: 10 * time.Second, PerPeer: 4,
	}
	t.stopServing = rpc.Serve(t.host, t.sets, t.log, func(ctx context.Context, _ peer.ID, id hash.Hash) ([]byte, error) {
		set, ok := t.engine.ServeTxSet(ctx, id)
		if !ok {
			return nil, errors.New("this transaction set is not known here")
		}
		return set.Encode()
	})
	return nil
}

// verdict lets gossip relay what is genuine.
func verdict(err error) gossip.Verdict {
	if err != nil {
		return gossip.Reject
	}
	return gossip.Accept
}

// testify takes a validation and what rides along.
func (t *trust) testify(v testimony) gossip.Verdict {
	if len(v.Attestations) > maxAttestations {
		return gossip.Reject
	}
	if err := t.engine.Validation(v.Validation); err != nil {
		return gossip.Reject
	}
	for _, at := range v.Attestations {
		if at.Voter == v.Validation.Voter {
			t.n.attestations.Add(at)
		}
	}
	t.learnStates()
	return gossip.Accept
}

// learnStates makes state certificates of attestations. No block carries them.
func (t *trust) learnStates() {
	if cert := t.n.attestations.Best(); cert != nil {
		if err := t.n.attestations.Check(cert); errors.Is(err, consensus.ErrDiverged) {
			t.n.halt(err)
			return
		}
		t.n.attestations.Carried(cert)
	}
}

// publishes takes a published trusted list. One that overlaps too little with the
// own one keeps the engine from starting; later it is only reported, or any liar
// could stop everybody.
func (t *trust) publishes(l rpca.TrustedList) gossip.Verdict {
	err := t.engine.List(l)
	switch {
	case errors.Is(err, rpcadriver.ErrSignature):
		return gossip.Reject
	case errors.Is(err, rpca.ErrOverlap) && !t.n.cfg.Consensus.AllowOverlap && !t.begun.Load():
		t.n.halt(fmt.Errorf("%w (consensus.allow_overlap = true starts all the same: the network may then fork)", err))
	case err != nil:
		t.log.Warn("trusted list of a validator overlaps too little with the own one", "validator", t.epochs.name(0, l.Validator), "error", err)
	}
	return gossip.Accept
}

// BroadcastPosition implements rpcadriver.Network.
func (t *trust) BroadcastPosition(p rpca.Position) {
	t.post(func(ctx context.Context) error { return t.positions.Publish(ctx, p) })
}

// BroadcastValidation implements rpcadriver.Network.
func (t *trust) BroadcastValidation(v rpca.Validation) {
	own := t.own()
	if own == nil {
		own = []types.Attestation{}
	}
	t.post(func(ctx context.Context) error {
		return t.validations.Publish(ctx, testimony{Validation: v, Attestations: own})
	})
}

// BroadcastList implements rpcadriver.Network.
func (t *trust) BroadcastList(l rpca.TrustedList) {
	t.post(func(ctx context.Context) error { return t.lists.Publish(ctx, l) })
}

// FetchTxSet implements rpcadriver.Network.
func (t *trust) FetchTxSet(set hash.Hash, holders bls.Bitmap) {
	seat := t.epochs.present()
	for i := range holders.All() {
		if i >= len(seat.peers) || seat.peers[i] == t.host.ID() {
			continue
		}
		to := seat.peers[i]
		t.post(func(ctx context.Context) error {
			raw, err := rpc.Call(ctx, t.host, to, t.sets, set)
			if err != nil {
				return fmt.Errorf("fetch transaction set: %w", err)
			}
			got, err := rpca.DecodeTxSet(raw, t.sets.MaxResponse)
			if err != nil {
				return err
			}
			t.engine.TxSet(got)
			return nil
		})
		return // one at a time: the engine asks again, with others
	}
}

// FetchLedger implements rpcadriver.Network.
func (t *trust) FetchLedger(block hash.Hash, above types.Height, holders bls.Bitmap) {
	t.Fetch(0, block, above, holders)
}

// Blame implements rpcadriver.Network.
func (t *trust) Blame(v types.ValidatorIndex, from, reason string) {
	t.mesh.Blame(consensus.Fault{Validator: v, From: from, Reason: reason})
}
