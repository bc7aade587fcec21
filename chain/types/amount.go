package types

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Height counts decided blocks; the genesis state is height 0.
type Height uint64

// View counts the attempts of consensus to certify a block; the genesis block
// is view 0. Several views may pass between two heights.
type View uint64

// Drops is an amount of the native coin in its smallest unit.
type Drops uint64

// DropsPerCoin is the number of drops in one coin (six decimals).
const DropsPerCoin Drops = 1_000_000

// MaxSupply bounds the sum of all native amounts, so that no sum of two
// legitimate amounts overflows.
const MaxSupply Drops = 1 << 62

// ErrAmount is wrapped by every refusal of [ParseDrops].
var ErrAmount = errors.New("not an amount")

// String writes the amount in coins with as many decimals as it needs.
func (d Drops) String() string {
	whole, frac := d/DropsPerCoin, d%DropsPerCoin
	if frac == 0 {
		return strconv.FormatUint(uint64(whole), 10)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%06d", whole, frac), "0")
}

// ParseDrops reads an amount in coins, such as "12" or "0.25". At most six
// decimals; no sign, exponent, or separator.
func ParseDrops(s string) (Drops, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if dotted && frac == "" || len(frac) > 6 {
		return 0, fmt.Errorf("%q: %w: want coins with at most six decimals, such as 12.5", s, ErrAmount)
	}
	digits := whole + frac + strings.Repeat("0", 6-len(frac))
	if whole == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q: %w: want coins with at most six decimals, such as 12.5", s, ErrAmount)
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || Drops(n) > MaxSupply {
		return 0, fmt.Errorf("%q: %w: larger than any supply", s, ErrAmount)
	}
	return Drops(n), nil
}

// AddDrops returns a+b and whether the sum fits.
func AddDrops(a, b Drops) (Drops, bool) {
	sum, carry := bits.Add64(uint64(a), uint64(b), 0)
	return Drops(sum), carry == 0
}
