package storetest

import (
	"fmt"

	"github.com/konlog/konlog/store"
)

// deltas are n deltas of a block with what stands between them in real life.
func deltas(n int) []store.Draft {
	var drafts []store.Draft
	add := func(typ, data string) {
		drafts = append(drafts, store.Draft{Type: typ, Turn: "t", Data: []byte(data), Raw: []byte(`{"line":1}`)})
	}
	for i := range n {
		add("text_delta", fmt.Sprintf(`{"text":"%d ","block":%d}`, i, i/7))
		if i%7 == 6 {
			add("text", fmt.Sprintf(`{"text":"whole %d","block":%d}`, i, i/7))
		}
		if i%5 == 0 {
			add("tool_delta", `{"id":"x","text":"{"}`)
			add("tool_delta", `{"id":"x","text":"}"}`)
		}
	}
	return drafts
}

// A folded page is the fold of the events after the cursor, as far as its
// limits let it go, and its last id is where the next one begins.
func testFoldedRead(r *rig) {
	r.append("s", plain, deltas(120)...)
	all := r.events("s")
	head := int64(len(all))
	check := func(q store.Query) (after int64) {
		r.Helper()
		upTo := head
		if q.Until > 0 {
			upTo = min(q.Until, head)
		}
		q.Fold = true
		got, want := r.read("s", q).Events, store.FoldPage(all[q.After:upTo], q)
		if lines(got, q.Raw) != lines(want, q.Raw) || len(got) == 0 {
			r.Fatalf("read %+v: got%s\nwant%s", q, lines(got, q.Raw), lines(want, q.Raw))
		}
		return got[len(got)-1].ID
	}
	for _, limit := range []store.Limit{{}, {Events: 1}, {Events: 7}, {Bytes: 1}, {Bytes: 1000}} {
		for _, raw := range []bool{false, true} {
			for after := int64(0); after < head; {
				after = check(store.Query{After: after, Raw: raw, Limit: limit})
			}
		}
	}
	if n := len(r.read("s", store.Query{Fold: true}).Events); n*3 > len(all) {
		r.Errorf("%d events were folded to %d", len(all), n)
	}
	check(store.Query{Until: 40})
	check(store.Query{After: 3, Until: 5})
	r.wantIDs("at the head", r.read("s", store.Query{After: head, Fold: true}).Events)
	r.wantIDs("backwards it is no fold", r.read("s", store.Query{Backward: true, Before: 4, Fold: true}).Events, 1, 2, 3)
	if r.engine.Reopen {
		r.reopen()
		check(store.Query{})
	}
	r.retain(store.Retention{Events: 50})
	got := r.read("s", store.Query{Fold: true}).Events
	if want := store.Fold(all[head-50:]); lines(got, false) != lines(want, false) {
		r.Errorf("above the floor: got%s\nwant%s", lines(got, false), lines(want, false))
	}
}

// However little its events fold to, a page takes a bounded part of the log.
func testFoldedBound(r *rig) {
	const batch = 1000
	for n := 0; n < store.FoldEventsMax+batch; n += batch {
		drafts := make([]store.Draft, batch)
		for i := range drafts {
			drafts[i] = store.Draft{Type: "text_delta", Turn: "t", Data: []byte(`{"text":"x"}`)}
		}
		r.append("s", plain, drafts...)
	}
	if p := r.read("s", store.Query{Fold: true}); len(p.Events) != 1 || p.Events[0].From != 1 || p.Events[0].ID != store.FoldEventsMax {
		r.Errorf("got %d events up to %d, want one of the first %d", len(p.Events), p.Events[len(p.Events)-1].ID, store.FoldEventsMax)
	}
}
