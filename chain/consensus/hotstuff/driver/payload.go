package driver

import (
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
)

// want notes that the core waits for a payload, and builds it when it is time:
// at once if undecided transactions wait for further blocks, as soon as there
// is a transaction otherwise, and empty when nothing comes for long. The least
// interval between blocks is kept in any case.
func (d *Driver) want(e hotstuff.BuildPayload) {
	d.wanted, d.wantedAt = &e, time.Now()
	d.build.Reset(d.cfg.BlockInterval)
}

// propose builds the wanted payload if there is reason to. tick is true when a
// time that was waited for has come.
func (d *Driver) propose(tick bool) error {
	e := d.wanted
	if e == nil {
		return nil
	}
	waited := time.Since(d.wantedAt)
	if waited < d.cfg.BlockInterval {
		return nil // the build timer is running
	}
	undecided := d.cfg.Core.Undecided(e.Parent.Hash())
	content := d.cfg.Chain.Payload(undecided)
	// Until something is decided after a start, people wait to see that it works.
	hurry := e.Hurry || d.cfg.Chain.Hurry() || d.cfg.Core.DecidedHeight() == d.begun
	if !content.Works() && !hurry && waited < d.cfg.IdleInterval {
		if tick {
			d.build.Reset(d.cfg.IdleInterval - waited)
		}
		return nil
	}
	d.wanted = nil
	d.build.Stop()
	return d.step(hotstuff.Payload{View: e.View, Parent: e.Parent.Hash(), Content: content})
}
