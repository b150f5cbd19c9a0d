package storetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

func (r *rig) derived() derivedLog {
	r.Helper()
	l, ok := r.Log.(derivedLog)
	if !ok {
		r.Fatal("the engine does not know turns, kontasks, questions, marks and leases")
	}
	return l
}

func of(typ, turn, data string) store.Draft {
	d := store.Draft{Type: typ, Turn: turn}
	if data != "" {
		d.Data = []byte(data)
	}
	return d
}

func (r *rig) turn(session, id string) *store.Turn {
	r.Helper()
	t, err := r.derived().Turn(ctx, session, id)
	if err != nil {
		r.Fatalf("turn %s of %s: %v", id, session, err)
	}
	return t
}

func testTurn(r *rig) {
	step := func(d store.Draft, turn string, since time.Time, state string) {
		r.Helper()
		r.clock.move(time.Second)
		r.append("s", plain, d)
		s := r.session("s")
		if s.Turn != turn || !s.TurnSince.Equal(since) || s.State() != state {
			r.Errorf("after %s: got turn %q since %v state %s, want %q %v %s", d.Type, s.Turn, s.TurnSince, s.State(), turn, since, state)
		}
	}
	one, two := begin.Add(time.Second), begin.Add(4*time.Second)
	step(of("turn_start", "t1", ""), "t1", one, "working")
	step(text("x"), "t1", one, "working")
	r.refused(store.CodeTurnOpen, "s", plain, of("turn_start", "t2", ""))
	r.refused(store.CodeTurnOpen, "s", plain, of("turn_start", "t1", ""))
	r.refused(store.CodeNoTurn, "s", plain, of("turn_end", "t0", ""))
	step(of("turn_end", "", `{"success":true}`), "", time.Time{}, "idle")
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_end", "t1", ""))
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_start", "t1", ""))
	r.refused(store.CodeTurnEnded, "s", plain, of("prompt", "t1", ""))
	r.refused(store.CodeNoTurn, "s", plain, of("turn_end", "", ""))
	r.refused(store.CodeTurnOpen, "s", plain, of("turn_start", "t2", ""), of("turn_start", "t3", ""))
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_start", "t2", ""), of("turn_end", "t2", ""), of("turn_end", "t2", ""))
	step(of("turn_start", "t2", ""), "t2", two, "working")
	r.append("s", plain, of("text", "t1", `{"text":"late"}`))
	if got := r.turn("s", "t1"); got.State != store.TurnEnded || got.First != 1 || got.EndID != 3 || got.Last != 5 || !got.Success {
		r.Errorf("got turn %s, want ended by event 3, with event 5 as its last", asJSON(got))
	}
	if _, err := r.derived().Turn(ctx, "s", "t9"); store.CodeOf(err) != store.CodeTurnNotFound {
		r.Errorf("an unknown turn: got %v", err)
	}
}

func testLease(r *rig) {
	l := r.derived()
	expire := func(want int) time.Time {
		r.Helper()
		n, next, err := l.ExpireTurns(ctx)
		if err != nil || n != want {
			r.Errorf("expire: got %d, %v, want %d", n, err, want)
		}
		return next
	}
	r.append("s", plain, of("turn_start", "t1", `{"leaseMs":10000}`))
	r.append("forever", plain, of("turn_start", "t1", ""))
	r.append("later", plain, of("turn_start", "t1", `{"leaseMs":3600000}`))
	r.refused(store.CodeInvalidEvent, "other", plain, of("turn_start", "t1", `{"leaseMs":1}`))
	r.refused(store.CodeInvalidEvent, "other", plain, of("turn_start", "t1", `{"leaseMs":"x"}`))
	r.clock.move(9 * time.Second)
	r.append("s", plain, of("text", "t1", `{"text":"x"}`)) // renews
	r.append("s", plain, text("of no turn"))
	r.clock.move(9 * time.Second)
	if next := expire(0); !next.Equal(begin.Add(19 * time.Second)) {
		r.Errorf("next deadline %v, want 10 s after the last append of the turn", next)
	}
	deadline, err := l.TouchTurn(ctx, "s", "t1")
	if err != nil || !deadline.Equal(begin.Add(28*time.Second)) {
		r.Errorf("touch: got %v, %v", deadline, err)
	}
	r.clock.move(10 * time.Second)
	if r.engine.Reopen {
		r.reopen() // sweeps by itself
		l = r.derived()
		expire(0)
	} else {
		expire(1)
	}
	expire(0)
	e := r.events("s")[len(r.events("s"))-1]
	if e.Type != "turn_end" || e.Turn != "t1" || string(e.Data) != `{"requestId":"t1","success":false,"reason":"abandoned"}` {
		r.Errorf("the log ends with %s", e.JSON())
	}
	if _, err := l.TouchTurn(ctx, "s", "t1"); store.CodeOf(err) != store.CodeTurnEnded {
		r.Errorf("touch of an ended turn: %v", err)
	}
	if _, err := l.TouchTurn(ctx, "s", "t9"); store.CodeOf(err) != store.CodeNoTurn {
		r.Errorf("touch of no turn: %v", err)
	}
	if s := r.session("forever"); s.Turn != "t1" {
		r.Error("a turn without a lease was ended")
	}
}

func testFenced(r *rig) {
	r.append("s", plain, of("turn_start", "t1", `{"leaseMs":1000}`))
	r.clock.move(time.Minute)
	if _, _, err := r.derived().ExpireTurns(ctx); err != nil {
		r.Fatal(err)
	}
	r.refused(store.CodeTurnEnded, "s", plain, of("text", "t1", ""))
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_end", "t1", ""))
	r.refused(store.CodeTurnEnded, "s", plain, text("x"), of("tool_result", "t1", ""))
	r.append("s", plain, of("task_end", "t1", `{"taskId":"k"}`))
	r.append("s", plain, of("kontask_ready", "t1", `{"id":"c"}`))
}

func testTurnNames(r *rig) {
	prompt := store.Draft{Key: "k", Type: "prompt", Data: []byte(`{"text":"hi"}`)}
	first := r.append("s", plain, prompt)
	named := r.events("s")[0].Turn
	if len(named) != 36 || named[14] != '7' {
		r.Errorf("got turn %q, want a UUIDv7", named)
	}
	if again := r.append("s", plain, prompt); !again.Duplicate || again.First != first.First {
		r.Errorf("retry: got %+v, want the first", again)
	}
	r.append("s", plain, of("turn_start", "", `{"requestId":"r-7"}`))
	if s := r.session("s"); s.Turn != "r-7" {
		r.Errorf("got turn %q, want the requestId", s.Turn)
	}
	r.refused(store.CodeInvalidEvent, "s", plain, of("turn_end", "r-7", `{"requestId":"r-8"}`))
	r.append("s", plain, of("turn_end", "", `{"requestId":"r-7"}`))
}

// testRestoredTurns: what a log that was written elsewhere says is not judged.
func testRestoredTurns(r *rig) {
	restore := store.AppendOptions{Restore: true}
	r.append("s", restore,
		store.Draft{ID: 1, Type: "turn_end", Turn: "t0"}, store.Draft{ID: 2, Type: "turn_start", Turn: "t1"},
		store.Draft{ID: 3, Type: "turn_start", Turn: "t2"}, store.Draft{ID: 4, Type: "turn_end", Turn: "t2"},
		store.Draft{ID: 5, Type: "turn_end", Turn: "t2"}, store.Draft{ID: 6, Type: "turn_start"},
		store.Draft{ID: 7, Type: "permission_response", Data: []byte(`{"requestId":"q"}`)},
		store.Draft{ID: 8, Type: "permission_response", Data: []byte(`{"requestId":"q"}`)},
		store.Draft{ID: 9, Type: "kontask_chosen", Data: []byte(`{"kontaskId":"c"}`)})
	if s := r.session("s"); s.Head != 9 || s.Turn != "" {
		r.Errorf("got %s", describe(s))
	}
	if _, answered, _ := r.derived().Answer(ctx, "s", "q"); answered != 7 {
		r.Errorf("answered by %d, want the first", answered)
	}
	if n := len(r.events(store.FeedSession)); n != 1 {
		r.Errorf("the feed has %d events, want only session_created: what was long ago is no news", n)
	}
}

func testPrompts(r *rig) {
	r.append("s", plain, of("prompt", "a", `{"text":"first"}`), of("prompt", "b", `{"text":"second","source":"inject"}`))
	s := r.session("s")
	queue := s.Queue()
	if len(queue) != 2 || queue[0].Turn != "a" || queue[1].Text != "second" || queue[1].Source != "inject" {
		r.Fatalf("queue %s", asJSON(queue))
	}
	if got := r.turn("s", "b"); got.State != store.TurnQueued || got.Prompt != "second" {
		r.Errorf("turn b %s", asJSON(got))
	}
	r.append("s", plain, of("turn_start", "a", ""))
	r.append("s", plain, of("prompt", "a", `{"text":"and this"}`)) // steers the open turn
	s = r.session("s")
	if queue := s.Queue(); len(queue) != 1 || queue[0].Turn != "b" {
		r.Errorf("queue %s, want b alone", asJSON(queue))
	}
	r.refused(store.CodeNoTurn, "s", store.AppendOptions{Waiting: "a"}, of("stop_turn", "a", ""))
	r.refused(store.CodeTurnOpen, "s", plain, closing())
	notable := r.session("s").Notable
	r.append("s", store.AppendOptions{Waiting: "b"}, of("turn_end", "b", `{"success":false,"reason":"stopped"}`)) // before it began
	if s := r.session("s"); s.Notable != notable || s.Open != nil && s.Open.Ended != nil {
		r.Errorf("a prompt that was withdrawn is no result: %s", describe(s))
	}
	if s := r.session("s"); len(s.Queue()) != 0 || s.Turn != "a" {
		r.Errorf("got %s", describe(s))
	}
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_start", "b", ""))
	for i := range store.PromptsMax {
		r.append("s", plain, of("prompt", fmt.Sprint("p", i), ""))
	}
	r.refused(store.CodePromptsFull, "s", plain, of("prompt", "one more", ""))
}

func testAnswers(r *rig) {
	r.append("s", plain, of("turn_start", "t", ""), of("permission_request", "t", `{"requestId":"q1","tool":"Bash","input":{"command":"ls"}}`))
	s := r.session("s")
	if s.State() != "waiting" || len(s.Questions()) != 1 || s.Questions()[0].Tool != "Bash" || string(s.Questions()[0].Input) != `{"command":"ls"}` {
		r.Errorf("got state %s, questions %s", s.State(), asJSON(s.Questions()))
	}
	first := r.append("s", plain, of("permission_response", "", `{"requestId":"q1","allow":true,"by":"ann"}`))
	second := r.append("s", plain, of("permission_response", "", `{"requestId":"q1","allow":false,"by":"bob"}`))
	if !second.Duplicate || second.First != first.First {
		r.Errorf("second answer: got %+v, want the first's id %d", second, first.First)
	}
	mixed := r.append("s", plain, text("kept"), of("permission_response", "", `{"requestId":"q1","allow":false,"by":"bob"}`), of("text", "t", `{"text":"and this"}`))
	if want := (store.Appended{First: 4, Last: 5, IDs: []int64{4, first.First, 5}}); asJSON(mixed) != asJSON(want) {
		r.Errorf("a second answer among others: got %+v, want %+v", mixed, want)
	}
	if s := r.session("s"); s.Head != 5 || s.State() != "working" {
		r.Errorf("got %s", describe(s))
	}
	if e := r.events("s")[first.First-1]; e.Turn != "t" {
		r.Errorf("the answer has turn %q, want its question's", e.Turn)
	}
	r.refused(store.CodeAnswered, "s", plain, of("permission_request", "t", `{"requestId":"q1"}`))
	r.refused(store.CodeInvalidEvent, "s", plain, of("permission_request", "t", `{"requestId":"`+strings.Repeat("q", 300)+`"}`))
	r.append("s", plain, of("permission_request", "t", `{"requestId":"q2"}`), of("turn_end", "t", ""))
	if s := r.session("s"); s.State() != "idle" {
		r.Errorf("a question outlives its turn: %s", describe(s))
	}
	r.refused(store.CodeInvalidEvent, "s", plain, of("permission_response", "", `{"allow":true}`))
	var wins sync.Map
	var all sync.WaitGroup
	r.append("s", plain, of("permission_request", "", `{"requestId":"q3"}`))
	for i := range 16 {
		all.Go(func() {
			if a, err := r.Append(ctx, "s", plain, of("permission_response", "", fmt.Sprintf(`{"requestId":"q3","by":"%d"}`, i))); err == nil && !a.Duplicate {
				wins.Store(i, a)
			}
		})
	}
	all.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		r.Errorf("%d answers won, want 1", n)
	}
}

func testTasks(r *rig) {
	r.append("s", plain, of("turn_start", "t", ""), of("task_start", "t", `{"taskId":"k1","title":"build"}`), of("task_start", "t", `{"taskId":"k2"}`),
		of("turn_end", "t", ""), of("task_update", "t", `{"taskId":"k1","status":"half"}`))
	s := r.session("s")
	if s.Open == nil || len(s.Open.Tasks) != 2 || s.Open.Tasks[0].Status != "half" || s.Open.Tasks[0].Last != 5 || s.Open.Tasks[0].ID != 2 {
		r.Errorf("open %s, want both tasks after the turn's end", asJSON(s.Open))
	}
	before := s.Open
	r.append("s", plain, of("task_end", "t", `{"taskId":"k1"}`), of("task_end", "", `{"taskId":"k2"}`))
	if s := r.session("s"); len(s.Open.Tasks) != 0 {
		r.Errorf("open %s", asJSON(s.Open))
	}
	if len(before.Tasks) != 2 {
		r.Error("what a reader held was changed")
	}
}

func testFeed(r *rig) {
	title := "new title"
	r.append("s", plain, of("turn_start", "t", `{"agent":"claude"}`), text("not in the feed"))
	_, _ = r.UpdateSession(ctx, "s", store.SessionPatch{Title: &title})
	r.append("s", plain, of("permission_request", "t", `{"requestId":"q","tool":"Bash","input":{"long":"`+strings.Repeat("x", 1000)+`"}}`))
	r.append("s", plain, of("turn_end", "t", `{"success":true,"reason":"done","fullText":"`+strings.Repeat("x", 5000)+`"}`))
	r.append("s", plain, of("kontask_ready", "", `{"id":"c","title":"Card"}`))
	r.append("s", plain, store.Draft{Type: "session_closed"})
	r.delete("s")
	want := []string{
		`session_created {"session":"s","id":0,"tags":[]}`,
		`turn_start {"session":"s","id":1,"agent":"claude"}`,
		`session_updated {"session":"s","id":2,"title":"new title","tags":[]}`,
		`permission_request {"session":"s","id":3,"requestId":"q","tool":"Bash"}`,
		`turn_end {"session":"s","id":4,"success":true,"reason":"done"}`,
		`kontask_ready {"session":"s","id":5,"kontaskId":"c","title":"Card"}`,
		`session_closed {"session":"s","id":6}`,
		`session_deleted {"session":"s","id":6}`,
	}
	var got []string
	for _, e := range r.events(store.FeedSession) {
		got = append(got, e.Type+" "+string(e.Data))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.Errorf("the feed has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range r.list(store.SessionFilter{}) {
		if store.OwnSession(s.ID) {
			r.Errorf("%s stands in the list of sessions", s.ID)
		}
	}
}

func testInbox(r *rig) {
	l := r.derived()
	want := func(what, want string) {
		r.Helper()
		if got, err := inboxOf(l, "ann"); err != nil || got != want {
			r.Errorf("%s: got inbox %q, %v, want %q", what, got, err, want)
		}
	}
	r.append("quiet", plain, text("x"))
	want("nothing notable", "")
	r.clock.move(time.Second)
	r.append("done", plain, of("turn_start", "t", ""), of("turn_end", "t", ""))
	r.clock.move(time.Second)
	r.append("asks", plain, of("permission_request", "", `{"requestId":"q"}`))
	want("a finished turn and a question", "asks 0 1 1\ndone 0 2 0\n")
	if at, err := l.MarkSeen(ctx, "ann", "done", 99); at != 2 || err != nil {
		r.Errorf("seen beyond the head: %d, %v", at, err)
	}
	if at, _ := l.MarkSeen(ctx, "ann", "done", 1); at != 2 {
		r.Errorf("a mark fell to %d", at)
	}
	_, _ = l.MarkSeen(ctx, "ann", "asks", 1)
	want("a seen question still waits", "asks 1 1 1\n")
	if got, _ := inboxOf(l, "bob"); got != "asks 0 1 1\ndone 0 2 0\n" {
		r.Errorf("bob has seen nothing, got %q", got)
	}
	r.append("asks", plain, of("permission_response", "", `{"requestId":"q","allow":true}`))
	want("answered", "")
	if at, err := l.Seen(ctx, "ann", "done"); at != 2 || err != nil {
		r.Errorf("seen: %d, %v", at, err)
	}
	seen := 0
	for _, e := range r.events(store.FeedSession) {
		if e.Type == store.TypeSeen {
			seen++
		}
	}
	if seen != 2 {
		r.Errorf("the feed tells of %d marks that rose, want 2", seen)
	}
}

// testOpenReopens: what a session waits for is there after a restart, and the
// rules hold across it.
func testOpenReopens(r *rig) {
	if !r.engine.Reopen {
		r.Skip("the engine keeps nothing over Close")
	}
	r.append("s", plain, of("prompt", "p", `{"text":"wait"}`), of("turn_start", "t", ""), of("text_delta", "t", `{"text":"he"}`),
		of("permission_request", "t", `{"requestId":"q"}`), of("task_start", "t", `{"taskId":"k"}`), of("kontask_ready", "", `{"id":"c","context":{"choices":[{"label":"a","value":"b"}]}}`))
	before := describe(r.session("s"))
	r.reopen()
	if after := describe(r.session("s")); after != before {
		r.Errorf("got  %s\nwant %s", after, before)
	}
	r.refused(store.CodeTurnOpen, "s", plain, of("turn_start", "p", ""))
	r.append("s", plain, of("text_delta", "t", `{"text":"llo"}`), of("permission_response", "", `{"requestId":"q"}`))
	r.reopen()
	if a := r.append("s", plain, of("permission_response", "", `{"requestId":"q"}`)); !a.Duplicate {
		r.Error("a second answer won after the restart")
	}
	r.append("s", plain, of("turn_end", "t", `{"success":true}`))
	if got := r.turn("s", "t"); got.Text != "hello" || got.State != store.TurnEnded {
		r.Errorf("turn %s, want its text from before and after the restart", asJSON(got))
	}
	r.refused(store.CodeTurnEnded, "s", plain, of("turn_end", "t", ""))
}
