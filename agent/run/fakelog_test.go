package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

// errAway is what a log that cannot be reached gives.
var errAway = errors.New("the log is away")

// fakeLog is a log in memory whose faults can be switched. It holds producers to
// the contract: after an unknown outcome the same drafts must follow.
type fakeLog struct {
	Log
	engine *memory.Log
	t      testing.TB

	mu       sync.Mutex // guards what follows
	away     bool       // nothing gets through
	slow     time.Duration
	lose     int                                      // so many appends are stored, and their answers lost
	refuse   func(drafts []store.Draft) error         // or nil: what it returns is the answer, and nothing is stored
	before   func(drafts []store.Draft)               // or nil: called before each append
	appends  int                                      // that were tried
	requests []int                                    // the number of drafts of each that was stored
	blobs    func(contentType string, size int) error // or nil: as refuse, for PutBlob
	puts     int                                      // of blobs
	epochs   []int64                                  // of the producers that were made
}

func newFakeLog(t testing.TB, o memory.Options) *fakeLog {
	hub := stream.NewHub()
	o.Committed = hub.Committed
	engine := memory.New(o)
	return &fakeLog{t: t, engine: engine, Log: Local(engine, hub)}
}

// set changes the faults.
func (l *fakeLog) set(f func(*fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// is reads them.
func (l *fakeLog) is(f func(*fakeLog) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f(l)
}

// tries is how many appends were tried.
func (l *fakeLog) tries() (n int) {
	l.set(func(l *fakeLog) { n = l.appends })
	return n
}

// wait is what every call goes through.
func (l *fakeLog) wait(ctx context.Context) error {
	l.mu.Lock()
	slow := l.slow
	l.mu.Unlock()
	if slow > 0 {
		t := time.NewTimer(slow)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.is(func(l *fakeLog) bool { return l.away }) {
		return errAway
	}
	return ctx.Err()
}

func (l *fakeLog) Create(ctx context.Context, id string) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	return l.Log.Create(ctx, id)
}

func (l *fakeLog) Touch(ctx context.Context, session, turn string) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	return l.Log.Touch(ctx, session, turn)
}

func (l *fakeLog) PutBlob(ctx context.Context, contentType string, content []byte) (store.Blob, error) {
	l.mu.Lock()
	l.puts++
	refuse := l.blobs
	l.mu.Unlock()
	if err := l.wait(ctx); err != nil {
		return store.Blob{}, err
	}
	if refuse != nil {
		if err := refuse(contentType, len(content)); err != nil {
			return store.Blob{}, err
		}
	}
	return l.Log.PutBlob(ctx, contentType, content)
}

func (l *fakeLog) Producer(session, id string, epoch int64) Producer {
	l.set(func(l *fakeLog) { l.epochs = append(l.epochs, epoch) })
	return &fakeProducer{log: l, session: session, state: store.Producer{ID: id, Epoch: epoch}}
}

// fakeProducer sends to an existing session only, as the client of a runner does.
type fakeProducer struct {
	log     *fakeLog
	session string
	state   store.Producer
	unsure  []store.Draft // whose outcome is not known
}

func (p *fakeProducer) Append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	l := p.log
	l.mu.Lock()
	l.appends++
	before, refuse := l.before, l.refuse
	l.mu.Unlock()
	if before != nil {
		before(drafts)
	}
	if p.unsure != nil && !slices.EqualFunc(p.unsure, drafts, sameDraft) {
		l.t.Errorf("%d drafts from key %q are sent while the outcome of %d from key %q is unknown", len(drafts), drafts[0].Key, len(p.unsure), p.unsure[0].Key)
	}
	again := slices.Clone(drafts)
	if err := l.wait(ctx); err != nil {
		p.unsure = again
		return store.Appended{}, err
	}
	if refuse != nil {
		if err := refuse(drafts); err != nil {
			p.unsure = nil
			return store.Appended{}, err
		}
	}
	state := p.state
	a, err := l.engine.Append(ctx, p.session, store.AppendOptions{NoCreate: true, Producer: &state}, drafts...)
	p.unsure = nil
	if err != nil {
		if store.CodeOf(err) == "" {
			p.unsure = again
		}
		return store.Appended{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, len(drafts))
	if l.lose > 0 {
		l.lose--
		p.unsure = again
		return store.Appended{}, errAway
	}
	p.state.Seq++
	return a, nil
}

func sameDraft(a, b store.Draft) bool { return a.Key == b.Key && a.BodyHash() == b.BodyHash() }

// events reads the whole session.
func (l *fakeLog) events(session string) (all []store.Event) {
	l.t.Helper()
	for after := int64(0); ; {
		page, err := l.engine.Read(context.Background(), session, store.Query{After: after, Raw: true})
		if err != nil {
			l.t.Fatalf("read %s: %v", session, err)
		}
		if len(page.Events) == 0 {
			return all
		}
		all = append(all, page.Events...)
		after = all[len(all)-1].ID
	}
}

// story is the session's events in short: type, turn and data.
func (l *fakeLog) story(session string) (lines []string) {
	l.t.Helper()
	for _, e := range l.events(session) {
		lines = append(lines, fmt.Sprintf("%s %s %s", e.Type, e.Turn, e.Data))
	}
	return lines
}

// appendAs appends as somebody else.
func (l *fakeLog) appendAs(session string, drafts ...store.Draft) {
	l.t.Helper()
	if _, err := l.engine.Append(context.Background(), session, store.AppendOptions{}, drafts...); err != nil {
		l.t.Fatalf("append as somebody else: %v", err)
	}
}

// removeAll removes files of a directory, those that are there.
func removeAll(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
