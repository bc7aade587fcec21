package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/starlingmesh/starling/crypto/hash"
)

// A segment file is
//
//	header  magic "SJ1\n" | label 32 bytes | first index 8 | CRC-32C 4
//	record  length 4 | CRC-32C of index and length 4 | CRC-32C of index and payload 4 | payload
//
// with integers big-endian. The length has a checksum of its own, so that a
// flipped bit in it is not mistaken for a record that was cut short.
const (
	suffix      = ".journal"
	magic       = "SJ1\n"
	headerBytes = 4 + hash.Size + 8 + 4
	frameBytes  = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errUnborn means that a segment was begun but its header never synced.
var errUnborn = errors.New("segment without header")

func segmentHeader(label hash.Hash, first uint64) []byte {
	b := append([]byte(magic), label[:]...)
	b = binary.BigEndian.AppendUint64(b, first)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// appendHead appends what stands before a record.
func appendHead(b []byte, index uint64, record []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(record)))
	b = binary.BigEndian.AppendUint32(b, lengthSum(index, uint32(len(record))))
	return binary.BigEndian.AppendUint32(b, recordSum(index, record))
}

func lengthSum(index uint64, length uint32) uint32 {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], index)
	binary.BigEndian.PutUint32(b[8:], length)
	return crc32.Checksum(b[:], castagnoli)
}

func recordSum(index uint64, record []byte) uint32 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], index)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, record)
}

// scan checks a segment and calls f, if any, with its records. It returns where
// the good records end and the index after them. Only in the last segment may
// a record be cut short.
func (j *Journal) scan(path string, first uint64, last bool, f func(uint64, []byte) error) (end int64, next uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<16)
	if err := j.checkHeader(r, path, first, last); err != nil {
		return 0, 0, err
	}
	end, next = headerBytes, first
	for {
		record, err := j.read(r, next, last)
		switch {
		case errors.Is(err, io.EOF):
			return end, next, nil
		case err != nil:
			return 0, 0, fmt.Errorf("%s, record %d at byte %d: %w", path, next, end, err)
		}
		if f != nil {
			if err := f(next, record); err != nil {
				return 0, 0, err
			}
		}
		end += frameBytes + int64(len(record))
		next++
	}
}

func (j *Journal) checkHeader(r io.Reader, path string, first uint64, last bool) error {
	have := make([]byte, headerBytes)
	n, err := io.ReadFull(r, have)
	want := segmentHeader(j.opts.Label, first)
	if err != nil {
		if last && (bytes.Equal(have[:n], want[:n]) || allZero(have[:n])) {
			return errUnborn
		}
		return fmt.Errorf("%s: header cut short: %w", path, ErrDamaged)
	}
	if bytes.Equal(have, want) {
		return nil
	}
	if sum := binary.BigEndian.Uint32(have[headerBytes-4:]); crc32.Checksum(have[:headerBytes-4], castagnoli) != sum {
		return fmt.Errorf("%s: header: %w", path, ErrDamaged)
	}
	if string(have[:len(magic)]) != magic {
		return fmt.Errorf("%s: unknown format: %w", path, ErrDamaged)
	}
	if !bytes.Equal(have[4:4+hash.Size], j.opts.Label[:]) {
		return fmt.Errorf("%s: %w", path, ErrForeign)
	}
	return fmt.Errorf("%s: first index: %w", path, ErrDamaged)
}

// read reads one record. io.EOF means that the segment ends here, cleanly or,
// in the last one, with a record that was cut short.
func (j *Journal) read(r *bufio.Reader, index uint64, last bool) ([]byte, error) {
	var frame [frameBytes]byte
	n, err := io.ReadFull(r, frame[:])
	if err != nil {
		if n == 0 || last {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("cut short: %w", ErrDamaged)
	}
	length := binary.BigEndian.Uint32(frame[:])
	if lengthSum(index, length) != binary.BigEndian.Uint32(frame[4:]) || int64(length) > int64(j.opts.MaxRecord) {
		if last && allZero(frame[:]) && restZero(r) {
			return nil, io.EOF // the file grew before its bytes were written
		}
		return nil, ErrDamaged
	}
	record := make([]byte, 0, min(int(length), 1<<20))
	buf := bytes.NewBuffer(record)
	if _, err := io.CopyN(buf, r, int64(length)); err != nil {
		if last && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("cut short: %w", ErrDamaged)
	}
	if recordSum(index, buf.Bytes()) != binary.BigEndian.Uint32(frame[8:]) {
		if last && allZero(buf.Bytes()) && restZero(r) && length > 0 {
			return nil, io.EOF
		}
		return nil, ErrDamaged
	}
	return buf.Bytes(), nil
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func restZero(r io.Reader) bool {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if !allZero(buf[:n]) {
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}
