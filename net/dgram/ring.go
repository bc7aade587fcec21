package dgram

import (
	"encoding/binary"
	"sync"
)

// ring is a bounded queue of packets in one piece of memory that grows up to a limit. It
// is safe for concurrent use.
type ring struct {
	mu     sync.Mutex
	limit  int
	buf    []byte
	head   int // of the oldest
	used   int
	count  int
	closed bool
	filled chan<- struct{} // gets a token when there is something
	room   chan struct{}   // closed and replaced when room is made; nil if nobody waits
}

// A packet in the ring and on a stream stands after its length, two bytes that count the
// port too, and the port.
const (
	lengthSize = 2
	headSize   = lengthSize + 1
)

func newRing(limit int, filled chan<- struct{}) *ring { return &ring{limit: limit, filled: filled} }

// put copies a packet in and reports whether there was room.
func (r *ring) put(port byte, packet []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	need := headSize + len(packet)
	if r.closed || r.used+need > r.limit {
		return false
	}
	if r.used+need > len(r.buf) {
		r.grow(need)
	}
	head := [headSize]byte{lengthSize: port}
	binary.BigEndian.PutUint16(head[:], uint16(1+len(packet)))
	r.write(head[:])
	r.write(packet)
	r.count++
	select {
	case r.filled <- struct{}{}:
	default:
	}
	return true
}

func (r *ring) write(p []byte) {
	at := (r.head + r.used) % len(r.buf)
	n := copy(r.buf[at:], p)
	copy(r.buf, p[n:])
	r.used += len(p)
}

func (r *ring) grow(need int) {
	size := max(16<<10, 2*len(r.buf))
	for size < r.used+need {
		size *= 2
	}
	buf := make([]byte, min(size, r.limit))
	n := copy(buf, r.buf[r.head:min(len(r.buf), r.head+r.used)])
	copy(buf[n:], r.buf[:r.used-n])
	r.buf, r.head = buf, 0
}

// take appends the oldest packets, each after its length, to out, up to max bytes but at
// least one if there is any.
func (r *ring) take(out []byte, most int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for begin := len(out); r.count > 0; {
		length := int(r.buf[r.head])<<8 | int(r.buf[(r.head+1)%len(r.buf)])
		if len(out) > begin && len(out)-begin+lengthSize+length > most {
			break
		}
		for n := lengthSize + length; n > 0; {
			piece := r.buf[r.head:min(len(r.buf), r.head+n)]
			out = append(out, piece...)
			r.head = (r.head + len(piece)) % len(r.buf)
			r.used -= len(piece)
			n -= len(piece)
		}
		r.count--
	}
	r.wake()
	return out
}

// wake wakes who waits for room.
func (r *ring) wake() {
	if r.room != nil {
		close(r.room)
		r.room = nil
	}
}

func (r *ring) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count == 0
}

// waitRoom returns a channel that is closed when room has been made or the ring closed.
func (r *ring) waitRoom() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.room == nil {
		r.room = make(chan struct{})
	}
	return r.room
}

// close refuses what comes and wakes who waits.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake()
}
