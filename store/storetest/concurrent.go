package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/konlog/konlog/store"
)

// testAnnounced reads what is announced from within the announcement, which is
// the first moment at which a reader can wake.
func testAnnounced(r *rig) {
	o := r.o
	var log store.Log // set before the first change
	deleted := false
	o.Dir = r.TempDir()
	o.Committed = func(session string, head int64) {
		if session == store.FeedSession && head == 0 { // made before the engine is handed out
			return
		}
		p, err := log.Read(ctx, session, store.Query{Backward: true, Limit: store.Limit{Events: 1}})
		switch {
		case deleted && session != store.FeedSession:
			if !errors.Is(err, store.ErrNotFound) {
				r.Errorf("deletion of %s announced: reading gave %v", session, err)
			}
		case err != nil:
			r.Errorf("%s announced at %d: %v", session, head, err)
		case p.Session.Head != head || head > 0 && (len(p.Events) != 1 || p.Events[0].ID != head):
			r.Errorf("%s announced at %d: its head is %d and its last event %v", session, head, p.Session.Head, ids(p.Events))
		}
	}
	log = r.engine.Open(r.T, o)
	defer func() { _ = log.Close() }()
	try := func(err error) {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
	}
	_, _, err := log.CreateSession(ctx, "s", store.SessionSpec{})
	try(err)
	for range 20 {
		_, err = log.Append(ctx, "s", plain, text("a"), text("b"))
		try(err)
		_, err = log.Append(ctx, "new", plain, text("a"))
		try(err)
	}
	deleted = true
	try(log.DeleteSession(ctx, "s"))
	deleted = false
	_, err = log.Append(ctx, "s", plain, text("c"))
	try(err)
}

// testAnnouncements wants one announcement for each change, and none else.
func testAnnouncements(r *rig) {
	said := func(what string, want ...news) {
		r.Helper()
		if got := r.heard(); !slices.Equal(got, want) {
			r.Errorf("%s: announced %v, want %v", what, got, want)
		}
	}
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{}); err != nil {
		r.Fatal(err)
	}
	said("create", news{"s", 0})
	_, _, _ = r.CreateSession(ctx, "s", store.SessionSpec{})
	said("create of what exists")
	r.append("s", plain, text("a"), text("b"))
	said("append of two", news{"s", 2})
	r.append("new", plain, text("a"))
	said("append that creates", news{"new", 1})
	title := "t"
	_, _ = r.UpdateSession(ctx, "s", store.SessionPatch{Title: &title})
	said("update", news{"s", 2})
	r.read("s", store.Query{})
	r.list(store.SessionFilter{})
	said("reading")
	r.delete("s")
	said("delete", news{"s", 2})
	_ = r.DeleteSession(ctx, "s")
	said("delete of nothing")
}

// testConcurrent has 8 producers on 3 sessions, each with readers that follow.
func testConcurrent(r *rig) {
	const sessions, producers, each = 3, 8, 60
	var writers, readers sync.WaitGroup
	got := make([]map[int64]bool, producers) // acknowledged: session*1e6 + id
	for p := range producers {
		got[p] = map[int64]bool{}
		writers.Go(func() {
			for i := range each {
				n := (p + i) % sessions
				d := keyed(fmt.Sprintf("%d.%d", p, i), "x")
				a, err := r.Append(ctx, fmt.Sprint("s", n), plain, d, text("y"))
				if err != nil || a.Last != a.First+1 {
					r.Errorf("append: %+v, %v", a, err)
					return
				}
				got[p][int64(n)*1e6+a.First] = true
				got[p][int64(n)*1e6+a.Last] = true
				if again, err := r.Append(ctx, fmt.Sprint("s", n), plain, d); err != nil || again.First != a.First || !again.Duplicate {
					r.Errorf("retry: %+v, %v, want %d", again, err, a.First)
				}
			}
		})
	}
	done, stop := context.WithCancel(ctx)
	for n := range sessions {
		readers.Go(func() { follow(done, r, fmt.Sprint("s", n)) })
	}
	writers.Wait()
	stop()
	readers.Wait()
	all := map[int64]bool{}
	for _, ids := range got {
		for id := range ids {
			if all[id] {
				r.Errorf("id %d was given twice", id)
			}
			all[id] = true
		}
	}
	stored := 0
	for n := range sessions {
		for _, e := range r.events(fmt.Sprint("s", n)) {
			stored++
			if !all[int64(n)*1e6+e.ID] {
				r.Errorf("event %d of s%d was acknowledged to nobody", e.ID, n)
			}
		}
	}
	if want := producers * each * 2; stored != want || len(all) != want {
		r.Errorf("stored %d events and acknowledged %d, want %d", stored, len(all), want)
	}
}

// follow reads the session over and over until done: each page must go on
// where the one before ended, and what was read must not change.
func follow(done context.Context, r *rig, session string) {
	after, last := int64(0), ""
	for done.Err() == nil {
		runtime.Gosched() // or the readers have the machine, ten milliseconds each at a time
		p, err := r.Read(ctx, session, store.Query{After: after, Limit: store.Limit{Events: 7}})
		if errors.Is(err, store.ErrNotFound) && after == 0 {
			continue
		}
		if err == nil {
			err = whole(p, after)
		}
		if err != nil {
			r.Errorf("%s after %d: %v", session, after, err)
			return
		}
		if len(p.Events) > 0 {
			after = p.Events[len(p.Events)-1].ID
			last = string(p.Events[len(p.Events)-1].JSON())
		}
		if after == 0 {
			continue
		}
		back, err := r.Read(ctx, session, store.Query{Backward: true, Before: after + 1, Limit: store.Limit{Events: 1}})
		if err != nil || len(back.Events) != 1 || string(back.Events[0].JSON()) != last {
			r.Errorf("%s: event %d read again is not the same: got head %d and %s, %v, want %s", session, after, back.Session.Head, asJSON(back.Events), err, last)
			return
		}
	}
}

// testWholeArrays reads while arrays are appended: a reader sees all of an
// array or nothing of it.
func testWholeArrays(r *rig) {
	const size, rounds = 5, 100
	var writer, readers sync.WaitGroup
	done, stop := context.WithCancel(ctx)
	r.append("s", plain, text("1"), text("2"), text("3"), text("4"), text("5"))
	for range 2 {
		readers.Go(func() {
			for done.Err() == nil {
				runtime.Gosched()
				p, err := r.Read(ctx, "s", store.Query{Backward: true, Limit: store.Limit{Events: size}})
				if err != nil || p.Session.Head%size != 0 || len(p.Events) != size || p.Events[0].ID%size != 1 {
					r.Errorf("saw head %d, events %v, %v", p.Session.Head, ids(p.Events), err)
					return
				}
			}
		})
	}
	writer.Go(func() {
		for range rounds {
			if _, err := r.Append(ctx, "s", plain, text("1"), text("2"), text("3"), text("4"), text("5")); err != nil {
				r.Errorf("append: %v", err)
			}
		}
	})
	writer.Wait()
	stop()
	readers.Wait()
}

func testCancelled(r *rig) {
	r.fill("s", 1)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	want := int64(1)
	for range 20 {
		a, err := r.Append(gone, "s", plain, text("a"), text("b"))
		if err == nil { // it was with the writer before the engine looked
			want += 2
			r.wantAppended("cancelled", a, store.Appended{First: want - 1, Last: want})
		}
		if s := r.session("s"); s.Head != want {
			r.Fatalf("cancelled append gave %v, the head is %d, want %d", err, s.Head, want)
		}
	}
}

func testShutdown(r *rig) {
	r.fill("s", 1)
	if err := r.Log.Close(); err != nil {
		r.Fatal(err)
	}
	_, _, created := r.CreateSession(ctx, "n", store.SessionSpec{})
	for what, err := range map[string]error{
		"append":  second(r.Append(ctx, "s", plain, text("x"))),
		"read":    second(r.Read(ctx, "s", store.Query{})),
		"session": second(r.Session(ctx, "s")),
		"create":  created,
		"update":  second(r.UpdateSession(ctx, "s", store.SessionPatch{})),
		"delete":  r.DeleteSession(ctx, "s"),
		"list":    second(r.ListSessions(ctx, store.SessionFilter{})),
	} {
		if !errors.Is(err, store.ErrShutdown) {
			r.Errorf("%s after Close: got %v, want %v", what, err, store.ErrShutdown)
		}
	}
	if err := r.Log.Close(); err != nil {
		r.Errorf("second Close: %v", err)
	}
}
