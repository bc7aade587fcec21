package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// errUnknownEpoch means that who validates in an epoch is not known here: not yet,
// since the state that says so is not executed, or not any more.
var errUnknownEpoch = errors.New("the validators of the epoch are not known")

// seat is one epoch's validators and this node's place among them.
type seat struct {
	*consensus.Committee
	authority *consensus.Authority
	self      *types.ValidatorIndex // nil: follows, does not vote
	peers     []peer.ID             // by index
}

// epochs knows who validates when. It implements driver.Epochs and consensus.Seats
// and is safe for concurrent use.
type epochs struct {
	n        *Node
	keys     Keys
	changed  chan struct{}
	records  []hotstuff.Record // what the vote log held at the start
	doubtful bool              // the vote log may be an old copy

	mu    sync.Mutex
	seats map[types.Epoch]*seat
}

func newEpochs(n *Node, k Keys) *epochs {
	return &epochs{n: n, keys: k, changed: make(chan struct{}, 1), seats: map[types.Epoch]*seat{}}
}

// at returns the seat of an epoch.
func (e *epochs) at(epoch types.Epoch) (*seat, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.seats[epoch]; s != nil {
		return s, nil
	}
	set, err := e.n.setOf(epoch)
	if err != nil {
		return nil, fmt.Errorf("epoch %d: %w: %w", epoch, errUnknownEpoch, err)
	}
	s, err := e.sit(epoch, set)
	if err != nil {
		return nil, err
	}
	e.seats[epoch] = s
	for old := range e.seats {
		if old+seatsKept < epoch {
			delete(e.seats, old)
		}
	}
	return s, nil
}

// seatsKept is for how many epochs past parsed keys are kept.
const seatsKept = 8

func (e *epochs) sit(epoch types.Epoch, set *types.ValidatorSet) (*seat, error) {
	committee, err := consensus.NewCommittee(set, e.keys.Vote, e.keys.Identity)
	if err != nil {
		return nil, err
	}
	s := &seat{
		Committee: committee,
		authority: &consensus.Authority{Chain: e.n.chain, Epoch: epoch, Validators: set, Scheme: committee},
	}
	for _, v := range set.All() {
		id, err := v.PeerID()
		if err != nil {
			return nil, err
		}
		s.peers = append(s.peers, id)
	}
	id, err := peer.IDFromPrivateKey(e.keys.Identity)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if i, ok := set.IndexOf(id); ok && e.n.cfg.Consensus.Validate {
		if e.keys.Vote == nil || string(e.keys.Vote.Public().Bytes()) != string(set.At(i).Key) {
			return nil, fmt.Errorf("this node's identity is validator %s of epoch %d, but %s is missing or another one's: "+
				"restore it, or set consensus.validate = false to follow without voting", set.At(i).Name, epoch, filepath.Join(e.n.cfg.Home, validatorFile))
		}
		s.self = &i
	}
	return s, nil
}

// present is the seat of the epoch in which the engine is, or of the newest one
// that is known.
func (e *epochs) present() *seat {
	epoch := types.Epoch(0)
	if e.n.engine != nil {
		epoch = e.n.engine.Status().Epoch
	} else if last := e.n.lastBlock.Load(); last != nil {
		epoch = e.n.genesis.Params.EpochOf(last.height + 1)
	}
	s, err := e.at(epoch)
	for err != nil && epoch > 0 {
		epoch--
		s, err = e.at(epoch)
	}
	return s
}

// Seat implements consensus.Seats.
func (e *epochs) Seat(h types.Height) (*consensus.Committee, *types.ValidatorIndex) {
	s, err := e.at(e.n.genesis.Params.EpochOf(h))
	if err != nil {
		return nil, nil
	}
	return s.Committee, s.self
}

// SetHash implements driver.Epochs.
func (e *epochs) SetHash(epoch types.Epoch) (hash.Hash, bool) {
	s, err := e.at(epoch)
	if err != nil {
		return hash.Hash{}, false
	}
	return s.Set().Hash(), true
}

// Changed implements driver.Epochs.
func (e *epochs) Changed() <-chan struct{} { return e.changed }

// executed notes that the block at a height was executed.
func (e *epochs) executed(h types.Height) {
	if p := e.n.genesis.Params; h == p.LastOf(p.EpochOf(h)) {
		select {
		case e.changed <- struct{}{}:
		default:
		}
	}
}

// Succeed implements driver.Epochs.
func (e *epochs) Succeed(ended hotstuff.EpochEnded) (*hotstuff.Core, error) {
	core, err := e.core(consensus.Decision{Block: ended.Last, Cert: ended.Cert}, ended.Handover)
	if errors.Is(err, errUnknownEpoch) {
		return nil, nil // asked again when more is executed
	}
	if err != nil {
		return nil, fmt.Errorf("begin epoch %d: %w", ended.Epoch+1, err)
	}
	e.n.log.Info("epoch begins", "epoch", uint64(core.Epoch()), "height", uint64(ended.Last.Height+1))
	return core, nil
}

// core makes the consensus core that goes on from a decided block.
func (e *epochs) core(root consensus.Decision, h *types.Handover) (*hotstuff.Core, error) {
	n := e.n
	params := n.genesis.Params
	epoch := params.EpochOf(root.Block.Height + 1)
	s, err := e.at(epoch)
	if err != nil {
		return nil, err
	}
	rule, ok := hotstuff.RuleNamed(n.genesis.Rule)
	if !ok {
		return nil, fmt.Errorf("genesis: rule %q is not known", n.genesis.Rule)
	}
	members, domain := s.Set().Hash(), s.authority.Domain()
	seed := hash.Sum("starling/turns", domain[:], members[:])
	cfg := hotstuff.Config{
		Chain: n.chain, Epoch: epoch, Validators: s.Set(), Schedule: hotstuff.NewSeeded(s.Set(), seed), Rule: rule, Scheme: s.Committee, Self: s.self,
		ViewTimeout: n.cfg.Consensus.ViewTimeout, MaxViewTimeout: 5 * n.cfg.Consensus.ViewTimeout, IdleInterval: n.cfg.Consensus.EmptyBlockInterval,
		MaxDrift: time.Duration(params.MaxClockDrift) * time.Millisecond, Reputation: true, Handover: h,
	}
	if params.EpochBlocks > 0 {
		cfg.Last = params.LastOf(epoch)
		if epoch > 0 && root.Block.Height == params.LastOf(epoch-1) {
			prior, err := e.at(epoch - 1)
			if err != nil {
				return nil, err
			}
			cfg.Prior = prior.authority
		}
	}
	core, err := hotstuff.New(cfg, hotstuff.Restored{Root: root.Block, Cert: root.Cert, Records: e.records, Standing: root.Standing, Doubtful: e.doubtful})
	if err == nil {
		n.spread.enter(epoch, core.View())
	}
	return core, err
}

// begin makes the first core, from what was executed.
func (e *epochs) begin(root consensus.Decision, records []hotstuff.Record) (*hotstuff.Core, error) {
	e.records = records
	return e.core(root, nil)
}

// setOf reads who validates in an epoch.
func (n *Node) setOf(epoch types.Epoch) (*types.ValidatorSet, error) {
	if n.genesis.Params.EpochBlocks == 0 {
		if epoch > 0 {
			return nil, errors.New("this network has one epoch only")
		}
		return n.genesis.Set()
	}
	if epoch <= 1 { // decided by the genesis, and needed before its state is made
		return n.genesis.Set()
	}
	return ledger.SetOf(n.state, epoch)
}

// name names a validator of an epoch for people.
func (e *epochs) name(epoch types.Epoch, i types.ValidatorIndex) string {
	s, err := e.at(epoch)
	if err != nil || int(i) >= s.Set().Len() {
		return fmt.Sprintf("validator-%d", i)
	}
	return s.Set().At(i).Name
}

// is reports whether a peer is a certain validator of an epoch, and whether that can
// be said at all.
func (e *epochs) is(epoch types.Epoch, i types.ValidatorIndex, id peer.ID) (is, known bool) {
	s, err := e.at(epoch)
	if err != nil {
		return false, false
	}
	return int(i) < len(s.peers) && s.peers[i] == id, true
}

// record keeps the proof of how the epoch before ended, which the first block of an
// epoch carries, for light clients.
func (e *epochs) record(d consensus.Decision) ([]state.KV, error) {
	first := d.Block
	if first.Handover == nil {
		return nil, nil
	}
	before, err := exec.Read(uint64(first.Height-1), e.n.store)
	if err != nil {
		return nil, err
	}
	next, err := e.at(first.Epoch)
	if err != nil {
		return nil, err
	}
	end, err := light.NewEnd(before.Block, first, next.Set())
	if err != nil {
		return nil, err
	}
	return e.n.store.StageEpochEnd(uint64(first.Epoch-1), end), nil
}

// scheme signs as a validator of an epoch; nil if the node is none.
func (e *epochs) scheme(epoch types.Epoch) consensus.Scheme {
	s, err := e.at(epoch)
	if err != nil || s.self == nil {
		return nil
	}
	return s.Committee
}
