package types

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// QC is a quorum certificate: validators with more than two thirds of the power
// voted for one block in one view (HotStuff, section 4.2). The genesis block's
// certificate has view 0 and no signatures; everybody knows it to be true.
type QC struct {
	_         struct{} `cbor:",toarray"`
	View      View
	Block     hash.Hash
	Signers   bls.Bitmap
	Signature []byte // aggregate, 48 bytes
}

// TC is a timeout certificate: validators with more than two thirds of the power
// gave up on a view. Each signed the view together with the view of its own
// highest QC, so the certificate proves how high a QC its quorum had seen;
// the two-phase rule rests on that (Jolteon, section 3.2).
type TC struct {
	_         struct{} `cbor:",toarray"`
	View      View
	Groups    []TCGroup // ascending by High, disjoint signers
	Signature []byte    // aggregate over all groups, 48 bytes
	High      QC        // a certificate of the highest view among Groups
}

// TCGroup names the signers of a TC whose highest QC had the same view.
type TCGroup struct {
	_       struct{} `cbor:",toarray"`
	High    View
	Signers bls.Bitmap
}

// Vote is one validator's signature under a block in a view.
type Vote struct {
	_         struct{} `cbor:",toarray"`
	Epoch     Epoch
	View      View
	Block     hash.Hash
	Voter     ValidatorIndex
	Signature []byte
}

// Timeout is one validator's statement that it gave up on a view. High and Last
// let whoever receives it catch up; Vote, the sender's last vote, lets the next
// leader finish a certificate whose collector has crashed.
type Timeout struct {
	_         struct{} `cbor:",toarray"`
	Epoch     Epoch
	View      View
	Voter     ValidatorIndex
	Signature []byte // over the view and High.View
	High      QC
	Last      *TC
	Vote      *Vote
	Handover  *Handover // as long as nothing of the epoch is certified
}

// StateCert proves an executed state: validators with more than two thirds of
// the power signed that executing the decided block at Height gives Root. It is
// what a light client checks. It needs no other proof of finality.
type StateCert struct {
	_ struct{} `cbor:",toarray"`
	StateClaim
	Signers   bls.Bitmap
	Signature []byte
}

// StateClaim is the statement that a [StateCert] proves.
type StateClaim struct {
	_      struct{} `cbor:",toarray"`
	Height Height
	Block  hash.Hash
	Root   hash.Hash
}

// Attestation is one validator's signature under a [StateClaim].
type Attestation struct {
	_         struct{} `cbor:",toarray"`
	Claim     StateClaim
	Voter     ValidatorIndex
	Signature []byte
}

// VoteMessage is what a vote signs. domain is the epoch's, see [EpochDomain].
func VoteMessage(domain hash.Hash, view View, block hash.Hash) hash.Hash {
	return hash.Sum("starling/vote", domain[:], be(uint64(view)), block[:])
}

// TimeoutMessage is what a timeout signs: the view and the view of the signer's
// highest QC. domain is the epoch's.
func TimeoutMessage(domain hash.Hash, view, high View) hash.Hash {
	return hash.Sum("starling/timeout", domain[:], be(uint64(view)), be(uint64(high)))
}

// Message is what an attestation of the claim signs.
func (c StateClaim) Message(chain hash.Hash) hash.Hash {
	return hash.Sum("starling/state", chain[:], be(uint64(c.Height)), c.Block[:], c.Root[:])
}

func be(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
