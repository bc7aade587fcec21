package store

import (
	"math/bits"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
)

// WorkFor is how many bits of work an owner's next record takes here.
func (s *Shelf) WorkFor(o Owner) int {
	if s.limits.Work < 0 {
		return 0
	}
	records := 0
	if u := s.owners[o]; u != nil {
		records = u.records
	}
	return s.limits.Work + 2*bits.Len(uint(records/64))
}

// WorkOf is the bits of work that a nonce shows for a record.
func WorkOf(key ring.ID, nonce uint64) int {
	var n [8]byte
	for i := range n {
		n[i] = byte(nonce >> (8 * i))
	}
	sum := hash.Sum("starling/dht/work", key[:], n[:])
	zeros := 0
	for _, b := range sum {
		zeros += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return zeros
}

// DoWork finds a nonce that shows so many bits of work, after about 2^bits tries.
func DoWork(key ring.ID, bits int) (nonce uint64) {
	for WorkOf(key, nonce) < bits {
		nonce++
	}
	return nonce
}
