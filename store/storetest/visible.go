package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/konlog/konlog/store"
)

// What a filter's Visible lets through, in lists that also hold what others
// have. mine-1 to mine-9 are visible, each with another's session before and
// after it.
var mine = store.Patterns{"mine-?", "absent-*"}

// fillVisible makes the sessions: each has a turn, a kontask, an open question
// and texts.
func (r *rig) fillVisible() {
	r.Helper()
	for i := 1; i <= 9; i++ {
		for _, session := range []string{fmt.Sprintf("other-%d", i), fmt.Sprintf("mine-%d", i), fmt.Sprintf("mine-%d0", i)} {
			turn, k := "t-"+session, "k-"+session
			r.append(session, plain, of("prompt", turn, `{"text":"common words of `+session+`"}`), of("turn_start", turn, `{}`),
				of("permission_request", turn, `{"requestId":"q","tool":"Bash"}`), of("kontask_ready", "", `{"id":"`+k+`","title":"common card"}`))
			if _, ok := r.Log.(store.Searcher); ok { // an engine may index when it is asked: what is found has the order of the appends
				r.search(store.SearchFilter{Query: "nothing"})
			}
		}
	}
}

// wantMine holds the sessions of all pages against the visible ones, and each
// page but the last against the limit: what is left out must leave no hole.
func wantMine(r *rig, what string, limit int, page func(cursor string) (sessions []string, next string, err error)) {
	r.Helper()
	var got []string
	cursor := ""
	for range listPagesMax {
		sessions, next, err := page(cursor)
		if err != nil {
			r.Fatalf("%s: %v", what, err)
		}
		if next != "" && len(sessions) != limit {
			r.Errorf("%s: a page of %d where %d were asked for, and a cursor", what, len(sessions), limit)
		}
		got = append(got, sessions...)
		if cursor = next; cursor == "" {
			break
		}
	}
	var want []string
	for i := 9; i > 0; i-- {
		want = append(want, fmt.Sprintf("mine-%d", i))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		r.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// visibleLists are the lists over sessions, as functions that give a page.
func (r *rig) visibleLists(visible store.Patterns, limit int) map[string]func(cursor string) ([]string, string, error) {
	lists := map[string]func(cursor string) ([]string, string, error){
		"sessions": func(cursor string) (all []string, next string, err error) {
			p, err := r.ListSessions(ctx, store.SessionFilter{Visible: visible, Cursor: cursor, Limit: limit})
			for i := range p.Sessions {
				all = append(all, p.Sessions[i].ID)
			}
			return all, p.Next, err
		},
	}
	if d, ok := r.Log.(derivedLog); ok {
		for _, query := range []string{"", "common"} {
			lists["turns "+query] = func(cursor string) (all []string, next string, err error) {
				p, err := d.ListTurns(ctx, store.TurnFilter{Visible: visible, Query: query, Cursor: cursor, Limit: limit})
				for _, turn := range p.Turns {
					all = append(all, turn.Session)
				}
				return all, p.Next, err
			}
		}
		lists["kontasks"] = func(cursor string) (all []string, next string, err error) {
			p, err := d.ListKontasks(ctx, store.KontaskFilter{Visible: visible, Cursor: cursor, Limit: limit})
			for i := range p.Kontasks {
				all = append(all, p.Kontasks[i].Session)
			}
			return all, p.Next, err
		}
		lists["inbox"] = func(cursor string) (all []string, next string, err error) {
			p, err := d.Inbox(ctx, store.InboxFilter{Subject: "ann", Visible: visible, Cursor: cursor, Limit: limit})
			for i := range p.Items {
				all = append(all, p.Items[i].Session.ID)
			}
			return all, p.Next, err
		}
	}
	if s, ok := r.Log.(store.Searcher); ok {
		lists["search"] = func(cursor string) (all []string, next string, err error) {
			p, err := s.Search(ctx, store.SearchFilter{Query: "common words", Visible: visible, Cursor: cursor, Limit: limit})
			for _, h := range p.Hits {
				all = append(all, h.Session)
			}
			return all, p.Next, err
		}
	}
	return lists
}

// testVisible holds that a list with Visible is the list that a log with those
// sessions alone would give: as long, with full pages, and without a cursor at
// its end, which would tell that there is more.
func testVisible(r *rig) {
	r.fillVisible()
	for _, limit := range []int{1, 2, 3, 4, 9, 10} {
		for name, page := range r.visibleLists(mine, limit) {
			wantMine(r, fmt.Sprintf("%s by %d", name, limit), limit, page)
		}
	}
	for name, page := range r.visibleLists(store.Patterns{}, 5) {
		if got, next, err := page(""); err != nil || len(got) > 0 || next != "" {
			r.Errorf("%s without a pattern: got %v, next %q, %v", name, got, next, err)
		}
	}
	for name, page := range r.visibleLists(store.Patterns{"mine", "Mine-1", "ine-1", "mine-1?0", "mine_1"}, 5) {
		if got, next, err := page(""); err != nil || len(got) > 0 || next != "" {
			r.Errorf("%s with patterns that match nothing: got %v, next %q, %v", name, got, next, err)
		}
	}
	for _, all := range []store.Patterns{nil, {"mine-1", "*"}} {
		for name, page := range r.visibleLists(all, 100) {
			if got, _, err := page(""); err != nil || len(got) != 27 {
				r.Errorf("%s with %q: got %d of 27, %v", name, all, len(got), err)
			}
		}
	}
}

// testVisibleNamed holds that naming a session that is not visible is naming
// one that is not there.
func testVisibleNamed(r *rig) {
	r.fillVisible()
	for _, session := range []string{"other-1", "nowhere"} {
		if d, ok := r.Log.(derivedLog); ok {
			for _, query := range []string{"", "common"} {
				_, err := d.ListTurns(ctx, store.TurnFilter{Session: session, Query: query, Visible: mine})
				if store.CodeOf(err) != store.CodeNotFound {
					r.Errorf("turns of %s with %q: got %v", session, query, err)
				}
			}
			page, err := d.ListKontasks(ctx, store.KontaskFilter{Session: session, Visible: mine})
			if err != nil || len(page.Kontasks) > 0 || page.Next != "" {
				r.Errorf("kontasks of %s: got %v, %v", session, page, err)
			}
		}
		if s, ok := r.Log.(store.Searcher); ok {
			if _, err := s.Search(ctx, store.SearchFilter{Query: "common", Session: session, Visible: mine}); store.CodeOf(err) != store.CodeNotFound {
				r.Errorf("search in %s: got %v", session, err)
			}
		}
	}
	r.wantHits("search in a visible one", store.SearchFilter{Query: "words", Session: "mine-3", Visible: mine}, "mine-3/1 prompt")
}

// testVisibleWords holds that nobody can ask by words what sessions hold that
// are not visible: whatever they hold, the answer is the same.
func testVisibleWords(r *rig) {
	s, ok := r.Log.(store.Searcher)
	if !ok {
		r.Skip("the engine does not search")
	}
	ask := func() string {
		r.settle()
		var said strings.Builder
		for _, query := range []string{"merger", "merger -plan", "merg*", "plan"} {
			for limit := range 3 {
				page, err := s.Search(ctx, store.SearchFilter{Query: query, Limit: limit + 1, Visible: mine})
				fmt.Fprintf(&said, "%s %d: %s next %q %v\n", query, limit, places(page.Hits), page.Next, err)
			}
		}
		return said.String()
	}
	r.say("other-1", "text", "", object{"text": "nothing of note"})
	r.settle()
	r.say("mine-1", "text", "", object{"text": "a merger, and a plan"})
	r.say("mine-2", "text", "", object{"text": "another merger plan"})
	before := ask()
	r.say("other-1", "text", "", object{"text": "the merger"})
	r.say("gone", "text", "", object{"text": "the merger plan"})
	r.settle()
	r.delete("gone")
	if after := ask(); after != before {
		r.Errorf("what another session says shows:\n%s\nwas\n%s", after, before)
	}
	// Older than mine, too: a cursor at the end of mine would tell of it.
	r.say("mine-1", "text", "", object{"text": "the last merger"})
	r.settle()
	if page, err := s.Search(ctx, store.SearchFilter{Query: "merger last", Limit: 1, Visible: mine}); err != nil || len(page.Hits) != 1 || page.Next != "" {
		r.Errorf("the only hit: got %+v, %v", page, err)
	}
	if page, err := s.Search(ctx, store.SearchFilter{Query: "merger -another -a", Limit: 1, Visible: mine}); err != nil || places(page.Hits) != "mine-1/2 text" || page.Next != "" {
		r.Errorf("the only hit, before which another session has one: got %+v, %v", page, err)
	}
}

// testBlobShown holds who may see a blob: whoever may see an event that refers
// to it.
func testBlobShown(r *rig) {
	blobs := r.blobs()
	b, _ := r.put("text/plain", []byte("content"))
	want := func(what string, want ...string) {
		r.Helper()
		var got []string
		for name, visible := range map[string]store.Patterns{"all": nil, "star": store.AllSessions, "mine": mine, "none": {}} {
			shown, err := blobs.BlobShown(ctx, b.SHA256, visible)
			if err != nil {
				r.Fatal(err)
			}
			if shown {
				got = append(got, name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			r.Errorf("%s: shown to %v, want %v", what, got, want)
		}
	}
	want("without an event")
	r.append("other-1", plain, refersTo(b.SHA256))
	want("of another session", "all", "star")
	r.append("mine-1", plain, refersTo(hashOf([]byte("another"))), refersTo(b.SHA256))
	want("of a visible session", "all", "mine", "star")
	r.delete("mine-1")
	want("after that was deleted", "all", "star")
	r.append("mine-1", plain, text("made again"))
	want("after that was made again", "all", "star")
	for _, name := range []string{"", "x", strings.ToUpper(b.SHA256), hashOf([]byte("absent"))} {
		if shown, err := blobs.BlobShown(ctx, name, nil); shown || err != nil {
			r.Errorf("blob %q: got %v, %v", name, shown, err)
		}
	}
}
