package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// TestExportsComeBackByteForByte guards that a session goes from server to
// server in either form and is the same bytes there, header and all.
func TestExportsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := &app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), quiet: true}
	from := startTestServer(t)
	for i, name := range recordings(t) {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		session := fmt.Sprintf("recording-%d", i)
		if _, _, err := from.CreateSession(t.Context(), session, store.SessionSpec{Title: name, Scope: "s", Tags: []string{"a", "b"}, Meta: []byte(`{"n":1.0, "<":"\u2028"}`)}); err != nil {
			t.Fatal(err)
		}
		keepLines(t, from, session, body)
	}
	appendLeased(t, from)
	if _, _, err := from.CreateSession(t.Context(), "emptied", store.SessionSpec{Title: "nothing is left"}); err != nil {
		t.Fatal(err)
	}
	if err := from.RestoreHead(t.Context(), "emptied", 42); err != nil {
		t.Fatal(err)
	}
	want := exportFile(t, a, from, dir, formatJSONL)
	if !bytes.Contains(want, []byte(`{"konlog":"export/1","id":"emptied","head":42,"floor":43,"title":"nothing is left","meta":{}}`)) {
		t.Fatalf("the emptied session is not in the export: %s", want[len(want)-300:])
	}
	for _, format := range []string{formatJSONL, formatSQLite} {
		t.Run(format, func(t *testing.T) {
			file := filepath.Join(dir, "to-import."+format)
			if err := a.exportTo(t.Context(), from, &exportOptions{format: format, out: file}); err != nil {
				t.Fatal(err)
			}
			to := startTestServer(t)
			if err := a.importFrom(t.Context(), to, file, &importOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := exportFile(t, a, to, t.TempDir(), formatJSONL); !bytes.Equal(got, want) {
				t.Errorf("the export of the import differs at byte %d of %d", differAt(got, want), len(want))
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("others may read the file: %v, %v", info.Mode(), err)
			}
		})
	}
}

// appendLeased appends a session whose turn is open under a lease that has
// passed by the recorded times: a copy of it must not be ended.
func appendLeased(t *testing.T, cl *client.Client) {
	t.Helper()
	var lines strings.Builder
	fmt.Fprintln(&lines, `{"id":7,"session":"leased","type":"turn_start","turn":"t","time":"2026-11-20T17:24:01.123Z","data":{"requestId":"t","leaseMs":3600000}}`)
	for id := 8; id < 2300; id++ {
		fmt.Fprintf(&lines, `{"id":%d,"session":"leased","type":"text_delta","turn":"t","time":"2026-11-20T17:24:02.000Z","data":{"text":"%d "}}`+"\n", id, id)
	}
	if _, err := cl.Import(t.Context(), "leased", strings.NewReader(lines.String())); err != nil {
		t.Fatal(err)
	}
}

// exportFile exports all sessions in the order of their names.
func exportFile(t *testing.T, a *app, cl *client.Client, dir, format string) []byte {
	t.Helper()
	var ids []string
	for i := range recordings(t) {
		ids = append(ids, fmt.Sprintf("recording-%d", i))
	}
	file := filepath.Join(dir, "all."+format)
	if err := a.exportTo(t.Context(), cl, &exportOptions{format: format, out: file, sessions: append(ids, "leased", "emptied")}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDatabaseOfALeasedTurnEndsNoTurn guards that neither the database that is
// written nor the copy that is read gets an event of the engine's own when the
// lease of an open turn has passed.
func TestDatabaseOfALeasedTurnEndsNoTurn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openDatabaseSink(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Millisecond)
	if err := s.begin(t.Context(), &store.SessionObject{ID: "s", Floor: 1, CreatedAt: store.Stamp{Time: at}, UpdatedAt: store.Stamp{Time: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= 3*restoreEvents; id++ {
		e := client.Event{Event: store.Event{ID: id, Type: store.TypeTextDelta, Turn: "t", Time: at, Data: []byte(`{"text":"x"}`)}}
		if id == 1 {
			e.Type, e.Data = store.TypeTurnStart, []byte(`{"requestId":"t","leaseMs":1000}`)
		}
		if err := s.event(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := s.end(t.Context(), nil); err != nil || left != nil {
		t.Fatal(left, err)
	}
	if err := s.log.Close(); err != nil {
		t.Fatal(err)
	}
	d := &database{dir: dir}
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.log.Close() }()
	var lines bytes.Buffer
	if err := d.write(t.Context(), &lines, false); err != nil {
		t.Fatal(err)
	}
	if got, want := bytes.Count(lines.Bytes(), []byte("\n")), 1+3*restoreEvents; got != want || int64(want) != d.entries() {
		t.Errorf("%d lines, want %d; %d are announced", got, want, d.entries())
	}
	if got := d.sessions[0].CreatedAt; !got.Equal(at) {
		t.Errorf("the session was created at %v, want %v", got, at)
	}
	if bytes.Contains(lines.Bytes(), []byte(store.TypeTurnEnd)) {
		t.Error("the engine has ended the turn")
	}
}

func event(id int64, ms int64, typ, data string) store.Event {
	return store.Event{ID: id, Session: "s", Type: typ, Turn: "t", Time: time.UnixMilli(ms).UTC(), Data: []byte(data)}
}

// TestPageHasEveryEvent guards that a page holds the events as the server sends
// them, each with its own time, and says of a redacted one only that it was.
func TestPageHasEveryEvent(t *testing.T) {
	t.Parallel()
	gone := event(3, 1200, "note", "")
	p := &pageSink{}
	for _, e := range []store.Event{
		event(1, 1000, store.TypeTextDelta, `{"text":"a","n":12345678901234567890.10}`),
		event(2, 1015, store.TypeTextDelta, `{"text":"b"}`),
		gone,
		event(4, 1300, store.TypeText, `{"text":"ab"}`),
	} {
		if err := p.event(t.Context(), &client.Event{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`{"id":1,"session":"s","type":"text_delta","turn":"t","time":"1970-01-01T00:00:01.000Z","data":{"text":"a","n":12345678901234567890.10}}`,
		`{"id":2,"session":"s","type":"text_delta","turn":"t","time":"1970-01-01T00:00:01.015Z","data":{"text":"b"}}`,
		`{"id":3,"redacted":true}`,
		`{"id":4,"session":"s","type":"text","turn":"t","time":"1970-01-01T00:00:01.300Z","data":{"text":"ab"}}`,
	}
	got := p.replayEvents()
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i]) != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// TestPageHoldsNoMarkup guards that no text of a session can end the element
// of the page that it stands in, and that it comes out of it as it was.
func TestPageHoldsNoMarkup(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	p := &pageSink{w: &page}
	hostile := `</script><script>alert(1)</script><!--` + "\u2028" + `{{script}}`
	plain := []byte(`{"text":"</script><script>alert(1)</script><!--` + "\u2028" + `{{script}}","n":12345678901234567890.10}`)
	if err := p.begin(t.Context(), &store.SessionObject{ID: "s", Title: hostile + "{{data}}", Head: 1, Floor: 1}); err != nil {
		t.Fatal(err)
	}
	if err := p.event(t.Context(), &client.Event{Event: event(1, 1, "note", string(plain))}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.end(t.Context(), []string{hostile}); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if strings.Contains(text, "alert(1)</") || strings.Count(text, "<script") != 2 || strings.Count(text, "</script>") != 2 {
		t.Error("text of the session stands in the page as markup")
	}
	embedded := recordingIn(t, text)
	var r struct {
		Konlog  string
		Session struct{ Title string }
		Missing []string
		Events  []struct{ Data struct{ Text string } }
	}
	if err := json.Unmarshal(embedded, &r); err != nil {
		t.Fatal(err)
	}
	if r.Konlog != "replay/2" || r.Session.Title != hostile+"{{data}}" || len(r.Missing) != 1 || r.Missing[0] != hostile || len(r.Events) != 1 || r.Events[0].Data.Text != hostile {
		t.Errorf("got %+v", r)
	}
	if !bytes.Contains(embedded, []byte("12345678901234567890.10")) {
		t.Error("a number has changed")
	}
}

// recordingIn returns the session that stands in a page.
func recordingIn(t *testing.T, page string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(page, `id="data">`)
	packed, _, _ := strings.Cut(rest, "</script>")
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPageHasALimit guards that an export ends before memory does.
func TestPageHasALimit(t *testing.T) {
	t.Parallel()
	p := &pageSink{}
	e := client.Event{Event: event(1, 1, "note", `"`+strings.Repeat("x", 1<<20)+`"`)}
	for range pageBytesMax >> 20 {
		if err := p.event(t.Context(), &e); err != nil {
			return
		}
	}
	t.Error("the page takes everything")
}
