package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/starlingmesh/starling/crypto/hash"
)

// First bytes of the records in the database.
const (
	prefixMarker  = 'm' // the one marker
	prefixVersion = 'v' // version: point
	prefixTouched = 'j' // timestamp, chunk: which records a version wrote
	prefixFlat    = 'f' // key: value
	prefixNode    = 't' // depth, path: tree node
	prefixExtra   = 'x' // the caller's
)

var markerKey = []byte{prefixMarker}

func versionKey(version uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixVersion}, version)
}

func touchedKey(ts uint64, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte{prefixTouched}, ts), chunk)
}

func flatKey(key []byte) []byte { return prefixed(prefixFlat, key) }

func extraKey(key []byte) []byte { return prefixed(prefixExtra, key) }

func prefixed(p byte, key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), p), key...)
}

func nodeKey(at place) []byte {
	b := append(make([]byte, 0, 2+hash.Size), prefixNode, at.depth)
	return append(b, at.prefix[:(int(at.depth)+1)/2]...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a CRC-32C over key and value before the value, so that a flipped
// bit, and a value under another's key, are found when it is read.
func seal(key, value []byte) []byte {
	b := make([]byte, 4, 4+len(value))
	binary.BigEndian.PutUint32(b, checksum(key, value))
	return append(b, value...)
}

// unseal checks what seal made and returns the value within it.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 || checksum(key, sealed[4:]) != binary.BigEndian.Uint32(sealed) {
		return nil, fmt.Errorf("record %x: %w", key, ErrCorrupt)
	}
	return sealed[4:], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}
