package rpc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge means that a frame is larger than its protocol allows.
var ErrTooLarge = errors.New("frame too large")

// appendFrame adds a length-prefixed frame to b.
func appendFrame(b, payload []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

// readFrame reads one frame of at most limit bytes. Memory grows with what
// arrives, not with what is announced. io.EOF means that the stream ended
// between frames.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, n, limit)
	}
	const step = 64 << 10
	buf := make([]byte, 0, min(n, step))
	for uint64(len(buf)) < n {
		at := len(buf)
		buf = append(buf, make([]byte, min(n-uint64(at), uint64(max(step, at))))...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, fmt.Errorf("frame cut short: %w", io.ErrUnexpectedEOF)
		}
	}
	return buf, nil
}
