package sqlite

import (
	"testing"

	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// A reader looked for a session in memory and did not find it; before it read
// the database, one transaction was shown and the next one committed. It must
// not see the second, for the next reader would be shown the first: history
// would go back.
func TestI3_WhatIsShownBoundsALateReader(t *testing.T) {
	t.Parallel()
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for range 5 {
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, store.Draft{Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	live := l.live.get("s")
	live.mu.Lock()
	live.state.Head, live.events = 3, nil // as before the last transactions were published
	live.mu.Unlock()
	for _, q := range []store.Query{{}, {Backward: true}, {Fold: true}} {
		q.Limit = q.Limit.OrDefault()
		var p store.Page
		err := l.withReader(t.Context(), func(c *sqlite3.Conn) (err error) {
			p, err = l.readPage(c, "s", q, nil)
			return err
		})
		if n := len(p.Events); err != nil || p.Session.Head != 3 || n != 3 || p.Events[n-1].ID != 3 {
			t.Errorf("%+v: head %d, %d events, %v, want no more than is shown", q, p.Session.Head, n, err)
		}
	}
}
