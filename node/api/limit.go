package api

import (
	"net/http"
	"net/netip"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// limiter is a token bucket an address. Addresses beyond the newest few thousand
// are forgotten: that favours a crowd of strangers over unbounded memory.
type limiter struct {
	perSecond int
	loopback  bool

	mu      sync.Mutex
	buckets *lru.Cache[netip.Addr, *rate.Limiter]
}

const limiterAddresses = 8192

func newLimiter(perSecond int, loopback bool) *limiter {
	buckets, _ := lru.New[netip.Addr, *rate.Limiter](limiterAddresses) // fails for sizes below 1 only
	return &limiter{perSecond: perSecond, loopback: loopback, buckets: buckets}
}

func (l *limiter) wrap(next http.Handler) http.Handler {
	if l.perSecond == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.allow(clientAddr(r)) {
			p, _ := problemOf(errTooMany)
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *limiter) allow(addr netip.Addr) bool {
	if addr.IsLoopback() && !l.loopback {
		return true
	}
	l.mu.Lock()
	bucket, ok := l.buckets.Get(addr)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond), 2*l.perSecond)
		l.buckets.Add(addr, bucket)
	}
	l.mu.Unlock()
	return bucket.Allow()
}
