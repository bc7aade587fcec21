package driver

import (
	"sync"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
)

// lists holds the newest trusted list that each validator published.
type lists struct {
	self    *types.ValidatorIndex
	set     *types.ValidatorSet
	trusted bls.Bitmap // the own one

	mu    sync.Mutex
	known map[types.ValidatorIndex]rpca.TrustedList
}

// newLists signs the own list and compares it with the published ones.
func newLists(cfg Config) (*lists, error) {
	ls := &lists{self: cfg.Core.Self, set: cfg.Core.Validators, trusted: cfg.Core.List, known: map[types.ValidatorIndex]rpca.TrustedList{}}
	if len(ls.trusted) == 0 {
		ls.trusted = rpca.Everyone(ls.set.Len())
	}
	for _, l := range cfg.Published {
		ls.learn(l)
	}
	if ls.self != nil {
		own := rpca.TrustedList{Validator: *ls.self, Version: cfg.ListVersion, Members: ls.trusted}
		own.Signature = cfg.Core.Scheme.Sign(own.Message(cfg.Core.Chain))
		ls.known[*ls.self] = own
	}
	if cfg.AllowOverlap {
		return ls, nil
	}
	return ls, rpca.CheckOverlap(ls.trusted, ls.all())
}

// learn notes a list and says whether it is new. The own one is never replaced.
func (ls *lists) learn(l rpca.TrustedList) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	before, have := ls.known[l.Validator]
	if ls.set.Power(l.Validator) == 0 || ls.self != nil && *ls.self == l.Validator || have && before.Version >= l.Version {
		return false
	}
	ls.known[l.Validator] = l
	return true
}

func (ls *lists) own() (rpca.TrustedList, bool) {
	if ls.self == nil {
		return rpca.TrustedList{}, false
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.known[*ls.self], true
}

// all lists what is known in order of validators.
func (ls *lists) all() (out []rpca.TrustedList) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for i := range ls.set.All() {
		if l, ok := ls.known[i]; ok {
			out = append(out, l)
		}
	}
	return out
}
