package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// settle waits until everything appended can be found.
func (r *rig) settle() {
	r.Helper()
	s, ok := r.Log.(interface{ Settle(context.Context) error })
	if !ok {
		return // it is found at once
	}
	if err := s.Settle(ctx); err != nil {
		r.Fatalf("settle: %v", err)
	}
}

// say appends an event with data that is given as a value.
func (r *rig) say(session, typ, turn string, data any) int64 {
	r.Helper()
	b, err := json.Marshal(data)
	if err != nil {
		r.Fatal(err)
	}
	return r.append(session, plain, store.Draft{Type: typ, Turn: turn, Data: b}).Last
}

type object = map[string]any

// search walks all pages and must succeed.
func (r *rig) search(f store.SearchFilter) []store.Hit {
	r.Helper()
	s, ok := r.Log.(store.Searcher)
	if !ok {
		r.Skip("the engine does not search")
	}
	r.settle()
	var all []store.Hit
	for range listPagesMax {
		page, err := s.Search(ctx, f)
		if err != nil {
			r.Fatalf("search %+v: %v", f, err)
		}
		if len(page.Hits) > max(f.Limit, store.SearchPageDefault) {
			r.Errorf("search %+v: a page of %d hits", f, len(page.Hits))
		}
		all = append(all, page.Hits...)
		if f.Cursor = page.Next; f.Cursor == "" {
			return all
		}
	}
	r.Fatalf("search %+v: no end after %d pages", f, listPagesMax)
	return nil
}

// places names hits: session/id kind.
func places(hits []store.Hit) string {
	var all []string
	for _, h := range hits {
		all = append(all, fmt.Sprintf("%s/%d %s", h.Session, h.ID, h.Kind))
	}
	return strings.Join(all, ", ")
}

func (r *rig) wantHits(what string, f store.SearchFilter, want string) {
	r.Helper()
	if got := places(r.search(f)); got != want {
		r.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// shown joins a snippet, with hits in brackets.
func shown(h store.Hit) string {
	var b strings.Builder
	for _, f := range h.Snippet {
		if f.Hit {
			b.WriteString("[" + f.Text + "]")
		} else {
			b.WriteString(f.Text)
		}
	}
	return b.String()
}

func testSearch(r *rig) {
	turn := "t1"
	r.say("s", "prompt", turn, object{"text": "Please fix the Login page"})
	r.say("s", "turn_start", turn, object{"requestId": turn})
	for _, part := range []string{"I'll look ", "at the lo", "gin form"} {
		r.say("s", "text_delta", turn, object{"text": part})
	}
	r.say("s", "thinking", turn, object{"text": "secret thoughts"})
	r.say("s", "tool_start", turn, object{"id": "1", "name": "Bash", "input": object{"command": "grep -rn login ."}})
	r.clock.move(time.Hour)
	r.say("s", "tool_result", turn, object{"id": "1", "output": "src/login.go:12: func Login()"})
	r.say("s", "error", turn, object{"error": "login failed"})
	r.say("s", "turn_end", turn, object{"requestId": turn, "success": true, "reason": "done"})
	r.settle() // the order among sessions is that in which they were indexed
	r.say("other", "kontask_ready", "", object{"id": "k", "title": "Login report", "context": object{"output": "<p>all <b>good</b></p>"}})
	for _, test := range []struct {
		what string
		f    store.SearchFilter
		want string
	}{
		{"newest first", store.SearchFilter{Query: "login"}, "other/1 kontask, s/9 error, s/8 output, s/7 tool, s/5 text, s/1 prompt"},
		{"in pages", store.SearchFilter{Query: "login", Limit: 2}, "other/1 kontask, s/9 error, s/8 output, s/7 tool, s/5 text, s/1 prompt"},
		{"all words", store.SearchFilter{Query: "page login"}, "s/1 prompt"},
		{"phrase", store.SearchFilter{Query: `"login form"`}, "s/5 text"},
		{"phrase in another order", store.SearchFilter{Query: `"form login"`}, ""},
		{"excluded", store.SearchFilter{Query: "login -failed -report -grep"}, "s/8 output, s/5 text, s/1 prompt"},
		{"prefix", store.SearchFilter{Query: "logi*", Kind: "tool"}, "s/7 tool"},
		{"a word is not a part of one", store.SearchFilter{Query: "logi"}, ""},
		{"one session", store.SearchFilter{Query: "login", Session: "other"}, "other/1 kontask"},
		{"one kind", store.SearchFilter{Query: "login", Kind: "output"}, "s/8 output"},
		{"since", store.SearchFilter{Query: "login", Session: "s", Since: begin.Add(time.Hour)}, "s/9 error, s/8 output"},
		{"until", store.SearchFilter{Query: "login", Until: begin.Add(time.Hour)}, "s/7 tool, s/5 text, s/1 prompt"},
		{"thinking is not found", store.SearchFilter{Query: "secret"}, ""},
		{"tags are not found", store.SearchFilter{Query: "b good"}, ""},
		{"nothing", store.SearchFilter{Query: "absent"}, ""},
	} {
		r.wantHits(test.what, test.f, test.want)
	}
	hit := r.search(store.SearchFilter{Query: "form"})[0]
	if got, want := shown(hit), "I'll look at the login [form]"; got != want || hit.Turn != turn || !hit.Time.Equal(begin) {
		r.Errorf("got %q of turn %s at %v, want %q", got, hit.Turn, hit.Time, want)
	}
	r.wantRefusals()
	if turns, ok := r.Log.(store.Turns); ok {
		page, err := turns.ListTurns(ctx, store.TurnFilter{Query: "login grep"})
		if err != nil || len(page.Turns) != 1 || page.Turns[0].ID != turn {
			r.Errorf("turns with a text: got %v, %v", page.Turns, err)
		}
		if page, err = turns.ListTurns(ctx, store.TurnFilter{Query: "absent", Session: "s"}); err != nil || len(page.Turns) > 0 {
			r.Errorf("turns without a text: got %v, %v", page.Turns, err)
		}
	}
}

func (r *rig) wantRefusals() {
	r.Helper()
	for _, test := range []struct {
		f    store.SearchFilter
		want store.Code
	}{
		{store.SearchFilter{}, store.CodeInvalidQuery},
		{store.SearchFilter{Query: "-a"}, store.CodeInvalidQuery},
		{store.SearchFilter{Query: "a", Kind: "thinking"}, store.CodeInvalidQuery},
		{store.SearchFilter{Query: "a", Cursor: "x"}, store.CodeInvalidQuery},
		{store.SearchFilter{Query: "a", Cursor: "-1"}, store.CodeInvalidQuery},
		{store.SearchFilter{Query: "a", Session: "/"}, store.CodeInvalidSession},
		{store.SearchFilter{Query: "a", Session: "absent"}, store.CodeNotFound},
	} {
		if page, err := r.Log.(store.Searcher).Search(ctx, test.f); store.CodeOf(err) != test.want {
			r.Errorf("search %+v: got %+v, %v, want code %s", test.f, page, err, test.want)
		}
	}
}

// testSearchScripts finds what other scripts write.
func testSearchScripts(r *rig) {
	for _, text := range []string{"我在北京大学学习。", "東京タワーは高いです", "서울에서 만나요", "สวัสดีครับ", "Ünïcödé Café", "ΟΔΥΣΣΕΎΣ", "ＦＵＬＬ width"} {
		r.say("s", "text", "", object{"text": text})
	}
	for _, test := range []struct{ query, want string }{
		{"北京", "s/1 text"}, {"京大学", "s/1 text"}, {"大京", ""}, {"学", "s/1 text"},
		{"京", "s/2 text, s/1 text"}, {"タワー", "s/2 text"}, {"ワーは", "s/2 text"},
		{"서울", "s/3 text"}, {"울에", "s/3 text"}, {"만나", "s/3 text"}, {"나만", ""},
		{"สวัส", "s/4 text"}, {"ครับ", "s/4 text"},
		{"unicode cafe", "s/5 text"}, {"CAFÉ", "s/5 text"}, {"u\u0308nicode", "s/5 text"},
		{"οδυσσευς", "s/6 text"}, {"full", "s/7 text"}, {"北京 -学习", ""},
	} {
		r.wantHits(test.query, store.SearchFilter{Query: test.query}, test.want)
	}
}

// testSearchForgets holds what went out of the log out of the hits.
func testSearchForgets(r *rig) {
	for range 3 {
		r.say("s", "text", "", object{"text": "apple"})
	}
	r.settle()
	r.say("gone", "text", "", object{"text": "apple"})
	r.wantHits("before", store.SearchFilter{Query: "apple"}, "gone/1 text, s/3 text, s/2 text, s/1 text")
	r.delete("gone")
	r.wantHits("deleted", store.SearchFilter{Query: "apple"}, "s/3 text, s/2 text, s/1 text")
	r.say("gone", "text", "", object{"text": "apple pie"})
	r.wantHits("made again", store.SearchFilter{Query: "apple"}, "gone/2 text, s/3 text, s/2 text, s/1 text")
	r.retain(store.Retention{Events: 2})
	r.wantHits("below the floor", store.SearchFilter{Query: "apple", Session: "s"}, "s/3 text, s/2 text")
	if x, ok := r.Log.(store.Redactor); ok {
		r.say("s", "text_delta", "", object{"text": "one lemon, "})
		r.say("s", "text_delta", "", object{"text": "two limes"})
		r.say("s", "tool_start", "", object{"id": "0", "name": "Buy"})
		r.wantHits("a block that has ended", store.SearchFilter{Query: "limes"}, "s/5 text")
		r.say("s", "text_delta", "", object{"text": "green pear, "})
		r.say("s", "text_delta", "", object{"text": "red plum"})
		r.settle()
		for _, id := range []int64{2, 4, 7} {
			if _, err := x.Redact(ctx, "s", store.RedactSpec{From: id, To: id}); err != nil {
				r.Fatal(err)
			}
		}
		r.wantHits("the beginning of a block was redacted", store.SearchFilter{Query: "limes"}, "")
		r.wantHits("redacted", store.SearchFilter{Query: "apple", Session: "s"}, "s/3 text")
		r.say("s", "text_delta", "", object{"text": ", blue grape"})
		r.say("s", "tool_start", "", object{"id": "1", "name": "Eat"})
		r.wantHits("a block of which a part was redacted", store.SearchFilter{Query: "pear"}, "")
		r.wantHits("what came of it later", store.SearchFilter{Query: "grape"}, "s/12 text")
	}
	if r.engine.Reopen {
		want := places(r.search(store.SearchFilter{Query: "apple"}))
		r.reopen()
		r.wantHits("after reopening", store.SearchFilter{Query: "apple"}, want)
	}
}

// testSearchReopens opens the engine anew in the middle of a block.
func testSearchReopens(r *rig) {
	if !r.engine.Reopen {
		r.Skip("nothing is kept")
	}
	r.say("s", "turn_start", "t", object{"requestId": "t"})
	r.say("s", "text_delta", "t", object{"text": "the quick ", "block": 0})
	r.settle()
	r.say("s", "text_delta", "t", object{"text": "brown ", "block": 0})
	r.reopen()
	r.say("s", "text_delta", "t", object{"text": "fox", "block": 0})
	r.reopen()
	r.wantHits("an open block", store.SearchFilter{Query: "quick"}, "")
	r.say("s", "turn_end", "t", object{"requestId": "t", "success": true, "reason": "done", "fullText": "the quick brown fox"})
	r.reopen()
	r.wantHits("ended", store.SearchFilter{Query: `"the quick brown fox"`}, "s/4 text")
	if _, err := r.Log.(store.Searcher).Search(ctx, store.SearchFilter{Query: "fox", Session: "absent"}); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("got %v, want %v", err, store.ErrNotFound)
	}
}
