package sqlite_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/internal/sqlite3"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// fixtureDir has a data directory of every schema there was, with what the
// konlog of that time said of it (testdata/schemas/README.md).
const fixtureDir = "testdata/schemas"

var makeFixture = flag.Bool("fixture", false, "write testdata/schemas anew for the schema that this program has")

// fixture is a data directory of an earlier schema.
type fixture struct {
	schema int
	events map[string][]string // lines of an export, by session
	facts  facts
}

// facts are what a konlog says of its data, as it stands on the wire.
type facts struct {
	Sessions []map[string]any            `json:"sessions"`
	Turns    []map[string]any            `json:"turns,omitempty"`
	Kontasks []map[string]any            `json:"kontasks,omitempty"`
	Search   map[string][]map[string]any `json:"search,omitempty"`
	Seals    map[string][]map[string]any `json:"seals,omitempty"`
}

// factQueries are searched for in every fixture from the first with an index on.
var factQueries = []string{"fox", "giraffe", "zebra"}

// unpack writes a fixture's files to dir and reads what is said of it.
func unpack(t *testing.T, schema int, dir string) fixture {
	t.Helper()
	name := filepath.Join(fixtureDir, fmt.Sprintf("%04d", schema))
	for _, suffix := range []string{".db", ".db-wal"} {
		packed, err := os.Open(name + suffix + ".gz")
		if os.IsNotExist(err) && suffix == ".db-wal" { // its server was stopped in order
			continue
		}
		if err != nil {
			t.Fatalf("%v\nthere is no fixture of schema %d; with the code before that migration: go test ./store/sqlite -run TestUpgrade_MakeFixture -fixture", err, schema)
		}
		if err := os.WriteFile(filepath.Join(dir, "konlog"+suffix), gunzip(t, packed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := fixture{schema: schema, events: map[string][]string{}}
	said, err := os.ReadFile(name + ".json")
	if err == nil {
		err = json.Unmarshal(said, &f.facts)
	}
	if err != nil {
		t.Fatal(err)
	}
	exported, err := os.Open(name + ".jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	session := ""
	lines := bufio.NewScanner(bytes.NewReader(gunzip(t, exported)))
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var header struct{ Konlog, ID string }
		if strings.HasPrefix(lines.Text(), `{"konlog":`) {
			if err := json.Unmarshal(lines.Bytes(), &header); err != nil {
				t.Fatal(err)
			}
			session = header.ID
			continue
		}
		f.events[session] = append(f.events[session], lines.Text())
	}
	return f
}

func gunzip(t *testing.T, f *os.File) []byte {
	t.Helper()
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func openFixture(t *testing.T, dir string) *sqlite.Log {
	t.Helper()
	l, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// saidNow is what this konlog says.
func saidNow(t *testing.T, l *sqlite.Log) (f facts) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Settle(ctx))
	sessions, err := l.ListSessions(ctx, store.SessionFilter{Limit: store.SessionsPageMax})
	must(err)
	f.Search, f.Seals = map[string][]map[string]any{}, map[string][]map[string]any{}
	for i := range sessions.Sessions {
		s := &sessions.Sessions[i]
		f.Sessions = append(f.Sessions, asMap(t, s.Object()))
		page, err := l.Seals(ctx, s.ID, 0, store.SealsPageMax)
		must(err)
		f.Seals[s.ID] = []map[string]any{}
		for _, seal := range page.Seals {
			f.Seals[s.ID] = append(f.Seals[s.ID], map[string]any{"first": float64(seal.First), "last": float64(seal.Last), "hash": seal.Hash.String()})
		}
	}
	turns, err := l.ListTurns(ctx, store.TurnFilter{Limit: store.TurnsPageMax})
	must(err)
	for _, turn := range turns.Turns {
		f.Turns = append(f.Turns, asMap(t, json.RawMessage(turn.AppendJSON(nil, time.Now()))))
	}
	kontasks, err := l.ListKontasks(ctx, store.KontaskFilter{Limit: store.TurnsPageMax})
	must(err)
	for _, k := range kontasks.Kontasks {
		shown := asMap(t, json.RawMessage(k.Record))
		shown["id"], shown["session"] = k.ID, k.Session
		f.Kontasks = append(f.Kontasks, shown)
	}
	for _, q := range factQueries {
		page, err := l.Search(ctx, store.SearchFilter{Query: q})
		must(err)
		f.Search[q] = []map[string]any{}
		for _, hit := range page.Hits {
			f.Search[q] = append(f.Search[q], map[string]any{"session": hit.Session, "turn": hit.Turn, "kind": hit.Kind})
		}
	}
	return f
}

func asMap(t *testing.T, v any) (m map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// same wants each fact of then to be true now; what is said now and was not
// then is no difference.
func same(t *testing.T, what string, then, now any) {
	t.Helper()
	switch then := then.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			t.Errorf("%s: is no object now", what)
			return
		}
		for name, v := range then {
			if name != "timing" || then["state"] == string(store.TurnEnded) { // until then it changes as time does
				same(t, what+"."+name, v, now[name])
			}
		}
	default:
		if !reflect.DeepEqual(then, now) {
			t.Errorf("%s: was %v, is %v", what, then, now)
		}
	}
}

func sameList(t *testing.T, what, id string, then, now []map[string]any) {
	t.Helper()
	if len(then) != len(now) {
		t.Errorf("%s: there were %d, now %d: %v", what, len(then), len(now), now)
		return
	}
	for i := range then {
		same(t, fmt.Sprint(what, " ", then[i][id]), then[i], now[i])
	}
}

// wantWhole holds a data directory that was opened against its fixture.
func (f *fixture) wantWhole(t *testing.T, l *sqlite.Log) {
	t.Helper()
	now := saidNow(t, l)
	for i := range f.facts.Sessions {
		if f.schema == 1 { // a question was nothing that a session waited for
			delete(f.facts.Sessions[i], "state")
		}
	}
	sameList(t, "session", "id", f.facts.Sessions, now.Sessions)
	if f.schema > 1 {
		sameList(t, "turn", "turn", f.facts.Turns, now.Turns)
		sameList(t, "kontask", "id", f.facts.Kontasks, kontasksOf(now.Kontasks, f.facts.Kontasks))
		for q := range f.facts.Search {
			sameList(t, "search for "+q, "session", f.facts.Search[q], now.Search[q])
		}
		for s := range f.facts.Seals {
			if f.schema == 4 { // what was gone through for the search is sealed with the next end of a turn
				continue
			}
			sameList(t, "seals of "+s, "last", f.facts.Seals[s], now.Seals[s])
		}
	}
	for _, s := range now.Sessions {
		id := s["id"].(string)
		if lines := eventLines(t, l, id); !slices.Equal(lines, f.events[id]) {
			t.Errorf("session %s: its events differ: %d then, %d now", id, len(f.events[id]), len(lines))
		}
		if differences, err := l.Rebuild(t.Context(), id); err != nil || len(differences) > 0 {
			t.Errorf("session %s: its log says otherwise than the tables: %q, %v", id, differences, err)
		}
	}
}

// kontasksOf keeps of what is said now what was said then, in one order: those
// that changed in the same millisecond have none.
func kontasksOf(now, then []map[string]any) []map[string]any {
	for i := range then {
		kept := map[string]any{}
		for _, name := range []string{"id", "session", "status", "title"} {
			if v, ok := then[i][name]; ok {
				kept[name] = v
			}
		}
		then[i] = kept
	}
	byID := func(a, b map[string]any) int { return strings.Compare(a["id"].(string), b["id"].(string)) }
	slices.SortFunc(then, byID)
	slices.SortFunc(now, byID)
	return now
}

func eventLines(t *testing.T, l *sqlite.Log, session string) (lines []string) {
	t.Helper()
	for after := int64(0); ; {
		p, err := l.Read(t.Context(), session, store.Query{After: after, Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Events {
			line := string(e.AppendJSON(nil, true))
			if e.Redacted() { // as an export says it
				line = fmt.Sprintf(`{"id":%d,"session":%q,"redacted":true}`, e.ID, session)
			}
			lines = append(lines, line)
			after = e.ID
		}
		if len(p.Events) == 0 {
			return lines
		}
	}
}

// A data directory of every schema there ever was is brought up with all that
// it has, goes on where it was, and is left alone when it is opened again.
func TestUpgrade_EverySchema(t *testing.T) {
	t.Parallel()
	for schema := range newest(t) {
		schema++
		t.Run(fmt.Sprintf("%04d", schema), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := unpack(t, schema, dir)
			l := openFixture(t, dir)
			f.wantWhole(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := verify(t.Context(), dir); err != nil {
				t.Error(err)
			}
			before := dump(t, dir)
			l = openFixture(t, dir)
			f.wantWhole(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if after := dump(t, dir); after != before {
				t.Errorf("a second start changed something:\n%s", firstDifference(before, after))
			}
			sameSchema(t, dir)
			goesOn(t, dir)
		})
	}
}

func newest(t *testing.T) int {
	t.Helper()
	n, err := sqlite.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// goesOn writes to what was brought up: ids, keys and producers go on.
func goesOn(t *testing.T, dir string) {
	t.Helper()
	l := openFixture(t, dir)
	add := func(session string, o store.AppendOptions, d store.Draft) store.Appended {
		t.Helper()
		a, err := l.Append(t.Context(), session, o, d)
		if err != nil {
			t.Errorf("append to %s: %v", session, err)
		}
		return a
	}
	head := func(session string) int64 {
		s, err := l.Session(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		return s.Head
	}
	d := store.Draft{Type: "text", Data: []byte(`{"text":"now"}`)}
	for _, session := range []string{"plain", "again", "many", "turns"} {
		if want := head(session) + 1; add(session, store.AppendOptions{}, d).First != want {
			t.Errorf("session %s does not go on with id %d", session, want)
		}
	}
	if a := add("gone", store.AppendOptions{}, d); a.First != 2 {
		t.Errorf("a session that was deleted begins again with id %d", a.First)
	}
	if a := add("again", store.AppendOptions{}, store.Draft{Key: "a0", Type: "text", Data: []byte(`{"text": "ids go on"}`)}); !a.Duplicate || a.First != 5 {
		t.Errorf("a key of then gives %+v", a)
	}
	p := &store.Producer{ID: "p1", Epoch: 3, Seq: 1}
	if a := add("plain", store.AppendOptions{Producer: p}, d); !a.Duplicate || a.First != 6 {
		t.Errorf("a request of then gives %+v", a)
	}
	p.Seq++
	if a := add("plain", store.AppendOptions{Producer: p}, d); a.Duplicate {
		t.Errorf("the next request of a producer of then gives %+v", a)
	}
	if _, err := l.Append(t.Context(), "closed", store.AppendOptions{}, d); store.CodeOf(err) != store.CodeSessionClosed {
		t.Errorf("a session that was closed then: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// dump is all that a database holds, but the row by which a disk is tried.
func dump(t *testing.T, dir string) string {
	t.Helper()
	c := connect(t, dir)
	defer c.Close()
	var b strings.Builder
	for _, table := range tables(t, c) {
		if table == "probe" {
			continue
		}
		width, err := c.Int(`SELECT count(*) FROM pragma_table_info(?)`, table)
		if err == nil {
			err = c.Query(func(row sqlite3.Row) error {
				fmt.Fprintf(&b, "%s:", table)
				for i := range int(width) {
					fmt.Fprintf(&b, " %q", row.Text(i))
				}
				b.WriteByte('\n')
				return nil
			}, `SELECT * FROM "`+table+`"`)
		}
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	return b.String()
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%.300s\n%.300s", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(x), len(y))
}

func connect(t *testing.T, dir string) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.Open(filepath.Join(dir, "konlog.db"), "", 5000)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tables(t *testing.T, c *sqlite3.Conn) (names []string) {
	t.Helper()
	err := c.Query(func(row sqlite3.Row) error {
		names = append(names, row.Text(0))
		return nil
	}, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// sameSchema holds a database that was brought up against one that was made new.
func sameSchema(t *testing.T, dir string) {
	t.Helper()
	fresh := t.TempDir()
	if err := sqlite.Migrate(fresh, ""); err != nil {
		t.Fatal(err)
	}
	if is, want := columns(t, dir), columns(t, fresh); is != want {
		t.Errorf("the schema is not that of a new database:\n%s", firstDifference(is, want))
	}
}

func columns(t *testing.T, dir string) string {
	t.Helper()
	c := connect(t, dir)
	defer c.Close()
	var b strings.Builder
	err := c.Query(func(row sqlite3.Row) error {
		fmt.Fprintln(&b, row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Int(4))
		return nil
	}, `SELECT s.type, s.name, ifnull(c.name, ''), ifnull(c.type, ''), ifnull(c."notnull", 0) FROM sqlite_schema AS s LEFT JOIN pragma_table_info(s.name) AS c ON s.type = 'table'
		ORDER BY s.name, c.name`)
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// schemaOf reads what a database says of itself, without changing it.
func schemaOf(t *testing.T, dir string) int64 {
	t.Helper()
	c := connect(t, dir)
	defer c.Close()
	n, err := c.Int("PRAGMA user_version")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The power goes, or the process dies, at every write of an upgrade: the data
// has the schema before or after it, and the next start goes on from there.
func TestUpgrade_CrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	schemas := []int{1, 4, 7}
	if !long.Wanted() || long.Race {
		schemas = []int{7}
	}
	for _, schema := range schemas {
		t.Run(fmt.Sprintf("%04d", schema), func(t *testing.T) {
			t.Parallel()
			dir, v := t.TempDir(), newVFS(t)
			f := unpack(t, schema, dir)
			var images []*faultvfs.Image
			var killed []string // copies of the files as a killed process leaves them
			v.OnOp(func(faultvfs.Op, string) {
				images = append(images, v.Image())
				killed = append(killed, copyData(t, dir))
			})
			if err := sqlite.Migrate(dir, v.Name()); err != nil {
				t.Fatal(err)
			}
			v.OnOp(nil)
			if len(images) < 10 {
				t.Fatalf("the upgrade made %d writes, which tells nothing", len(images))
			}
			before, after := 0, 0
			outcome := func(dir string) {
				switch n := schemaOf(t, dir); n {
				case int64(schema):
					before++
				case int64(newest(t)):
					after++
				default:
					t.Fatalf("schema %d is neither that before nor that after", n)
				}
				f.comesUp(t, dir)
			}
			for i, img := range images {
				if long.Race && i%8 != 0 && i < len(images)-2 { // which is slow, and looks for something else
					continue
				}
				cut := t.TempDir()
				if err := img.Write(cut, uint64(i)); err != nil {
					t.Fatal(err)
				}
				outcome(cut)
				outcome(killed[i])
			}
			if before == 0 || after == 0 {
				t.Errorf("%d moments left the old schema and %d the new: one of them was never met", before, after)
			}
		})
	}
}

// copyData copies a data directory without what only lives with a process.
func copyData(t *testing.T, dir string) string {
	to := t.TempDir()
	for _, name := range []string{"konlog.db", "konlog.db-wal", "konlog.db-journal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	return to
}

// comesUp brings up what a crash left, and looks at every event.
func (f *fixture) comesUp(t *testing.T, dir string) {
	t.Helper()
	if err := sqlite.Migrate(dir, ""); err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
	events := int64(0)
	for _, lines := range f.events {
		events += int64(len(lines))
	}
	c := connect(t, dir)
	defer c.Close()
	n, err := c.Int(`SELECT count(*) FROM events JOIN sessions ON no = session_no WHERE sessions.id NOT GLOB '_*'`)
	if err != nil || n != events {
		t.Errorf("%d events, want %d: %v", n, events, err)
	}
}

// A disk that fills up in the middle of an upgrade leaves the data to the
// konlog that wrote it, and says so; with room the upgrade goes through.
func TestUpgrade_DiskFull(t *testing.T) {
	t.Parallel()
	const schema = 1
	step := 8
	if long.Race {
		step = 1
	}
	for _, fault := range []faultvfs.Fault{
		{Ops: faultvfs.OpWrite, Code: faultvfs.Full}, {Ops: faultvfs.OpWrite, Code: faultvfs.Full, Short: true}, {Ops: faultvfs.OpSync, Code: faultvfs.SyncError},
	} {
		failed := 0
		for after := 0; ; after += 1 + after/step { // of the many writes at the end one is like another
			dir, v := t.TempDir(), newVFS(t)
			f := unpack(t, schema, dir)
			fault.After = after
			v.Inject(fault)
			err := sqlite.Migrate(dir, v.Name())
			if err == nil {
				break
			}
			failed++
			switch n := schemaOf(t, dir); {
			case n != schema && !(fault.Code == faultvfs.SyncError && n == int64(newest(t))): // a sync that failed says nothing of the write
				t.Fatalf("after %d writes: schema %d", after, n)
			case !strings.Contains(err.Error(), "nothing was changed") && strings.Contains(err.Error(), "schema"):
				t.Errorf("after %d writes: %v", after, err)
			}
			v.Lift()
			f.comesUp(t, dir)
		}
		if failed == 0 {
			t.Errorf("%+v: nothing failed", fault)
		}
	}
}

// A database of a later version is refused by all that opens one, is not
// touched, and the refusal names both versions and what can be done.
func TestUpgrade_NewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unpack(t, 1, dir)
	older := func(open func() error) {
		t.Helper()
		if err := open(); err == nil || !strings.Contains(err.Error(), "has schema 1, ") || !strings.Contains(err.Error(), "konlog serve") {
			t.Errorf("an older schema: %v", err)
		}
	}
	backup := func() error {
		_, err := sqlite.Backup(t.Context(), dir, filepath.Join(t.TempDir(), "copy.db"), sqlite.BackupOptions{})
		return err
	}
	older(func() error { return verify(t.Context(), dir) })
	older(backup)

	c := connect(t, dir)
	if err := c.Script("PRAGMA user_version = 4711"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := dump(t, dir)
	for name, open := range map[string]func() error{
		"open": func() error {
			l, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
			if err == nil {
				err = l.Close()
			}
			return err
		},
		"verify": func() error { return verify(t.Context(), dir) },
		"backup": backup,
	} {
		err := open()
		if err == nil {
			t.Errorf("%s: takes it", name)
			continue
		}
		for _, want := range []string{"schema 4711", fmt.Sprintf("up to %d", newest(t)), "newer konlog", "left as it is"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s does not say %q: %v", name, want, err)
			}
		}
	}
	if after := dump(t, dir); after != before || schemaOf(t, dir) != 4711 {
		t.Error("what is not known was changed")
	}
}

// TestUpgrade_MakeFixture writes the fixture of today's schema, for the day on
// which it is an earlier one.
func TestUpgrade_MakeFixture(t *testing.T) {
	t.Parallel()
	if !*makeFixture {
		t.Skip("-fixture writes it")
	}
	dir := t.TempDir()
	l := openFixture(t, dir)
	fillFixture(t, l)
	said := saidNow(t, l)
	var exported bytes.Buffer
	for _, s := range said.Sessions {
		fmt.Fprintf(&exported, "{\"konlog\":\"export/1\",\"id\":%q}\n", s["id"])
		for _, line := range eventLines(t, l, s["id"].(string)) {
			fmt.Fprintln(&exported, line)
		}
	}
	left := copyData(t, dir) // as a killed server leaves it
	text, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(fixtureDir, fmt.Sprintf("%04d", newest(t)))
	files := map[string][]byte{".json": append(text, '\n'), ".jsonl.gz": gzipped(t, exported.Bytes())}
	for _, suffix := range []string{".db", ".db-wal"} {
		content, err := os.ReadFile(filepath.Join(left, "konlog"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		files[suffix+".gz"] = gzipped(t, content)
	}
	for suffix, content := range files {
		if err := os.WriteFile(name+suffix, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fillFixture appends a little of everything; goesOn knows some of it.
func fillFixture(t *testing.T, l *sqlite.Log) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(session string, o store.AppendOptions, lines ...string) {
		t.Helper()
		var drafts []store.Draft
		for _, line := range lines { // type turn key data
			part := strings.SplitN(line, " ", 4)
			d := store.Draft{Type: part[0], Turn: strings.Trim(part[1], "-"), Key: strings.Trim(part[2], "-"), Data: []byte(part[3])}
			if part[0] == "text" && part[2] == "k1" {
				d.Raw = []byte(`{"type": "assistant",  "x":1.0}`)
			}
			drafts = append(drafts, d)
		}
		_, err := l.Append(ctx, session, o, drafts...)
		must(err)
	}
	none := store.AppendOptions{}
	events := int64(300)
	_, _, err := l.CreateSession(ctx, "plain", store.SessionSpec{Title: "Plain ü", Scope: "team-a", Tags: []string{"red", "ci"}, Meta: []byte(`{"n":[1,2.50]}`)})
	must(err)
	_, _, err = l.CreateSession(ctx, "many", store.SessionSpec{Retention: &store.Keep{Events: &events}})
	must(err)
	blob, _, err := l.PutBlob(ctx, "image/png", strings.NewReader(strings.Repeat("konlog", 700)), 0)
	must(err)
	add("plain", none, `text - k1 {"text":"Grüße, 世界"}`, `x.custom - k2 [1,2.0,{"a":null}]`, `text t0 - "just text"`, `text - - {"sha256":"`+blob.SHA256+`"}`)
	for seq := range int64(2) {
		add("plain", store.AppendOptions{Producer: &store.Producer{ID: "p1", Epoch: 3, Seq: seq}}, `text - - {"text":"by a producer"}`)
	}
	add("turns", none, `turn_start t1 start {"agent":"claude"}`, `text_delta t1 - {"text":"the quick brown "}`, `text_delta t1 - {"text":"fox"}`)
	add("turns", none, `tool_start t1 - {"id":"c1","name":"Bash","input":{"command":"ls"}}`, `tool_result t1 - {"id":"c1","output":"a b"}`,
		`permission_request t1 - {"requestId":"q1","tool":"Bash"}`, `permission_response t1 - {"requestId":"q1","allow":true}`)
	add("turns", none, `turn_end t1 end {"success":true}`)
	add("turns", none, `turn_start t2 - {}`, `text_delta t2 - {"text":"zebra"}`, `permission_request t2 - {"requestId":"q2","tool":"Edit"}`, `prompt t3 - {"text":"mend the giraffe"}`)
	add("cards", none, `kontask_created - - {"id":"c1","title":"One"}`, `kontask_ready - - {"id":"c1","status":"completed","context":{"choices":[{"label":"Yes","value":"y"}]}}`)
	add("cards", none, `kontask_chosen - - {"id":"c1","choice":{"label":"Yes","value":"y"}}`, `kontask_ready - - {"id":"c2","status":"completed","title":"Two"}`)
	add("closed", none, `text - - {"text":"before the end"}`, `session_closed - - {}`)
	add("again", none, `text - a0 {"n":0}`, `text - - {"n":1}`, `text - - {"n":2}`)
	must(l.DeleteSession(ctx, "again"))
	add("again", none, `text - - {"text":"made again"}`, `text - a0 {"text": "ids go on"}`)
	add("gone", none, `text - - {"text":"nobody knows"}`)
	must(l.DeleteSession(ctx, "gone"))
	for i := range 400 {
		add("many", none, fmt.Sprintf(`text_delta m - {"text":"%d "}`, i))
	}
	_, err = l.Retain(ctx, store.Retention{})
	must(err)
	add("secret", none, `text - - {"text":"a password"}`, `text - - {"text":"kept"}`)
	_, err = l.Redact(ctx, "secret", store.RedactSpec{From: 1, To: 1, Reason: "a password"})
	must(err)
	_, err = l.Fork(ctx, "turns", store.ForkSpec{After: 6, Session: "fork"})
	must(err)
	_, err = l.MarkSeen(ctx, store.SubjectLocal, "turns", 3)
	must(err)
}
