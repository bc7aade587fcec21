package ring

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Distance is how far it is from a to b, going up.
func Distance(a, b ID) (d ID) {
	var borrow uint64
	for i := 24; i >= 0; i -= 8 {
		var word uint64
		word, borrow = bits.Sub64(binary.BigEndian.Uint64(b[i:]), binary.BigEndian.Uint64(a[i:]), borrow)
		binary.BigEndian.PutUint64(d[i:], word)
	}
	return d
}

// plus is where one is after going up from a.
func plus(a, d ID) (sum ID) {
	var carry uint64
	for i := 24; i >= 0; i -= 8 {
		var word uint64
		word, carry = bits.Add64(binary.BigEndian.Uint64(a[i:]), binary.BigEndian.Uint64(d[i:]), carry)
		binary.BigEndian.PutUint64(sum[i:], word)
	}
	return sum
}

// less orders distances.
func less(a, b ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// magnitude is the number of the highest bit of a distance, -1 of none.
func magnitude(d ID) int {
	for i := range 4 {
		if word := binary.BigEndian.Uint64(d[8*i:]); word != 0 {
			return 255 - 64*i - bits.LeadingZeros64(word)
		}
	}
	return -1
}
