package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// MaxMembers is how many keys a multi-key can have.
const MaxMembers = 16

// multiHeader is the threshold and the number of members, a byte each; multiMap is the bitmap in front of
// the signatures.
const (
	multiHeader = 2
	multiMap    = 2
)

// ErrSignatures is returned where the signatures of a multi-key's members are not what it asks for.
var ErrSignatures = errors.New("not the signatures that the key asks for")

// NewMulti makes the key for which threshold of its members sign: 1 to 16 secp256k1, ed25519 or
// p256 keys, each once. Their order does not matter: the same members and threshold are the same
// key. It returns [ErrPublicKey].
func NewMulti(threshold int, members ...PublicKey) (PublicKey, error) {
	if threshold < 1 || threshold > len(members) || len(members) > MaxMembers {
		return PublicKey{}, fmt.Errorf("%w: %d signatures of %d members: want 1 to all of 1 to %d", ErrPublicKey, threshold, len(members), MaxMembers)
	}
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b PublicKey) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	enc := []byte{byte(Multi), byte(threshold), byte(len(sorted))}
	for _, m := range sorted {
		enc = append(enc, m.enc...)
	}
	return ParsePublicKey(enc)
}

// Members are the keys of a multi-key in the order of its signatures, and how many of them must
// sign; of any other key, that alone.
func (k PublicKey) Members() (threshold int, members []PublicKey) {
	if k.Kind() != Multi {
		return 1, []PublicKey{k}
	}
	threshold, members, _ = parseMulti([]byte(k.enc[1:])) // was parsed before
	return threshold, members
}

// Split is what [PublicKey.Members] tells, of an encoded key, in a fraction of the time: the
// members' encodings are not parsed. It returns [ErrPublicKey].
func Split(b []byte) (threshold int, members [][]byte, err error) {
	if err := CheckForm(b); err != nil {
		return 0, nil, err
	}
	if Kind(b[0]) != Multi {
		return 1, [][]byte{b}, nil
	}
	return cutMulti(b[1:])
}

// parseMulti reads a multi-key without its kind.
func parseMulti(raw []byte) (threshold int, members []PublicKey, err error) {
	threshold, encodings, err := cutMulti(raw)
	if err != nil {
		return 0, nil, err
	}
	for i, enc := range encodings {
		key, err := ParsePublicKey(enc)
		if err != nil {
			return 0, nil, fmt.Errorf("member %d: %w", i, err)
		}
		members = append(members, key)
	}
	return threshold, members, nil
}

// cutMulti finds the members' encodings in a multi-key, which are still to be parsed.
func cutMulti(raw []byte) (threshold int, encodings [][]byte, err error) {
	if len(raw) < multiHeader {
		return 0, nil, fmt.Errorf("%d bytes of a multi-key", len(raw))
	}
	threshold, count := int(raw[0]), int(raw[1])
	if threshold < 1 || threshold > count || count > MaxMembers {
		return 0, nil, fmt.Errorf("%d signatures of %d members: want 1 to all of 1 to %d", threshold, count, MaxMembers)
	}
	rest := raw[multiHeader:]
	for i := range count {
		size := 0
		if len(rest) > 0 {
			size = memberSize(Kind(rest[0]))
		}
		if size == 0 || len(rest) < size {
			return 0, nil, fmt.Errorf("member %d is cut off, or of a kind that cannot be one", i)
		}
		if i > 0 && bytes.Compare(encodings[i-1], rest[:size]) >= 0 {
			return 0, nil, fmt.Errorf("member %d is out of order, or there twice", i)
		}
		encodings, rest = append(encodings, rest[:size]), rest[size:]
	}
	if len(rest) > 0 {
		return 0, nil, fmt.Errorf("%d bytes too many", len(rest))
	}
	return threshold, encodings, nil
}

// memberSize is the length of a member's typed key; 0 if keys of its kind cannot be members. RSA
// keys and signatures are too large.
func memberSize(k Kind) int {
	switch k {
	case Secp256k1, P256:
		return 1 + 33
	case Ed25519:
		return 1 + 32
	default:
		return 0
	}
}

// signatureSize is the length of a member's signature.
func signatureSize(k Kind) int {
	if k == Secp256k1 {
		return secpSignatureSize
	}
	return 64 // ed25519 and p256
}

// JoinSignatures makes the signature of a multi-key out of those of its members, which may be more
// than it needs. Those that do not hold are passed over; [ErrSignatures] tells how many are
// missing.
func JoinSignatures(key PublicKey, msg []byte, of map[PublicKey][]byte) ([]byte, error) {
	threshold, members := key.Members()
	var signers uint16
	out := make([]byte, multiMap)
	have := 0
	for i, m := range members {
		if sig, signed := of[m]; have < threshold && signed && m.Verify(msg, sig) {
			signers |= 1 << i
			out = append(out, sig...)
			have++
		}
	}
	if have < threshold {
		return nil, fmt.Errorf("%w: %d of %d", ErrSignatures, have, threshold)
	}
	if key.Kind() != Multi {
		return out[multiMap:], nil
	}
	binary.BigEndian.PutUint16(out, signers)
	return out, nil
}

// memberItems takes a multi-key's signature apart into those of its members. It is false unless
// exactly as many as the threshold are there, in order.
func memberItems(it *Item) ([]Item, bool) {
	threshold, encodings, err := cutMulti([]byte(it.Key.enc[1:]))
	if err != nil || len(it.Sig) < multiMap {
		return nil, false
	}
	signers, rest := binary.BigEndian.Uint16(it.Sig), it.Sig[multiMap:]
	if bits.OnesCount16(signers) != threshold || bits.Len16(signers) > len(encodings) {
		return nil, false
	}
	items := make([]Item, 0, threshold)
	for i, enc := range encodings {
		if signers>>i&1 == 0 {
			continue
		}
		member, err := ParsePublicKey(enc)
		size := signatureSize(member.Kind())
		if err != nil || len(rest) < size {
			return nil, false
		}
		items = append(items, Item{Key: member, Msg: it.Msg, Sig: rest[:size]})
		rest = rest[size:]
	}
	return items, len(rest) == 0
}

func (k PublicKey) verifyMulti(msg, sig []byte) bool {
	items, ok := memberItems(&Item{Key: k, Msg: msg, Sig: sig})
	return ok && !slices.ContainsFunc(items, func(it Item) bool { return !it.Key.Verify(it.Msg, it.Sig) })
}

// spread puts the members' signatures in place of those of multi-keys. owners are the places of
// the items in the list before; those whose signature cannot be taken apart are bad.
func spread(items []Item) (flat []Item, owners, bad []int) {
	for i := range items {
		of := items[i : i+1]
		if items[i].Key.Kind() == Multi {
			var ok bool
			if of, ok = memberItems(&items[i]); !ok {
				bad = append(bad, i)
				continue
			}
		}
		for range of {
			owners = append(owners, i)
		}
		flat = append(flat, of...)
	}
	return flat, owners, bad
}
