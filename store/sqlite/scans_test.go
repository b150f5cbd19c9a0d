package sqlite

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// readFor bounds how long a test that fails waits; one that passes does not.
const readFor = 20 * time.Second

// TestScansLeaveAConnection guards that however many searches and lists that are
// thinned out there are, a plain read has a connection to itself.
func TestScansLeaveAConnection(t *testing.T) {
	t.Parallel()
	for _, readers := range []int{0, 2, 5} {
		t.Run(fmt.Sprint(readers), func(t *testing.T) {
			t.Parallel()
			l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true, Readers: readers})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			put(t, l, "s", event(store.TypeTurnStart, "t", `{}`))
			settled(t, l)
			// As many as may scan do so until the end, and twice as many wait.
			scanning, let := make(chan struct{}), make(chan struct{})
			all := 3 * cap(l.readers)
			ended := make(chan error, all)
			for range all {
				go func() {
					ended <- l.withScanner(context.Background(), func(*sqlite3.Conn) error {
						scanning <- struct{}{}
						<-let
						return nil
					})
				}()
			}
			for range cap(l.scans) {
				<-scanning
			}
			ctx, cancel := context.WithTimeout(t.Context(), readFor)
			defer cancel()
			for name, read := range plainReads(l) {
				if err := read(ctx); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			close(let)
			for range all - cap(l.scans) {
				<-scanning
			}
			for range all {
				if err := <-ended; err != nil {
					t.Errorf("one that waited: %v", err)
				}
			}
		})
	}
}

func plainReads(l *Log) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"turn":     func(ctx context.Context) error { _, err := l.Turn(ctx, "s", "t"); return err },
		"sessions": func(ctx context.Context) error { _, err := l.ListSessions(ctx, store.SessionFilter{}); return err },
		"turns": func(ctx context.Context) error {
			_, err := l.ListTurns(ctx, store.TurnFilter{Session: "s"})
			return err
		},
		"kontasks": func(ctx context.Context) error { _, err := l.ListKontasks(ctx, store.KontaskFilter{}); return err },
		"inbox":    func(ctx context.Context) error { _, err := l.Inbox(ctx, store.InboxFilter{Subject: "a"}); return err },
	}
}

// TestScansWaitForEachOther guards that each of them does, and that its wait
// ends with the request.
func TestScansWaitForEachOther(t *testing.T) {
	t.Parallel()
	l := openDerive(t, t.TempDir())
	put(t, l, "s", event(store.TypePrompt, "", `{'text':'apple'}`))
	settled(t, l)
	narrow := store.Patterns{"s*"}
	scans := map[string]func(context.Context) error{
		"search": func(ctx context.Context) error {
			_, err := l.Search(ctx, store.SearchFilter{Query: "apple"})
			return err
		},
		"narrow search": func(ctx context.Context) error {
			_, err := l.Search(ctx, store.SearchFilter{Query: "apple", Visible: narrow})
			return err
		},
		"turns by text": func(ctx context.Context) error {
			_, err := l.ListTurns(ctx, store.TurnFilter{Query: "apple"})
			return err
		},
		"turns": func(ctx context.Context) error {
			_, err := l.ListTurns(ctx, store.TurnFilter{Visible: narrow})
			return err
		},
		"sessions": func(ctx context.Context) error {
			_, err := l.ListSessions(ctx, store.SessionFilter{Visible: narrow})
			return err
		},
		"sessions by text": func(ctx context.Context) error {
			_, err := l.ListSessions(ctx, store.SessionFilter{Search: "s"})
			return err
		},
		"kontasks": func(ctx context.Context) error {
			_, err := l.ListKontasks(ctx, store.KontaskFilter{Visible: narrow})
			return err
		},
		"inbox": func(ctx context.Context) error {
			_, err := l.Inbox(ctx, store.InboxFilter{Subject: "a", Visible: narrow})
			return err
		},
	}
	for name, scan := range scans {
		if err := scan(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range cap(l.scans) {
		l.scans <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, scan := range scans {
		for range 50 { // of what does not wait half would find a connection
			if err := scan(gone); !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: got %v, want it to have waited", name, err)
			}
		}
	}
	for range cap(l.scans) {
		<-l.scans
	}
	if err := scans["search"](t.Context()); err != nil {
		t.Errorf("after all: %v", err)
	}
}
