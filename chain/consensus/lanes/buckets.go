package lanes

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// bucketCount is how many buckets the senders are spread over.
const bucketCount = 1024

// Buckets says which lane carries whose transactions. Transactions belong to the
// bucket of their sender, not to one of their own hash: a sender's sequence would
// otherwise be spread over lanes, and be ordered as it happens. Each bucket belongs to
// a validator, drawn by stake, another one every epoch: a lane that leaves somebody's
// transactions out loses them with the epoch.
type Buckets struct {
	owners [bucketCount]types.ValidatorIndex
}

// NewBuckets deals the buckets of an epoch out.
func NewBuckets(set *types.ValidatorSet, domain hash.Hash) *Buckets {
	b := &Buckets{}
	var total uint64
	for _, v := range set.All() {
		total += v.Power
	}
	for i := range b.owners {
		draw := hash.Sum("starling/bucket", domain[:], binary.BigEndian.AppendUint16(nil, uint16(i)))
		at := binary.BigEndian.Uint64(draw[:8]) % total
		for v := range types.ValidatorIndex(set.Len()) {
			if at < set.Power(v) {
				b.owners[i] = v
				break
			}
			at -= set.Power(v)
		}
	}
	return b
}

// Owner is the lane of a sender's transactions.
func (b *Buckets) Owner(sender types.Address) types.ValidatorIndex {
	return b.owners[binary.BigEndian.Uint16(sender[:2])%bucketCount]
}
