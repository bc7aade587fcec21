package crdt

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const most = 1 << 20

var epoch = time.UnixMilli(1_700_000_000_000)

// replica changes a state of its own.
type replica struct {
	Writer
	state *State
	now   time.Time
}

func newReplica(i int, k Kind) *replica {
	return &replica{Writer: Writer{Replica: Replica{15: byte(i + 1)}, Clock: &Clock{}}, state: New(k), now: epoch}
}

var paths = map[Kind][]Path{
	Register: {{"r"}, {"m", "r"}}, Counter: {{"c"}, {"m", "c"}, {"m", "n", "c"}}, Set: {{"s"}, {"m", "s"}}, Log: {{"l"}}, Map: {{"m"}, {"m", "n"}},
}

// act makes a drawn change, anywhere in a map or at the root, and returns the delta.
func (r *replica) act(t *rapid.T) *State {
	r.now = r.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "ms")) * time.Millisecond)
	kind, path := r.state.kind, Path{}
	if kind == Map {
		kind = Kind(rapid.IntRange(1, 4).Draw(t, "kind"))
		path = rapid.SampledFrom(paths[kind]).Draw(t, "path")
	}
	data := []byte{byte(rapid.IntRange(0, 4).Draw(t, "data"))}
	var delta *State
	var err error
	switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
	case what == 0 && r.state.kind == Map && rapid.Bool().Draw(t, "a map"):
		delta, err = r.state.Delete(r.Writer, rapid.SampledFrom(paths[Map]).Draw(t, "gone"), Map)
	case what == 0:
		delta, err = r.state.Delete(r.Writer, path, kind)
	case kind == Register:
		delta, err = r.state.Write(r.Writer, r.now, path, data)
	case kind == Counter:
		delta, err = r.state.Increment(r.Writer, r.now, path, int64(rapid.IntRange(-5, 5).Draw(t, "by")))
	case kind == Set && what < 3:
		delta, err = r.state.Remove(r.Writer, path, data)
	case kind == Set:
		delta, err = r.state.Add(r.Writer, r.now, path, data)
	default:
		delta, err = r.state.Append(r.Writer, r.now, path, data)
	}
	require.NoError(t, err)
	return delta
}

// history draws what some replicas do, hearing of each other now and then, and returns
// their states and all deltas.
func history(t *rapid.T, k Kind) (all []*replica, deltas []*State) {
	for i := range rapid.IntRange(2, 4).Draw(t, "replicas") {
		all = append(all, newReplica(i, k))
	}
	for range rapid.IntRange(0, 30).Draw(t, "steps") {
		r := rapid.SampledFrom(all).Draw(t, "who")
		switch {
		case len(deltas) > 0 && rapid.IntRange(0, 2).Draw(t, "hear") == 0:
			require.NoError(t, r.state.Merge(rapid.SampledFrom(deltas).Draw(t, "delta")))
		case rapid.IntRange(0, 9).Draw(t, "sync") == 0:
			require.NoError(t, r.state.Merge(rapid.SampledFrom(all).Draw(t, "other").state))
		default:
			deltas = append(deltas, r.act(t))
		}
	}
	return all, deltas
}

func merged(t require.TestingT, states ...*State) *State {
	out := New(states[0].kind)
	for _, s := range states {
		require.NoError(t, out.Merge(s))
	}
	return out
}

func same(t require.TestingT, want, got *State, why string) {
	require.Equal(t, want.Encode(), got.Encode(), why)
}

// eachKind tries a law on every kind; maps nest all others.
func eachKind(t *testing.T, law func(*rapid.T, Kind)) {
	for k := Register; k <= Map; k++ {
		t.Run(k.String(), func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { law(t, k) }) })
	}
}

func TestMergeIsAJoin(t *testing.T) {
	eachKind(t, func(t *rapid.T, k Kind) {
		all, deltas := history(t, k)
		pool := append([]*State{New(k)}, deltas...)
		for _, r := range all {
			pool = append(pool, r.state)
		}
		draw := func(name string) *State { return rapid.SampledFrom(pool).Draw(t, name) }
		a, b, c := draw("a"), draw("b"), draw("c")
		same(t, merged(t, a, b), merged(t, b, a), "commutative")
		same(t, merged(t, merged(t, a, b), c), merged(t, a, merged(t, b, c)), "associative")
		same(t, a, merged(t, a, a), "idempotent")
		same(t, a, merged(t, New(k), a), "nothing changes nothing")
		require.True(t, merged(t, a, b).Covers(a))
	})
}

// However deltas arrive, late, twice or in any order, the end is what full states give.
func TestDeltasGiveTheSameAsFullStates(t *testing.T) {
	eachKind(t, func(t *rapid.T, k Kind) {
		all, deltas := history(t, k)
		full := New(k)
		for _, r := range all {
			require.NoError(t, full.Merge(r.state))
		}
		byDeltas := New(k)
		for _, i := range rapid.Permutation(indexes(len(deltas))).Draw(t, "order") {
			require.NoError(t, byDeltas.Merge(deltas[i]))
			if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				require.NoError(t, byDeltas.Merge(deltas[rapid.IntRange(0, len(deltas)-1).Draw(t, "which")]))
			}
		}
		same(t, full, byDeltas, "")
	})
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestEncodingIsUnique(t *testing.T) {
	eachKind(t, func(t *rapid.T, k Kind) {
		all, deltas := history(t, k)
		for _, s := range append(deltas, all[0].state) {
			raw := s.Encode()
			again, err := Decode(raw, most)
			require.NoError(t, err)
			require.Equal(t, raw, again.Encode())
		}
	})
}

// Each kind against what it says of itself, with two replicas that act at once.
func TestConcurrentChanges(t *testing.T) {
	must := func(s *State, err error) *State { require.NoError(t, err); return s }
	pair := func(k Kind) (*replica, *replica) { return newReplica(0, k), newReplica(1, k) }
	t.Run("the later write wins", func(t *testing.T) {
		a, b := pair(Register)
		must(a.state.Write(a.Writer, epoch.Add(time.Second), nil, []byte("late")))
		must(b.state.Write(b.Writer, epoch, nil, []byte("early")))
		value, ok := merged(t, a.state, b.state).Value(nil)
		require.True(t, ok)
		require.Equal(t, "late", string(value))
	})
	t.Run("of two at the same moment the higher replica's", func(t *testing.T) {
		a, b := pair(Register)
		must(a.state.Write(a.Writer, epoch, nil, []byte("z")))
		must(b.state.Write(b.Writer, epoch, nil, []byte("a")))
		value, _ := merged(t, a.state, b.state).Value(nil)
		require.Equal(t, "a", string(value))
	})
	t.Run("increments add up, whoever hears of which how often", func(t *testing.T) {
		a, b := pair(Counter)
		d1 := must(a.state.Increment(a.Writer, epoch, nil, 5))
		d2 := must(a.state.Increment(a.Writer, epoch, nil, -2))
		d3 := must(b.state.Increment(b.Writer, epoch, nil, 10))
		require.EqualValues(t, 13, merged(t, d3, d2, d1, d2, a.state, b.state).Count(nil))
	})
	t.Run("added and removed at once stays", func(t *testing.T) {
		a, b := pair(Set)
		must(a.state.Add(a.Writer, epoch, nil, []byte("x")))
		require.NoError(t, b.state.Merge(a.state))
		must(a.state.Remove(a.Writer, nil, []byte("x")))
		must(b.state.Add(b.Writer, epoch, nil, []byte("x")))
		both := merged(t, a.state, b.state)
		require.Equal(t, [][]byte{[]byte("x")}, both.Elements(nil))
		must(both.Remove(a.Writer, nil, []byte("x")))
		require.Empty(t, merged(t, both, a.state, b.state).Elements(nil), "removed after both were seen")
	})
	t.Run("a field that is changed and removed at once keeps the change alone", func(t *testing.T) {
		a, b := pair(Map)
		must(a.state.Write(a.Writer, epoch, Path{"m", "old"}, []byte("1")))
		require.NoError(t, b.state.Merge(a.state))
		must(a.state.Delete(a.Writer, Path{"m"}, Map))
		must(b.state.Write(b.Writer, epoch, Path{"m", "new"}, []byte("2")))
		both := merged(t, a.state, b.state)
		require.Equal(t, []Field{{"new", Register}}, both.Fields(Path{"m"}))
	})
	t.Run("a log has everything in order of time", func(t *testing.T) {
		a, b := pair(Log)
		must(a.state.Append(a.Writer, epoch.Add(2*time.Second), nil, []byte("3")))
		must(b.state.Append(b.Writer, epoch.Add(time.Second), nil, []byte("2")))
		must(b.state.Append(b.Writer, epoch, nil, []byte("2b"))) // its clock went back: the stamp does not
		text := ""
		for _, e := range merged(t, a.state, b.state).Entries(nil) {
			text += string(e.Data)
		}
		require.Equal(t, "22b3", text)
	})
}

// The size follows what is there, however much came and went: there are no tombstones.
func TestWhatIsRemovedLeavesNothingBehind(t *testing.T) {
	a := newReplica(0, Set)
	for i := range 1000 {
		element := fmt.Appendf(nil, "element %d", i)
		_, err := a.state.Add(a.Writer, epoch, nil, element)
		require.NoError(t, err)
		_, err = a.state.Remove(a.Writer, nil, element)
		require.NoError(t, err)
	}
	require.Less(t, len(a.state.Encode()), 64)
	_, err := a.state.Add(a.Writer, epoch, nil, []byte("the last"))
	require.NoError(t, err)
	require.Less(t, len(a.state.Encode()), 128)
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	m, c := newReplica(0, Map), newReplica(0, Counter)
	long := string(bytes.Repeat([]byte("x"), MaxName+1))
	for name, change := range map[string]func() (*State, error){
		"another kind of root": func() (*State, error) { return c.state.Write(c.Writer, epoch, nil, nil) },
		"fields of a counter":  func() (*State, error) { return c.state.Increment(c.Writer, epoch, Path{"x"}, 1) },
		"a map as a register":  func() (*State, error) { return m.state.Write(m.Writer, epoch, nil, nil) },
		"too deep":             func() (*State, error) { return m.state.Add(m.Writer, epoch, Path{"1", "2", "3", "4", "5"}, nil) },
		"a name too long":      func() (*State, error) { return m.state.Add(m.Writer, epoch, Path{long}, nil) },
		"no name":              func() (*State, error) { return m.state.Add(m.Writer, epoch, Path{""}, nil) },
		"no text":              func() (*State, error) { return m.state.Add(m.Writer, epoch, Path{"\xff"}, nil) },
		"a value too long":     func() (*State, error) { return m.state.Append(m.Writer, epoch, Path{"l"}, make([]byte, MaxData+1)) },
		"a counter's overflow": func() (*State, error) { return c.state.Increment(c.Writer, epoch, nil, -1<<63) },
	} {
		before := m.state.Encode()
		_, err := change()
		require.Error(t, err, name)
		require.Equal(t, before, m.state.Encode(), name)
	}
	_, err := c.state.Increment(c.Writer, epoch, nil, 1<<62)
	require.NoError(t, err)
	_, err = c.state.Increment(c.Writer, epoch, nil, 1<<62)
	require.ErrorIs(t, err, ErrRange)
	require.EqualValues(t, 1<<62, c.state.Count(nil))
	require.ErrorIs(t, m.state.Merge(c.state), ErrKind)
}

func TestClockNeverGoesBackAndTakesNothingFromTheFuture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Clock{Drift: time.Second}
		var last Stamp
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now := epoch.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "now")) * time.Millisecond)
			if rapid.Bool().Draw(t, "observe") {
				s := Stamp{Wall: millis(epoch) + uint64(rapid.IntRange(0, 10_000).Draw(t, "wall")), Count: rapid.Uint32().Draw(t, "count")}
				err := c.Observe(now, s)
				require.Equal(t, s.Wall > millis(now)+1000, err != nil)
				if err == nil && s.Compare(last) > 0 {
					last = s
				}
				continue
			}
			next := c.Tick(now)
			require.Positive(t, next.Compare(last))
			require.GreaterOrEqual(t, next.Wall, millis(now))
			last = next
		}
	})
	c := &Clock{}
	ahead := Stamp{Wall: millis(epoch.Add(DefaultDrift + time.Millisecond))}
	require.ErrorIs(t, c.Check(epoch, ahead), ErrFuture)
	require.NoError(t, c.Check(epoch.Add(time.Millisecond), ahead), "its time has come")
	c.last = Stamp{Wall: millis(epoch), Count: 1<<32 - 1}
	require.Equal(t, Stamp{Wall: millis(epoch) + 1}, c.Tick(epoch))
}

func FuzzDecode(f *testing.F) {
	a := newReplica(0, Map)
	_, _ = a.state.Write(a.Writer, epoch, Path{"m", "r"}, []byte("value"))
	_, _ = a.state.Increment(a.Writer, epoch, Path{"c"}, 3)
	delta, _ := a.state.Add(a.Writer, epoch, Path{"s"}, []byte("element"))
	f.Add(a.state.Encode())
	f.Add(delta.Encode())
	f.Add(New(Log).Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Decode(raw, most)
		if err != nil {
			return
		}
		require.Equal(t, raw, s.Encode(), "one encoding")
		again := s.Clone()
		require.NoError(t, again.Merge(s))
		require.Equal(t, raw, again.Encode(), "idempotent")
		if k := a.state.Kind(); s.Kind() == k {
			require.Equal(t, merged(t, s, a.state).Encode(), merged(t, a.state, s).Encode(), "commutative")
		}
	})
}
