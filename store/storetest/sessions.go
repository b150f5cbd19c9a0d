package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// testReopen closes and opens after every kind of change and wants everything
// back: what is seen, and what is only remembered.
func testReopen(r *rig) {
	if !r.engine.Reopen {
		r.Skip("the engine keeps nothing over Close")
	}
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{Title: "T", Scope: "sc", Tags: []string{"a", "b"}, Meta: json.RawMessage(`{"x": 1}`)}); err != nil {
		r.Fatal(err)
	}
	r.append("s", producer("p", 2, 0), keyed("k", "a"), store.Draft{Type: "turn_start", Turn: "t1", Parent: "p", Data: []byte(`{"a": [1, 2]}`), Raw: []byte("raw line")})
	r.fill("s", 3)
	r.fill("cut", 5)
	r.retain(store.Retention{Events: 5})
	r.append("done", plain, text("x"), closing())
	r.fill("gone", 4)
	r.delete("gone")
	before := r.state()
	for range 2 { // twice, so that opening itself is seen to change nothing
		r.reopen()
		if after := r.state(); after != before {
			r.Fatalf("after reopening\ngot  %s\nwant %s", after, before)
		}
	}
	r.wantAppended("key", r.append("s", plain, keyed("k", "a")), store.Appended{First: 1, Last: 1, Duplicate: true})
	r.refused(store.CodeKeyConflict, "s", plain, keyed("k", "b"))
	r.wantAppended("producer", r.append("s", producer("p", 2, 0), keyed("k", "a")), store.Appended{First: 1, Last: 2, Duplicate: true})
	r.refused(store.CodeProducerFenced, "s", producer("p", 1, 0), text("x"))
	r.refused(store.CodeSessionClosed, "done", plain, text("x"))
	r.wantAppended("id", r.append("s", plain, text("x")), store.Appended{First: 6, Last: 6})
	r.wantAppended("tombstone", r.append("gone", plain, text("x")), store.Appended{First: 5, Last: 5})
}

func testSessions(r *rig) {
	for what, err := range map[string]error{
		"get":    second(r.Session(ctx, "s")),
		"update": second(r.UpdateSession(ctx, "s", store.SessionPatch{})),
		"delete": r.DeleteSession(ctx, "s"),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			r.Errorf("%s of no session: got %v, want %v", what, err, store.ErrNotFound)
		}
	}
	spec := store.SessionSpec{Title: "Title", Scope: "scope", Tags: []string{"b", "a"}, Meta: json.RawMessage(`{"k": 1.0}`)}
	made, created, err := r.CreateSession(ctx, "s", spec)
	if err != nil || !created {
		r.Fatalf("create: created %t, %v", created, err)
	}
	want := store.Session{ID: "s", Floor: 1, CreatedAt: begin, UpdatedAt: begin}
	want.SetSpec(spec)
	if describe(made) != describe(want) || made.Epoch == "" || made.State() != "idle" {
		r.Errorf("created: got %s, want %s", describe(made), describe(want))
	}
	r.clock.move(time.Second)
	again, created, err := r.CreateSession(ctx, "s", store.SessionSpec{Title: "other"})
	if err != nil || created || describe(again) != describe(made) || again.Epoch != made.Epoch {
		r.Errorf("created again: got %s created %t, %v; want what was there", describe(again), created, err)
	}
	testUpdate(r, made.Epoch)
	if _, _, err := r.CreateSession(ctx, "bad id", spec); store.CodeOf(err) != store.CodeInvalidSession {
		r.Errorf("bad id: got %v", err)
	}
	if _, _, err := r.CreateSession(ctx, "bad", store.SessionSpec{Meta: json.RawMessage(`[]`)}); err == nil {
		r.Error("meta that is no object was taken")
	}
	r.delete("s")
	if _, err := r.Session(ctx, "s"); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("get of a deleted session: got %v", err)
	}
	if _, err := r.Read(ctx, "s", store.Query{}); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("read of a deleted session: got %v", err)
	}
	if err := r.DeleteSession(ctx, "s"); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("second delete: got %v", err)
	}
	if got := r.list(store.SessionFilter{}); len(got) != 0 {
		r.Errorf("list holds %d sessions after the delete", len(got))
	}
	r.append("s", plain, text("x"))
	if s := r.session("s"); s.Title != "" || len(s.Tags) > 0 || !s.CreatedAt.Equal(s.UpdatedAt) {
		r.Errorf("the new session has something of the deleted one: %s", describe(s))
	}
}

func testUpdate(r *rig, epoch string) {
	title, tags, null := "new", []string{"c"}, json.RawMessage(`null`)
	s, err := r.UpdateSession(ctx, "s", store.SessionPatch{Title: &title})
	if err != nil || s.Title != "new" || s.Scope != "scope" || !s.UpdatedAt.Equal(begin.Add(time.Second)) || s.Epoch != epoch {
		r.Errorf("title: got %s, %v", describe(s), err)
	}
	s, err = r.UpdateSession(ctx, "s", store.SessionPatch{Tags: &tags, Meta: &null})
	if err != nil || !slices.Equal(s.Tags, tags) || s.Meta != nil || s.Title != "new" {
		r.Errorf("tags and meta: got %s, %v", describe(s), err)
	}
	empty := []string{""}
	if _, err := r.UpdateSession(ctx, "s", store.SessionPatch{Tags: &empty}); err == nil {
		r.Error("an empty tag was taken")
	}
	if got := r.session("s"); describe(got) != describe(s) {
		r.Errorf("got %s, want %s", describe(got), describe(s))
	}
}

func second[T any](_ T, err error) error { return err }

func testList(r *rig) {
	r.append("Alpha_1", plain, store.Draft{Type: "turn_start", Turn: "t"})
	for i, spec := range []store.SessionSpec{
		{Title: "Größe 100%", Scope: "x", Tags: []string{"red", "blue"}},
		{Title: "alphabet", Scope: "y", Tags: []string{"reddish"}},
		{Scope: "x", Tags: []string{"red"}},
	} {
		r.clock.move(time.Second)
		if _, _, err := r.CreateSession(ctx, fmt.Sprint("s", i), spec); err != nil {
			r.Fatal(err)
		}
	}
	r.append("s2", plain, closing())
	tests := []struct {
		name string
		f    store.SessionFilter
		want []string
	}{
		{"all, newest first", store.SessionFilter{}, []string{"s2", "s1", "s0", "Alpha_1"}},
		{"scope", store.SessionFilter{Scope: "x"}, []string{"s2", "s0"}},
		{"tag is whole", store.SessionFilter{Tag: "red"}, []string{"s2", "s0"}},
		{"idle", store.SessionFilter{State: "idle"}, []string{"s1", "s0"}},
		{"working", store.SessionFilter{State: "working"}, []string{"Alpha_1"}},
		{"closed", store.SessionFilter{State: "closed"}, []string{"s2"}},
		{"id or title, case folded", store.SessionFilter{Search: "ALPHA"}, []string{"s1", "Alpha_1"}},
		{"pattern characters are plain", store.SessionFilter{Search: "_"}, []string{"Alpha_1"}},
		{"percent too", store.SessionFilter{Search: "%"}, []string{"s0"}},
		{"not ASCII", store.SessionFilter{Search: "größ"}, []string{"s0"}},
		{"fold is of ASCII only", store.SessionFilter{Search: "GRÖß"}, nil},
		{"all together", store.SessionFilter{Scope: "x", Tag: "red", State: "idle", Search: "s"}, []string{"s0"}},
		{"none", store.SessionFilter{Scope: "z"}, nil},
	}
	for _, test := range tests {
		if got := names(r.list(test.f)); !slices.Equal(got, test.want) {
			r.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	r.clock.move(time.Second)
	r.append("s0", plain, text("x"))
	if got, want := names(r.list(store.SessionFilter{})), []string{"s0", "s2", "s1", "Alpha_1"}; !slices.Equal(got, want) {
		r.Errorf("after an append: got %q, want %q", got, want)
	}
	for _, cursor := range []string{"nonsense", "-", "1.x"} {
		if _, err := r.ListSessions(ctx, store.SessionFilter{Cursor: cursor}); store.CodeOf(err) != store.CodeInvalidQuery {
			r.Errorf("cursor %q: got %v, want %s", cursor, err, store.CodeInvalidQuery)
		}
	}
}

func names(sessions []store.Session) []string {
	var all []string
	for _, s := range sessions {
		all = append(all, s.ID)
	}
	return all
}

func testListPages(r *rig) {
	var want []string
	for i := range 25 {
		if i%10 == 0 { // runs of sessions with the same time
			r.clock.move(time.Second)
		}
		id := fmt.Sprintf("s%02d", i)
		r.append(id, plain, text("x"))
		want = append([]string{id}, want...)
	}
	for _, limit := range []int{0, 1, 4, 5, 25, store.SessionsPageMax + 1} {
		if got := names(r.list(store.SessionFilter{Limit: limit})); !slices.Equal(got, want) {
			r.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
	first, err := r.ListSessions(ctx, store.SessionFilter{Limit: 5})
	if err != nil || len(first.Sessions) != 5 || first.Next == "" {
		r.Fatalf("got %d sessions, next %q, %v; want 5 and a cursor", len(first.Sessions), first.Next, err)
	}
	// What moves to the front while a reader pages must not make it miss or
	// repeat any of the others.
	r.clock.move(time.Second)
	r.append("s00", plain, text("x"))
	r.append(first.Sessions[4].ID, plain, text("x"))
	got := append(names(first.Sessions), names(r.list(store.SessionFilter{Limit: 5, Cursor: first.Next}))...)
	if !slices.Equal(got, want[:24]) {
		r.Errorf("paging during activity: got %q, want %q", got, want[:24])
	}
}
