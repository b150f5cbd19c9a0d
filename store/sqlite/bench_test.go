package sqlite_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// body makes an event of about 300 bytes on the wire.
var body = []byte(`{"text":"` + strings.Repeat("x", 200) + `"}`)

func openBench(b *testing.B, o sqlite.Options) *sqlite.Log {
	b.Helper()
	l, err := sqlite.Open(b.Context(), b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return l
}

// BenchmarkAppend measures durable appends by the number of producers, each
// with a session of its own and one append in flight.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 16, 128, 1000} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("producers=%d/events=%d", producers, size), func(b *testing.B) {
				benchAppend(b, producers, size)
			})
		}
	}
}

func benchAppend(b *testing.B, producers, size int) {
	l := openBench(b, sqlite.Options{})
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range producers {
		wg.Go(func() {
			session := fmt.Sprint("s", p)
			drafts := make([]store.Draft, size)
			for left.Add(-int64(size)) > -int64(size) {
				for i := range drafts {
					drafts[i] = store.Draft{Type: "text_delta", Data: body}
				}
				if _, err := l.Append(b.Context(), session, store.AppendOptions{}, drafts...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/float64(l.Health().Commits), "events/commit")
}

// BenchmarkRead measures pages of stored events, from the database and from
// the newest events in memory.
func BenchmarkRead(b *testing.B) {
	for name, cache := range map[string]int64{"database": -1, "memory": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			l := openBench(b, sqlite.Options{CacheBytes: cache})
			const events = 100_000
			for range events / 1000 {
				drafts := make([]store.Draft, 1000)
				for i := range drafts {
					drafts[i] = store.Draft{Type: "text_delta", Data: body}
				}
				if _, err := l.Append(b.Context(), "s", store.AppendOptions{}, drafts...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			after := int64(0)
			for n := 0; n < b.N; {
				p, err := l.Read(b.Context(), "s", store.Query{After: after})
				if err != nil {
					b.Fatal(err)
				}
				n += len(p.Events)
				after += int64(len(p.Events))
				if after == events {
					after = 0
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
