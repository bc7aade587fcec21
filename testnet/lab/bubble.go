package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// errBubble is what remains if the bubble ended without saying why.
var errBubble = errors.New("the run ended early")

var initTesting = sync.OnceFunc(testing.Init)

// inBubble runs body where time is virtual: sleeps and timers end as soon as
// every goroutine waits. The runtime offers such bubbles to tests only, so an
// empty test is handed to it; it holds no more than the bubble's outcome.
// testing.RunTests cannot make it, as outside of a test binary it runs nothing.
// testing.Init puts its flags on the standard flag set, which the commands,
// using another, never show.
//
// A goroutine that waits for a channel from outside would stop the virtual
// clock for good. So ctx stays outside: the body gets a context of its own,
// cancelled by a goroutine that looks at a variable every virtual tick.
func inBubble(ctx context.Context, body func(context.Context) error) (err error) {
	initTesting()
	var stopped atomic.Bool
	defer context.AfterFunc(ctx, func() { stopped.Store(true) })()
	err = errBubble
	defer func() {
		if r := recover(); r != nil { // goroutines that never end
			err = fmt.Errorf("run in virtual time: %v", r)
		}
	}()
	synctest.Test(new(testing.T), func(*testing.T) {
		err = watched(&stopped, body)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

const watchEvery = 20 * time.Millisecond

// watched runs body with a context that ends once stopped is set.
func watched(stopped *atomic.Bool, body func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if stopped.Load() {
					cancel()
				}
			}
		}
	})
	return body(ctx)
}
