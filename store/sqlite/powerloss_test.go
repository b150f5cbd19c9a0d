package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// The load of the power-loss tests: producers that append to shared sessions,
// half of them with keys, half with producer state. Request n of producer w is
// always the same, so that a log can be compared with what was sent.
const (
	lossProducers = 6
	lossSessions  = 3
)

type lossRequest struct {
	session string
	options store.AppendOptions
	drafts  []store.Draft
}

func lossSession(i int) string { return fmt.Sprintf("s%d", i) }

func makeLossRequest(w, n int) lossRequest {
	rng := rand.New(rand.NewPCG(uint64(w), uint64(n)))
	r := lossRequest{session: lossSession(w % lossSessions)}
	if w%2 == 0 {
		r.session = lossSession(rng.IntN(lossSessions))
	} else {
		r.options.Producer = &store.Producer{ID: fmt.Sprintf("p%d", w), Seq: int64(n)}
	}
	for i := range 1 + rng.IntN(4) {
		size := rng.IntN(2000)
		if rng.IntN(3) == 0 {
			size *= 10 // several pages of overflow, and a checkpoint before long
		}
		name := fmt.Sprintf("%d.%d.%d", w, n, i)
		d := store.Draft{Type: "text_delta", Turn: name, Data: []byte(`{"text":"` + strings.Repeat(name, size/len(name)) + `"}`)}
		if w%2 == 0 {
			d.Key = "k" + name
		}
		r.drafts = append(r.drafts, d)
	}
	return r
}

func (r lossRequest) append(ctx context.Context, l *sqlite.Log) (store.Appended, error) {
	return l.Append(ctx, r.session, r.options, r.drafts...)
}

// account is what the world was told: by acknowledgement, announcement and
// reading. Its slices only ever grow, so that copies may share them.
type account struct {
	acked     [lossProducers][]int64 // by request: the first id
	announced map[string]int64       // heads
	seen      map[string][][]byte    // the events that a reader got, encoded
}

type ledger struct {
	mu sync.Mutex
	account
}

func newLedger(a account) *ledger {
	l := &ledger{account: account{announced: maps.Clone(a.announced), seen: map[string][][]byte{}}}
	if l.announced == nil {
		l.announced = map[string]int64{}
	}
	for w := range a.acked {
		l.acked[w] = slices.Clip(a.acked[w])
	}
	for s := range a.seen {
		l.seen[s] = slices.Clip(a.seen[s])
	}
	return l
}

func (l *ledger) view() account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return account{acked: l.acked, announced: maps.Clone(l.announced), seen: maps.Clone(l.seen)}
}

// lossShot is an image of the disk and the account of the moment before it.
type lossShot struct {
	img *faultvfs.Image
	account
}

// lossRun is one life of an engine, from opening to the last of its images.
type lossRun struct {
	vfs     *faultvfs.VFS
	dir     string
	options sqlite.Options
	ledger  *ledger
	images  int                      // to be examined, at least
	every   int                      // operations between two of them, about
	copied  atomic.Int64             // writes to the database itself, which checkpoints make
	trouble func(*rand.Rand) bool    // or nil: called before operations, may inject faults; true when it did
	examine func(lossShot) (ok bool) // is given one image at a time while the engine waits
}

// copiedMin is a checkpoint: a life does not end before one was at work.
const copiedMin = 100

// run appends, reads and takes images until there are enough.
func (r *lossRun) run(t *testing.T, rng *rand.Rand) {
	t.Helper()
	shots, stop := make(chan lossShot), make(chan struct{})
	over, giveUp := context.WithCancel(t.Context()) // when a producer or reader cannot go on
	defer giveUp()
	var hookMu sync.Mutex // guards rng
	var opened atomic.Bool
	r.vfs.OnOp(func(op faultvfs.Op, path string) {
		hookMu.Lock()
		chance := r.every
		if op == faultvfs.OpSync { // all is at stake just before a sync
			chance = max(1, r.every/10)
		} else if strings.HasSuffix(path, ".db") { // a checkpoint is at work
			chance = max(1, r.every/6)
			r.copied.Add(1)
		}
		hit := rng.IntN(chance) == 0
		if r.trouble != nil && opened.Load() {
			r.trouble(rng)
		}
		hookMu.Unlock()
		if !hit {
			return
		}
		a := r.ledger.view() // first: what was told before must be in the image
		select {
		case shots <- lossShot{r.vfs.Image(), a}:
		case <-stop:
		}
	})
	wakes := map[string]chan struct{}{}
	for i := range lossSessions {
		wakes[lossSession(i)] = make(chan struct{}, 1)
	}
	r.options.VFS = r.vfs.Name()
	r.options.Committed = func(session string, head int64) {
		r.ledger.mu.Lock()
		r.ledger.announced[session] = max(head, r.ledger.announced[session])
		r.ledger.mu.Unlock()
		select {
		case wakes[session] <- struct{}{}:
		default:
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(stop)
		for n := 0; n < r.images || r.copied.Load() < copiedMin; n++ {
			select {
			case s := <-shots:
				if !r.examine(s) {
					return
				}
			case <-over.Done():
				return
			}
		}
	})
	l, err := sqlite.Open(t.Context(), r.dir, r.options)
	if err != nil {
		t.Fatal(err)
	}
	opened.Store(true) // trouble before that would be another test
	for w := range lossProducers {
		group.Go(func() { r.produce(t, l, w, stop, giveUp) })
	}
	for s, wake := range wakes {
		group.Go(func() { r.follow(t, l, s, wake, stop, giveUp) })
	}
	group.Wait()
	r.vfs.OnOp(nil)
	r.vfs.Lift()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// produce sends a producer's requests one by one, each until it is acknowledged.
func (r *lossRun) produce(t *testing.T, l *sqlite.Log, w int, stop chan struct{}, giveUp func()) {
	for n := len(r.ledger.view().acked[w]); ; n++ {
		for {
			got, err := makeLossRequest(w, n).append(context.Background(), l)
			if err == nil {
				r.ledger.mu.Lock()
				r.ledger.acked[w] = append(r.ledger.acked[w], got.First)
				r.ledger.mu.Unlock()
				break
			}
			if r.trouble == nil || !errors.Is(err, store.ErrStorageFull) && !errors.Is(err, store.ErrStorageFailed) {
				t.Errorf("producer %d request %d: %v", w, n, err)
				giveUp()
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// follow reads a session to its end after every wake-up.
func (r *lossRun) follow(t *testing.T, l *sqlite.Log, session string, wake, stop chan struct{}, giveUp func()) {
	after := int64(len(r.ledger.view().seen[session]))
	for {
		p, err := l.Read(context.Background(), session, store.Query{After: after})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read %s: %v", session, err)
			giveUp()
			return
		}
		r.ledger.mu.Lock()
		for _, e := range p.Events {
			if after++; e.ID != after {
				t.Errorf("read %s: id %d after %d", session, e.ID, after-1)
			}
			r.ledger.seen[session] = append(r.ledger.seen[session], e.JSON())
		}
		r.ledger.mu.Unlock()
		if len(p.Events) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-stop:
			return
		}
	}
}

// examine opens what a power loss left and says what is wrong with it. The
// engine need not sync, because nothing is cut off from it.
func (a account) examine(ctx context.Context, dir string) (err error) {
	l, err := sqlite.Open(ctx, dir, sqlite.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer func() {
		if e := l.Close(); err == nil {
			err = e
		}
	}()
	places, err := a.contents(ctx, l)
	if err != nil {
		return err
	}
	for w := range a.acked {
		for n, first := range a.acked[w] {
			r := makeLossRequest(w, n)
			for i, d := range r.drafts {
				if got, want := places[d.Turn], (place{r.session, first + int64(i)}); got != want {
					return fmt.Errorf("acknowledged event %s is at %v, want %v", d.Turn, got, want)
				}
			}
		}
	}
	if err := a.retry(ctx, l, places); err != nil {
		return err
	}
	_, err = a.contents(ctx, l)
	return err
}

type place struct {
	session string
	id      int64
}

// contents reads everything and compares it with what was sent, announced and
// seen. It returns where each event is.
func (a account) contents(ctx context.Context, l *sqlite.Log) (map[string]place, error) {
	places := map[string]place{}
	for i := range lossSessions {
		session := lossSession(i)
		head := int64(0)
		for {
			p, err := l.Read(ctx, session, store.Query{After: head})
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			if len(p.Events) == 0 {
				if p.Session.Head != head {
					return nil, fmt.Errorf("%s: the head is %d, the last event %d", session, p.Session.Head, head)
				}
				break
			}
			for _, e := range p.Events {
				if head++; e.ID != head {
					return nil, fmt.Errorf("%s: event %d where %d should be", session, e.ID, head)
				}
				if err := a.known(&e); err != nil {
					return nil, err
				}
				if old, ok := places[e.Turn]; ok {
					return nil, fmt.Errorf("event %s is at %v and at %s %d", e.Turn, old, session, e.ID)
				}
				places[e.Turn] = place{session, e.ID}
			}
		}
		if head < a.announced[session] {
			return nil, fmt.Errorf("%s: head %d, but %d was announced", session, head, a.announced[session])
		}
		if head < int64(len(a.seen[session])) {
			return nil, fmt.Errorf("%s: head %d, but %d was seen", session, head, len(a.seen[session]))
		}
	}
	return places, nil
}

// known holds one event against what was sent and what a reader saw.
func (a account) known(e *store.Event) error {
	var w, n, i int
	if _, err := fmt.Sscanf(e.Turn, "%d.%d.%d", &w, &n, &i); err != nil || w >= lossProducers || n > len(a.acked[w]) {
		return fmt.Errorf("%s %d: nobody sent %q", e.Session, e.ID, e.Turn)
	}
	r := makeLossRequest(w, n)
	if i >= len(r.drafts) || r.session != e.Session || r.drafts[i].Type != e.Type || !bytes.Equal(r.drafts[i].Data, e.Data) {
		return fmt.Errorf("%s %d: %s has other content than was sent", e.Session, e.ID, e.Turn)
	}
	if seen := a.seen[e.Session]; e.ID <= int64(len(seen)) && !bytes.Equal(seen[e.ID-1], e.JSON()) {
		return fmt.Errorf("%s %d: a reader saw %.200s, now it is %.200s", e.Session, e.ID, seen[e.ID-1], e.JSON())
	}
	return nil
}

// retry does what a producer does that comes back: it sends its last request
// again, and then the one whose answer it never got. Of a producer's requests
// the ids are known of the newest only.
func (a account) retry(ctx context.Context, l *sqlite.Log, places map[string]place) error {
	for w := range a.acked {
		n := len(a.acked[w])
		next := makeLossRequest(w, n)
		if n > 0 {
			want := a.acked[w][n-1]
			if _, ok := places[next.drafts[0].Turn]; ok && next.options.Producer != nil {
				want = 0
			}
			got, err := makeLossRequest(w, n-1).append(ctx, l)
			if err != nil || !got.Duplicate || got.First != want {
				return fmt.Errorf("retry of %d.%d: %+v, %v; want a duplicate of %d", w, n-1, got, err, want)
			}
		}
		first, err := next.append(ctx, l)
		if err != nil {
			return fmt.Errorf("retry of %d.%d: %w", w, n, err)
		}
		again, err := next.append(ctx, l)
		if err != nil || !again.Duplicate || again.First != first.First {
			return fmt.Errorf("second retry of %d.%d: %+v, %v; want a duplicate of %d", w, n, again, err, first.First)
		}
	}
	return nil
}

// verify runs the engine's own check over a closed database.
func verify(ctx context.Context, dir string) error {
	var first error
	_, err := sqlite.Verify(ctx, dir, func(p sqlite.Problem) {
		if first == nil {
			first = fmt.Errorf("verify: %v", p)
		}
	}, nil)
	return errors.Join(err, first)
}

func newVFS(t *testing.T) *faultvfs.VFS {
	t.Helper()
	v, err := faultvfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func lossRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// inspect writes one outcome of the shot to a directory, examines it, and
// returns what is wrong with it.
func inspect(t *testing.T, s lossShot, seed uint64) error {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "crash")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := s.img.Write(dir, seed); err != nil {
		t.Fatal(err)
	}
	if err := s.account.examine(t.Context(), dir); err != nil {
		return err
	}
	return verify(t.Context(), dir)
}

// skipUnderRace leaves a test to the run without the detector, under which it
// takes minutes. The engine's goroutines are watched by all other tests.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if long.Race {
		t.Skip("takes minutes under the race detector; test.sh runs it without")
	}
}

// survive runs several lives, each on what a power loss left of the one
// before, and expects that nothing that anybody was told is ever gone.
func survive(t *testing.T, lives, images int, trouble func(*faultvfs.VFS, *rand.Rand)) {
	t.Helper()
	if !long.Wanted() {
		lives = 1
	}
	rng := lossRand(t)
	dir, book := t.TempDir(), account{}
	for life := range lives {
		v := newVFS(t)
		var last lossShot
		var seed uint64
		r := &lossRun{vfs: v, dir: dir, ledger: newLedger(book), images: images, every: 600}
		if trouble != nil {
			r.trouble = func(rng *rand.Rand) bool { trouble(v, rng); return true }
		}
		seeds := rand.New(rand.NewPCG(rng.Uint64(), 2))
		taken := 0
		r.examine = func(s lossShot) bool {
			last, seed = s, seeds.Uint64()
			taken++
			if err := inspect(t, s, seed); err != nil {
				t.Errorf("life %d, image %d: %v", life, taken, err)
				return false
			}
			return true
		}
		r.run(t, rand.New(rand.NewPCG(rng.Uint64(), 3)))
		if t.Failed() {
			return
		}
		if err := inspect(t, lossShot{v.Image(), r.ledger.view()}, 1); err != nil {
			t.Errorf("life %d, after the close: %v", life, err)
		}
		acks := 0
		for w := range last.acked {
			acks += len(last.acked[w])
		}
		t.Logf("life %d: %d images, %+v, %d pages copied, %d requests acknowledged at the last", life, taken, v.Stats(), r.copied.Load(), acks)
		dir, book = t.TempDir(), last.account
		if err := last.img.Write(dir, seed); err != nil {
			t.Fatal(err)
		}
	}
}

func imagesPerLife() int {
	if !long.Wanted() {
		return 5
	}
	return 12
}

// What was acknowledged, announced or seen outlives a power loss at any
// moment, with its ids and bytes, and a retry finds it (I1, I2, I4, P1, P2,
// P13, P14).
func TestP1_PowerLoss(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	survive(t, 3, imagesPerLife(), nil)
}

// The same where now and then an fsync fails, or a write: what was not synced
// is never acknowledged, and never counts on a later fsync.
func TestI1_PowerLossAfterFailedSync(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	faults := []faultvfs.Fault{
		{Ops: faultvfs.OpSync, Code: faultvfs.SyncError, Times: 1},
		{Ops: faultvfs.OpSync, Code: faultvfs.SyncError, Times: 2},
		{Ops: faultvfs.OpWrite, Code: faultvfs.WriteError, Times: 1, Short: true},
		{Ops: faultvfs.OpWrite, Code: faultvfs.Full, Times: 3, Short: true},
		{Ops: faultvfs.OpTruncate, Code: faultvfs.WriteError, Times: 1},
	}
	survive(t, 2, imagesPerLife(), func(v *faultvfs.VFS, rng *rand.Rand) {
		if rng.IntN(400) == 0 {
			v.Inject(faults[rng.IntN(len(faults))])
		}
	})
}

// The contrast, without which the tests above prove nothing: where syncs do
// not reach the disk, the same examination finds losses.
func TestI1_PowerLossWithoutSyncIsNoticed(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	for _, c := range []struct {
		name   string
		lie    bool
		noSync bool
	}{{"the disk lies", true, false}, {"the engine does not sync", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			rng := lossRand(t)
			v := newVFS(t)
			v.SetNoSync(c.lie)
			taken, lost := uint64(0), 0
			var last error
			r := &lossRun{vfs: v, dir: t.TempDir(), ledger: newLedger(account{}), images: 12, every: 300, options: sqlite.Options{NoSync: c.noSync}}
			r.examine = func(s lossShot) bool {
				taken++
				if err := inspect(t, s, taken); err != nil {
					lost, last = lost+1, err
				}
				return true
			}
			r.run(t, rng)
			if lost == 0 {
				t.Errorf("no image of %d lost anything: the simulation does not bite", taken)
			}
			t.Logf("%d of %d images lost something, such as: %v", lost, taken, last)
		})
	}
}
