package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
)

// foldLog opens an engine without a cache, whose session s has turns of
// deltas.
func foldLog(tb testing.TB, turns, deltas int) *Log {
	tb.Helper()
	l, err := Open(context.Background(), tb.TempDir(), Options{CacheBytes: -1, NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	for turn := range turns {
		var drafts []store.Draft
		add := func(typ, data string) {
			drafts = append(drafts, store.Draft{Type: typ, Turn: fmt.Sprint("t", turn), Data: []byte(data), Raw: []byte(`{"raw":1}`)})
		}
		add("x", `{}`)
		for i := range deltas {
			add("text_delta", fmt.Sprintf(`{"text":"%d of é ","block":"b%d"}`, i, i/500))
			if i%100 == 99 {
				add("usage", `{"n":1.0}`)
			}
		}
		for part := range slices.Chunk(drafts, 2000) {
			if _, err := l.Append(context.Background(), "s", store.AppendOptions{}, part...); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return l
}

func readAll(tb testing.TB, l *Log, q store.Query) (pages int, all []store.Event) {
	tb.Helper()
	for {
		p, err := l.Read(context.Background(), "s", q)
		if err != nil {
			tb.Fatal(err)
		}
		if len(p.Events) == 0 {
			return pages, all
		}
		pages, all = pages+1, append(all, p.Events...)
		q.After = all[len(all)-1].ID
	}
}

func wire(events []store.Event) string {
	var b bytes.Buffer
	for i := range events {
		b.Write(events[i].AppendJSON(nil, true))
		b.WriteByte('\n')
	}
	return b.String()
}

// rows returns the ranges of the stored folds.
func rows(tb testing.TB, l *Log) (all []idRange) {
	tb.Helper()
	err := l.withReader(context.Background(), func(c *sqlite3.Conn) error {
		return c.Query(func(row sqlite3.Row) error {
			all = append(all, idRange{row.Int(0), row.Int(1)})
			return nil
		}, `SELECT first, last FROM folds ORDER BY session_no, first`)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// alter changes the database behind the engine.
func alter(tb testing.TB, l *Log, sql string) {
	tb.Helper()
	err := l.queue.do(context.Background(), 0, 0, func(t *txn) error {
		t.written = true
		_, err := t.conn.Exec(sql)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// raws returns the whole log without the agents' own lines.
func raws(tb testing.TB, l *Log) []store.Event {
	_, all := readAll(tb, l, store.Query{})
	for i := range all {
		all[i].Raw = nil
	}
	return all
}

// P12: a stored fold is the fold of its range, byte for byte, and a page is
// made of stored folds and of the log between them.
func TestP12_StoredFolds(t *testing.T) {
	t.Parallel()
	l := foldLog(t, 3, 600)
	raw := raws(t, l)
	turn := int64(len(raw) / 3)
	if err := l.storeFold(t.Context(), "s", turn+1, 2*turn); err != nil { // the one in the middle
		t.Fatal(err)
	}
	stored := rows(t, l)
	if len(stored) == 0 || stored[0].from != turn+1 || stored[len(stored)-1].to != 2*turn {
		t.Fatalf("stored %v, want all from %d to %d", stored, turn+1, 2*turn)
	}
	want := store.Fold(raw[:turn])
	for i, r := range stored {
		if i > 0 && r.from != stored[i-1].to+1 {
			t.Fatalf("stored %v", stored)
		}
		want = append(want, store.Fold(raw[r.from-1:r.to])...)
	}
	want = append(want, store.Fold(raw[2*turn:])...)
	pages, got := readAll(t, l, store.Query{Fold: true})
	if wire(got) != wire(want) {
		t.Errorf("got\n%s\nwant\n%s", wire(got), wire(want))
	}
	if pages != 1 {
		t.Errorf("%d pages for %d events", pages, len(got))
	}
	_, lines := readAll(t, l, store.Query{Fold: true, Raw: true})
	if len(lines) != len(raw) || lines[turn].Raw == nil {
		t.Errorf("with the agents' own lines: %d events of %d", len(lines), len(raw))
	}
	// With the log out of reach only what is stored can be read.
	alter(t, l, fmt.Sprintf(`UPDATE events SET data = x'7b7d' WHERE id BETWEEN %d AND %d`, turn+1, 2*turn))
	p, err := l.Read(t.Context(), "s", store.Query{After: turn, Until: 2 * turn, Fold: true})
	if err != nil || wire(p.Events) != wire(want[len(store.Fold(raw[:turn])):len(want)-len(store.Fold(raw[2*turn:]))]) {
		t.Errorf("the folds are not what was read: %v", err)
	}
}

// Whatever the limits, the cursor and what is stored, pages are whole and in
// order.
func TestStoredFoldsAndLimits(t *testing.T) {
	t.Parallel()
	l := foldLog(t, 3, 1500)
	raw := raws(t, l)
	turn := int64(len(raw) / 3)
	for _, r := range []idRange{{1, turn}, {2*turn + 1, 3 * turn}} {
		if err := l.storeFold(t.Context(), "s", r.from, r.to); err != nil {
			t.Fatal(err)
		}
	}
	limits := []store.Limit{{}, {Events: 40}, {Bytes: 5000}, {Events: 5}, {Events: 1}, {Bytes: 1}}
	if long.Race { // pages of one event are many
		limits = limits[:4]
	}
	for _, limit := range limits {
		for _, q := range []store.Query{{}, {After: 1}, {After: turn / 2}, {After: turn}, {After: turn - 1, Until: turn + 1}, {Until: turn - 1}, {Until: turn}, {Raw: true}} {
			q.Limit, q.Fold = limit, true
			first, err := l.Read(t.Context(), "s", q)
			if n, most := len(first.Events), limit.OrDefault(); err != nil || n > most.Events || n > 1 && len(wire(first.Events)) > most.Bytes+n {
				t.Fatalf("%+v: a page of %d events, %v", q, n, err)
			}
			_, got := readAll(t, l, q)
			end := int64(len(raw))
			if q.Until > 0 {
				end = q.Until
			}
			last, text := q.After, 0
			for i := range got {
				first := got[i].ID
				if got[i].From > 0 {
					first = got[i].From
				}
				if first != last+1 { // no whole leaves anything out here
					t.Fatalf("%+v: event %d after %d", q, first, last)
				}
				last, text = got[i].ID, text+strings.Count(string(got[i].Data), "of é")
			}
			wantText := 0
			for i := range raw[q.After:end] {
				wantText += strings.Count(string(raw[q.After+int64(i)].Data), "of é")
			}
			if last != end || text != wantText {
				t.Fatalf("%+v: up to %d with %d deltas, want %d with %d", q, last, text, end, wantText)
			}
		}
	}
}

// What goes out of the log goes out of the folds, in the same transaction.
func TestStoredFoldsGoWithTheirEvents(t *testing.T) {
	t.Parallel()
	t.Run("retention", func(t *testing.T) {
		l := foldLog(t, 2, 1000)
		head := int64(len(raws(t, l)))
		if err := l.storeFold(t.Context(), "s", 1, head); err != nil {
			t.Fatal(err)
		}
		before := rows(t, l)
		if _, err := l.Retain(t.Context(), store.Retention{Events: head - 1}); err != nil {
			t.Fatal(err)
		}
		if after := rows(t, l); !slices.Equal(after, before[1:]) {
			t.Errorf("the floor rose to 2; left %v of %v", after, before)
		}
	})
	t.Run("redaction", func(t *testing.T) {
		l := foldLog(t, 1, 1000)
		head := int64(len(raws(t, l)))
		if err := l.storeFold(t.Context(), "s", 1, head); err != nil {
			t.Fatal(err)
		}
		if _, got := readAll(t, l, store.Query{Fold: true}); !strings.Contains(wire(got), `692 of é `) {
			t.Fatal("the text of event 700 is not there")
		}
		if _, err := l.Redact(t.Context(), "s", store.RedactSpec{From: 700, To: 700, Reason: "secret"}); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows(t, l) {
			if r.from <= 700 && r.to >= 700 {
				t.Errorf("the fold of %d to %d is still there", r.from, r.to)
			}
		}
		_, got := readAll(t, l, store.Query{Fold: true})
		if strings.Contains(wire(got), `692 of é `) {
			t.Error("a reader gets what was redacted")
		}
	})
	t.Run("deletion", func(t *testing.T) {
		l := foldLog(t, 1, 1000)
		if err := l.storeFold(t.Context(), "s", 1, 900); err != nil || len(rows(t, l)) == 0 {
			t.Fatal(err)
		}
		if err := l.DeleteSession(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		if err := l.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := rows(t, l); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// A fold that was begun before something was dropped must not be stored after.
func TestFoldOfWhatIsGoneIsNotStored(t *testing.T) {
	t.Parallel()
	l := foldLog(t, 1, 500)
	row := foldRow{}
	err := l.queue.do(t.Context(), 0, 0, func(t *txn) error {
		c, err := t.session("s")
		row.no, row.drops = c.no, t.w.foldDrops
		return err
	})
	if err == nil {
		err = l.makeFold(t.Context(), "s", &row, 1, 400)
	}
	if err == nil {
		_, err = l.Redact(t.Context(), "s", store.RedactSpec{From: 3, To: 3, Reason: "secret"})
	}
	stale := false
	if err == nil {
		err = l.queue.do(t.Context(), 0, 0, func(t *txn) (err error) {
			stale, err = t.addFold("s", &row)
			return err
		})
	}
	if err != nil || !stale || len(rows(t, l)) > 0 {
		t.Errorf("stale %v, %v; stored %v", stale, err, rows(t, l))
	}
	if err := l.storeFold(t.Context(), "s", 1, 400); err != nil || len(rows(t, l)) == 0 {
		t.Errorf("a new one: %v, stored %v", err, rows(t, l))
	}
}

// The end of a turn is when its fold is made.
func TestTurnEndStoresItsFold(t *testing.T) {
	t.Parallel()
	l, err := Open(t.Context(), t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	drafts := []store.Draft{{Type: store.TypeTurnStart, Turn: "t", Data: []byte(`{"requestId":"t"}`)}}
	for range 500 {
		drafts = append(drafts, store.Draft{Type: store.TypeTextDelta, Turn: "t", Data: []byte(`{"text":"x"}`)})
	}
	for _, next := range [][]store.Draft{drafts, {{Type: store.TypeTurnEnd, Turn: "t", Data: []byte(`{"requestId":"t","success":true,"reason":"done"}`)}}} {
		if stored := rows(t, l); len(stored) > 0 {
			t.Fatalf("stored %v of an open turn", stored)
		}
		if _, err := l.Append(t.Context(), "s", store.AppendOptions{}, next...); err != nil {
			t.Fatal(err)
		}
		if err := l.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := rows(t, l), []idRange{{1, 502}}; !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

func TestStoreFoldPasses(t *testing.T) {
	t.Parallel()
	l := foldLog(t, 1, 300)
	for name, err := range map[string]error{
		"no session":     l.storeFold(t.Context(), "none", 1, 1000),
		"a short turn":   l.storeFold(t.Context(), "s", 1, 20),
		"above the head": l.storeFold(t.Context(), "s", 5000, 9000),
	} {
		if err != nil || len(rows(t, l)) > 0 {
			t.Errorf("%s: %v, stored %v", name, err, rows(t, l))
		}
	}
	for range 2 { // a second time in place of the first
		if err := l.storeFold(t.Context(), "s", 1, 1000); err != nil || len(rows(t, l)) != 1 {
			t.Errorf("%v, stored %v", err, rows(t, l))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.storeFold(ctx, "s", 1, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A damaged fold costs a reader nothing but time.
func TestDamagedFoldIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	l := foldLog(t, 1, 1000)
	_, want := readAll(t, l, store.Query{Fold: true})
	for _, damage := range []string{`data = x''`, `data = x'02'`, `data = substr(data, 1, length(data) / 2)`, `data = zeroblob(100)`, `last = last - 1`, `events = 100000`} {
		if err := l.storeFold(t.Context(), "s", 1, 1000); err != nil || len(rows(t, l)) == 0 {
			t.Fatal(err)
		}
		alter(t, l, `UPDATE folds SET `+damage)
		if _, got := readAll(t, l, store.Query{Fold: true}); wire(got) != wire(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", damage, wire(got), wire(want))
		}
	}
}

func FuzzDecodeFold(f *testing.F) {
	at := time.Date(2026, 11, 20, 17, 24, 1, 5e6, time.UTC)
	f.Add(encodeFold([]store.Event{
		{ID: 4, From: 2, Type: "text", Turn: "t", Time: at, Data: []byte(`{"text":"é"}`)},
		{ID: 9, Type: "usage", Parent: "p", Time: at.Add(-time.Hour), Data: []byte("1")},
	}, 2), int64(2), int64(9))
	f.Add([]byte{foldFormat}, int64(1), int64(1))
	f.Add([]byte{foldFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, int64(1), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, first, last int64) {
		if first < 1 || last < first || last > store.IDMax {
			return
		}
		events, err := decodeFold(b, "s", first, last)
		if err != nil {
			return
		}
		end := first - 1
		for _, e := range events {
			if begin := max(e.From, 0); begin != 0 && (begin <= end || begin >= e.ID) || e.ID <= end {
				t.Fatalf("event %d from %d after %d", e.ID, e.From, end)
			}
			end = e.ID
		}
		if end != last {
			t.Fatalf("the last event is %d, want %d", end, last)
		}
		again, err := decodeFold(encodeFold(events, first), "s", first, last)
		if err != nil || len(again) != len(events) {
			t.Fatalf("encoded again: %d of %d events, %v", len(again), len(events), err)
		}
		for i := range events {
			if a, b := &events[i], &again[i]; a.ID != b.ID || a.From != b.From || !a.Time.Equal(b.Time) || a.Type != b.Type || !bytes.Equal(a.Data, b.Data) {
				t.Fatalf("event %d came back as %s", a.ID, b.JSON())
			}
		}
	})
}
