package turbine

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/testnet/sim/virtual"
)

var (
	testCodes = fec.NewCodes()
	flood     = flag.Int("flood", 50_000, "how many shreds flood a member")
)

func keyOf(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16))
}

func verify(key, message, signature []byte) bool { return ed25519.Verify(key, message, signature) }

// world is a group on a virtual network.
type world struct {
	testing.TB
	group   *Group
	cores   []*Core
	rand    *rand.Rand
	queue   virtual.Queue
	now     time.Duration
	start   time.Time
	loss    int // percent
	dead    map[Index]bool
	faults  []Fault
	got     map[Index][]byte
	packets []int // received by each
	change  func(from, to Index, raw []byte) []byte
}

func newWorld(t testing.TB, n int, seed uint64, change func(*Config)) *world {
	w := &world{
		TB: t, rand: rand.New(rand.NewPCG(seed, 1)), start: time.UnixMilli(1_000_000), dead: map[Index]bool{}, got: map[Index][]byte{}, packets: make([]int, n),
	}
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{Sender: fec.Sender(1000 + i), Key: keyOf(i).Public().(ed25519.PublicKey), Stake: 1}
	}
	var err error
	w.group, err = NewGroup(members)
	require.NoError(t, err)
	for i := range n {
		cfg := Config{Chain: testChain, Group: w.group, Self: Index(i), Codes: testCodes, Verify: verify}
		if change != nil {
			change(&cfg)
		}
		w.cores = append(w.cores, New(cfg))
	}
	return w
}

func (w *world) clock() time.Time { return w.start.Add(w.now) }

func encoderOf(t testing.TB, i int, shape fec.Shape) *fec.Encoder {
	key := keyOf(i)
	e, err := fec.NewEncoder(fec.EncoderConfig{
		Chain: testChain, Sender: fec.Sender(1000 + i), Shape: shape, Codes: testCodes,
		Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil },
	})
	require.NoError(t, err)
	return e
}

func randomBytes(n int, seed uint64) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(out)
	return out
}

// publish cuts a payload and sends it, parity last.
func (w *world) publish(sender int, slot uint64, shape fec.Shape, payload []byte) {
	var later []Send
	require.NoError(w, encoderOf(w, sender, shape).Cut(fec.Stream{Channel: 1, Slot: slot}, fec.Plain, payload, func(s *fec.Set) error {
		effects, err := w.cores[sender].Offer(w.clock(), s)
		for _, send := range effects.Sends {
			send = Send{To: append([]Index{}, send.To...), Raw: bytes.Clone(send.Raw), Later: send.Later}
			if send.Later {
				later = append(later, send)
			} else {
				w.carry(Index(sender), send)
			}
		}
		return err
	}))
	for _, send := range later {
		w.carry(Index(sender), send)
	}
}

func (w *world) carry(from Index, s Send) {
	for _, to := range s.To {
		require.NotEqual(w, from, to, "nobody sends to itself")
		if w.rand.IntN(100) < w.loss {
			continue
		}
		raw := bytes.Clone(s.Raw)
		if w.change != nil {
			raw = w.change(from, to, raw)
		}
		delay := 20*time.Millisecond + time.Duration(w.rand.IntN(int(20*time.Millisecond)))
		w.queue.Put(w.now+delay, func() {
			if !w.dead[to] && !w.dead[from] && raw != nil {
				w.packets[to]++
				w.carryOut(to, w.cores[to].Receive(w.clock(), from, raw))
			}
		})
	}
}

func (w *world) carryOut(at Index, effects *Effects) {
	for _, s := range effects.Sends {
		w.carry(at, s)
	}
	for _, f := range effects.Finished {
		require.NotContains(w, w.got, at, "once")
		w.got[at] = bytes.Join(f.Data, nil)
	}
	w.faults = append(w.faults, effects.Faults...)
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for tick := w.now + 50*time.Millisecond; ; tick += 50 * time.Millisecond {
		for w.queue.Due(min(tick, end)) {
			at, do := w.queue.Pop()
			w.now = at
			do()
		}
		if tick > end {
			w.now = end
			return
		}
		w.now = tick
		for i, c := range w.cores {
			if !w.dead[Index(i)] {
				w.carryOut(Index(i), c.Tick(w.clock()))
			}
		}
	}
}

// everyoneHas requires that all who live have the payload.
func (w *world) everyoneHas(payload []byte, sender int, note string) {
	w.Helper()
	for i := range w.cores {
		if !w.dead[Index(i)] && i != sender {
			require.True(w, bytes.Equal(payload, w.got[Index(i)]), "member %d, %s", i, note)
		}
	}
}

func TestPayloadReachesEveryoneWhateverIsLost(t *testing.T) {
	for seed := range uint64(12) {
		for _, c := range []struct{ n, loss, dead, fanout int }{{2, 0, 0, 200}, {5, 0, 0, 2}, {12, 5, 1, 200}, {20, 20, 2, 200}, {20, 40, 0, 4}, {40, 10, 4, 5}} {
			note := fmt.Sprintf("seed %d, %+v", seed, c)
			w := newWorld(t, c.n, seed, func(cfg *Config) { cfg.Fanout = c.fanout })
			w.loss = c.loss
			for len(w.dead) < c.dead {
				w.dead[Index(1+w.rand.IntN(c.n-1))] = true
			}
			payload := randomBytes(1+w.rand.IntN(200_000), seed)
			w.publish(0, 1, fec.Shape{Data: 16, Parity: 16}, payload)
			w.run(20 * time.Second)
			w.everyoneHas(payload, 0, note)
			require.Empty(t, w.faults, note)
		}
	}
}

func TestNothingIsAskedForWithoutLoss(t *testing.T) {
	w := newWorld(t, 30, 1, nil)
	payload := randomBytes(300_000, 1)
	w.publish(3, 1, fec.DefaultShape, payload)
	w.run(5 * time.Second)
	w.everyoneHas(payload, 3, "")
	sets := 0
	for i, c := range w.cores {
		counts := c.Counts()
		require.Zero(t, counts.Asked)
		require.Zero(t, counts.Duplicates)
		if i != 3 {
			sets = int(counts.Shreds) / fec.DefaultShape.Total()
			require.EqualValues(t, sets*fec.DefaultShape.Total(), counts.Shreds, "every shred comes once")
		}
	}
	require.Positive(t, sets)
}

func TestOnlyWhatIsNeededIsAskedFor(t *testing.T) {
	w := newWorld(t, 10, 1, nil)
	shape := fec.Shape{Data: 16, Parity: 2}
	lost := 0
	w.change = func(_, to Index, raw []byte) []byte {
		if raw[0] == kindShred && to == 4 {
			if s, err := fec.Parse(raw[1:]); err == nil && s.Index()%5 == 0 { // 0, 5, 10, 15: four of eighteen
				lost++
				return nil
			}
		}
		return raw
	}
	payload := randomBytes(10_000, 1)
	w.publish(0, 1, shape, payload)
	w.run(3 * time.Second)
	w.everyoneHas(payload, 0, "")
	require.Equal(t, 4, lost)
	require.EqualValues(t, 2, w.cores[4].Counts().Repaired, "16 are enough, 14 came")
}

func TestMemberThatMissedEverythingFetchesItOnceItIsTold(t *testing.T) {
	w := newWorld(t, 8, 1, nil)
	w.dead[5] = true
	payload := randomBytes(200_000, 1)
	w.publish(0, 1, fec.Shape{Data: 16, Parity: 8}, payload)
	w.run(2 * time.Second)
	delete(w.dead, 5)
	w.cores[5].Expect(w.clock(), fec.Stream{Channel: 1, Sender: 1000, Slot: 1})
	w.run(20 * time.Second)
	w.everyoneHas(payload, 0, "")
}

func TestRelaysThatStaySilentLoseTheirPlaceWithWhoSawIt(t *testing.T) {
	w := newWorld(t, 12, 1, nil)
	w.dead[7] = true
	for slot := range uint64(3) {
		clear(w.got)
		w.publish(0, slot, fec.DefaultShape, randomBytes(100_000, slot))
		w.run(3 * time.Second)
	}
	require.Equal(t, []Index{7}, w.cores[3].Silent())
	clear(w.got)
	before := w.cores[4].Counts()
	payload := randomBytes(100_000, 9)
	w.publish(3, 4, fec.DefaultShape, payload)
	w.run(3 * time.Second)
	w.everyoneHas(payload, 3, "")
	after := w.cores[4].Counts()
	sets := (len(payload) + encoderOf(t, 3, fec.DefaultShape).SetBytes() - 1) / encoderOf(t, 3, fec.DefaultShape).SetBytes()
	require.EqualValues(t, sets*fec.DefaultShape.Total(), after.Shreds-before.Shreds, "stand-ins relayed what the silent one would have lost")
	// Payloads that go around it are no sign of life.
	for slot := uint64(10); slot < 20; slot++ {
		clear(w.got)
		w.publish(int(slot%3), slot, fec.DefaultShape, randomBytes(100_000, slot))
		w.run(time.Second)
	}
	for _, watcher := range []int{3, 4, 5} {
		require.Equal(t, []Index{7}, w.cores[watcher].Silent())
	}
	w.dead[7] = false
	w.run(probation)
	require.Empty(t, w.cores[3].Silent(), "it has its place again, to show that it is back")
	payload = randomBytes(100_000, 30)
	clear(w.got)
	w.publish(3, 30, fec.DefaultShape, payload)
	w.run(3 * time.Second)
	w.everyoneHas(payload, 3, "")
	for i := range 12 {
		require.Empty(t, w.cores[i].Silent(), "member %d", i)
	}
	require.Empty(t, w.faults)
}

func TestSenderThatSignsTwoVersionsIsProvenALiar(t *testing.T) {
	w := newWorld(t, 8, 1, nil)
	var one, two []*fec.Set
	for i, sets := range []*[]*fec.Set{&one, &two} {
		require.NoError(t, encoderOf(t, 0, fec.Shape{Data: 4, Parity: 4}).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(3000, uint64(i)), func(s *fec.Set) error {
			*sets = append(*sets, s)
			return nil
		}))
	}
	c := w.cores[3]
	c.Receive(w.clock(), 0, append([]byte{kindShred}, one[0].Shreds[0]...))
	effects := c.Receive(w.clock(), 0, append([]byte{kindShred}, two[0].Shreds[1]...))
	require.Len(t, effects.Faults, 1)
	f := effects.Faults[0]
	require.Equal(t, Index(0), f.Member)
	require.NoError(t, f.Equivocation.Check(testChain, func(s fec.Sender, m, sig []byte) bool {
		i, ok := w.group.Find(s)
		return ok && verify(w.group.At(i).Key, m, sig)
	}))
	require.Empty(t, c.Receive(w.clock(), 0, append([]byte{kindShred}, two[0].Shreds[2]...)).Faults, "one proof is enough")
}

func TestRubbishCostsItsSenderAndNobodyElse(t *testing.T) {
	w := newWorld(t, 6, 1, nil)
	var set *fec.Set
	require.NoError(t, encoderOf(t, 0, fec.Shape{Data: 4, Parity: 4}).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(3000, 1), func(s *fec.Set) error {
		set = s
		return nil
	}))
	good := append([]byte{kindShred}, set.Shreds[0]...)
	mutated := bytes.Clone(good)
	mutated[len(mutated)-1] ^= 1
	c := w.cores[3]
	for name, raw := range map[string][]byte{
		"nothing": {}, "no body": {kindShred}, "unknown kind": {'?', 1}, "cut short": good[:len(good)-1], "too long": append(bytes.Clone(good), 0),
		"mutated": mutated, "stand-in by another": append([]byte{kindStandIn}, set.Shreds[0]...),
		"malformed request": {kindRequest, 1, 2},
	} {
		effects := c.Receive(w.clock(), 2, raw)
		require.Len(t, effects.Faults, 1, name)
		require.Equal(t, Index(2), effects.Faults[0].Member, name)
		require.Empty(t, effects.Sends, name)
	}
	require.Empty(t, c.Receive(w.clock(), 0, good).Faults)
	dropped := c.Counts().Dropped
	require.Empty(t, c.Receive(w.clock(), 2, append([]byte{kindRepaired}, set.Shreds[1]...)).Faults, "it may have been asked for before a restart")
	require.Equal(t, dropped+1, c.Counts().Dropped)
	require.Empty(t, c.Receive(w.clock(), 2, good).Faults, "a duplicate is no fault")
	require.EqualValues(t, 1, c.Counts().Duplicates)
	effects := c.Receive(w.clock(), 2, mutated)
	require.Len(t, effects.Faults, 1, "also when the set is known")
	require.Equal(t, Index(2), effects.Faults[0].Member)
}

func TestSlotsOutOfRangeAndUnknownSendersAreDropped(t *testing.T) {
	w := newWorld(t, 6, 1, nil)
	c := w.cores[3]
	shred := func(sender int, slot uint64) []byte {
		var raw []byte
		require.NoError(t, encoderOf(t, sender, fec.Shape{Data: 4, Parity: 4}).Cut(fec.Stream{Channel: 1, Slot: slot}, fec.Plain, []byte("x"), func(s *fec.Set) error {
			raw = append([]byte{kindShred}, s.Shreds[0]...)
			return nil
		}))
		return raw
	}
	for _, raw := range [][]byte{shred(0, 1<<40), shred(77, 1), shred(3, 1)} {
		effects := c.Receive(w.clock(), 0, raw)
		require.Empty(t, effects.Faults)
		require.Empty(t, effects.Sends)
		require.Zero(t, c.Held())
	}
	require.EqualValues(t, 3, c.Counts().Dropped)
	c.Admit(1, 10, 20)
	c.Receive(w.clock(), 0, shred(0, 9))
	require.Zero(t, c.Held())
	c.Receive(w.clock(), 0, shred(0, 10))
	require.Positive(t, c.Held())
	c.Admit(1, 11, 20)
	require.Zero(t, c.Held(), "what is below is forgotten")
}

// A sender that begins payload after payload fills memory up to the cap; what is older
// has precedence.
func TestMemoryStaysUnderItsCapInAFlood(t *testing.T) {
	const limit = 2 << 20
	w := newWorld(t, 6, 1, func(cfg *Config) { cfg.MaxBytes, cfg.MaxStream = limit, limit/2 })
	c := w.cores[3]
	c.Admit(1, 0, 1<<30)
	e := encoderOf(t, 0, fec.Shape{Data: 4, Parity: 4})
	shreds := *flood
	var one []byte
	for i := range shreds {
		if i%100 == 0 { // a genuine one of another slot, high ones first
			require.NoError(t, e.Cut(fec.Stream{Channel: 1, Slot: uint64(shreds - i)}, fec.Plain, randomBytes(3000, 1), func(s *fec.Set) error {
				one = append([]byte{kindShred}, s.Shreds[i%8]...)
				s.Release()
				return nil
			}))
		} else {
			one[40+i%len(one[41:])] ^= byte(1 + i%255) // and rubbish
		}
		c.Receive(w.clock(), 0, one)
		if c.Held() > limit {
			require.LessOrEqual(t, c.Held(), limit)
		}
	}
	low := c.sorted()[0].id.Slot
	require.LessOrEqual(t, low, uint64(shreds/10), "the lowest slots are kept")
}

func TestMemberThatAsksForEverythingAgainAndAgainGetsItsAllowance(t *testing.T) {
	w := newWorld(t, 6, 1, func(cfg *Config) { cfg.ServePerSecond = 100 })
	payload := randomBytes(100_000, 1)
	w.publish(0, 1, fec.DefaultShape, payload)
	w.run(time.Second)
	ask := append([]byte{kindRequest}, Request{Place: fec.Place{Stream: fec.Stream{Channel: 1, Sender: 1000, Slot: 1}}, Want: 64, Lacking: bytes.Repeat([]byte{0xff}, 8)}.Append(nil)...)
	served := 0
	for range 1000 {
		served += len(w.cores[3].Receive(w.clock(), 2, ask).Sends)
	}
	require.Equal(t, 100, served)
	w.now += time.Second
	for range 1000 {
		served += len(w.cores[3].Receive(w.clock(), 2, ask).Sends)
	}
	require.Equal(t, 200, served)
}

func TestOwnPayloadThatDoesNotFitIsRefused(t *testing.T) {
	w := newWorld(t, 4, 1, func(cfg *Config) { cfg.MaxStream = 100_000 })
	err := encoderOf(t, 0, fec.DefaultShape).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(1<<20, 1), func(s *fec.Set) error {
		_, err := w.cores[0].Offer(w.clock(), s)
		return err
	})
	require.ErrorIs(t, err, ErrFull)
}

func TestRelayingAllocatesNothing(t *testing.T) {
	w := newWorld(t, 50, 1, nil)
	c := w.cores[3]
	var packets [][]byte
	require.NoError(t, encoderOf(t, 0, fec.Shape{Data: 128, Parity: 128}).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(100_000, 1), func(s *fec.Set) error {
		for _, raw := range s.Shreds {
			packets = append(packets, append([]byte{kindShred}, raw...))
		}
		return nil
	}))
	for _, p := range packets[:20] { // the set is known and buffers have grown
		c.Receive(w.clock(), 0, p)
	}
	i, now := 20, w.clock()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if effects := c.Receive(now, 0, packets[i]); len(effects.Faults) > 0 {
			t.Fatal(effects.Faults)
		}
		i++
	}))
	require.Positive(t, c.Counts().Relayed)
}

func FuzzReceive(f *testing.F) {
	w := newWorld(f, 5, 1, func(cfg *Config) { cfg.MaxBytes = 4 << 20 })
	require.NoError(f, encoderOf(f, 0, fec.Shape{Data: 4, Parity: 4}).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(3000, 1), func(s *fec.Set) error {
		f.Add(append([]byte{kindShred}, s.Shreds[0]...))
		f.Add(append([]byte{kindRepaired}, s.Shreds[5]...))
		return nil
	}))
	f.Add(append([]byte{kindRequest}, Request{Place: fec.Place{Set: 3}, Want: 3, Lacking: []byte{7}}.Append(nil)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w.cores[2].Receive(w.clock(), 1, raw)
		require.LessOrEqual(t, w.cores[2].Held(), 4<<20)
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(Request{Place: fec.Place{Set: 3}, Want: 3, Lacking: []byte{7}}.Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeRequest(raw)
		if err != nil {
			require.True(t, errors.Is(err, ErrRequest))
			return
		}
		require.Equal(t, raw, r.Append(nil))
	})
}
