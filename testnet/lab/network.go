package lab

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/marcopolo/simnet"
)

// fabric is the emulated network: a rate-limited link for each node and, in
// the middle, a router that delays, loses, cuts off and counts.
type fabric struct {
	net   *simnet.Simnet
	link  simnet.NodeBiDiLinkSettings
	index map[string]int // node by IP
	away  []atomic.Bool  // nodes cut off now
	sent  []atomic.Int64 // UDP payload bytes that left a node's uplink

	// Used by the router's goroutine only.
	delay  func(from, to int) time.Duration
	jitter time.Duration
	loss   float64
	draw   *rand.Rand
	last   map[[2]int]time.Time
}

func newFabric(o Options, delay func(from, to int) time.Duration) *fabric {
	f := &fabric{
		link: simnet.NodeBiDiLinkSettings{
			Uplink:   simnet.LinkSettings{BitsPerSecond: int(o.Uplink)},
			Downlink: simnet.LinkSettings{BitsPerSecond: int(o.downlink())},
		},
		index: map[string]int{}, away: make([]atomic.Bool, o.Nodes), sent: make([]atomic.Int64, o.Nodes),
		delay: delay, jitter: o.Jitter, loss: o.Loss,
		draw: rand.New(rand.NewPCG(o.Seed, saltLinks)), last: map[[2]int]time.Time{},
	}
	for i := range o.Nodes {
		f.index[simnet.IntToPublicIPv4(i).String()] = i
	}
	f.net = &simnet.Simnet{LatencyFunc: f.route, Logger: slog.New(slog.DiscardHandler)}
	return f
}

// nowhere is an address without a node: the router drops what goes there.
var nowhere = &net.UDPAddr{IP: net.IPv4(240, 0, 0, 1), Port: 1}

// wireAddr carries a packet's size and ends through simnet to the router, to
// which a packet's bytes are hidden.
type wireAddr struct {
	*net.UDPAddr
	from, to, size int
}

// route decides about a packet that left its sender's uplink. Packets between
// two nodes keep their order, as they do on most paths: jitter delays those
// behind too.
func (f *fabric) route(p *simnet.Packet) time.Duration {
	w, ok := p.To.(*wireAddr)
	if !ok {
		p.To = nowhere
		return 0
	}
	f.sent[w.from].Add(int64(w.size))
	lost := f.draw.Float64() < f.loss
	if w.to < 0 || lost || f.away[w.from].Load() || f.away[w.to].Load() {
		p.To = nowhere
		return 0
	}
	p.To = w.UDPAddr
	d := f.delay(w.from, w.to)
	if f.jitter > 0 {
		d += time.Duration(f.draw.Int64N(int64(f.jitter)))
	}
	now, pair := time.Now(), [2]int{w.from, w.to}
	at := now.Add(d)
	if before := f.last[pair]; at.Before(before) {
		at = before
	}
	f.last[pair] = at
	return at.Sub(now)
}

// endpoint is a node's socket.
type endpoint struct {
	*simnet.SimConn
	f    *fabric
	node int
}

func (f *fabric) listen(node int, addr *net.UDPAddr) *endpoint {
	return &endpoint{SimConn: f.net.NewEndpoint(addr, f.link), f: f, node: node}
}

// WriteTo implements net.PacketConn.
func (e *endpoint) WriteTo(b []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: addr.String()}
	}
	to, ok := e.f.index[udp.IP.String()]
	if !ok {
		to = -1
	}
	return e.SimConn.WriteTo(b, &wireAddr{UDPAddr: udp, from: e.node, to: to, size: len(b)})
}

// total is the sum of what all nodes sent.
func (f *fabric) total() (n int64) {
	for i := range f.sent {
		n += f.sent[i].Load()
	}
	return n
}
