package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

func testBytes(r *rig) {
	tests := []struct{ data, want string }{
		{`{"b":1,"a":2,"b":3}`, ""},
		{`{ "n" : 1.0E+2 , "m":0.10000000000000000001}`, ""},
		{`"\u00e9\/\u2028 é 😀 <&>"`, ""},
		{`12345678901234567890123`, ""},
		{`true`, ""}, {`null`, ""}, {`[]`, ""}, {`""`, ""},
		{"{\"a\":\n[1,\r\n2]}", `{"a": [1,  2]}`},
		{"\n {\"a\":\t1} \r\n", "{\"a\":\t1}"},
		{`{"raw":{"id":9,"data":{}}}`, ""},
	}
	for i, test := range tests {
		r.append("s", plain, store.Draft{Type: "x", Turn: "t \"1\"", Parent: "p<2>", Data: []byte(test.data), Raw: rawFor(i)})
	}
	check := func() {
		r.Helper()
		for i, e := range r.events("s") {
			checkBytes(r, e, rawFor(i), tests[i].data, cmp.Or(tests[i].want, tests[i].data))
		}
	}
	check()
	if r.engine.Reopen { // an engine may have answered from memory
		r.reopen()
		check()
	}
	r.append("s", plain, store.Draft{Type: "x"})
	if e := r.read("s", store.Query{Backward: true, Limit: store.Limit{Events: 1}}).Events[0]; string(e.Data) != "null" {
		r.Errorf("no data: got %q, want null", e.Data)
	}
}

func checkBytes(r *rig, e store.Event, raw []byte, data, want string) {
	r.Helper()
	if string(e.Data) != want {
		r.Errorf("data %q: got %q, want %q", data, e.Data, want)
	}
	if !bytes.Equal(e.Raw, raw) || (e.Raw == nil) != (raw == nil) {
		r.Errorf("raw %q (nil %t): got %q (nil %t)", raw, raw == nil, e.Raw, e.Raw == nil)
	}
	wire := fmt.Sprintf(`{"id":%d,"session":"s","type":"x","turn":"t \"1\"","parent":"p\u003c2\u003e","time":"2026-11-20T17:24:01.123Z","data":%s}`, e.ID, want)
	if string(e.JSON()) != wire {
		r.Errorf("got  %s\nwant %s", e.JSON(), wire)
	}
	if e.Session != "s" || e.Type != "x" || e.Turn != `t "1"` || e.Parent != "p<2>" || !e.Time.Equal(begin) {
		r.Errorf("event %+v does not have its fields back", e)
	}
}

// rawFor gives an agent's line of every kind: absent, empty, JSON, not JSON.
func rawFor(i int) []byte {
	return [][]byte{nil, {}, []byte(`{"type": "x"}`), []byte("plain \x00 line\t"), []byte(`"str"`), []byte("null"), []byte(" 1 ")}[i%7]
}

func testBuffers(r *rig) {
	data, raw := []byte(`{"text":"kept"}`), []byte("a line")
	tags := []string{"one"}
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{Tags: tags}); err != nil {
		r.Fatal(err)
	}
	r.append("s", plain, store.Draft{Type: "text", Data: data, Raw: raw})
	clear(data)
	clear(raw)
	tags[0] = "two"
	e := r.events("s")[0]
	if string(e.Data) != `{"text":"kept"}` || string(e.Raw) != "a line" {
		r.Errorf("got data %q raw %q: the engine kept the caller's bytes", e.Data, e.Raw)
	}
	if got := r.session("s").Tags; !slices.Equal(got, []string{"one"}) {
		r.Errorf("got tags %q: the engine kept the caller's slice", got)
	}
}

func testExpectHead(r *rig) {
	r.wantAppended("new session", r.append("s", expect(0), text("a")), store.Appended{First: 1, Last: 1})
	if e := r.refused(store.CodeHeadMoved, "s", expect(0), text("b")); e.Want != 1 {
		r.Errorf("got head %d in the refusal, want 1", e.Want)
	}
	r.refused(store.CodeHeadMoved, "s", expect(2), text("b"))
	r.wantAppended("at the head", r.append("s", expect(1), text("b"), text("c")), store.Appended{First: 2, Last: 3})
	r.refused(store.CodeHeadMoved, "new", expect(1), text("a"))
	r.delete("s")
	r.refused(store.CodeHeadMoved, "s", expect(0), text("d"))
	r.wantAppended("at the head of the deleted one", r.append("s", expect(3), text("d")), store.Appended{First: 4, Last: 4})
}

func testRefusals(r *rig) {
	big := store.Draft{Type: "x", Data: []byte(`"` + strings.Repeat("x", store.EventBytesDefault) + `"`)}
	long := func(n int) string { return strings.Repeat("x", n+1) }
	with := func(change func(*store.Draft)) store.Draft {
		d := text("x")
		change(&d)
		return d
	}
	tests := []struct {
		name  string
		want  store.Code
		draft store.Draft
	}{
		{"no type", store.CodeInvalidType, store.Draft{}},
		{"malformed type", store.CodeInvalidType, store.Draft{Type: "Text"}},
		{"reserved type", store.CodeReservedType, store.Draft{Type: "hello"}},
		{"bad JSON", store.CodeInvalidJSON, store.Draft{Type: "x", Data: []byte(`{"a":}`)}},
		{"two values", store.CodeInvalidJSON, store.Draft{Type: "x", Data: []byte(`1 2`)}},
		{"bad UTF-8", store.CodeInvalidUTF8, store.Draft{Type: "x", Data: []byte("\"\xff\"")}},
		{"raw of two lines", store.CodeInvalidEvent, store.Draft{Type: "x", Raw: []byte("a\nb")}},
		{"raw not UTF-8", store.CodeInvalidEvent, store.Draft{Type: "x", Raw: []byte("\xff")}},
		{"long key", store.CodeInvalidEvent, with(func(d *store.Draft) { d.Key = long(store.KeyBytesMax) })},
		{"long turn", store.CodeInvalidEvent, with(func(d *store.Draft) { d.Turn = long(store.TurnBytesMax) })},
		{"long parent", store.CodeInvalidEvent, with(func(d *store.Draft) { d.Parent = long(store.ParentBytesMax) })},
		{"too large", store.CodeEventTooLarge, big},
	}
	r.append("s", plain, text("first"))
	for _, test := range tests {
		for _, session := range []string{"s", "new"} {
			r.refused(test.want, session, plain, test.draft)
			r.refused(test.want, session, plain, text("before"), test.draft, text("after"))
		}
	}
	for _, id := range []string{"", "a b", ".a", "é", "a/b", long(store.SessionIDBytesMax)} {
		r.refused(store.CodeInvalidSession, id, plain, text("x"))
	}
	r.refused(store.CodeInvalidEvent, "s", plain)
	r.refused(store.CodeNotFound, "new", store.AppendOptions{NoCreate: true}, text("x"))
	for _, o := range []store.AppendOptions{producer("", 0, 0), producer("p", -1, 0), producer("p", 0, -1)} {
		r.refused(store.CodeInvalidQuery, "s", o, text("x"))
	}
	r.o.EventBytesMax = 20
	r.reopen()
	r.refused(store.CodeEventTooLarge, "s", plain, store.Draft{Type: "x", Data: []byte(`"12345678901234567890"`)})
	r.append("s", plain, store.Draft{Type: "x", Data: []byte(`"12345678901234567"`)})
}

// The order decides what a client is told that did several things wrong, and
// that a retry of what was acknowledged is never refused.
func testRefusalOrder(r *rig) {
	first := producer("p", 1, 0)
	first.ExpectHead = new(int64)
	first.NoCreate = true
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{}); err != nil {
		r.Fatal(err)
	}
	r.append("s", first, keyed("k", "a"))
	r.append("s", plain, closing())
	want := store.Appended{First: 1, Last: 1, Duplicate: true}
	r.wantAppended("producer's retry", r.append("s", first, keyed("k", "a")), want)
	r.wantAppended("key's retry", r.append("s", expect(0), keyed("k", "a")), want)
	r.refused(store.CodeProducerFenced, "s", producer("p", 0, 0), text("x"))
	r.refused(store.CodeProducerGap, "s", producer("p", 1, 5), text("x"))
	r.refused(store.CodeSessionClosed, "s", expect(0), keyed("k", "other"))
	r.append("open", plain, keyed("k", "a"))
	r.refused(store.CodeHeadMoved, "open", expect(0), keyed("k", "other"))
	r.refused(store.CodeInvalidType, "open", producer("p", 0, 7), store.Draft{Type: "BAD"})
}

func testAtomic(r *rig) {
	r.append("s", plain, keyed("k", "a"))
	r.refused(store.CodeKeyConflict, "s", plain, keyed("n1", "x"), keyed("k", "other"), keyed("n2", "y"))
	r.refused(store.CodeInvalidType, "s", plain, keyed("n1", "x"), store.Draft{Type: "NO"})
	r.refused(store.CodeKeyConflict, "new", plain, keyed("n", "x"), text("y"), keyed("n", "z"))
	// The keys of a refused request are not taken.
	r.wantAppended("after the refusals", r.append("s", plain, keyed("n1", "other x"), keyed("n2", "other y")), store.Appended{First: 2, Last: 3})
	r.wantAppended("in order", r.append("s", plain, text("1"), text("2"), text("3")), store.Appended{First: 4, Last: 6})
	for i, e := range r.events("s")[3:] {
		if want := fmt.Sprintf(`{"text":"%d"}`, i+1); string(e.Data) != want {
			r.Errorf("event %d: got %s, want %s", e.ID, e.Data, want)
		}
	}
}

func testClosed(r *rig) {
	r.refused(store.CodeInvalidEvent, "s", plain, closing(), text("after"))
	r.refused(store.CodeTurnOpen, "s", plain, store.Draft{Type: "turn_start", Turn: "t"}, closing()) // it could never end
	r.append("s", plain, text("last"), closing())
	if s := r.session("s"); !s.Closed || s.State() != "closed" || s.Turn != "" || s.Head != 2 {
		r.Errorf("got %s, want it closed", describe(s))
	}
	r.refused(store.CodeSessionClosed, "s", plain, text("x"))
	r.refused(store.CodeSessionClosed, "s", plain, closing())
	r.refused(store.CodeSessionClosed, "s", store.AppendOptions{Restore: true}, restored(3))
	title := "still mine"
	if s, err := r.UpdateSession(ctx, "s", store.SessionPatch{Title: &title}); err != nil || !s.Closed || s.Title != title {
		r.Errorf("update of a closed session: got %s, %v", describe(s), err)
	}
	if n := len(r.events("s")); n != 2 {
		r.Errorf("got %d events of the closed session, want 2", n)
	}
	r.delete("s")
	r.wantAppended("a new one of the name", r.append("s", plain, text("x")), store.Appended{First: 3, Last: 3})
}

func testDense(r *rig) {
	for i := int64(1); i <= 20; i++ {
		for _, s := range []string{"a", "b"} {
			if a := r.append(s, plain, text("x"), text("y")); a.First != 2*i-1 || a.Last != 2*i {
				r.Fatalf("%s: got %+v, want %d and %d", s, a, 2*i-1, 2*i)
			}
		}
		r.refused(store.CodeHeadMoved, "a", expect(-1), text("x")) // a refusal uses no id
	}
	r.wantIDs("of b", r.events("b")[37:], 38, 39, 40)
}

func testRecreate(r *rig) {
	r.append("s", plain, text("1"), text("2"), text("3"))
	epochs := []string{r.session("s").Epoch}
	again := func(what string, floor int64) {
		r.Helper()
		s := r.session("s")
		if s.Floor != floor || slices.Contains(epochs, s.Epoch) || s.Epoch == "" {
			r.Errorf("%s: got %s epoch %s, want floor %d and a new epoch (had %q)", what, describe(s), s.Epoch, floor, epochs)
		}
		epochs = append(epochs, s.Epoch)
	}
	r.delete("s")
	r.wantAppended("made again by an append", r.append("s", plain, text("4")), store.Appended{First: 4, Last: 4})
	again("append", 4)
	r.wantIDs("of the new session", r.read("s", store.Query{}).Events, 4)
	r.delete("s")
	if s, created, err := r.CreateSession(ctx, "s", store.SessionSpec{}); err != nil || !created || s.Head != 4 || s.Floor != 5 || s.Bytes != 0 {
		r.Errorf("made again: got %s created %t, %v; want head 4, floor 5, no bytes", describe(s), created, err)
	}
	again("create", 5)
	r.delete("s") // with nothing appended, the tombstone must keep the head all the same
	if r.engine.Reopen {
		r.reopen()
	}
	r.wantAppended("the third time", r.append("s", plain, text("5"), text("6")), store.Appended{First: 5, Last: 6})
	again("append after create", 5)
}

func testTime(r *rig) {
	r.clock.move(999 * time.Microsecond) // below what is kept
	r.append("s", plain, text("a"))
	r.clock.move(-time.Hour)
	r.append("s", plain, text("b"))
	r.clock.move(time.Hour + time.Second)
	r.append("s", plain, text("c"))
	for i, want := range []time.Time{begin, begin, begin.Add(time.Second)} {
		if e := r.events("s")[i]; !e.Time.Equal(want) || e.Time.Location() != time.UTC {
			r.Errorf("event %d: got time %v, want %v", e.ID, e.Time, want)
		}
	}
	if s := r.session("s"); !s.CreatedAt.Equal(begin) || !s.UpdatedAt.Equal(begin.Add(time.Second)) {
		r.Errorf("got %s, want created at the first event and updated at the last", describe(s))
	}
}
