package consensus

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Committee is a validator set with its keys, and the secrets of one member if
// this node is one. It makes and checks all consensus signatures: votes and
// attestations with BLS12-381, proposals with the node's Ed25519 identity. It is
// immutable and safe for concurrent use.
type Committee struct {
	set        *types.ValidatorSet
	keys       *bls.KeySet
	identities []crypto.PubKey
	vote       *bls.SecretKey
	identity   crypto.PrivKey
}

// NewCommittee parses the keys of a validated set. vote and identity are nil
// for a node that is no validator.
func NewCommittee(set *types.ValidatorSet, vote *bls.SecretKey, identity crypto.PrivKey) (*Committee, error) {
	c := &Committee{set: set, vote: vote, identity: identity}
	var keys []*bls.PublicKey
	for _, v := range set.All() {
		key, err := bls.ParsePublicKey(v.Key)
		if err != nil {
			return nil, fmt.Errorf("validator %s: key: %w", v.Name, err)
		}
		keys = append(keys, key)
		identity, err := v.IdentityKey()
		if err != nil {
			return nil, err
		}
		c.identities = append(c.identities, identity)
	}
	var err error
	c.keys, err = bls.NewKeySet(keys)
	return c, err
}

// Set is the validator set.
func (c *Committee) Set() *types.ValidatorSet { return c.set }

// SignBlock implements [Scheme]. Batches are signed like blocks: their hashes have
// another domain.
func (c *Committee) SignBlock(h hash.Hash) ([]byte, error) {
	return c.identity.Sign(proposalMessage(h))
}

// VerifyBlock implements [Scheme].
func (c *Committee) VerifyBlock(proposer types.ValidatorIndex, h hash.Hash, signature []byte) bool {
	if int(proposer) >= len(c.identities) {
		return false
	}
	ok, err := c.identities[proposer].Verify(proposalMessage(h), signature)
	return ok && err == nil
}

// VerifyProposer checks that b is signed by the validator it names.
func (c *Committee) VerifyProposer(b *types.Block) bool {
	return c.VerifyBlock(b.Proposer, b.Hash(), b.Signature)
}

// proposalMessage is what a proposer signs. The block's hash covers the chain id.
func proposalMessage(h hash.Hash) []byte {
	m := hash.Sum("starling/proposal", h[:])
	return m[:]
}

// Sign implements [Scheme].
func (c *Committee) Sign(message hash.Hash) []byte {
	sig := c.vote.Sign(message[:])
	return sig[:]
}

// Verify implements [Scheme].
func (c *Committee) Verify(voter types.ValidatorIndex, message hash.Hash, signature []byte) bool {
	if int(voter) >= c.keys.Len() {
		return false
	}
	sig, err := bls.ParseSignature(signature)
	return err == nil && bls.Verify(c.keys.Key(int(voter)), message[:], sig)
}

// Combine implements [Scheme]: one aggregate check, and only if that
// fails a search for the culprits.
func (c *Committee) Combine(message hash.Hash, shares []Share) ([]byte, []types.ValidatorIndex) {
	var bad []types.ValidatorIndex
	sigs := make([]bls.Signature, 0, len(shares))
	items := make([]bls.Item, 0, len(shares))
	voters := make([]types.ValidatorIndex, 0, len(shares)) // of items
	signers := bls.NewBitmap(c.set.Len())
	for _, s := range shares {
		sig, err := bls.ParseSignature(s.Signature)
		if err != nil || int(s.Voter) >= c.set.Len() {
			bad = append(bad, s.Voter)
			continue
		}
		sigs, voters = append(sigs, sig), append(voters, s.Voter)
		items = append(items, bls.Item{Key: c.keys.Key(int(s.Voter)), Msg: message[:], Sig: sig})
		signers.Set(int(s.Voter))
	}
	if len(bad) == 0 {
		if aggregate, err := bls.Aggregate(sigs); err == nil && c.verifySame(signers, message, aggregate) {
			return aggregate[:], nil
		}
	}
	for _, i := range bls.BatchVerify(items) {
		bad = append(bad, voters[i])
	}
	return nil, bad
}

func (c *Committee) verifySame(signers bls.Bitmap, message hash.Hash, sig bls.Signature) bool {
	key, err := c.keys.Sum(signers)
	return err == nil && bls.Verify(key, message[:], sig)
}

// Merge implements [Scheme].
func (c *Committee) Merge(signatures [][]byte) ([]byte, error) {
	sigs := make([]bls.Signature, len(signatures))
	for i, s := range signatures {
		var err error
		if sigs[i], err = bls.ParseSignature(s); err != nil {
			return nil, err
		}
	}
	aggregate, err := bls.Aggregate(sigs)
	return aggregate[:], err
}

// VerifyAggregate implements [Scheme].
func (c *Committee) VerifyAggregate(signed []Signed, aggregate []byte) bool {
	sig, err := bls.ParseSignature(aggregate)
	if err != nil {
		return false
	}
	if len(signed) == 1 {
		return c.verifySame(signed[0].Signers, signed[0].Message, sig)
	}
	groups := make([]bls.Group, len(signed))
	for i, s := range signed {
		key, err := c.keys.Sum(s.Signers)
		if err != nil {
			return false
		}
		groups[i] = bls.Group{Keys: []*bls.PublicKey{key}, Msg: s.Message[:]}
	}
	return bls.VerifyDistinct(groups, sig)
}

var _ Scheme = (*Committee)(nil)
