package storetest

import (
	"strings"

	"github.com/konlog/konlog/store"
)

// A raw line is part of what a page weighs when it is asked for: small data
// must not hide large lines from the bound.
func testRawBound(r *rig) {
	const n, size = 20, 10_000
	for range n {
		r.append("s", store.AppendOptions{}, store.Draft{Type: "t", Raw: []byte(strings.Repeat("x", size))})
	}
	limit := store.Limit{Bytes: 3 * size}
	if got := len(r.read("s", store.Query{Raw: true, Limit: limit}).Events); got > 3 {
		r.Errorf("a page of %d bytes has %d events with raw lines of %d", limit.Bytes, got, size)
	}
	if got := len(r.read("s", store.Query{Limit: limit}).Events); got != n {
		r.Errorf("without raw lines the page has %d events, want all %d", got, n)
	}
}

// Ids stop where JSON decoders stop reading whole numbers exactly, and never
// run over.
func testIDMax(r *rig) {
	restore := store.AppendOptions{Restore: true}
	r.refused(store.CodeInvalidEvent, "s", restore, store.Draft{ID: store.IDMax + 1, Type: "t"})
	r.refused(store.CodeInvalidEvent, "s", restore, store.Draft{ID: 1<<63 - 1, Type: "t"})
	r.append("s", restore, store.Draft{ID: store.IDMax, Type: "t"})
	r.refused(store.CodeInvalidEvent, "s", store.AppendOptions{}, store.Draft{Type: "t"})
	r.wantIDs("after everything", r.read("s", store.Query{After: 1<<63 - 1}).Events)
	r.wantIDs("the last", r.read("s", store.Query{After: store.IDMax - 1}).Events, store.IDMax)
}

// An imported event from the future must not push the session's clock.
func testRestoredFuture(r *rig) {
	now := r.clock.now()
	r.append("s", store.AppendOptions{Restore: true}, store.Draft{ID: 1, Type: "t", Time: now.AddDate(1000, 0, 0)})
	r.append("s", store.AppendOptions{}, store.Draft{Type: "t"})
	if got := r.events("s")[1].Time; got.After(now.AddDate(1, 0, 0)) {
		r.Errorf("the event after an imported one has the time %v", got)
	}
}

// A retry of a request that was partly known gets the same ids again.
func testRetriedMixed(r *rig) {
	draft := func(key string) store.Draft { return store.Draft{Key: key, Type: "t"} }
	r.append("s", store.AppendOptions{}, draft("b"))
	request := []store.Draft{draft("a"), draft("b"), draft("c")}
	first := r.append("s", store.AppendOptions{}, request...)
	again := r.append("s", store.AppendOptions{}, request...)
	if !again.Duplicate || len(again.IDs) != 3 || again.IDs[0] != first.IDs[0] || again.IDs[1] != 1 || again.IDs[2] != first.IDs[2] {
		r.Errorf("the retry got %+v, the first request %+v", again, first)
	}
}
