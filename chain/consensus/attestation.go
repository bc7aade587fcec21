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

const (
	claimsKept   = 64               // own results that are remembered
	attestations = 4                // own ones that a validator sends along with a vote
	sharesKept   = 2 * attestations // of one voter: spam crowds out its sender's only
	certsKept    = 16
)

// Attestations turns executed states into state certificates. Each validator
// signs what it computed ([Attestations.Executed]) and sends the newest of its
// signatures along with its votes ([Attestations.Own]); whoever collects a
// quorum makes a certificate ([Attestations.Best]), which a later block carries.
// Ordering never waits for any of this. Safe for concurrent use.
type Attestations struct {
	chain hash.Hash
	seats Seats

	mu       sync.Mutex
	executed map[types.Height]types.StateClaim // own results
	own      []types.Attestation               // newest last
	shares   map[types.StateClaim]map[types.ValidatorIndex][]byte
	claims   map[types.ValidatorIndex][]types.StateClaim // the keys of shares by voter, as they came
	best     *types.StateCert                            // highest known
	recent   []*types.StateCert                          // known ones, ascending
	carried  types.Height                                // highest carried by a decided block
}

// Seats tells which committee attests the state of a height, and this node's place
// in it: nil if it has none, or if the committee is not known (any more).
type Seats interface {
	Seat(h types.Height) (c *Committee, self *types.ValidatorIndex)
}

// NewAttestations starts empty.
func NewAttestations(chain hash.Hash, seats Seats) *Attestations {
	return &Attestations{
		chain: chain, seats: seats,
		executed: map[types.Height]types.StateClaim{},
		shares:   map[types.StateClaim]map[types.ValidatorIndex][]byte{},
		claims:   map[types.ValidatorIndex][]types.StateClaim{},
	}
}

// Executed notes what this node computed, and signs it if it is a validator. It
// returns [ErrDiverged] if a quorum is known to have computed something else.
func (a *Attestations) Executed(claim types.StateClaim) error {
	var own *types.Attestation
	if committee, self := a.seats.Seat(claim.Height); self != nil {
		own = &types.Attestation{Claim: claim, Voter: *self, Signature: committee.Sign(claim.Message(a.chain))}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.executed[claim.Height] = claim
	delete(a.executed, claim.Height-claimsKept)
	for _, cert := range a.recent {
		if cert.Height == claim.Height && cert.StateClaim != claim {
			return diverged(claim, cert.StateClaim)
		}
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
	if at.Claim.Height <= a.bestHeight() {
		return
	}
	if committee, _ := a.seats.Seat(at.Claim.Height); committee == nil || committee.Set().Power(at.Voter) == 0 {
		return
	}
	if _, again := a.shares[at.Claim][at.Voter]; again {
		a.shares[at.Claim][at.Voter] = at.Signature
		return
	}
	if kept := a.claims[at.Voter]; len(kept) >= sharesKept {
		a.drop(kept[0], at.Voter)
	}
	if a.shares[at.Claim] == nil {
		a.shares[at.Claim] = map[types.ValidatorIndex][]byte{}
	}
	a.shares[at.Claim][at.Voter] = at.Signature
	a.claims[at.Voter] = append(a.claims[at.Voter], at.Claim)
}

// drop forgets what a voter signed.
func (a *Attestations) drop(claim types.StateClaim, voter types.ValidatorIndex) {
	delete(a.shares[claim], voter)
	if len(a.shares[claim]) == 0 {
		delete(a.shares, claim)
	}
	a.claims[voter] = slices.DeleteFunc(a.claims[voter], func(c types.StateClaim) bool { return c == claim })
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
	for claim := range a.shares {
		if cert := a.certify(claim); cert != nil {
			a.learn(cert)
		}
	}
	if a.best == nil || a.best.Height <= a.carried {
		return nil
	}
	return a.best
}

// certify makes a certificate of a claim once its signers are a quorum. Forged
// signatures are dropped: what is left may still be one.
func (a *Attestations) certify(claim types.StateClaim) *types.StateCert {
	committee, _ := a.seats.Seat(claim.Height)
	if committee == nil {
		return nil
	}
	set := committee.Set()
	for {
		var shares []Share
		var power uint64
		signers := bls.NewBitmap(set.Len())
		for voter, sig := range a.shares[claim] {
			shares = append(shares, Share{Voter: voter, Signature: sig})
			signers.Set(int(voter))
			power += set.Power(voter)
		}
		if power < set.Quorum() {
			return nil
		}
		aggregate, bad := committee.Combine(claim.Message(a.chain), shares)
		if len(bad) == 0 {
			return &types.StateCert{StateClaim: claim, Signers: signers, Signature: aggregate}
		}
		for _, voter := range bad {
			a.drop(claim, voter)
		}
	}
}

// Check verifies a state certificate and learns from it. [ErrDiverged] means
// that it is valid but contradicts what this node computed.
func (a *Attestations) Check(cert *types.StateCert) error {
	a.mu.Lock()
	known := a.best != nil && a.best.StateClaim == cert.StateClaim && string(a.best.Signature) == string(cert.Signature) &&
		string(a.best.Signers) == string(cert.Signers)
	a.mu.Unlock()
	if !known {
		committee, _ := a.seats.Seat(cert.Height)
		if committee == nil {
			return fmt.Errorf("%w: height %d: its validators are not known here", ErrStateCert, cert.Height)
		}
		if err := VerifyStateCert(a.chain, committee, committee.Set(), cert); err != nil {
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

// learn notes a checked certificate that is higher than all before, and forgets
// the attestations that are of no more use.
func (a *Attestations) learn(cert *types.StateCert) {
	a.best = cert
	for voter, claims := range a.claims {
		for _, claim := range slices.Clone(claims) {
			if claim.Height <= cert.Height {
				a.drop(claim, voter)
			}
		}
	}
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

// VerifyStateCert checks a state certificate against the validators of its epoch.
func VerifyStateCert(chain hash.Hash, scheme Scheme, set *types.ValidatorSet, cert *types.StateCert) error {
	if err := cert.Signers.Validate(set.Len()); err != nil {
		return fmt.Errorf("%w: %w", ErrStateCert, err)
	}
	if set.PowerOf(cert.Signers) < set.Quorum() {
		return fmt.Errorf("%w: height %d: no quorum", ErrStateCert, cert.Height)
	}
	signed := []Signed{{Message: cert.Message(chain), Signers: cert.Signers}}
	if !scheme.VerifyAggregate(signed, cert.Signature) {
		return fmt.Errorf("%w: height %d: signature", ErrStateCert, cert.Height)
	}
	return nil
}

func diverged(mine, theirs types.StateClaim) error {
	return fmt.Errorf("%w: height %d: computed root %s, the quorum %s", ErrDiverged, mine.Height, mine.Root.Short(), theirs.Root.Short())
}
