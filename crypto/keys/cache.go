package keys

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Cache remembers the public keys that were parsed last, so that a sender who
// comes again costs a look-up in place of a square root. It holds only valid
// keys, at most about 1.5 KB each, 200 bytes for most.
type Cache struct {
	keys *lru.Cache[string, PublicKey]
}

// NewCache returns a cache of at most size keys; size must be positive.
func NewCache(size int) (*Cache, error) {
	c, err := lru.New[string, PublicKey](size)
	if err != nil {
		return nil, fmt.Errorf("cache of %d public keys: %w", size, err)
	}
	return &Cache{keys: c}, nil
}

// Parse is [ParsePublicKey] through the cache.
func (c *Cache) Parse(b []byte) (PublicKey, error) {
	if len(b) <= MaxPublicKeySize {
		if key, ok := c.keys.Get(string(b)); ok {
			return key, nil
		}
	}
	key, err := ParsePublicKey(b)
	if err == nil {
		c.keys.Add(key.enc, key)
	}
	return key, err
}
