package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
)

// Talk describes small requests and their answers, of which peers exchange many.
type Talk[Req, Resp any] struct {
	ID        protocol.ID
	Request   canon.Codec[Req]
	Response  canon.Codec[Resp]
	MaxSize   int // bytes of either
	PerSecond int // letters of one peer; see [Letters]
	// Timeout is until an answer is given up.
	Timeout time.Duration
	// Handle answers, one request of a peer after the other. It must not wait for anything.
	Handle func(from peer.ID, req Req) Resp
	// Reach connects to a peer that is not connected.
	Reach func(ctx context.Context, to peer.ID) error
}

// Exchange carries requests and answers over the long-lived streams of a [Mailbox]: a third of
// what a stream for each costs. It is safe for concurrent use.
type Exchange[Req, Resp any] struct {
	talk Talk[Req, Resp]
	host *p2p.Host
	box  *Mailbox[sheet]
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	left *network.NotifyBundle

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]pendingCall[Resp]
}

// sheet is a request or an answer on its way.
type sheet struct {
	number uint64
	answer bool
	body   []byte
}

type pendingCall[Resp any] struct {
	to   peer.ID
	by   time.Time
	done func(Resp, error)
}

var (
	// ErrSilent means that no answer came in time.
	ErrSilent = errors.New("no answer in time")
	// ErrGone means that the connection was lost before an answer came.
	ErrGone = errors.New("the connection was lost")
)

const letterHead = 9 // number, answer

// NewExchange begins to answer. Close it before the host.
func NewExchange[Req, Resp any](h *p2p.Host, t Talk[Req, Resp], log *slog.Logger) *Exchange[Req, Resp] {
	x := &Exchange[Req, Resp]{talk: t, host: h, waiting: map[uint64]pendingCall[Resp]{}}
	x.ctx, x.stop = context.WithCancel(context.Background())
	ready := make(chan struct{})
	x.box = NewMailbox(h, Letters[sheet]{
		ID: t.ID, MaxSize: t.MaxSize + letterHead, PerSecond: t.PerSecond,
		Codec: canon.Codec[sheet]{
			Encode: func(l sheet) ([]byte, error) {
				out := binary.BigEndian.AppendUint64(make([]byte, 0, letterHead+len(l.body)), l.number)
				if l.answer {
					return append(append(out, 1), l.body...), nil
				}
				return append(append(out, 0), l.body...), nil
			},
			Decode: func(raw []byte) (sheet, error) {
				if len(raw) < letterHead || raw[8] > 1 {
					return sheet{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(raw))
				}
				return sheet{binary.BigEndian.Uint64(raw), raw[8] == 1, raw[letterHead:]}, nil
			},
		},
		Handle: func(from peer.ID, l sheet) {
			<-ready
			x.receive(from, l)
		},
	}, log)
	x.left = &network.NotifyBundle{DisconnectedF: x.disconnected}
	h.Network().Notify(x.left)
	close(ready)
	x.wg.Go(x.sweep)
	return x
}

// Close gives all calls up and waits for them.
func (x *Exchange[Req, Resp]) Close() {
	x.host.Network().StopNotify(x.left)
	x.mu.Lock()
	x.stop()
	x.mu.Unlock()
	x.wg.Wait()
	x.box.Close()
	x.fail(ErrClosed, func(pendingCall[Resp]) bool { return true })
}

// Call sends a request. done is called once, later, on some goroutine.
func (x *Exchange[Req, Resp]) Call(to peer.ID, req Req, done func(Resp, error)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.number++
	n := x.number
	x.waiting[n] = pendingCall[Resp]{to, time.Now().Add(x.talk.Timeout), done}
	if x.ctx.Err() != nil {
		go x.finish(n, ErrClosed) // there is nobody left to wait for it but the caller
		return
	}
	if x.host.Network().Connectedness(to) == network.Connected {
		if err := x.send(to, n, req); err != nil {
			x.wg.Go(func() { x.finish(n, err) })
		}
		return
	}
	x.wg.Go(func() {
		ctx, cancel := context.WithTimeout(x.ctx, x.talk.Timeout)
		defer cancel()
		err := x.talk.Reach(ctx, to)
		if err == nil {
			err = x.send(to, n, req)
		}
		if err != nil {
			x.finish(n, err)
		}
	})
}

func (x *Exchange[Req, Resp]) send(to peer.ID, n uint64, req Req) error {
	raw, err := x.talk.Request.Encode(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", x.talk.ID, err)
	}
	return x.box.Send(to, sheet{n, false, raw})
}

func (x *Exchange[Req, Resp]) receive(from peer.ID, l sheet) {
	if l.answer {
		x.answered(from, l)
		return
	}
	req, err := x.talk.Request.Decode(l.body)
	if err != nil {
		x.host.Penalise(from, p2p.InvalidMessage)
		return
	}
	raw, err := x.talk.Response.Encode(x.talk.Handle(from, req))
	if err == nil {
		_ = x.box.Send(from, sheet{l.number, true, raw}) // who does not get it gives up
	}
}

func (x *Exchange[Req, Resp]) answered(from peer.ID, l sheet) {
	x.mu.Lock()
	c, ok := x.waiting[l.number]
	if ok && c.to == from {
		delete(x.waiting, l.number)
	}
	x.mu.Unlock()
	if !ok || c.to != from {
		return // too late
	}
	resp, err := x.talk.Response.Decode(l.body)
	if err != nil {
		x.host.Penalise(from, p2p.InvalidMessage)
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c.done(resp, err)
}

// finish ends one call without an answer.
func (x *Exchange[Req, Resp]) finish(n uint64, err error) {
	x.mu.Lock()
	c, ok := x.waiting[n]
	delete(x.waiting, n)
	x.mu.Unlock()
	if ok {
		var none Resp
		c.done(none, fmt.Errorf("call %s at %s: %w", x.talk.ID, c.to, err))
	}
}

// fail ends calls without an answer.
func (x *Exchange[Req, Resp]) fail(err error, which func(pendingCall[Resp]) bool) {
	x.mu.Lock()
	var numbers []uint64
	for n, c := range x.waiting {
		if which(c) {
			numbers = append(numbers, n)
		}
	}
	x.mu.Unlock()
	for _, n := range numbers {
		x.finish(n, err)
	}
}

// disconnected gives the calls to a peer up that is gone.
func (x *Exchange[Req, Resp]) disconnected(n network.Network, c network.Conn) {
	to := c.RemotePeer()
	if n.Connectedness(to) == network.Connected {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx.Err() == nil {
		x.wg.Go(func() { x.fail(ErrGone, func(c pendingCall[Resp]) bool { return c.to == to }) })
	}
}

// sweep gives up what takes too long.
func (x *Exchange[Req, Resp]) sweep() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-x.ctx.Done():
			return
		case now := <-tick.C:
			x.fail(ErrSilent, func(c pendingCall[Resp]) bool { return now.After(c.by) })
		}
	}
}
