package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

func testReadForward(r *rig) {
	if _, err := r.Read(ctx, "s", store.Query{}); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("read of no session: got %v, want %v", err, store.ErrNotFound)
	}
	r.fill("s", 10)
	tests := []struct {
		name string
		q    store.Query
		want []int64
	}{
		{"all", store.Query{}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"after is exclusive", store.Query{After: 8}, []int64{9, 10}},
		{"at the head", store.Query{After: 10}, nil},
		{"beyond the head", store.Query{After: 99}, nil},
		{"page", store.Query{After: 2, Limit: store.Limit{Events: 3}}, []int64{3, 4, 5}},
		{"until is inclusive", store.Query{After: 6, Until: 8}, []int64{7, 8}},
		{"until before after", store.Query{After: 6, Until: 5}, nil},
		{"until beyond the head", store.Query{After: 8, Until: 99}, []int64{9, 10}},
		{"before is for backward only", store.Query{After: 8, Before: 9}, []int64{9, 10}},
	}
	for _, test := range tests {
		p := r.read("s", test.q)
		r.wantIDs(test.name, p.Events, test.want...)
		if p.Session.Head != 10 || p.Session.Floor != 1 {
			r.Errorf("%s: got %s, want head 10 floor 1", test.name, describe(p.Session))
		}
	}
	r.fill("many", store.PageEventsDefault+1)
	if n := len(r.read("many", store.Query{}).Events); n != store.PageEventsDefault {
		r.Errorf("got a page of %d events when no limit is given, want %d", n, store.PageEventsDefault)
	}
	if n := len(r.events("many")); n != store.PageEventsDefault+1 {
		r.Errorf("got %d events over all pages, want %d", n, store.PageEventsDefault+1)
	}
}

func testReadBackward(r *rig) {
	r.fill("s", 10)
	two := store.Limit{Events: 2}
	tests := []struct {
		name string
		q    store.Query
		want []int64
	}{
		{"tail", store.Query{Limit: two}, []int64{9, 10}},
		{"before is exclusive", store.Query{Before: 9, Limit: two}, []int64{7, 8}},
		{"to the first", store.Query{Before: 3}, []int64{1, 2}},
		{"nothing before the first", store.Query{Before: 1}, nil},
		{"before beyond the head", store.Query{Before: 99, Limit: two}, []int64{9, 10}},
		{"after is for forward only", store.Query{After: 9, Before: 4}, []int64{1, 2, 3}},
		{"until", store.Query{Until: 5, Limit: two}, []int64{4, 5}},
		{"until and before", store.Query{Until: 5, Before: 4, Limit: two}, []int64{2, 3}},
	}
	for _, test := range tests {
		test.q.Backward = true
		r.wantIDs(test.name, r.read("s", test.q).Events, test.want...)
	}
	r.retain(store.Retention{Events: 4})
	r.wantIDs("above the floor", r.read("s", store.Query{Backward: true}).Events, 7, 8, 9, 10)
	r.wantIDs("below the floor", r.read("s", store.Query{Backward: true, Before: 7}).Events)
}

func testReadBytes(r *rig) {
	for _, n := range []int{10, 2000, 10, 10} {
		r.append("s", plain, store.Draft{Type: "x", Data: []byte(`"` + strings.Repeat("x", n) + `"`), Raw: []byte(strings.Repeat("r", 500))})
	}
	all := r.events("s")
	small, large := len(all[0].JSON()), len(all[1].JSON())
	tests := []struct {
		name  string
		q     store.Query
		bytes int
		want  []int64
	}{
		{"one at least", store.Query{}, 1, []int64{1}},
		{"one at least, though it is large", store.Query{After: 1}, 1, []int64{2}},
		{"one less than both", store.Query{}, small + large - 1, []int64{1}},
		{"exactly both", store.Query{}, small + large, []int64{1, 2}},
		{"backward, one at least", store.Query{Backward: true, Before: 3}, 1, []int64{2}},
		{"backward, one less than all", store.Query{Backward: true}, 2*small + large - 1, []int64{3, 4}},
		{"backward, exactly", store.Query{Backward: true}, 2*small + large, []int64{2, 3, 4}},
	}
	for _, test := range tests {
		test.q.Limit.Bytes = test.bytes
		r.wantIDs(test.name, r.read("s", test.q).Events, test.want...)
	}
	many := store.PageBytesDefault/large + 2
	for range many {
		r.append("many", plain, store.Draft{Type: "x", Data: all[1].Data})
	}
	size := 0
	for _, e := range r.read("many", store.Query{}).Events {
		size += len(e.JSON())
	}
	if size > store.PageBytesDefault || size < store.PageBytesDefault-2*large {
		r.Errorf("got a page of %d bytes when no limit is given, want up to %d", size, store.PageBytesDefault)
	}
}

func testRetention(r *rig) {
	for range 10 {
		r.append("s", plain, text("x"))
		r.clock.move(time.Second)
	}
	each := r.session("s").Bytes / 10
	r.append("busy", plain, text("x"))
	r.heard()
	step := func(what string, k store.Retention, gone, floor int64) {
		r.Helper()
		if n := r.retain(k); n != gone {
			r.Errorf("%s: %d events went, want %d", what, n, gone)
		}
		s := r.session("s")
		if s.Floor != floor || s.Head != 10 || s.Bytes != each*(11-floor) {
			r.Errorf("%s: got %s, want floor %d head 10 bytes %d", what, describe(s), floor, each*(11-floor))
		}
		events := r.events("s")
		r.wantIDs(what, events[:1], floor)
		said := r.heard()
		if gone == 0 && len(said) > 0 || gone > 0 && (len(said) == 0 || said[0] != news{"s", 10}) {
			r.Errorf("%s: announced %v", what, said)
		}
	}
	updated := r.session("s").UpdatedAt
	step("no bound", store.Retention{}, 0, 1)
	step("count", store.Retention{Events: 8}, 2, 3)
	step("count met", store.Retention{Events: 8}, 0, 3)
	step("age: one that is exactly so old stays", store.Retention{Age: 7 * time.Second}, 1, 4)
	step("bytes: exactly met", store.Retention{Bytes: 7 * each}, 0, 4)
	step("bytes: one too many", store.Retention{Bytes: 7*each - 1}, 1, 5)
	step("the strictest rules", store.Retention{Events: 5, Bytes: 4 * each, Age: time.Hour}, 2, 7)
	if got := r.session("s").UpdatedAt; !got.Equal(updated) {
		r.Errorf("retention moved the last activity from %v to %v", updated, got)
	}
	r.wantIDs("a reader from below the floor", r.read("s", store.Query{After: 2, Limit: store.Limit{Events: 2}}).Events, 7, 8)
	r.wantIDs("the other session", r.events("busy"), 1)
	if r.engine.Reopen {
		r.reopen()
		r.wantIDs("after reopening", r.events("s"), 7, 8, 9, 10)
	}
	r.wantAppended("goes on", r.append("s", plain, text("x")), store.Appended{First: 11, Last: 11})
}

func testRetentionAll(r *rig) {
	r.fill("s", 3)
	r.clock.move(time.Hour)
	if n := r.retain(store.Retention{Age: time.Minute}); n != 3 {
		r.Errorf("%d events went, want 3", n)
	}
	if s := r.session("s"); s.Floor != 4 || s.Head != 3 || s.Bytes != 0 {
		r.Errorf("got %s, want floor 4 head 3 bytes 0", describe(s))
	}
	r.wantIDs("of the emptied session", r.events("s"))
	r.wantIDs("backwards", r.read("s", store.Query{Backward: true}).Events)
	r.wantAppended("goes on", r.append("s", expect(3), text("x")), store.Appended{First: 4, Last: 4})
	r.wantIDs("then", r.events("s"), 4)
}

func testRestore(r *rig) {
	o := store.AppendOptions{Restore: true}
	r.wantAppended("into a new session", r.append("s", o, restored(7), restored(8)), store.Appended{First: 7, Last: 8})
	r.wantAppended("following", r.append("s", o, restored(9)), store.Appended{First: 9, Last: 9})
	if s := r.session("s"); s.Floor != 7 || s.Head != 9 || !s.UpdatedAt.Equal(restored(9).Time) {
		r.Errorf("got %s, want floor 7, head 9, updated with the last event", describe(s))
	}
	for _, e := range r.events("s") {
		if want := restored(e.ID); string(e.Data) != string(want.Data) || !e.Time.Equal(want.Time) {
			r.Errorf("event %d: got %s, want its own time and data", e.ID, e.JSON())
		}
	}
	r.wantAppended("an ordinary one", r.append("s", plain, text("x")), store.Appended{First: 10, Last: 10})
	if e := r.events("s")[3]; !e.Time.Equal(begin) {
		r.Errorf("ordinary event after restored ones: got time %v, want the engine's", e.Time)
	}
	r.delete("s")
	r.wantAppended("above the tombstone", r.append("s", o, restored(20)), store.Appended{First: 20, Last: 20})
	if s := r.session("s"); s.Floor != 20 || s.Head != 20 {
		r.Errorf("got %s, want floor and head 20", describe(s))
	}
	r.clock.move(time.Hour)
	r.retain(store.Retention{Age: time.Minute})
	r.wantAppended("when nothing can be read", r.append("s", o, restored(30), restored(31)), store.Appended{First: 30, Last: 31})
	r.wantIDs("then", r.events("s"), 30, 31)
	if r.engine.Reopen {
		r.reopen()
		r.wantIDs("after reopening", r.events("s"), 30, 31)
	}
}

func testRestoreGap(r *rig) {
	o := store.AppendOptions{Restore: true}
	gap := func(what string, want int64, drafts ...store.Draft) {
		r.Helper()
		if e := r.refused(store.CodeRestoreGap, "s", o, drafts...); e.Want != want {
			r.Errorf("%s: got want %d, want %d", what, e.Want, want)
		}
	}
	gap("no id", 0, restored(0))
	gap("hole in a new session", 0, restored(3), restored(5))
	r.append("s", o, restored(3))
	gap("hole", 3, restored(5))
	gap("repeat", 3, restored(3))
	gap("hole in the request", 3, restored(4), restored(6))
	gap("descending", 3, restored(5), restored(4))
	r.delete("s")
	gap("at the tombstone", 3, restored(3))
	gap("below the tombstone", 3, restored(1))
}
