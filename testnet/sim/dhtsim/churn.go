package dhtsim

import (
	"fmt"
	"math"
	"time"

	"github.com/starlingmesh/starling/dht/store"
)

// Churn is an experiment: members come and go without a word all the time while records are
// written and read.
type Churn struct {
	Seed    uint64
	Members int
	Records int
	Median  time.Duration // of how long a member stays
	For     time.Duration
	// Every is the time between two writes, and between two reads.
	Every  time.Duration
	Net    Net
	Config store.Config
}

// ChurnReport is what an experiment came to.
type ChurnReport struct {
	Left int // members that went
	Load *Load
	Lost int // records of which the acknowledged value is nowhere any more
}

// String sums it up.
func (r ChurnReport) String() string {
	return fmt.Sprintf("%d members went; %s; lost %d", r.Left, r.Load, r.Lost)
}

// Run carries the experiment out. progress is called each simulated hour.
func (c Churn) Run(progress func(string)) ChurnReport {
	w := NewWorld(c.Seed, c.Net)
	var r ChurnReport
	for range c.Members {
		w.Add(c.Config)
		w.Run(50 * time.Millisecond)
	}
	w.Run(10 * time.Minute)
	r.Load = w.Load()
	for i := range c.Records {
		r.Load.Put(fmt.Sprint("record ", i), life)
		w.Run(5 * time.Millisecond)
	}
	w.Run(10 * time.Second)
	for _, p := range append([]*Peer(nil), w.Alive()...) {
		c.stay(w, p, &r)
	}
	w.every(c.Every, func() { r.Load.Put(r.Load.Name(), life) })
	w.every(c.Every, func() { r.Load.Get(r.Load.Name()) })
	for at := time.Duration(0); at < c.For; at += time.Hour {
		w.Run(min(time.Hour, c.For-at))
		progress(fmt.Sprintf("%s: %s", min(at+time.Hour, c.For), r))
	}
	for _, name := range r.Load.Names() {
		if !r.Load.held(name) {
			r.Lost++
		}
	}
	return r
}

const life = 60 * 24 * time.Hour

// every has something happen again and again.
func (w *World) every(d time.Duration, do func()) {
	w.At(w.jitter(d), func() {
		do()
		w.every(d, do)
	})
}

// stay lets a member go after its session, and another one come.
func (c Churn) stay(w *World, p *Peer, r *ChurnReport) {
	session := time.Duration(w.rand.ExpFloat64() / math.Ln2 * float64(c.Median))
	w.At(session, func() {
		r.Left++
		p.Kill()
		c.stay(w, w.Add(c.Config), r)
	})
}

// held reports whether a record's acknowledged value, or a later one, is with somebody.
func (l *Load) held(name string) bool {
	ref := refOf(l, name)
	for _, p := range l.world.alive {
		if items := p.Core.Shelf().Items(l.world.Now(), ref.Key()); len(items) > 1 && l.value(ref, items) >= l.acked[name] {
			return true
		}
	}
	return false
}
