package events

import (
	"context"
	"sync"
	"testing"
)

func BenchmarkPublish(b *testing.B) {
	for name, subscribers := range map[string]int{"alone": 0, "watched by 10": 10} {
		b.Run(name, func(b *testing.B) {
			h := NewHub(DefaultSize)
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			for range subscribers {
				wg.Go(func() {
					for ctx.Err() == nil { // again after every gap
						for range h.Subscribe(ctx, Live) {
						}
					}
				})
			}
			var p Payload = View{View: 1}
			for b.Loop() {
				h.Publish(p)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			cancel()
			wg.Wait()
		})
	}
}
