// Package driver runs a turbine core: it feeds the core what comes as packets and what
// time it is, sends what the core wants sent, and packs and unpacks payloads. Look at
// [Driver]. It is the only place where the core meets a clock, a lock or a goroutine.
package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/turbine"
)

// Packets carries packets to peers. net/dgram.Port does.
type Packets interface {
	// TrySend and Send let packets that may wait go after all others.
	TrySend(to peer.ID, packet []byte, mayWait bool) bool
	Send(ctx context.Context, to peer.ID, packet []byte, mayWait bool) error
	Connected(to peer.ID) bool
}

// Config is what a driver is made of. All fields are required unless said otherwise.
type Config struct {
	Core    turbine.Config
	Peers   []peer.ID // of the members, in their order
	Packets Packets
	// Sign signs with the own key: 64 bytes, Ed25519.
	Sign func(message []byte) ([]byte, error)
	// Compress is tried on own payloads; Plain never.
	Compress fec.Codec
	// Loss is the share of shreds that is expected to get lost before anything was
	// measured.
	Loss float64
	// MaxPayload is the largest payload that is taken, in bytes, unpacked.
	MaxPayload int
	// OnPayload is given whole payloads. It must not block for long.
	OnPayload func(id fec.Stream, payload []byte, receipt turbine.Receipt)
	// OnArrived is told that every member has an own payload; optional.
	OnArrived func(id fec.Stream)
	// OnFault is told of broken rules; optional.
	OnFault func(turbine.Fault)
	Logger  *slog.Logger
}

// Driver sends and receives payloads. All methods are safe for concurrent use.
type Driver struct {
	cfg     Config
	members map[peer.ID]turbine.Index

	mu   sync.Mutex
	core *turbine.Core
	used map[fec.Channel]*slots
}

// What callers decide on.
var (
	// ErrPayload means that a payload cannot be sent.
	ErrPayload = errors.New("payload cannot be sent")
	// ErrUsed means that the slot has been used already, or is far below one that has.
	ErrUsed = errors.New("the slot has been used")
)

// New makes a driver. Only repair needs Run.
func New(cfg Config) *Driver {
	if cfg.Core.Verify == nil {
		cfg.Core.Verify = verifyEd25519
	}
	d := &Driver{cfg: cfg, core: turbine.New(cfg.Core), members: make(map[peer.ID]turbine.Index, len(cfg.Peers)), used: map[fec.Channel]*slots{}}
	for i, p := range cfg.Peers {
		d.members[p] = turbine.Index(i)
	}
	return d
}

// tickEvery is how often the core is told the time. It bounds how late repairs are.
const tickEvery = 50 * time.Millisecond

// Run asks for what is late until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			d.Tick(now)
		}
	}
}

// Tick does once what Run does all the time, for those who run many drivers.
func (d *Driver) Tick(now time.Time) {
	d.step(func(c *turbine.Core) *turbine.Effects { return c.Tick(now) })
}

// Receive takes a packet. It keeps nothing of it.
func (d *Driver) Receive(from peer.ID, packet []byte) {
	if m, ok := d.members[from]; ok {
		d.step(func(c *turbine.Core) *turbine.Effects { return c.Receive(time.Now(), m, packet) })
	}
}

// step lets the core take an event, and does what it wants done.
func (d *Driver) step(event func(*turbine.Core) *turbine.Effects) {
	d.mu.Lock()
	effects := event(d.core)
	for _, s := range effects.Sends {
		for _, to := range s.To {
			d.cfg.Packets.TrySend(d.cfg.Peers[to], s.Raw, s.Later)
		}
	}
	finished := append([]turbine.Finished(nil), effects.Finished...)
	faults := append([]turbine.Fault(nil), effects.Faults...)
	arrived := append([]fec.Stream(nil), effects.Arrived...)
	d.mu.Unlock()
	for _, id := range arrived {
		if d.cfg.OnArrived != nil {
			d.cfg.OnArrived(id)
		}
	}
	for _, f := range faults {
		if d.cfg.OnFault != nil {
			d.cfg.OnFault(f)
		}
	}
	for _, f := range finished {
		d.deliver(f)
	}
}

func (d *Driver) deliver(f turbine.Finished) {
	payload, err := fec.Unpack(f.Codec, &pieces{left: f.Data}, d.cfg.MaxPayload)
	if err != nil {
		d.cfg.Logger.Warn("a payload does not unpack", "sender", uint64(f.Stream.Sender), "slot", f.Stream.Slot, "error", err)
		return
	}
	d.cfg.OnPayload(f.Stream, payload, f.Receipt)
}

// pieces reads slices one after the other.
type pieces struct{ left [][]byte }

// Read implements io.Reader.
func (p *pieces) Read(out []byte) (n int, err error) {
	for len(p.left) > 0 && n < len(out) {
		k := copy(out[n:], p.left[0])
		n += k
		if p.left[0] = p.left[0][k:]; len(p.left[0]) == 0 {
			p.left = p.left[1:]
		}
	}
	if n == 0 && len(out) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Len is how many bytes are left.
func (p *pieces) Len() (n int) {
	for _, piece := range p.left {
		n += len(piece)
	}
	return n
}

// Publish sends a payload to all members as a slot of a channel. It returns when all is
// handed to the network, or ctx ends. A slot must not be used twice, also over restarts:
// that proves the sender a liar.
//
// It returns [ErrPayload] or [ErrUsed] before anything is sent.
func (d *Driver) Publish(ctx context.Context, ch fec.Channel, slot uint64, payload []byte) error {
	return d.PublishAs(ctx, ch, slot, payload, fec.Shape{})
}

// PublishAs is Publish with sets of a given shape; the zero shape follows from size and
// measured loss.
func (d *Driver) PublishAs(ctx context.Context, ch fec.Channel, slot uint64, payload []byte, shape fec.Shape) error {
	if len(payload) == 0 || len(payload) > d.cfg.MaxPayload {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrPayload, len(payload), d.cfg.MaxPayload)
	}
	if d.cfg.Core.Self == turbine.Nobody {
		return fmt.Errorf("%w: this node is no member", ErrPayload)
	}
	if !d.use(ch, slot) {
		return fmt.Errorf("publish slot %d: %w", slot, ErrUsed)
	}
	codec := fec.Choose(d.cfg.Compress, payload)
	packed, err := pack(codec, payload)
	if err != nil {
		return err
	}
	if shape == (fec.Shape{}) {
		shape = turbine.ShapeFor(len(packed), expectedShard, d.expectedLoss())
	}
	encoder, err := fec.NewEncoder(fec.EncoderConfig{
		Chain: d.cfg.Core.Chain, Sender: d.cfg.Core.Group.At(d.cfg.Core.Self).Sender, Sign: d.cfg.Sign,
		Shape: shape, Codes: d.cfg.Core.Codes,
	})
	if err != nil {
		return fmt.Errorf("publish slot %d: %w", slot, err)
	}
	d.noteAbsent()
	id := fec.Stream{Channel: ch, Sender: d.cfg.Core.Group.At(d.cfg.Core.Self).Sender, Slot: slot}
	out := &outbox{d: d, id: id, overflow: make([][][]byte, len(d.cfg.Peers)), parity: make([][][]byte, len(d.cfg.Peers))}
	if err := encoder.Cut(id, codec, packed, out.offer); err != nil {
		return fmt.Errorf("publish slot %d: %w", slot, err)
	}
	return out.drain(ctx)
}

// slots are those of a channel that have been used.
type slots struct {
	highest uint64
	recent  map[uint64]struct{} // of the last slotsKept
}

const slotsKept = 1024

// use takes a slot, once.
func (d *Driver) use(ch fec.Channel, slot uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.used[ch]
	if s == nil {
		s = &slots{recent: map[uint64]struct{}{}}
		d.used[ch] = s
	}
	if _, twice := s.recent[slot]; twice || len(s.recent) > 0 && s.highest-min(slot, s.highest) >= slotsKept {
		return false
	}
	s.highest = max(s.highest, slot)
	s.recent[slot] = struct{}{}
	if len(s.recent) > 2*slotsKept {
		maps.DeleteFunc(s.recent, func(old uint64, _ struct{}) bool { return s.highest-old >= slotsKept })
	}
	return true
}

const (
	// spareLoss is added to the measured loss, which is never the same twice.
	spareLoss = 0.03
	mostLoss  = 0.45
)

// expectedLoss is what the parity of a payload is for.
func (d *Driver) expectedLoss() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if loss, known := d.core.Loss(); known {
		return min(mostLoss, loss+spareLoss)
	}
	return d.cfg.Loss
}

// expectedShard is the payload of a shred in sets of any size up to 128+128.
const expectedShard = 960

func pack(codec fec.Codec, payload []byte) ([]byte, error) {
	if codec == fec.Plain {
		return payload, nil
	}
	var packed bytes.Buffer
	w, err := fec.Pack(codec, &packed)
	if err == nil {
		_, err = w.Write(payload)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack payload: %w", err)
	}
	return packed.Bytes(), nil
}

// noteAbsent tells the core who cannot relay.
func (d *Driver) noteAbsent() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range d.cfg.Peers {
		if m := turbine.Index(i); m != d.cfg.Core.Self && !d.cfg.Packets.Connected(p) {
			d.core.Absent(time.Now(), m)
		}
	}
}

// Admit sets which slots of a channel are taken.
func (d *Driver) Admit(ch fec.Channel, low, high uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.core.Admit(ch, low, high)
}

// Expect has a stream asked for of which nothing may have come.
func (d *Driver) Expect(id fec.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.core.Expect(time.Now(), id)
}

// Forget drops a payload: nothing of it is taken or served any more.
func (d *Driver) Forget(id fec.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.core.Forget(id)
}

// Again sends the end of an own payload once more, to hear whether it arrived.
func (d *Driver) Again(id fec.Stream) {
	d.step(func(c *turbine.Core) *turbine.Effects { return c.Again(id) })
}

// Counts tells what happened since the start.
func (d *Driver) Counts() turbine.Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.Counts()
}

// Silent are the members by whom nothing came lately.
func (d *Driver) Silent() []turbine.Index {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.Silent()
}

// Loss is the share of shreds that lately got lost on their way here; false if nothing was
// measured.
func (d *Driver) Loss() (float64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.Loss()
}

// Held is the memory that payloads on their way take, in bytes.
func (d *Driver) Held() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.Held()
}

// outbox sends the shreds of an own payload: data as soon as they are cut, then parity. A
// member whose queue is full holds up nobody else.
type outbox struct {
	d        *Driver
	id       fec.Stream
	overflow [][][]byte // by member: data that found no room
	parity   [][][]byte
}

func (o *outbox) offer(s *fec.Set) error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	effects, err := o.d.core.Offer(time.Now(), s)
	if err != nil {
		return err
	}
	for _, send := range effects.Sends {
		for _, to := range send.To {
			switch {
			case send.Later:
				o.parity[to] = append(o.parity[to], bytes.Clone(send.Raw))
			case len(o.overflow[to]) > 0 || !o.d.cfg.Packets.TrySend(o.d.cfg.Peers[to], send.Raw, false):
				o.overflow[to] = append(o.overflow[to], bytes.Clone(send.Raw))
			}
		}
	}
	s.Release()
	return nil
}

// drain sends the rest to all members at once.
func (o *outbox) drain(ctx context.Context) error {
	var wg sync.WaitGroup
	for to, p := range o.d.cfg.Peers {
		if len(o.overflow[to])+len(o.parity[to]) > 0 {
			wg.Go(func() { o.send(ctx, p, o.overflow[to], o.parity[to]) })
		}
	}
	wg.Wait()
	return ctx.Err()
}

// send sends what a member is to relay. It gives up when the member is gone, parity and
// repair are for that, and once nobody needs parity any more.
func (o *outbox) send(ctx context.Context, to peer.ID, data, parity [][]byte) {
	for _, packet := range data {
		if o.d.cfg.Packets.Send(ctx, to, packet, false) != nil {
			return
		}
	}
	for _, packet := range parity {
		if o.d.everyoneHas(o.id) || o.d.cfg.Packets.Send(ctx, to, packet, true) != nil {
			return
		}
	}
}

func (d *Driver) everyoneHas(id fec.Stream) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.core.EveryoneHas(id)
}
