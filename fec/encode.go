package fec

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/klauspost/reedsolomon"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Codes holds the Reed-Solomon codes of the shapes in use. It is safe for concurrent use,
// and bounded whatever shapes senders choose.
type Codes struct {
	known   *lru.Cache[Shape, reedsolomon.Encoder]
	scratch sync.Pool // of *[]byte
}

// NewCodes makes an empty one.
func NewCodes() *Codes {
	known, err := lru.New[Shape, reedsolomon.Encoder](64)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Codes{known: known}
}

func (c *Codes) of(s Shape) (reedsolomon.Encoder, error) {
	if code, ok := c.known.Get(s); ok {
		return code, nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	// No inversion cache: hostile loss patterns would blow it up, and v1.14.2 looks
	// patterns up by the missing data shards alone when only data are wanted, which
	// returns wrong data after another loss of parity.
	code, err := reedsolomon.New(s.Data, s.Parity, reedsolomon.WithLeopardGF(true), reedsolomon.WithInversionCache(false))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShape, s, err)
	}
	c.known.Add(s, code)
	return code, nil
}

// borrow takes memory that is to be put back into scratch.
func (c *Codes) borrow(size int) *[]byte {
	if b, ok := c.scratch.Get().(*[]byte); ok && cap(*b) >= size {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size)
	return &b
}

// EncoderConfig is what an encoder is made of.
type EncoderConfig struct {
	Chain  hash.Hash
	Sender Sender
	// Sign signs with the sender's key: 64 bytes, Ed25519.
	Sign  func(message []byte) ([]byte, error)
	Shape Shape
	Limit int // of a shred in bytes; 0 is DefaultLimit
	Codes *Codes
}

// Encoder cuts payloads into sets. It is safe for concurrent use.
type Encoder struct {
	cfg   EncoderConfig
	shard int // of full sets
	works sync.Pool
}

// NewEncoder makes an encoder.
func NewEncoder(cfg EncoderConfig) (*Encoder, error) {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	if err := cfg.Shape.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg, shard: cfg.Shape.shardWithin(cfg.Limit)}
	if e.shard == 0 {
		return nil, fmt.Errorf("%w: shreds of %d bytes have no room for proofs of %s", ErrShape, cfg.Limit, cfg.Shape)
	}
	return e, nil
}

// SetBytes is how much payload a full set carries.
func (e *Encoder) SetBytes() int { return e.shard * e.cfg.Shape.Data }

// Set is a cut and signed set. Its shreds lie in one piece of memory, which Release gives
// back.
type Set struct {
	Statement Statement
	Shreds    [][]byte // wire forms, data first
	owner     *Encoder
	work      *work
}

// Data are the shreds that carry the payload itself.
func (s *Set) Data() [][]byte { return s.Shreds[:s.Statement.Shape.Data] }

// Parity are the others.
func (s *Set) Parity() [][]byte { return s.Shreds[s.Statement.Shape.Data:] }

// Release lets the encoder use the set's memory again. Nothing of the set may be used
// after it. Not calling it is no fault.
func (s *Set) Release() {
	s.owner.works.Put(s.work)
	s.work, s.Shreds = nil, nil
}

// work is the memory of a set.
type work struct {
	slab   []byte
	shreds [][]byte
	shards [][]byte
	tree   *tree
}

// layOut places the shreds of a set of the encoder's shape with a given shard.
func (w *work) layOut(shape Shape, shard int) {
	head := fixedSize + shape.depth()*nodeSize
	length := head + shard
	if need := length * shape.Total(); cap(w.slab) < need {
		w.slab = make([]byte, need)
	}
	if w.tree == nil {
		w.tree = growTree(shape.Total())
	}
	w.shreds, w.shards = w.shreds[:0], w.shards[:0]
	for i := range shape.Total() {
		shred := w.slab[i*length : (i+1)*length : (i+1)*length]
		w.shreds, w.shards = append(w.shreds, shred), append(w.shards, shred[head:])
	}
}

// encode computes the parity and the tree of a chunk.
func (e *Encoder) encode(chunk []byte) (*work, error) {
	shape := e.cfg.Shape
	code, err := e.cfg.Codes.of(shape)
	if err != nil {
		return nil, err
	}
	w, _ := e.works.Get().(*work)
	if w == nil {
		w = &work{}
	}
	w.layOut(shape, shape.shardFor(len(chunk)))
	for _, shard := range w.shards[:shape.Data] {
		n := copy(shard, chunk)
		clear(shard[n:])
		chunk = chunk[n:]
	}
	if err := code.Encode(w.shards); err != nil {
		return nil, fmt.Errorf("encode set of %s: %w", shape, err)
	}
	for i, shard := range w.shards {
		w.tree.levels[0][i] = leafOf(shard)
	}
	w.tree.build()
	return w, nil
}

// seal signs the set and completes its shreds.
func (e *Encoder) seal(w *work, st Statement) (*Set, error) {
	message := st.Message(e.cfg.Chain)
	signature, err := e.cfg.Sign(message[:])
	if err != nil {
		return nil, fmt.Errorf("sign set %d: %w", st.Set, err)
	}
	if len(signature) != signSize {
		return nil, fmt.Errorf("sign set %d: %w: %d bytes", st.Set, ErrSignature, len(signature))
	}
	proof := st.Shape.depth() * nodeSize
	for i, shred := range w.shreds {
		st.put(shred, i)
		copy(shred[beforeAt:], st.Before[:])
		copy(shred[signAt:], signature)
		w.tree.prove(i, shred[fixedSize:fixedSize+proof])
	}
	return &Set{Statement: st, Shreds: w.shreds, owner: e, work: w}, nil
}

// Cut cuts a whole payload, compressed already if codec says so, and hands its sets to
// emit in order, which owns them. All cores work on it. An empty payload has no sets and
// is refused.
func (e *Encoder) Cut(id Stream, codec Codec, payload []byte, emit func(*Set) error) error {
	if len(payload) == 0 {
		return fmt.Errorf("%w: nothing to cut", ErrShape)
	}
	width := 2 * runtime.GOMAXPROCS(0)
	works, sets := make([]*work, width), make([]*Set, width)
	st := Statement{Stream: id, Codec: codec, Shape: e.cfg.Shape}
	st.Sender = e.cfg.Sender
	for len(payload) > 0 {
		chunks := e.chunks(payload, width)
		var encoding errgroup.Group
		for i, chunk := range chunks {
			encoding.Go(func() (err error) { works[i], err = e.encode(chunk); return err })
		}
		if err := encoding.Wait(); err != nil {
			return err
		}
		var sealing errgroup.Group // sets name the root before theirs, which is known by now
		for i, chunk := range chunks {
			payload = payload[len(chunk):]
			one := e.next(&st, works[i], chunk, len(payload) == 0)
			sealing.Go(func() (err error) { sets[i], err = e.seal(works[i], one); return err })
		}
		if err := sealing.Wait(); err != nil {
			return err
		}
		for _, set := range sets[:len(chunks)] {
			if err := emit(set); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunks are the next pieces of a payload, at most n.
func (e *Encoder) chunks(payload []byte, n int) (out [][]byte) {
	for len(payload) > 0 && len(out) < n {
		size := min(len(payload), e.SetBytes())
		out = append(out, payload[:size])
		payload = payload[size:]
	}
	return out
}

// next states one more set of a stream.
func (e *Encoder) next(st *Statement, w *work, chunk []byte, last bool) Statement {
	st.Size, st.Shard, st.Last = uint32(len(chunk)), uint16(e.cfg.Shape.shardFor(len(chunk))/shardAlign), last
	st.Root = w.tree.root()
	one := *st
	st.Set++
	st.Before = one.Root
	return one
}

// Writer cuts a stream while it is written: a set leaves as soon as it is full.
type Writer struct {
	e    *Encoder
	st   Statement
	emit func(*Set) error
	held []byte
	err  error
}

// NewWriter begins a stream. Close must follow. It is not safe for concurrent use.
func (e *Encoder) NewWriter(id Stream, codec Codec, emit func(*Set) error) *Writer {
	st := Statement{Stream: id, Codec: codec, Shape: e.cfg.Shape}
	st.Sender = e.cfg.Sender
	return &Writer{e: e, st: st, emit: emit, held: make([]byte, 0, e.SetBytes())}
}

// Write implements io.Writer. It emits full sets, but keeps what may be the last.
func (w *Writer) Write(p []byte) (written int, err error) {
	for len(p) > 0 && w.err == nil {
		if len(w.held) == cap(w.held) {
			w.flush(false)
			continue
		}
		n := min(len(p), cap(w.held)-len(w.held))
		w.held = append(w.held, p[:n]...)
		p = p[n:]
		written += n
	}
	return written, w.err
}

// Close emits the last set.
func (w *Writer) Close() error {
	if w.err == nil && len(w.held) == 0 {
		w.err = fmt.Errorf("%w: nothing to cut", ErrShape)
	}
	if w.err == nil {
		w.flush(true)
	}
	return w.err
}

func (w *Writer) flush(last bool) {
	work, err := w.e.encode(w.held)
	if err == nil {
		var set *Set
		if set, err = w.e.seal(work, w.e.next(&w.st, work, w.held, last)); err == nil {
			err = w.emit(set)
		}
	}
	w.err = err
	w.held = w.held[:0]
}
