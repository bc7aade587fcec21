package state

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingmesh/starling/crypto/hash"
)

// cache holds decoded nodes of any version by place. An entry only answers for
// the hash that is asked for, so it never needs to be invalidated: writers may
// put nodes of versions that are not committed yet, readers of old ones.
type cache struct {
	shards [16]struct {
		sync.Mutex
		lru *simplelru.LRU[place, *node]
	}
}

// newCache bounds the cache to about nodes entries of 1.1 to 2.1 KiB.
func newCache(nodes int) *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].lru, _ = simplelru.NewLRU[place, *node](max(1, nodes/16), nil) // fails for sizes below 1 only
	}
	return c
}

func (c *cache) get(at place, want hash.Hash) *node {
	s := &c.shards[at.prefix[0]>>4]
	s.Lock()
	defer s.Unlock()
	if n, ok := s.lru.Get(at); ok && n.root() == want {
		return n
	}
	return nil
}

func (c *cache) put(at place, n *node) {
	s := &c.shards[at.prefix[0]>>4]
	s.Lock()
	defer s.Unlock()
	if n == nil {
		s.lru.Remove(at)
	} else {
		s.lru.Add(at, n)
	}
}
