package parcel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/fec"
)

// Send sends a parcel under the number that its receiver reserved, and returns once the
// receiver has it.
//
// It returns [ErrDeadline] if that takes longer than the options allow, ctx's error, or
// an error of package turbine/driver if the parcel cannot be sent at all.
func (c *Channel) Send(ctx context.Context, to peer.ID, number uint64, payload []byte, o Options) error {
	p, err := c.with(to)
	if err != nil {
		return err
	}
	if !o.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, o.Deadline, ErrDeadline)
		defer cancel()
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.sending[number] = done
	p.mu.Unlock()
	id := fec.Stream{Channel: stream, Sender: p.self, Slot: number}
	defer func() {
		p.mu.Lock()
		delete(p.sending, number)
		p.used = time.Now()
		p.mu.Unlock()
		p.driver.Forget(id)
	}()
	err = p.driver.PublishAs(ctx, stream, number, payload, fec.Shape{Data: o.Data, Parity: o.Parity})
	if err == nil {
		err = p.await(ctx, id, done)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), ErrDeadline) {
			err = ErrDeadline
		}
		return fmt.Errorf("parcel %d of %d bytes to %s: %w", number, len(payload), to, err)
	}
	return nil
}

// await asks now and then until the other says that it has the parcel.
func (p *pair) await(ctx context.Context, id fec.Stream, done <-chan struct{}) error {
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-ask.C:
			p.driver.Again(id)
		}
	}
}
