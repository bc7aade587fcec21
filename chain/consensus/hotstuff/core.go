package hotstuff

import (
	"errors"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Config is what a replica is made of. All fields but Self are required.
type Config struct {
	Chain hash.Hash
	Epoch types.Epoch // that Validators decide
	// Last is the height of the epoch's last block; 0 if the epoch never ends.
	Last types.Height
	// Prior checks the certificate of the block that the epoch begins with;
	// nil in epoch 0. It is needed only while that block is the root.
	Prior *consensus.Authority
	// Handover proves the decision of the block that the epoch begins with, if
	// that is the root and this replica knows the proof.
	Handover   *types.Handover
	Validators *types.ValidatorSet
	Schedule   Schedule
	Rule       Rule
	Scheme     consensus.Scheme
	// Self is the replica's own place in the set; nil makes an observer, who
	// follows and decides but never signs.
	Self *types.ValidatorIndex
	// ViewTimeout is how long a view may take when all is well, including the
	// time that a leader waits for transactions.
	ViewTimeout time.Duration
	// MaxViewTimeout caps the exponential growth of the view timeout.
	MaxViewTimeout time.Duration
	// MaxDrift is how far ahead of the replica's clock a proposal's time may
	// be for the replica to vote for it.
	MaxDrift time.Duration
	// IdleInterval is how long a leader may wait for transactions. If it is
	// more than 0 the view timeout follows the measured time of busy views.
	IdleInterval time.Duration
	// Reputation has leaders passed over who failed lately, see [Standing]. All
	// replicas must have it alike.
	Reputation bool
}

// Restored is what a replica knew before it (re)started.
type Restored struct {
	Root    *types.Block // the last executed block, or the genesis block
	Cert    types.QC     // certifies Root
	Records []Record     // the vote log, oldest first
	// Standing is what [Decided] said of Root.
	Standing []byte
	// Doubtful says that Records may be an old copy: nothing is signed before the
	// network has passed what they may lack.
	Doubtful bool
}

// Core is one replica. It is not safe for concurrent use: its driver feeds it
// from one goroutine.
type Core struct {
	cfg    Config
	domain hash.Hash    // what signatures of the epoch cover
	begun  *types.Block // the root at the start
	now    time.Time
	out    []Effect
	tree   *Tree

	authority *consensus.Authority
	next      hash.Hash // of the next epoch's set; zero until it is known
	proven    *ending
	done      *EpochEnded // set in the step that decides the last block
	ended     bool
	shown     time.Time               // when the end of the epoch before was last shown
	lagging   map[hash.Hash]time.Time // blocks of later epochs that were asked about, and when

	view    types.View
	entered time.Time
	pace    pace

	// What may never be contradicted; mirrored in the vote log.
	voted      types.View // highest view voted or timed out in
	locked     types.QC
	lastVote   *types.Vote
	ownTimeout *types.Timeout

	high    types.QC  // highest certificate known
	highTC  *types.TC // highest timeout certificate known
	checked checkedCerts

	votes    voteBook
	timeouts map[types.ValidatorIndex]*types.Timeout // the latest of each
	orphans  orphanage
	asked    attempt // for which a payload was last asked for
	watch    watch
	doubt    *doubt // nil: the vote log is the newest
}

// attempt is a chance to propose.
type attempt struct {
	view   types.View
	relief bool
}

// ErrForeignRoot means that the restored root is not a block of the chain.
var ErrForeignRoot = errors.New("restored root belongs to another chain")

// New makes a replica that continues from what was restored. Its first event
// must be [Start].
func New(cfg Config, r Restored) (*Core, error) {
	if r.Root.Chain != cfg.Chain || r.Cert.Block != r.Root.Hash() {
		return nil, ErrForeignRoot
	}
	standing, err := DecodeStanding(r.Standing)
	if err != nil {
		return nil, err
	}
	if cfg.Last == 0 {
		cfg.Last = endless
	}
	c := &Core{
		authority: &consensus.Authority{Chain: cfg.Chain, Epoch: cfg.Epoch, Validators: cfg.Validators, Scheme: cfg.Scheme},
		begun:     r.Root, watch: watch{},
		cfg: cfg, domain: types.EpochDomain(cfg.Chain, cfg.Epoch), tree: newTree(r.Root), high: r.Cert, locked: r.Cert,
		timeouts: map[types.ValidatorIndex]*types.Timeout{},
		votes:    voteBook{}, orphans: orphanage{}, lagging: map[hash.Hash]time.Time{},
	}
	if cfg.Prior == nil {
		c.tree.root.standing = standing // else of other validators
	}
	if r.Doubtful && cfg.Self != nil && cfg.Validators.Len() > 1 {
		c.doubt = &doubt{heard: map[types.ValidatorIndex]struct{}{}}
	}
	for _, rec := range r.Records {
		switch {
		case rec.Epoch == cfg.Epoch:
			c.replay(rec)
		case rec.Epoch == cfg.Epoch+1 && rec.Handover != nil:
			// The blocks that it had decided got lost, the proof of the end did not. It
			// may be the only one to know, and the blocks of the epochs after are in its log.
			c.proven = &ending{rec.High, rec.Handover}
		}
	}
	c.view = max(c.high.View+1, c.voted)
	return c, nil
}

// replay takes up one promise of the past. Blocks whose ancestors the log no
// longer holds wait until those are fetched again.
func (c *Core) replay(rec Record) {
	if rec.Handover != nil {
		c.cfg.Handover = rec.Handover
		return
	}
	c.voted = max(c.voted, rec.View())
	for _, qc := range []types.QC{rec.Locked, rec.High} {
		if qc.View > c.high.View {
			c.high = qc
		}
	}
	if rec.Locked.View > c.locked.View {
		c.locked = rec.Locked
	}
	if rec.Timeout != nil {
		c.ownTimeout = rec.Timeout
		c.recall(rec.Timeout.Last)
		return
	}
	c.recall(rec.Block.Timeouts)
	c.lastVote = rec.Vote
	if b := rec.Block; c.tree.Get(b.Hash()) == nil {
		if parent := c.tree.Get(b.Parent()); parent != nil {
			c.insert(b, parent)
		} else if b.Height > c.DecidedHeight() {
			c.orphans[b.Hash()] = b
		}
	}
	if qc := rec.Block.Justify; qc.View > c.high.View {
		c.high = qc
	}
}

// recall takes up the timeout certificate that led to a promise: if all who knew it
// stopped, nobody could show the others why they are views ahead.
func (c *Core) recall(tc *types.TC) {
	if tc != nil && (c.highTC == nil || tc.View > c.highTC.View) && c.checkQC(tc.High) == nil {
		c.highTC = tc
	}
}

// Step takes one event and returns what is to be done, in order. The effects
// are valid until the next call. now must never decrease.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	c.now, c.out = now, c.out[:0]
	if c.ended {
		return nil
	}
	switch e := ev.(type) {
	case Start:
		c.start()
	case Proposal:
		c.onProposal(e.Block)
	case VoteIn:
		c.onVote(e.Vote)
	case TimeoutIn:
		c.onTimeout(&e.Timeout)
	case EndingIn:
		if e.Ending.Epoch == c.cfg.Epoch {
			c.onSuccessor(e.Ending.Last, &e.Ending.Handover)
		}
	case TimerFired:
		c.onTimer(e.View)
	case Payload:
		c.onPayload(e)
	case Blocks:
		c.onBlocks(e)
	case NextSet:
		c.onNextSet(e.Hash)
	}
	c.finish()
	return c.out
}

// start decides again what was final before the restart but not executed, and
// enters the view in which the replica stopped.
func (c *Core) start() {
	c.apply(c.high)
	c.endIfProven()
	c.enter(c.view, false)
	c.fetchMissing()
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) isSelf(i types.ValidatorIndex) bool { return c.cfg.Self != nil && *c.cfg.Self == i }

// insert puts a block into the tree.
func (c *Core) insert(b *types.Block, parent *Node) *Node {
	n := c.tree.insert(b, parent)
	n.standing = c.standingAfter(parent, b)
	return n
}

// Leader is who leads the present view, as far as this replica knows.
func (c *Core) Leader() types.ValidatorIndex {
	n := c.tree.Get(c.high.Block)
	if n == nil {
		n = c.tree.root
	}
	return c.leader(n, c.view, c.relief())
}

// relief reports whether the view began with a certificate that came too late.
func (c *Core) relief() bool {
	return c.cfg.Reputation && c.high.View+1 == c.view && c.highTC != nil && c.highTC.View+1 == c.view
}

// Epoch is the epoch that the core decides.
func (c *Core) Epoch() types.Epoch { return c.cfg.Epoch }

// View is the present view.
func (c *Core) View() types.View { return c.view }

// High is the highest certificate known.
func (c *Core) High() types.QC { return c.high }

// DecidedHeight is the height of the last decided block.
func (c *Core) DecidedHeight() types.Height { return c.tree.root.Block.Height }

// Block finds an undecided block or the last decided one.
func (c *Core) Block(h hash.Hash) (*types.Block, bool) {
	n := c.tree.Get(h)
	if n == nil {
		return nil, false
	}
	return n.Block, true
}

// Undecided lists the blocks from below the last decided one up to and including
// the given one, in order of height; nil if it is not in the tree.
func (c *Core) Undecided(h hash.Hash) []*types.Block {
	n := c.tree.Get(h)
	if n == nil {
		return nil
	}
	var blocks []*types.Block
	for _, n := range c.tree.path(n) {
		blocks = append(blocks, n.Block)
	}
	return blocks
}

// Root is the last decided block.
func (c *Core) Root() *types.Block { return c.tree.root.Block }
