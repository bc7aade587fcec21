package lanes

import (
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
)

// Config is what a validator's part in an epoch's lanes is made of.
type Config struct {
	consensus.Authority
	// Self is the validator's own place; nil makes an observer, who follows and
	// fetches but has no lane.
	Self *types.ValidatorIndex
	// MaxBytes and MaxTxs bound one batch.
	MaxBytes, MaxTxs int
	// Pipeline is how many own batches may wait for their certificate.
	Pipeline int
	// Window is how many batches of one lane are kept beyond the last decided cut.
	// A lane leader that is further ahead is not acknowledged.
	Window int
	// Retry is how long a fetched batch is waited for before others are asked.
	Retry time.Duration
}

// DefaultConfig suits blocks of up to a megabyte a lane.
func DefaultConfig(a consensus.Authority, self *types.ValidatorIndex) Config {
	return Config{Authority: a, Self: self, MaxBytes: 512 << 10, MaxTxs: 4096, Pipeline: 4, Window: 64, Retry: 500 * time.Millisecond}
}

// Restored is what a validator knew before it (re)started.
type Restored struct {
	Batches []*types.Batch              // of the epoch that it stored, in the order of storing
	Cut     map[types.ValidatorIndex]At // of the last block that was ordered
}

// At is a place in a lane.
type At struct {
	_       struct{} `cbor:",toarray"`
	Height  types.LaneHeight
	Batch   hash.Hash
	History poh.Chain // when the batch was made
}

// PlaceOf is where a batch is.
func PlaceOf(b *types.Batch) At {
	return At{Height: b.Height, Batch: b.Hash(), History: poh.Chain{Value: b.History, Ticks: b.Ticks}}
}

// Core is one validator's part in the lanes of one epoch. It is not safe for
// concurrent use: its driver feeds it from one goroutine.
type Core struct {
	cfg    Config
	domain hash.Hash
	now    time.Time
	out    []Effect
	lanes  []lane

	wanted  bool // transactions were asked for
	waiting map[hash.Hash]*own

	queue   []*types.Block          // decided, not ordered
	asked   map[hash.Hash]time.Time // batches that the first of them lacks
	ticking bool
	good    map[hash.Hash]struct{} // certificates that were found good
}

// lane is what is known of one validator's lane.
type lane struct {
	ordered At // the last decided cut whose batches were delivered
	top     At // the last batch of the acknowledged chain
	held    map[hash.Hash]*types.Batch
	first   map[types.LaneHeight]hash.Hash // the batch that was stored first, by height
	early   map[types.LaneHeight]*types.Batch
	cert    *types.LaneCert // the highest known
}

// own is a batch of the own lane on its way to a certificate.
type own struct {
	batch *types.Batch
	acks  map[types.ValidatorIndex][]byte
}

// New makes a core. Its first event must be [Start].
func New(cfg Config, r Restored) *Core {
	c := &Core{cfg: cfg, domain: cfg.Domain(), waiting: map[hash.Hash]*own{}, asked: map[hash.Hash]time.Time{}, good: map[hash.Hash]struct{}{}}
	for i := range cfg.Validators.Len() {
		l := lane{
			ordered: At{History: poh.New(Seed(c.domain, types.ValidatorIndex(i)))},
			held:    map[hash.Hash]*types.Batch{}, first: map[types.LaneHeight]hash.Hash{}, early: map[types.LaneHeight]*types.Batch{},
		}
		if cut, ok := r.Cut[types.ValidatorIndex(i)]; ok {
			l.ordered = cut
		}
		l.top = l.ordered
		c.lanes = append(c.lanes, l)
	}
	for _, b := range r.Batches {
		c.restore(b)
	}
	return c
}

// Seed is what a lane's history begins with.
func Seed(domain hash.Hash, l types.ValidatorIndex) hash.Hash {
	return hash.Sum("starling/lane/history", domain[:], []byte{byte(l >> 8), byte(l)})
}

func (c *Core) restore(b *types.Batch) {
	if int(b.Lane) >= len(c.lanes) || b.Epoch != c.cfg.Epoch || b.Height <= c.lanes[b.Lane].ordered.Height {
		return
	}
	l := &c.lanes[b.Lane]
	l.held[b.Hash()] = b
	if _, stored := l.first[b.Height]; !stored {
		l.first[b.Height] = b.Hash()
	}
	if b.Height >= l.top.Height && l.first[b.Height] == b.Hash() {
		l.top = PlaceOf(b)
	}
	if c.isSelf(b.Lane) && b.Height > l.ordered.Height {
		c.waiting[b.Hash()] = &own{batch: b, acks: map[types.ValidatorIndex][]byte{}}
	}
}

// Step takes one event and returns what is to be done, in order. The effects are
// valid until the next call. now must never decrease.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	c.now, c.out = now, c.out[:0]
	switch e := ev.(type) {
	case Start:
		c.start()
	case Txs:
		c.onTxs(e.Txs)
	case BatchIn:
		c.onBatch(e.Batch)
	case AckIn:
		c.onAck(e.Ack)
	case CertIn:
		c.onCert(e.Cert)
	case Decided:
		c.queue = append(c.queue, e.Block)
		c.deliver()
	case Tick:
		c.onTick()
	}
	return c.out
}

// start sends again what was not certified before the restart, and asks for work.
func (c *Core) start() {
	if c.cfg.Self != nil {
		for h := c.ownLane().ordered.Height + 1; h <= c.ownLane().top.Height; h++ {
			if w := c.waiting[c.ownLane().first[h]]; w != nil {
				c.emit(SendBatch{Batch: w.batch})
				c.acknowledge(w.batch)
			}
		}
	}
	c.want()
	c.tickLater()
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) isSelf(i types.ValidatorIndex) bool { return c.cfg.Self != nil && *c.cfg.Self == i }

func (c *Core) ownLane() *lane { return &c.lanes[*c.cfg.Self] }

// Cut is what a block on top of the given undecided ones should order: of each lane
// the newest certificate, if it is newer than what they order.
func (c *Core) Cut(undecided []*types.Block) []types.LaneCert {
	cuts := c.cuts(undecided)
	var out []types.LaneCert
	for i := range c.lanes {
		if cert := c.lanes[i].cert; cert != nil && cert.Height > cuts[i] {
			out = append(out, *cert)
		}
	}
	return out
}

// cuts are the heights up to which each lane is ordered, counting blocks that are
// not delivered yet.
func (c *Core) cuts(undecided []*types.Block) []types.LaneHeight {
	cuts := make([]types.LaneHeight, len(c.lanes))
	for i := range c.lanes {
		cuts[i] = c.lanes[i].ordered.Height
	}
	for _, blocks := range [][]*types.Block{c.queue, undecided} {
		for _, b := range blocks {
			for _, cert := range b.Cut {
				if int(cert.Lane) < len(cuts) {
					cuts[cert.Lane] = max(cuts[cert.Lane], cert.Height)
				}
			}
		}
	}
	return cuts
}

// Cuts are the places up to which the lanes are ordered, for [Restored].
func (c *Core) Cuts() map[types.ValidatorIndex]At {
	out := map[types.ValidatorIndex]At{}
	for i := range c.lanes {
		if c.lanes[i].ordered.Height > 0 {
			out[types.ValidatorIndex(i)] = c.lanes[i].ordered
		}
	}
	return out
}

// OwnTop is the height of the newest own batch.
func (c *Core) OwnTop() types.LaneHeight {
	if c.cfg.Self == nil {
		return 0
	}
	return c.ownLane().top.Height
}

// OwnLane is the validator's own lane, if it has one.
func (c *Core) OwnLane() (types.ValidatorIndex, bool) {
	if c.cfg.Self == nil {
		return 0, false
	}
	return *c.cfg.Self, true
}

// Idle reports whether every decided block is ordered.
func (c *Core) Idle() bool { return len(c.queue) == 0 }

// Unordered counts the bytes of the known batches above the last cut.
func (c *Core) Unordered() (bytes int) {
	for i := range c.lanes {
		for _, b := range c.lanes[i].held {
			if b.Height > c.lanes[i].ordered.Height {
				bytes += int(b.Size)
			}
		}
	}
	return bytes
}

// Batch finds a batch that is held.
func (c *Core) Batch(l types.ValidatorIndex, h hash.Hash) (*types.Batch, bool) {
	if int(l) >= len(c.lanes) {
		return nil, false
	}
	b, ok := c.lanes[l].held[h]
	return b, ok
}

// bitmapOf lists who signed.
func bitmapOf(n int, shares []consensus.Share) bls.Bitmap {
	signers := bls.NewBitmap(n)
	for _, s := range shares {
		signers.Set(int(s.Voter))
	}
	return signers
}
