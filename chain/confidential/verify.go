// Package confidential verifies the proofs of confidential transactions: many at once, on all
// cores, each once.
//
// Look at [Verifier.Verify]. The range proofs of all transactions are verified in batches by a
// few sums (crypto/bulletproof), ring signatures (crypto/ring) some at a time in step, all spread over the cores.
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
	"slices"
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
	batch      = 128     // range proofs that are verified by one sum
)

// Verifier verifies. It is safe for concurrent use.
type Verifier struct {
	held    *lru.Cache[hash.Hash, struct{}]
	members *lru.Cache[uint64, *member]
}

// NewVerifier makes a verifier that remembers what it has verified.
func NewVerifier() (*Verifier, error) {
	held, err := lru.New[hash.Hash, struct{}](remembered)
	if err != nil {
		return nil, fmt.Errorf("remember proofs: %w", err)
	}
	members, err := lru.New[uint64, *member](preparedMembers)
	if err != nil {
		return nil, fmt.Errorf("remember outputs: %w", err)
	}
	return &Verifier{held, members}, nil
}

// check is a transaction that is being verified.
type check struct {
	tx    *types.Tx
	body  types.Confidential
	rings [][]*found // of the inputs
	key   hash.Hash
	mu    sync.Mutex
	err   error
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
	outputs := &outputs{reader: r, members: v.members, found: map[uint64]*found{}}
	for _, tx := range txs {
		body, ok := tx.Body.(types.Confidential)
		if !ok {
			continue
		}
		c := &check{tx: tx, body: body}
		if err := c.find(outputs, h); err != nil {
			return nil, err
		}
		if _, known := v.held.Get(c.key); !known {
			checks = append(checks, c)
		}
	}
	if err := run(ctx, outputs, checks, h); err != nil {
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

// find looks up the outputs that the rings name. The check's key stands for the transaction, these
// outputs as they are on the state, and whether they are old enough.
func (c *check) find(o *outputs, h types.Height) error {
	id := c.tx.ID()
	parts := [][]byte{id[:]}
	if a, ok := c.body.(types.Anonymous); ok {
		for _, in := range a.Spends() {
			var members []*found
			for _, number := range in.Ring {
				f, err := o.find(number)
				if err != nil {
					return err
				}
				members = append(members, f)
				parts = append(parts, f.sum[:])
				if !f.ripe(h) {
					parts = append(parts, []byte("young"))
				}
			}
			c.rings = append(c.rings, members)
		}
	}
	c.key = hash.Sum("starling/confidential/verified", parts...)
	return nil
}

// run verifies on all cores.
func run(ctx context.Context, o *outputs, checks []*check, h types.Height) error {
	if err := o.prepare(ctx, checks); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for some := range slices.Chunk(checks, together(len(checks))) {
		g.Go(func() error {
			verifySpends(some, h)
			return ctx.Err()
		})
	}
	for _, claims := range ranges(checks) {
		g.Go(func() error {
			verifyRanges(claims)
			return ctx.Err()
		})
	}
	return g.Wait()
}

// together is how many of n transactions a core takes at once to verify their ring signatures: a quarter of
// its share, as cores are not equally fast.
func together(n int) int { return n/(4*runtime.GOMAXPROCS(0)) + 1 }

// balance sees that no coins are made.
func (c *check) balance() bool {
	ok := ledger.Balanced(c.tx, c.body)
	if !ok {
		c.fail(fmt.Errorf("%w: more comes out than goes in", ledger.ErrProof))
	}
	return ok
}

// verifySpends verifies the ring signatures of transactions that balance.
func verifySpends(checks []*check, h types.Height) {
	type input struct {
		of *check
		at int
	}
	var claims []ring.Claim
	var inputs []input
	for _, c := range checks {
		if !c.balance() {
			continue
		}
		for i, claim := range c.spends(h) {
			claims, inputs = append(claims, claim), append(inputs, input{c, i})
		}
	}
	for i, err := range ring.VerifyEach(claims) {
		if err != nil {
			inputs[i].of.fail(fmt.Errorf("%w: input %d: %w", ledger.ErrProof, inputs[i].at, err))
		}
	}
}

// spends are the ring signatures, or none if something is wrong with one already: the rest would be work for
// nothing.
func (c *check) spends(h types.Height) []ring.Claim {
	a, ok := c.body.(types.Anonymous)
	if !ok {
		return nil
	}
	message, err := types.SpendMessage(c.tx.Header, a)
	if err != nil {
		c.fail(fmt.Errorf("%w: %w", ledger.ErrProof, err))
		return nil
	}
	var claims []ring.Claim
	for i, in := range a.Spends() {
		members := make([]*ring.Prepared, len(in.Ring))
		for j, f := range c.rings[i] {
			if !f.ripe(h) {
				c.fail(fmt.Errorf("%w (output %d)", ledger.ErrRing, in.Ring[j]))
				return nil
			}
			members[j] = f.member.Prepared
		}
		sig, err := ring.Parse(in.Signature, len(in.Ring))
		if err != nil {
			c.fail(fmt.Errorf("%w: input %d: %w", ledger.ErrProof, i, err))
			return nil
		}
		claims = append(claims, ring.Claim{
			Statement: ring.Statement{Image: in.Image, Pseudo: in.Pseudo, Message: message}, Members: members, Signature: sig,
		})
	}
	return claims
}

// claim is a range proof of a transaction.
type claim struct {
	output *types.ConfidentialOutput
	of     *check
}

// ranges cuts the range proofs of all transactions into batches.
func ranges(checks []*check) [][]claim {
	var all []claim
	for _, c := range checks {
		for i := range c.body.Creates() {
			all = append(all, claim{&c.body.Creates()[i], c})
		}
	}
	return slices.Collect(slices.Chunk(all, batch))
}

func verifyRanges(claims []claim) {
	proofs, of := make([]bulletproof.Claim, 0, len(claims)), make([]*check, 0, len(claims))
	for _, c := range claims {
		p, err := bulletproof.Parse(c.output.Proof)
		if err != nil {
			c.of.fail(fmt.Errorf("%w: %w", ledger.ErrProof, err))
			continue
		}
		proofs, of = append(proofs, bulletproof.Claim{Commitment: c.output.Commitment, Proof: p}), append(of, c.of)
	}
	for _, i := range bulletproof.BatchVerify(proofs) {
		of[i].fail(fmt.Errorf("%w: an output holds no amount of 64 bits", ledger.ErrProof))
	}
}

// One verifies a single transaction on the caller's goroutine, without remembering it: by the plain
// verifiers, as the measure of [Verifier.Verify].
func One(r ledger.Reader, tx *types.Tx, h types.Height) error {
	body, ok := tx.Body.(types.Confidential)
	if !ok {
		return nil
	}
	c := &check{tx: tx, body: body}
	c.balance()
	if a, ok := body.(types.Anonymous); ok {
		statements, err := ledger.Statements(r, tx, a, h)
		if err != nil {
			return err
		}
		for i, s := range statements {
			sig, err := ring.Parse(a.Spends()[i].Signature, len(s.Ring))
			if err == nil {
				err = sig.Verify(s)
			}
			if err != nil {
				c.fail(fmt.Errorf("%w: input %d: %w", ledger.ErrProof, i, err))
			}
		}
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
