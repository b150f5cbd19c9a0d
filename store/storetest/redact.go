package storetest

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

func (r *rig) redact(session string, spec store.RedactSpec) store.Redacted {
	r.Helper()
	l, ok := r.Log.(store.Redactor)
	if !ok {
		r.Skip("the engine does not redact")
	}
	done, err := l.Redact(ctx, session, spec)
	if err != nil {
		r.Fatalf("redact %s %+v: %v", session, spec, err)
	}
	return done
}

// secret is a word that must not be found once it was redacted.
const secret = "hunter2"

// secretive is a draft full of it.
func secretive(i int) store.Draft {
	return store.Draft{Type: "text", Turn: "t", Parent: "p", Data: fmt.Appendf(nil, `{"text":"%s %d"}`, secret, i), Raw: []byte(secret)}
}

func testRedact(r *rig) {
	r.append("s", plain, text("before"))
	r.append("s", plain, keyed("k", secret), secretive(3), secretive(4))
	r.append("s", plain, text("after"))
	old := r.read("s", store.Query{Raw: true})
	held := bytes.Clone(old.Events[1].JSON())
	size := r.session("s").Bytes
	r.clock.move(time.Second)
	r.heard()

	done := r.redact("s", store.RedactSpec{From: 2, To: 4, Reason: `a "key"`})
	if done.ID != 6 || done.Events != 3 || len(done.Forks) > 0 {
		r.Errorf("redacted: got %+v, want event 6 and 3 events", done)
	}
	if said := r.heard(); !slices.Equal(said, []news{{"s", 6}}) {
		r.Errorf("announced %v", said)
	}
	content := int64(len(`{"text":"hunter2"}`) + 2*len(`{"text":"hunter2 3"}`) + 2*len(secret))
	check := func(when string) { r.Helper(); r.wantRedacted(when, old.Events, size-content) }
	check("redacted")
	if !bytes.Equal(old.Events[1].JSON(), held) {
		r.Errorf("an event that a reader holds was changed to %s", old.Events[1].JSON())
	}
	r.wantAppended("key", r.append("s", plain, keyed("k", secret)), store.Appended{First: 2, Last: 2, Duplicate: true})
	before := r.state()
	if again := r.redact("s", store.RedactSpec{From: 2, To: 4}); again.ID != 0 || again.Events != 0 {
		r.Errorf("redacted again: got %+v, want nothing to do", again)
	}
	if again := r.redact("s", store.RedactSpec{From: 6, To: 6}); again.Events != 0 { // else nobody learns of the first
		r.Errorf("redacted what tells of a redaction: %+v", again)
	}
	if after := r.state(); after != before {
		r.Errorf("nothing to redact, but\nbefore: %s\nafter:  %s", before, after)
	}
	if r.engine.Reopen {
		r.reopen()
		check("reopened")
	}
}

// wantRedacted checks session s after events 2 to 4 were redacted, which it had
// in old; size is what it counted without their content.
func (r *rig) wantRedacted(when string, old []store.Event, size int64) {
	r.Helper()
	events := r.events("s")
	r.wantIDs(when, events, 1, 2, 3, 4, 5, 6)
	for i := range events {
		e, was := &events[i], &store.Event{}
		if i < len(old) {
			was = &old[i]
		}
		gone := e.ID >= 2 && e.ID <= 4
		if e.Redacted() != gone || gone && (len(e.Data) > 0 || e.Raw != nil || e.Type != was.Type || e.Turn != was.Turn || e.Parent != was.Parent || !e.Time.Equal(was.Time)) {
			r.Errorf("%s: event %d is %+v, it was %+v", when, e.ID, *e, *was)
		}
		if bytes.Contains(e.JSON(), []byte(secret)) {
			r.Errorf("%s: event %d still says it: %s", when, e.ID, e.JSON())
		}
	}
	said := events[5]
	if said.Type != store.TypeRedacted || string(said.Data) != `{"from":2,"to":4,"reason":"a \"key\""}` || !said.Time.Equal(begin.Add(time.Second)) {
		r.Errorf("%s: the event that tells of it is %s", when, said.JSON())
	}
	if s, want := r.session("s"), size+int64(said.Size()); s.Head != 6 || s.Redacted != 6 || s.Bytes != want {
		r.Errorf("%s: head %d, redacted %d, %d bytes; want 6, 6, %d", when, s.Head, s.Redacted, s.Bytes, want)
	}
}

func testRedactRefusals(r *rig) {
	r.fill("s", 3)
	for _, test := range []struct {
		session  string
		from, to int64
		reason   string
		want     store.Code
	}{
		{"s", 0, 1, "", store.CodeInvalidQuery},
		{"s", 2, 1, "", store.CodeInvalidQuery},
		{"s", 3, 4, "", store.CodeInvalidQuery},
		{"s", 1, store.RedactEventsMax + 1, "", store.CodeBatchTooLarge},
		{"s", 1, 1, strings.Repeat("x", store.ReasonBytesMax+1), store.CodeInvalidQuery},
		{"s", 1, 1, "\xff", store.CodeInvalidUTF8},
		{"none", 1, 1, "", store.CodeNotFound},
		{"bad id", 1, 1, "", store.CodeInvalidSession},
	} {
		l, ok := r.Log.(store.Redactor)
		if !ok {
			r.Skip("the engine does not redact")
		}
		before := r.state()
		_, err := l.Redact(ctx, test.session, store.RedactSpec{From: test.from, To: test.to, Reason: test.reason})
		if store.CodeOf(err) != test.want {
			r.Errorf("redact %s %d to %d: got %v, want %s", test.session, test.from, test.to, err, test.want)
		}
		if after := r.state(); after != before {
			r.Errorf("a refused redaction changed something\nbefore: %s\nafter:  %s", before, after)
		}
	}
}

// testRedactEverywhere redacts what other things are made of: nothing that can
// be asked for may still say it.
func testRedactEverywhere(r *rig) {
	say := func(members string) string { return `{"text":"` + secret + `"` + members + `}` }
	r.append("s", plain, of("prompt", "t1", say(`,"source":"`+secret+`"`)))
	r.append("s", plain, of("turn_start", "t1", say(`,"prompt":"`+secret+`","agent":"`+secret+`"`)))
	r.append("s", plain, of("text", "t1", say("")), of("permission_request", "t1", say(`,"requestId":"q1","tool":"`+secret+`","input":{"a":"`+secret+`"}`)))
	r.append("s", plain, of("task_start", "", say(`,"taskId":"a","title":"`+secret+`"`)))
	r.append("s", plain, of("kontask_ready", "t1", say(`,"id":"k1","title":"`+secret+`","context":{"choices":[{"label":"l","value":"`+secret+`"}]}`)))
	r.append("s", plain, of("turn_end", "t1", say(`,"success":false,"error":"`+secret+`","fullText":"`+secret+`"`)))
	r.append("s", plain, of("prompt", "t2", say("")))
	head := r.session("s").Head
	r.redact("s", store.RedactSpec{From: 1, To: head})
	for _, when := range []string{"redacted", "reopened"} {
		said := []string{r.state(), asJSON(r.events(store.FeedSession)), describe(r.session("s"))}
		turns, err := r.derived().ListTurns(ctx, store.TurnFilter{})
		cards, err2 := r.derived().ListKontasks(ctx, store.KontaskFilter{})
		if err != nil || err2 != nil {
			r.Fatal(err, err2)
		}
		said = append(said, asJSON(turns), asJSON(cards), asJSON(r.turn("s", "t1")))
		for _, text := range said {
			if i := strings.Index(text, secret); i >= 0 {
				r.Errorf("%s, but it is still said: …%s…", when, text[max(0, i-200):min(len(text), i+100)])
			}
		}
		if s := r.session("s"); s.Turn != "" || len(s.Queue()) != 1 || s.Redacted != head+1 {
			r.Errorf("%s: turn %q, %d prompts wait, redacted %d; types stay, so folds do", when, s.Turn, len(s.Queue()), s.Redacted)
		}
		if !r.engine.Reopen {
			break
		}
		r.reopen()
	}
}

// testRedactClosed redacts a closed session, the event that closed it included:
// it takes the server's event that says so, and no other.
func testRedactClosed(r *rig) {
	r.append("s", plain, secretive(1), closing())
	if done := r.redact("s", store.RedactSpec{From: 1, To: 2}); done.ID != 3 || done.Events != 2 {
		r.Errorf("redacted %+v", done)
	}
	if s := r.session("s"); !s.Closed || s.Head != 3 {
		r.Errorf("closed %t, head %d", s.Closed, s.Head)
	}
	r.refused(store.CodeSessionClosed, "s", plain, text("x"))
}

func testRedactBelowFloor(r *rig) {
	r.fill("s", 10)
	r.retain(store.Retention{Events: 4}) // 7 to 10 are left
	if done := r.redact("s", store.RedactSpec{From: 1, To: 6}); done.Events != 0 || done.ID != 0 {
		r.Errorf("of events that retention has taken: got %+v", done)
	}
	done := r.redact("s", store.RedactSpec{From: 5, To: 8})
	events := r.events("s")
	if done.Events != 2 || done.ID != 11 || string(events[len(events)-1].Data) != `{"from":7,"to":8}` {
		r.Errorf("across the floor: got %+v and %s", done, events[len(events)-1].JSON())
	}
	r.retain(store.Retention{Events: 1})
	r.wantIDs("retention goes on", r.events("s"), 11)
	if s := r.session("s"); s.Bytes != int64(events[len(events)-1].Size()) {
		r.Errorf("%d bytes are counted after retention", s.Bytes)
	}
}

// testRedactWhileAppending redacts in the middle of appends: every reader sees
// the whole event or nothing of it, and ids stay dense.
func testRedactWhileAppending(r *rig) {
	if _, ok := r.Log.(store.Redactor); !ok {
		r.Skip("the engine does not redact")
	}
	const n = 200
	r.append("s", plain, secretive(0))
	failed := make(chan error, 1)
	go func() {
		var err error
		for i := 1; i < n && err == nil; i++ {
			_, err = r.Append(ctx, "s", plain, secretive(i))
		}
		failed <- err
	}()
	for i := int64(1); i <= 50; i++ {
		for r.session("s").Head < i {
			runtime.Gosched()
		}
		r.redact("s", store.RedactSpec{From: i, To: i})
	}
	if err := <-failed; err != nil {
		r.Fatal(err)
	}
	said := int64(0)
	for _, e := range r.events("s") {
		if e.Type == store.TypeRedacted {
			said++
		}
		if e.ID <= 50 && e.Type != store.TypeRedacted && !e.Redacted() || e.ID > 50 && e.Redacted() {
			r.Errorf("event %d: redacted %t", e.ID, e.Redacted())
		}
	}
	if s := r.session("s"); said == 0 || s.Head != n+said {
		r.Errorf("head %d after %d appends and %d redactions", s.Head, n, said)
	}
}
