package rpc

// outboxSize is how many messages wait for a peer that cannot be reached.
const outboxSize = 256

// outbox is a bounded queue of messages to one peer: when full, the oldest goes.
// Messages stay in it until they are written. Its users hold the mailbox's lock.
type outbox struct {
	queue [][]byte
	first uint64        // number of queue[0], counted since the beginning
	wake  chan struct{} // something is queued
	up    chan struct{} // a connection was made
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), up: make(chan struct{}, 1)}
}

// push queues a message and returns how many were dropped for it.
func (o *outbox) push(data []byte) (dropped uint64) {
	if len(o.queue) == outboxSize {
		o.queue = append(o.queue[:0], o.queue[1:]...)
		o.first++
		dropped = 1
	}
	o.queue = append(o.queue, data)
	signal(o.wake)
	return dropped
}

// batch frames the messages that wait, oldest first, until there are enough
// bytes for one write. It appends to b and returns the number after the last.
func (o *outbox) batch(b []byte, enough int) ([]byte, uint64) {
	n := 0
	for n < len(o.queue) && len(b) < enough {
		b = appendFrame(b, o.queue[n])
		n++
	}
	return b, o.first + uint64(n)
}

// written removes the messages before the given number.
func (o *outbox) written(before uint64) {
	if before <= o.first {
		return
	}
	n := min(int(before-o.first), len(o.queue))
	clear(o.queue[:n])
	o.queue = o.queue[n:]
	o.first += uint64(n)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
