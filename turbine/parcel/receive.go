package parcel

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/fec"
)

// Reservation is room for a parcel that a peer is about to send.
type Reservation struct {
	number uint64
	p      *pair
	got    chan []byte
}

// Reserve makes room for a parcel from a peer. The sender must be told its number. Every
// reservation must be waited for or given up.
func (c *Channel) Reserve(from peer.ID) (*Reservation, error) {
	p, err := c.with(from)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.last++
	r := &Reservation{number: c.last, p: p, got: make(chan []byte, 1)}
	c.mu.Unlock()
	p.mu.Lock()
	p.waiting[r.number] = r.got
	p.admit()
	p.mu.Unlock()
	return r, nil
}

// Number is what the sender must be told.
func (r *Reservation) Number() uint64 { return r.number }

// Wait returns the parcel, or ctx's error. The reservation is over then.
func (r *Reservation) Wait(ctx context.Context) ([]byte, error) {
	defer r.GiveUp()
	r.p.driver.Expect(r.stream())
	select {
	case payload := <-r.got:
		return payload, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("parcel %d: %w", r.number, ctx.Err())
	}
}

// GiveUp frees the room. It may be called again.
func (r *Reservation) GiveUp() {
	r.p.mu.Lock()
	_, waiting := r.p.waiting[r.number]
	delete(r.p.waiting, r.number)
	r.p.admit()
	r.p.mu.Unlock()
	if waiting && len(r.got) == 0 {
		r.p.driver.Forget(r.stream())
	}
}

func (r *Reservation) stream() fec.Stream {
	return fec.Stream{Channel: stream, Sender: r.p.other, Slot: r.number}
}

// admit takes what lies between the lowest and the highest number that are reserved. What
// was finished below stays, so that a sender that did not hear of it can be told again.
// The caller holds the lock.
func (p *pair) admit() {
	low, high := ^uint64(0), uint64(0)
	for number := range p.waiting {
		low, high = min(low, number), max(high, number)
	}
	p.driver.Admit(stream, low, high)
}
