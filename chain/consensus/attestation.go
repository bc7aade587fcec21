package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrStateCert is wrapped by every refusal of a state certificate.
var ErrStateCert = errors.New("bad state certificate")

// claimsKept bounds the heights for which attestations are collected, and how
// many of its own a validator sends along with a vote.
const (
	claimsKept   = 64
	attestations = 4
	certsKept    = 16
)

// Attestations turns executed states into state certificates. Each validator
// signs what it computed ([Attestations.Executed]) and sends the newest of its
// signatures along with its votes ([Attestations.Own]); whoever collects a
// quorum makes a certificate ([Attestations.Best]), which a later block carries.
// Ordering never waits for any of this. Safe for concurrent use.
type Attestations struct {
	chain     hash.Hash
	committee *Committee
	self      *types.ValidatorIndex

	mu       sync.Mutex
	executed map[types.Height]types.StateClaim // own results
	own      []types.Attestation               // newest last
	shares   map[types.StateClaim]map[types.ValidatorIndex][]byte
	best     *types.StateCert   // highest known
	recent   []*types.StateCert // known ones, ascending
	carried  types.Height       // highest carried by a decided block
}

// NewAttestations starts empty; self is nil for a node that is no validator.
func NewAttestations(chain hash.Hash, c *Committee, self *types.ValidatorIndex) *Attestations {
	return &Attestations{
		chain: chain, committee: c, self: self,
		executed: map[types.Height]types.StateClaim{},
		shares:   map[types.StateClaim]map[types.ValidatorIndex][]byte{},
	}
}

// Executed notes what this node computed, and signs it if it is a validator. It
// returns [ErrDiverged] if a quorum is known to have computed something else.
func (a *Attestations) Executed(claim types.StateClaim) error {
	var own *types.Attestation
	if a.self != nil {
		own = &types.Attestation{Claim: claim, Voter: *a.self, Signature: a.committee.Sign(claim.Message(a.chain))}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.executed[claim.Height] = claim
	delete(a.executed, claim.Height-claimsKept)
	if a.best != nil && a.best.Height == claim.Height && a.best.StateClaim != claim {
		return diverged(claim, a.best.StateClaim)
	}
	if own != nil {
		a.own = append(a.own, *own)
		if len(a.own) > attestations {
			a.own = a.own[1:]
		}
		a.add(*own)
	}
	return nil
}

// Own lists this validator's newest attestations that no decided block carries
// a certificate for yet.
func (a *Attestations) Own() []types.Attestation {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []types.Attestation
	for _, at := range a.own {
		if at.Claim.Height > a.carried {
			out = append(out, at)
		}
	}
	return out
}

// Add takes an attestation from its signer. Signatures are checked when they
// make a quorum.
func (a *Attestations) Add(at types.Attestation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(at)
}

func (a *Attestations) add(at types.Attestation) {
	if at.Claim.Height <= a.bestHeight() || a.committee.Set().Power(at.Voter) == 0 {
		return
	}
	shares := a.shares[at.Claim]
	if shares == nil {
		if len(a.shares) >= claimsKept {
			a.dropLowest()
		}
		shares = map[types.ValidatorIndex][]byte{}
		a.shares[at.Claim] = shares
	}
	shares[at.Voter] = at.Signature
}

func (a *Attestations) dropLowest() {
	var lowest types.StateClaim
	first := true
	for claim := range a.shares {
		if first || claim.Height < lowest.Height {
			lowest, first = claim, false
		}
	}
	delete(a.shares, lowest)
}

func (a *Attestations) bestHeight() types.Height {
	if a.best == nil {
		return 0
	}
	return a.best.Height
}

// Best returns the highest state certificate that is known or can be made now,
// if it is higher than any that a decided block carries.
func (a *Attestations) Best() *types.StateCert {
	a.mu.Lock()
	defer a.mu.Unlock()
	set := a.committee.Set()
	for claim, voters := range a.shares {
		if claim.Height <= a.bestHeight() {
			delete(a.shares, claim)
			continue
		}
		var shares []Share
		var power uint64
		for voter, sig := range voters {
			shares = append(shares, Share{Voter: voter, Signature: sig})
			power += set.Power(voter)
		}
		if power < set.Quorum() {
			continue
		}
		aggregate, bad := a.committee.Combine(claim.Message(a.chain), shares)
		for _, voter := range bad {
			delete(voters, voter)
		}
		if len(bad) == 0 {
			signers := bls.NewBitmap(set.Len())
			for _, s := range shares {
				signers.Set(int(s.Voter))
			}
			a.learn(&types.StateCert{StateClaim: claim, Signers: signers, Signature: aggregate})
		}
	}
	if a.best == nil || a.best.Height <= a.carried {
		return nil
	}
	return a.best
}

// Check verifies a state certificate and learns from it. [ErrDiverged] means
// that it is valid but contradicts what this node computed.
func (a *Attestations) Check(cert *types.StateCert) error {
	a.mu.Lock()
	known := a.best != nil && a.best.StateClaim == cert.StateClaim && string(a.best.Signature) == string(cert.Signature) &&
		string(a.best.Signers) == string(cert.Signers)
	a.mu.Unlock()
	if !known {
		if err := VerifyStateCert(a.chain, a.committee, cert); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if cert.Height > a.bestHeight() {
		a.learn(cert)
	}
	if mine, ok := a.executed[cert.Height]; ok && mine != cert.StateClaim {
		return diverged(mine, cert.StateClaim)
	}
	return nil
}

// Carried notes that a decided block carries a certificate.
func (a *Attestations) Carried(cert *types.StateCert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.carried = max(a.carried, cert.Height)
}

// Covered is the height of the highest state certificate that a decided block
// carries.
func (a *Attestations) Covered() types.Height {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.carried
}

// learn notes a checked certificate that is higher than all before.
func (a *Attestations) learn(cert *types.StateCert) {
	a.best = cert
	a.recent = append(a.recent, cert)
	if len(a.recent) > certsKept {
		a.recent = a.recent[1:]
	}
}

// Provable is the highest state certificate known for a state not above a height,
// nil if there is none.
func (a *Attestations) Provable(executed types.Height) *types.StateCert {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, cert := range slices.Backward(a.recent) {
		if cert.Height <= executed {
			return cert
		}
	}
	return nil
}

// VerifyStateCert checks a state certificate against a committee.
func VerifyStateCert(chain hash.Hash, c *Committee, cert *types.StateCert) error {
	if err := cert.Signers.Validate(c.Set().Len()); err != nil {
		return fmt.Errorf("%w: %w", ErrStateCert, err)
	}
	if c.Set().PowerOf(cert.Signers) < c.Set().Quorum() {
		return fmt.Errorf("%w: height %d: no quorum", ErrStateCert, cert.Height)
	}
	signed := []Signed{{Message: cert.Message(chain), Signers: cert.Signers}}
	if !c.VerifyAggregate(signed, cert.Signature) {
		return fmt.Errorf("%w: height %d: signature", ErrStateCert, cert.Height)
	}
	return nil
}

func diverged(mine, theirs types.StateClaim) error {
	return fmt.Errorf("%w: height %d: computed root %s, the quorum %s", ErrDiverged, mine.Height, mine.Root.Short(), theirs.Root.Short())
}
