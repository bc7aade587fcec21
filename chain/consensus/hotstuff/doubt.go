package hotstuff

import "github.com/starlingmesh/starling/chain/types"

// doubt keeps a replica silent whose vote log may be an old copy: a backup that was
// put back, say. It may have signed in views that the copy knows nothing of, and
// would contradict itself.
//
// A replica signs in view v only if a certificate of view v-1 exists. A quorum made
// that, and honest ones among it were in view v-1 then, with a certificate of view v-2.
// So once the replica has heard a quorum of the others, the highest certificate that
// they show is at most two views below the highest view in which it can have signed.
// It stays silent until the network has passed that.
type doubt struct {
	heard map[types.ValidatorIndex]struct{}
	base  types.View // the highest certificate when a quorum had been heard
	sure  bool       // a quorum has been heard
}

// hear notes that a validator's present certificates are known.
func (c *Core) hear(who types.ValidatorIndex) {
	d := c.doubt
	if d == nil || d.sure || c.isSelf(who) || c.cfg.Validators.Power(who) == 0 {
		return
	}
	d.heard[who] = struct{}{}
	var power uint64
	for v := range d.heard {
		power += c.cfg.Validators.Power(v)
	}
	// A quorum without the replica itself, as far as there is one.
	if power < min(c.cfg.Validators.Quorum(), c.total()-c.cfg.Validators.Power(*c.cfg.Self)) {
		return
	}
	d.sure = true
	d.base = c.high.View
	if c.highTC != nil {
		d.base = max(d.base, c.highTC.View)
	}
}

func (c *Core) total() (sum uint64) {
	for _, v := range c.cfg.Validators.All() {
		sum += v.Power
	}
	return sum
}

// silent reports whether the replica must not sign in the present view.
func (c *Core) silent() bool {
	if c.doubt == nil {
		return false
	}
	if c.doubt.sure && c.view > c.doubt.base+2 {
		c.doubt = nil
		c.emit(Reassured{View: c.view})
		return false
	}
	return true
}
