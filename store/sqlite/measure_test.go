package sqlite

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// What is counted of one append, of a batch of it, and of a checkpoint.
func TestMeasures(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l, err := Open(ctx, t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := l.Measures()
	var stages store.Stages
	begin := time.Now()
	if _, err := l.Append(ctx, "s", store.AppendOptions{Stages: &stages}, store.Draft{Type: "a"}, store.Draft{Type: "b"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]time.Time{{begin, stages.Queued}, {stages.Queued, stages.Taken}, {stages.Taken, stages.Durable}, {stages.Durable, stages.Announced}, {stages.Announced, time.Now()}} {
		if c[0].IsZero() || c[1].Before(c[0]) {
			t.Errorf("%v comes before %v", c[1], c[0])
		}
	}
	if stages.Appends < 1 {
		t.Errorf("%d requests shared the commit", stages.Appends)
	}
	after := l.Measures()
	if d := after.CommitEvents.Sum - before.CommitEvents.Sum; d != 2 {
		t.Errorf("%v events were committed", d)
	}
	if after.Commit.Sum <= before.Commit.Sum || after.Sync.Sum <= before.Sync.Sum || after.Sync.Sum > after.Commit.Sum || after.QueueWait.Sum <= before.QueueWait.Sum {
		t.Errorf("got %+v", after)
	}
	var total uint64
	for _, n := range after.Commit.Counts {
		total += n
	}
	if h := l.Health(); uint64(h.Commits) != total {
		t.Errorf("%d commits, %d were timed", h.Commits, total)
	}
	if after.CacheBytes == 0 || after.ReadersIdle < 1 || after.ReadersIdle > ReadersDefault || after.CommitFailed != 0 {
		t.Errorf("got %+v", after)
	}
	var again store.Stages // a place in the queue is used again
	if _, err := l.Append(ctx, "s", store.AppendOptions{}, store.Draft{Type: "a"}); err != nil || again != (store.Stages{}) || !stages.Queued.Before(time.Now()) {
		t.Errorf("%v, %+v", err, again)
	}
	if _, err := l.Retain(ctx, store.Retention{Events: 1}); err != nil {
		t.Fatal(err)
	}
	if n := l.Measures().RetainedEvents; n < 2 {
		t.Errorf("%d events were removed", n)
	}
	s, err := l.Storage(ctx)
	if err != nil || s.DatabaseBytes == 0 || s.WALBytes == 0 || s.Blobs != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A transaction of which nothing is stored is counted as failed, and no commit.
func TestMeasuresOfAFailure(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l, err := Open(ctx, t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := l.Measures()
	if err := l.queue.do(ctx, 0, 0, func(*txn) error { return errPlanted }); err == nil {
		t.Fatal("it was stored")
	}
	after := l.Measures()
	if after.CommitFailed != before.CommitFailed+1 || after.Commit.Sum != before.Commit.Sum {
		t.Errorf("got %+v", after)
	}
}

var errPlanted = context.DeadlineExceeded // any error that is no refusal

// BenchmarkMeasures is what counting costs per request, beside what an append
// costs (BenchmarkAppend).
func BenchmarkMeasures(b *testing.B) {
	for _, n := range []int{1, 16, 128} {
		b.Run("batch="+strconv.Itoa(n), func(b *testing.B) {
			m, t := newMeasures(), &txn{synced: time.Millisecond}
			batch := make([]*op, n)
			for i := range batch {
				batch[i] = &op{events: 1}
			}
			for range b.N/n + 1 {
				for _, o := range batch {
					o.queued = time.Now()
				}
				begin := time.Now()
				m.taken(batch, begin)
				m.committed(t, batch, begin)
				m.announced(batch)
			}
		})
	}
}
