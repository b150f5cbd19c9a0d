package api

import (
	"testing"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// BenchmarkCounting is what a delivered batch and an append cost in metrics.
func BenchmarkCounting(b *testing.B) {
	log := memory.New(memory.Options{})
	defer log.Close()
	m := newMetrics(log, stream.NewHub(), newConnections(1, 1), &Config{})
	b.Run("append", func(b *testing.B) {
		for range b.N {
			m.appended(store.Appended{First: 1, Last: 1}, 100, time.Millisecond)
		}
	})
	b.Run("batch", func(b *testing.B) {
		for range b.N {
			m.Delivered(stream.SSE, 1, 100)
		}
	})
	b.Run("lag", func(b *testing.B) {
		for range b.N {
			m.Lagged(stream.SSE, 0, time.Millisecond)
		}
	})
}
