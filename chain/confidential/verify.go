// Package confidential verifies the proofs of confidential transactions: many at once, on all
// cores, each once.
//
// Look at [Verifier.Verify]. The range proofs of all transactions are verified in batches by a
// few sums (crypto/bulletproof); ring signatures (crypto/ring) one by one, spread over the cores.
// [One] does the same for a single transaction and nothing else, as the measure of the other.
//
// Whether a proof holds depends on the state alone, by the outputs that rings name; what was
// verified is remembered together with these. The package imports the ledger and the types, and
// must never import a network, a store or an engine.
package confidential

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/ring"
)

const (
	remembered = 1 << 15 // transactions
	batch      = 64      // range proofs that are verified by one sum
)

// Verifier verifies. It is safe for concurrent use.
type Verifier struct {
	held *lru.Cache[hash.Hash, struct{}]
}

// NewVerifier makes a verifier that remembers what it has verified.
func NewVerifier() (*Verifier, error) {
	held, err := lru.New[hash.Hash, struct{}](remembered)
	if err != nil {
		return nil, fmt.Errorf("remember proofs: %w", err)
	}
	return &Verifier{held}, nil
}

// check is a transaction that is being verified.
type check struct {
	tx   *types.Tx
	body types.Confidential
	key  hash.Hash
	mu   sync.Mutex
	err  error
}

func (c *check) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
}

// Verify verifies the confidential ones among transactions that stand in, or are meant for, the
// block of height h on a state, and returns what is wrong with those that do not hold, by
// identifier: an error that wraps ledger.ErrProof or ledger.ErrRing. The second error is that of
// reading the state, or of ctx.
func (v *Verifier) Verify(ctx context.Context, r ledger.Reader, txs []*types.Tx, h types.Height) (map[hash.Hash]error, error) {
	var checks []*check
	for _, tx := range txs {
		body, ok := tx.Body.(types.Confidential)
		if !ok {
			continue
		}
		key, err := keyOf(r, tx, body, h)
		if err != nil {
			return nil, err
		}
		if _, known := v.held.Get(key); !known {
			checks = append(checks, &check{tx: tx, body: body, key: key})
		}
	}
	if err := run(ctx, r, checks, h); err != nil {
		return nil, err
	}
	var bad map[hash.Hash]error
	for _, c := range checks {
		switch {
		case c.err == nil:
			v.held.Add(c.key, struct{}{})
		case bad == nil:
			bad = map[hash.Hash]error{c.tx.ID(): c.err}
		default:
			bad[c.tx.ID()] = c.err
		}
	}
	return bad, nil
}

// keyOf identifies a transaction and the outputs that its rings name, as they are on the state,
// and whether they are old enough.
func keyOf(r ledger.Reader, tx *types.Tx, body types.Confidential, h types.Height) (hash.Hash, error) {
	id := tx.ID()
	parts := [][]byte{id[:]}
	if a, ok := body.(types.Anonymous); ok {
		for _, in := range a.Spends() {
			for _, number := range in.Ring {
				raw, err := r.Get(types.OutputKey(number))
				if err != nil {
					return hash.Hash{}, fmt.Errorf("read output %d: %w", number, err)
				}
				sum := hash.Sum("starling/confidential/output", raw)
				parts = append(parts, sum[:])
			}
		}
		young, err := tooYoung(r, a, h)
		if err != nil {
			return hash.Hash{}, err
		}
		if young {
			parts = append(parts, []byte("young"))
		}
	}
	return hash.Sum("starling/confidential/verified", parts...), nil
}

// tooYoung reports whether the youngest output of the rings, the one with the highest number, may
// not be spent yet.
func tooYoung(r ledger.Reader, a types.Anonymous, h types.Height) (bool, error) {
	var youngest uint64
	for _, in := range a.Spends() {
		youngest = max(youngest, in.Ring[len(in.Ring)-1])
	}
	o, err := ledger.ReadOutput(r, youngest)
	return o == nil || o.Height+ledger.RingAge > h, err
}

// run verifies on all cores.
func run(ctx context.Context, r ledger.Reader, checks []*check, h types.Height) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range checks {
		g.Go(func() error { return c.spends(ctx, r, h) })
	}
	for _, claims := range ranges(checks) {
		g.Go(func() error {
			verifyRanges(claims)
			return ctx.Err()
		})
	}
	return g.Wait()
}

// spends verifies the ring signatures, and that no coins are made.
func (c *check) spends(ctx context.Context, r ledger.Reader, h types.Height) error {
	if !ledger.Balanced(c.tx, c.body) {
		c.fail(fmt.Errorf("%w: more comes out than goes in", ledger.ErrProof))
		return nil
	}
	a, ok := c.body.(types.Anonymous)
	if !ok {
		return nil
	}
	statements, err := ledger.Statements(r, c.tx, a, h)
	if errors.Is(err, ledger.ErrRing) {
		c.fail(err)
		return nil
	}
	if err != nil {
		return err
	}
	for i, s := range statements {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		sig, err := ring.Parse(a.Spends()[i].Signature, len(s.Ring))
		if err == nil {
			err = sig.Verify(s)
		}
		if err != nil {
			c.fail(fmt.Errorf("%w: input %d: %w", ledger.ErrProof, i, err))
			return nil // the rest would be work for nothing
		}
	}
	return nil
}

// claim is a range proof of a transaction.
type claim struct {
	bulletproof.Claim
	of *check
}

// ranges cuts the range proofs of all transactions into batches.
func ranges(checks []*check) (batches [][]claim) {
	var all []claim
	for _, c := range checks {
		for i := range c.body.Creates() {
			o := &c.body.Creates()[i]
			p, err := bulletproof.Parse(o.Proof)
			if err != nil {
				c.fail(fmt.Errorf("%w: output %d: %w", ledger.ErrProof, i, err))
				break
			}
			all = append(all, claim{bulletproof.Claim{Commitment: o.Commitment, Proof: p}, c})
		}
	}
	for len(all) > 0 {
		n := min(batch, len(all))
		batches, all = append(batches, all[:n]), all[n:]
	}
	return batches
}

func verifyRanges(claims []claim) {
	all := make([]bulletproof.Claim, len(claims))
	for i := range claims {
		all[i] = claims[i].Claim
	}
	for _, i := range bulletproof.BatchVerify(all) {
		claims[i].of.fail(fmt.Errorf("%w: an output holds no amount of 64 bits", ledger.ErrProof))
	}
}

// One verifies a single transaction on the caller's goroutine, without remembering it.
func One(r ledger.Reader, tx *types.Tx, h types.Height) error {
	body, ok := tx.Body.(types.Confidential)
	if !ok {
		return nil
	}
	c := &check{tx: tx, body: body}
	if err := c.spends(context.Background(), r, h); err != nil {
		return err
	}
	for i := range body.Creates() {
		o := &body.Creates()[i]
		p, err := bulletproof.Parse(o.Proof)
		if err != nil || !p.Verify(o.Commitment) {
			c.fail(fmt.Errorf("%w: output %d holds no amount of 64 bits", ledger.ErrProof, i))
		}
	}
	return c.err
}
