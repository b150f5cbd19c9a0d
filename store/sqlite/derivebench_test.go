package sqlite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// prose is about n bytes of words that come as often as those of a language.
func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "word%d ", int(r.ExpFloat64()*800))
	}
	return b.String()
}

// turnDrafts is a turn of an agent: deltas, then the whole block, as agents
// send them.
func turnDrafts(r *rand.Rand) (drafts []store.Draft) {
	text := prose(r, 600)
	for i := 0; i < len(text); i += 20 {
		drafts = append(drafts, store.Draft{Type: "text_delta", Data: fmt.Appendf(nil, `{"text":%q,"block":0}`, text[i:min(i+20, len(text))])})
	}
	return append(drafts, store.Draft{Type: "text", Data: fmt.Appendf(nil, `{"text":%q,"block":0}`, text)})
}

// BenchmarkDeriveBeside measures appends with and without the loop, and how
// far it is behind at the end.
func BenchmarkDeriveBeside(b *testing.B) {
	for _, derive := range []bool{false, true} {
		b.Run(fmt.Sprint("derive=", derive), func(b *testing.B) {
			l, err := Open(b.Context(), b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			if !derive {
				l.derive.stop()
			}
			var left, slowest atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for p := range 16 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(p), 5))
					for {
						drafts := turnDrafts(r)
						if left.Add(-int64(len(drafts))) < 0 {
							return
						}
						for i := 0; i < len(drafts); i += 4 {
							began := time.Now()
							if _, err := l.Append(b.Context(), fmt.Sprint("s", p), store.AppendOptions{}, drafts[i:min(i+4, len(drafts))]...); err != nil {
								b.Error(err)
								return
							}
							if d := int64(time.Since(began)); d > slowest.Load() {
								slowest.Store(d)
							}
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(slowest.Load())/1e6, "slowest-ms")
			if derive {
				began := time.Now()
				settled(b, l)
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "behind-ms")
			}
		})
	}
}

// BenchmarkSearch measures the making of an index of 100,000 documents and
// searches in it.
func BenchmarkSearch(b *testing.B) {
	l := openDerive(b, b.TempDir())
	l.derive.stop()
	r := rand.New(rand.NewPCG(1, 6))
	const docs = 100_000
	bytes := 0
	for i := range docs / 500 {
		var drafts []store.Draft
		for range 500 {
			text := prose(r, 300)
			bytes += len(text)
			drafts = append(drafts, store.Draft{Type: "text", Data: fmt.Appendf(nil, `{"text":%q}`, text)})
		}
		put(b, l, fmt.Sprint("s", i%50), drafts...)
	}
	l.derive.init()
	began := time.Now()
	l.derive.start(l)
	settled(b, l)
	took := time.Since(began)
	n := int64(0)
	_ = l.withReader(b.Context(), func(c *sqlite3.Conn) (err error) {
		n, err = c.Int("SELECT count(*) FROM docs")
		return err
	})
	b.Logf("%d documents, %d MB in %v: %.0f documents/s, %.1f MB/s", n, bytes/1e6, took, float64(n)/took.Seconds(), float64(bytes)/1e6/took.Seconds())
	for _, query := range []string{"word0", "word0 word700", `"word1 word2"`, "word6000", "word50*", "word0 -word1", "absent"} {
		b.Run(strings.ReplaceAll(query, `"`, "'"), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Search(b.Context(), store.SearchFilter{Query: query}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("one session", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Search(b.Context(), store.SearchFilter{Query: "word0", Session: "s7"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("turns", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.ListTurns(b.Context(), store.TurnFilter{Query: "word0"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
