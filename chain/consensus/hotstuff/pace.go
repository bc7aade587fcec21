package hotstuff

import (
	"time"

	"github.com/starlingmesh/starling/chain/types"
)

// pace estimates how long a busy view takes, as TCP does round trips (RFC 6298): a
// smoothed mean and a smoothed deviation.
type pace struct{ mean, deviation time.Duration }

// sample takes the time from the beginning of a view to its certificate.
func (p *pace) sample(d time.Duration) {
	if p.mean == 0 {
		p.mean, p.deviation = d, d/2
		return
	}
	p.deviation += ((p.mean - d).Abs() - p.deviation) / 4
	p.mean += (d - p.mean) / 8
}

// leastShare is the part of the configured time that measuring never goes below:
// a computer that stutters must not lose views.
const leastShare = 4

// base is the timeout of a view when all is well: the configured one until
// something was measured, then the time that a leader may wait for transactions,
// and four times what a slow view takes, or, where that is long, the configured time
// more than it.
func (c *Core) base() time.Duration {
	if c.cfg.IdleInterval == 0 || c.pace.mean == 0 {
		return c.cfg.ViewTimeout
	}
	slow := c.pace.mean + 2*c.pace.deviation
	network := min(4*slow, c.cfg.ViewTimeout+slow)
	least := (c.cfg.ViewTimeout - c.cfg.IdleInterval) / leastShare
	return min(c.cfg.IdleInterval+max(network, least), c.cfg.MaxViewTimeout)
}

// measure learns from a view that ended well, if its leader had no reason to wait.
func (c *Core) measure(qc types.QC) {
	n := c.tree.Get(qc.Block)
	if n == nil || !n.Block.Works() || qc.View != c.view || c.entered.IsZero() {
		return
	}
	if c.ownTimeout != nil && c.ownTimeout.View == c.view {
		return
	}
	c.pace.sample(c.now.Sub(c.entered))
}
