package ring

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// world is peers whose questions and answers are on their way for any time, in any order.
type world struct {
	r      *rand.Rand
	length int
	peers  []Peer
	cores  map[Peer]*Core
	dead   map[Peer]bool
	mail   []func()
	asked  map[Peer]int    // questions on their way, by who waits
	coming map[Peer][]Peer // the list that an answer on its way to a peer will make
	mutant func(*Core)
}

func newWorld(seed uint64, length, n int, mutant func(*Core)) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 1)), length: length, cores: map[Peer]*Core{}, dead: map[Peer]bool{}, asked: map[Peer]int{}, coming: map[Peer][]Peer{}, mutant: mutant}
	for i := range n {
		w.peers = append(w.peers, PeerOf(fmt.Sprint("peer ", seed, i)))
	}
	slices.SortFunc(w.peers, func(a, b Peer) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for i, p := range w.peers {
		w.peers[i] = p
		w.cores[p] = New(p, length)
		if mutant != nil {
			mutant(w.cores[p])
		}
	}
	return w
}

// do carries out what a peer wants.
func (w *world) do(p Peer, effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case Ask:
			w.asked[p]++
			w.mail = append(w.mail, func() { w.question(p, e.To) })
		case Tell:
			w.mail = append(w.mail, func() {
				if !w.dead[e.To] {
					w.do(e.To, w.cores[e.To].Told(p))
				}
			})
		case Seek:
			w.mail = append(w.mail, func() { w.finish(p, func(c *Core) []Effect { return c.Join(w.successor(p)) }) })
		case Joined:
		}
	}
}

// question arrives, and its answer goes back; nobody answers for the dead.
func (w *world) question(by, to Peer) {
	if w.dead[to] || !w.cores[to].Member() {
		w.mail = append(w.mail, func() { w.asked[by]--; w.finish(by, func(c *Core) []Effect { return c.Failed(to) }) })
		return
	}
	state := w.cores[to].State()
	if w.cores[by].doing != checking {
		w.coming[by] = w.cores[by].list(to, state.Successors)
	}
	w.mail = append(w.mail, func() {
		w.asked[by]--
		delete(w.coming, by)
		w.finish(by, func(c *Core) []Effect { return c.Answered(to, state) })
	})
}

func (w *world) finish(p Peer, f func(*Core) []Effect) {
	if !w.dead[p] {
		w.do(p, f(w.cores[p]))
	}
}

// members are the live ones, in order.
func (w *world) members() (out []Peer) {
	for _, p := range w.peers {
		if !w.dead[p] && w.cores[p].Member() {
			out = append(out, p)
		}
	}
	return out
}

// successor is who a lookup from anywhere finds to come next.
func (w *world) successor(of Peer) Peer {
	members := w.members()
	for _, m := range members {
		if slices.Compare(m.ID[:], of.ID[:]) > 0 {
			return m
		}
	}
	return members[0]
}

// best is a member's first live successor.
func (w *world) best(p Peer) (Peer, bool) {
	for _, s := range w.cores[p].state.Successors {
		if !w.dead[s] {
			return s, true
		}
	}
	return Peer{}, false
}

// skip notes which members a list of a member's leaves out.
func (w *world) skip(p Peer, list, members []Peer, skipped map[Peer]bool) error {
	last := p
	for _, s := range list {
		if s == p || last != p && !between(p.ID, last.ID, s.ID) {
			return fmt.Errorf("the list of %s is out of order", p.Name)
		}
		for _, m := range members {
			if between(last.ID, m.ID, s.ID) {
				skipped[m] = true
			}
		}
		last = s
	}
	return nil
}

// broken tells which law does not hold; coming counts lists that are on their way too.
func (w *world) broken(coming bool) error {
	members := w.members()
	skipped := map[Peer]bool{}
	for _, p := range members {
		if err := w.skip(p, w.cores[p].state.Successors, members, skipped); err != nil {
			return err
		}
		if list := w.coming[p]; coming && list != nil {
			if err := w.skip(p, list, members, skipped); err != nil {
				return err
			}
		}
		if _, live := w.best(p); !live {
			return fmt.Errorf("%s has no live successor", p.Name)
		}
	}
	for by, list := range w.coming {
		if coming && !w.dead[by] && !w.cores[by].Member() { // it is about to join
			if err := w.skip(by, list, members, skipped); err != nil {
				return err
			}
		}
	}
	if principals := len(members) - len(skipped); principals <= w.length {
		return fmt.Errorf("only %d principals", principals)
	}
	// Who is on the cycle of best successors: follow far enough to be on it.
	on := members[0]
	for range members {
		on, _ = w.best(on)
	}
	turns, at := 0, on
	for i := 0; ; i++ {
		next, _ := w.best(at)
		if slices.Compare(next.ID[:], at.ID[:]) <= 0 {
			turns++
		}
		if at = next; at == on {
			break
		}
		if i > len(members) {
			return fmt.Errorf("no cycle")
		}
	}
	if turns != 1 {
		return fmt.Errorf("the ring goes around %d times", turns)
	}
	for _, p := range members {
		at := p
		for range members {
			at, _ = w.best(at)
		}
		if !w.onCycle(at, on) {
			return fmt.Errorf("%s is on another ring", p.Name)
		}
	}
	return nil
}

func (w *world) onCycle(p, on Peer) bool {
	for range w.peers {
		if p == on {
			return true
		}
		p, _ = w.best(p)
	}
	return p == on
}

// mayFail reports whether the ring stands a member's failure. That is Zave's assumption;
// as answers take time here, they must be worth something when they arrive, too.
func (w *world) mayFail(p Peer) bool {
	w.dead[p] = true
	defer delete(w.dead, p)
	for by, list := range w.coming {
		if !w.dead[by] && !slices.ContainsFunc(list, func(s Peer) bool { return !w.dead[s] }) {
			return false
		}
	}
	return len(w.members()) > w.length && w.broken(true) == nil
}

// step is one of all things that can happen.
func (w *world) step() {
	p := w.peers[w.r.IntN(len(w.peers))]
	switch c := w.cores[p]; {
	case len(w.mail) > 0 && w.r.IntN(3) > 0:
		i := w.r.IntN(len(w.mail))
		deliver := w.mail[i]
		w.mail = slices.Delete(w.mail, i, i+1)
		deliver()
	case w.dead[p]:
	case !c.Member():
		if w.asked[p] == 0 {
			w.do(p, c.Join(w.successor(p)))
		}
	case w.r.IntN(6) == 0:
		if w.mayFail(p) {
			w.dead[p] = true
		}
	case w.r.IntN(4) == 0:
		w.do(p, c.CheckPredecessor())
	default:
		w.do(p, c.Stabilise())
	}
}

// settle lets everything arrive, and everybody stabilise, until nothing changes.
func (w *world) settle() {
	for range 4 * len(w.peers) {
		for len(w.mail) > 0 {
			deliver := w.mail[0]
			w.mail = w.mail[1:]
			deliver()
		}
		for _, p := range w.members() {
			w.do(p, w.cores[p].CheckPredecessor())
			for len(w.mail) > 0 {
				deliver := w.mail[0]
				w.mail = w.mail[1:]
				deliver()
			}
			w.do(p, w.cores[p].Stabilise())
		}
	}
}

// ideal tells what is not as it should be once all is quiet.
func (w *world) ideal() error {
	members := w.members()
	for i, p := range members {
		s := w.cores[p].State()
		for k, have := range s.Successors {
			if want := members[(i+1+k)%len(members)]; have != want {
				return fmt.Errorf("%s: successor %d is wrong", p.Name, k)
			}
		}
		if len(s.Successors) != w.length {
			return fmt.Errorf("%s knows %d successors", p.Name, len(s.Successors))
		}
		if want := members[(i+len(members)-1)%len(members)]; s.Predecessor != want {
			return fmt.Errorf("%s: predecessor is wrong", p.Name)
		}
	}
	return nil
}

// schedule runs one random schedule and returns what broke.
func schedule(seed uint64, mutant func(*Core)) error {
	length := 2 + int(seed%3)
	w := newWorld(seed, length, length+1+6, mutant)
	first := slices.Clone(w.peers)
	w.r.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	first = first[:length+1]
	for _, p := range first {
		if err := w.cores[p].Begin(first); err != nil {
			return err
		}
	}
	for i := range 120 {
		w.step()
		if err := w.broken(false); err != nil {
			return fmt.Errorf("seed %d, step %d: %w", seed, i, err)
		}
	}
	w.settle()
	if err := w.ideal(); err != nil {
		return fmt.Errorf("seed %d, in the end: %w", seed, err)
	}
	return nil
}

var schedules = flag.Uint64("schedules", 2000, "how many random schedules")

// Zave's invariant after every step, and the ideal ring once all is quiet.
func TestRingStaysOneThroughRandomSchedules(t *testing.T) {
	for seed := range *schedules {
		require.NoError(t, schedule(seed, nil))
	}
}

// Each rule that is taken out is missed by some schedule.
func TestEveryRuleIsNeeded(t *testing.T) {
	for name, mutant := range map[string]func(*Core){
		"a candidate is adopted without looking whether it is there": func(c *Core) { c.rules.trustCandidate = true },
		"a dead predecessor stays":                                   func(c *Core) { c.rules.keepPredecessor = true },
		"a joining member takes over no successor list":              func(c *Core) { c.rules.shortLists = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3000) {
				if err := schedule(seed, mutant); err != nil {
					t.Log(err)
					return
				}
			}
			require.FailNow(t, "nothing is missed")
		})
	}
}
