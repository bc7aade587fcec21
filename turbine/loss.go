package turbine

import "slices"

const (
	// lossSamples is of how many shreds at least a stream's loss is measured.
	lossSamples = 64
	// lossWeight is how much a new stream counts against all before.
	lossWeight = 0.25
)

// measure notes what share of a finished stream's shreds did not come by the trees: of the
// first half of its sets, of which nothing is on its way any more.
func (c *Core) measure(s *stream) {
	if s.sender == c.cfg.Self {
		return
	}
	sent, came := 0, 0
	for i := range uint32(s.last+1) / 2 {
		sent += prompt(s.sets[i].statement.Shape)
		came += s.sets[i].prompt
	}
	if sent < lossSamples {
		return
	}
	loss := 1 - float64(came)/float64(sent)
	if before, known := c.losses[s.sender]; known {
		loss = lossWeight*loss + (1-lossWeight)*before
	}
	c.losses[s.sender] = loss
}

// Loss is the share of shreds, 0 to 1, that lately did not come by the trees: the median
// over senders, so that one who holds his back changes little. It is false before
// anything was measured. What others receive of this node is taken to be alike.
func (c *Core) Loss() (loss float64, known bool) {
	if len(c.losses) == 0 {
		return 0, false
	}
	all := make([]float64, 0, len(c.losses))
	for _, l := range c.losses {
		all = append(all, l)
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], true
}
