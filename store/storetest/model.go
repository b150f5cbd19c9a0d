package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

// Model runs random operations on the engine and on store/memory, with one
// clock, and wants the same answer to each. A failure is shrunk and printed
// with its seed: -rapid.seed runs it again, -rapid.checks and -rapid.steps set
// how many runs there are and how long they get.
func Model(t *testing.T, e Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{T: rt, engine: e, epochs: map[string]string{}, back: map[string]string{}, sent: map[string]store.Producer{}}
		m.clock.at = begin
		note := func(to *[]news) store.Committed {
			return func(s string, head int64) {
				if s != store.FeedSession { // it may be announced before or after what it tells of
					*to = append(*to, news{s, head})
				}
			}
		}
		m.o = Options{Dir: t.TempDir(), Now: m.clock.now, Committed: note(&m.gotNews)}
		m.o.Quotas = drawQuotas(rt)
		m.got = e.Open(t, m.o)
		m.want = memory.New(memory.Options{Now: m.clock.now, Committed: note(&m.wantNews), Quotas: m.o.Quotas})
		defer func() { _ = m.got.Close() }()
		actions := map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "append more": m.append, "append much": m.append,
			"restore": m.restore, "create": m.create, "update": m.update, "delete": m.delete, "retain": m.retain,
			"read": m.read, "read again": m.read, "list": m.list, "time": m.time,
			"touch": m.touch, "expire": m.expire, "seen": m.seen, "derived": m.derived, "rebuild": m.rebuild,
			"": m.sessions,
		}
		if e.Reopen {
			actions["reopen"] = func(*rapid.T) {
				if err := m.got.Close(); err != nil {
					rt.Fatalf("close: %v", err)
				}
				m.got = e.Open(t, m.o)
				_, _, err := m.want.ExpireTurns(ctx) // as an engine does when it opens
				m.same("reopen", "", "", nil, err)
			}
		}
		rt.Repeat(actions)
		m.everything()
	})
}

// model is an engine under test beside the reference. Operations come one at a
// time, so nothing of it is guarded: an engine announces before it answers.
type model struct {
	*rapid.T
	engine            Engine
	o                 Options
	clock             clock
	got               store.Log
	want              *memory.Log
	gotNews, wantNews []news
	epochs, back      map[string]string         // the reference's epochs to the engine's, and back
	sent              map[string]store.Producer // the last request of session/producer
	turns             int                       // that were named here
}

var modelSessions = []string{"s0", "S1", "s_2"}

func pick[T any](t *rapid.T, name string, from ...T) T { return rapid.SampledFrom(from).Draw(t, name) }

// chance is true about once in n times; shrinking makes it false.
func chance(t *rapid.T, name string, n int) bool { return rapid.IntRange(0, n-1).Draw(t, name) == n-1 }

// same fails unless both gave the same answer and the same announcements.
func (m *model) same(what string, got, want string, gotErr, wantErr error) {
	m.Helper()
	if g, w := outcome(got, gotErr), outcome(want, wantErr); g != w {
		m.Fatalf("%s\ngot  %s\nwant %s", what, g, w)
	}
	bySession(m.gotNews)
	bySession(m.wantNews)
	if !slices.Equal(m.gotNews, m.wantNews) {
		m.Fatalf("%s: announced %v, want %v", what, m.gotNews, m.wantNews)
	}
	m.gotNews, m.wantNews = nil, nil
}

// outcome is an answer as text: of a refusal the code and what it wants.
func outcome(answer string, err error) string {
	if err != nil {
		e := refusal(err)
		if e.Code == "" {
			return "error " + err.Error()
		}
		return fmt.Sprintf("refused %s, want %d", e.Code, e.Want)
	}
	return answer
}

// described describes both sessions. Each of the reference's epochs must go
// with one of the engine's and no other.
func (m *model) described(got, want store.Session) (string, string) {
	if got.Epoch == "" && want.Epoch == "" {
		return "", ""
	}
	if _, known := m.epochs[want.Epoch]; !known && m.back[got.Epoch] == "" {
		m.epochs[want.Epoch], m.back[got.Epoch] = got.Epoch, want.Epoch
	}
	if m.epochs[want.Epoch] != got.Epoch || m.back[got.Epoch] != want.Epoch {
		m.Fatalf("session %s: epoch %q does not change when it should, or changes when it should not", want.ID, got.Epoch)
	}
	return describe(got), describe(want)
}

func drawDraft(t *rapid.T) store.Draft {
	d := store.Draft{
		Type:   pick(t, "type", "text", "text_delta", "tool_start", "tool_result", "turn_start", "turn_start", "turn_end", "prompt", "usage", "x.y"),
		Turn:   pick(t, "turn", "", "t1", "t2", "t3"),
		Parent: pick(t, "parent", "", "p"),
		Data:   []byte(pick(t, "data", "", `{"n":1}`, "{\n\"n\": [1.0, 2]}", `"é\u2028"`, `"`+string(bytes.Repeat([]byte("x"), 300))+`"`)),
		Raw:    []byte(pick(t, "raw", "", `{"a":1}`, "line", "null")),
	}
	if len(d.Data) == 0 {
		d.Data = nil
	}
	if len(d.Raw) == 0 && !chance(t, "empty raw", 4) {
		d.Raw = nil
	}
	switch rapid.IntRange(0, 39).Draw(t, "kind") {
	case 37:
		d.Type = "hello"
	case 38:
		d.Data = []byte(`{"n":`)
	case 39:
		d.Type = store.TypeSessionClosed
	case 30, 31, 32, 33, 34, 35, 36:
		d.Type, d.Data = drawMeaning(t)
	}
	return d
}

// drawMeaning draws events that the server folds into more than a turn.
func drawMeaning(t *rapid.T) (typ string, data []byte) {
	switch rapid.IntRange(0, 5).Draw(t, "meaning") {
	case 0:
		return store.TypePermissionRequest, fmt.Appendf(nil, `{"requestId":"q%d","tool":"Bash"}`, rapid.IntRange(0, 2).Draw(t, "question"))
	case 1:
		return store.TypePermissionResponse, fmt.Appendf(nil, `{"requestId":"q%d","allow":%t}`, rapid.IntRange(0, 2).Draw(t, "question"), chance(t, "allow", 2))
	case 2:
		typ := pick(t, "task", store.TypeTaskStart, store.TypeTaskUpdate, store.TypeTaskEnd)
		return typ, fmt.Appendf(nil, `{"taskId":"k%d","title":"T"}`, rapid.IntRange(0, 2).Draw(t, "task id"))
	case 3:
		return store.TypeTurnStart, fmt.Appendf(nil, `{"leaseMs":%d}`, pick(t, "lease", 1000, 3000, 60_000, 5))
	}
	typ = pick(t, "card", store.TypeKontaskCreated, store.TypeKontaskReady, store.TypeKontaskUpdated, store.TypeKontaskChosen)
	return typ, fmt.Appendf(nil, `{"id":"c%d","status":%q,"title":"C"}`, rapid.IntRange(0, 2).Draw(t, "kontask"), pick(t, "status", "completed", "running"))
}

// bySession sorts the announcements of one operation: between two sessions
// their order means nothing.
func bySession(said []news) {
	slices.SortStableFunc(said, func(a, b news) int { return strings.Compare(a.session, b.session) })
}

// clone copies drafts, because Draft.Check works in place.
func clone(drafts []store.Draft) []store.Draft {
	drafts = slices.Clone(drafts)
	for i := range drafts {
		drafts[i].Data, drafts[i].Raw = bytes.Clone(drafts[i].Data), bytes.Clone(drafts[i].Raw)
	}
	return drafts
}

func (m *model) head(session string) int64 {
	s, _ := m.want.Session(ctx, session)
	return s.Head
}

func (m *model) append(t *rapid.T) {
	session := pick(t, "session", modelSessions...)
	o := store.AppendOptions{NoCreate: chance(t, "no create", 10)}
	if chance(t, "expect head", 5) {
		head := m.head(session) + pick(t, "moved", int64(0), 0, -1, 1)
		o.ExpectHead = &head
	}
	if chance(t, "producer", 3) {
		o.Producer = m.producer(t, session)
	}
	var drafts []store.Draft
	for range rapid.IntRange(1, 5).Draw(t, "drafts") {
		d := drawDraft(t)
		if chance(t, "keyed", 2) { // few keys and few bodies, so that they meet again
			d = store.Draft{Key: pick(t, "key", "k0", "k1", "k2", "k3", "k4"), Type: "text", Data: []byte("1")}
			if chance(t, "other body", 10) {
				d.Data = []byte("2")
			}
		}
		drafts = append(drafts, d)
	}
	m.appendBoth(session, o, drafts)
}

// producer draws the next request of a producer, or one that is wrong or old.
func (m *model) producer(t *rapid.T, session string) *store.Producer {
	p := store.Producer{ID: pick(t, "producer id", "p", "q"), Seq: -1}
	if last, known := m.sent[session+"/"+p.ID]; known {
		p = last
	}
	switch pick(t, "seq", "next", "next", "next", "same", "older", "hole", "newer epoch", "older epoch") {
	case "next":
		p.Seq++
	case "older":
		p.Seq--
	case "hole":
		p.Seq += 2
	case "newer epoch":
		p.Epoch, p.Seq = p.Epoch+1, rapid.Int64Range(0, 1).Draw(t, "first seq")
	case "older epoch":
		p.Epoch, p.Seq = max(p.Epoch-1, 0), 0
	}
	return &p
}

func (m *model) appendBoth(session string, o store.AppendOptions, drafts []store.Draft) {
	what := fmt.Sprintf("append to %s, restore %t, no create %t", session, o.Restore, o.NoCreate)
	if o.ExpectHead != nil {
		what += fmt.Sprintf(", expect head %d", *o.ExpectHead)
	}
	if o.Producer != nil {
		what += fmt.Sprintf(", producer %+v", *o.Producer)
	}
	for _, d := range drafts {
		what += fmt.Sprintf("\n  key %q %s turn %q parent %q data %.40q raw %q id %d %s", d.Key, d.Type, d.Turn, d.Parent, d.Data, d.Raw, d.ID, stamp(d.Time))
	}
	for i := range drafts {
		if drafts[i].NeedsTurn() { // each engine would invent its own
			m.turns++
			drafts[i].AssignTurn(fmt.Sprint("assigned", m.turns))
		}
	}
	got, gotErr := m.got.Append(ctx, session, o, clone(drafts)...)
	want, wantErr := m.want.Append(ctx, session, o, clone(drafts)...)
	m.same(what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want), gotErr, wantErr)
	if p := o.Producer; p != nil && wantErr == nil && (!want.Duplicate || want.First > 0) {
		m.sent[session+"/"+p.ID] = *p
	}
}

// restore draws ids that follow the head or nearly do, and times that go on
// from the last event: what a log that was written once can hold.
func (m *model) restore(t *rapid.T) {
	session := pick(t, "session", modelSessions...)
	at := m.clock.now().Add(-time.Hour)
	if p, err := m.want.Read(ctx, session, store.Query{Backward: true, Limit: store.Limit{Events: 1}}); err == nil && len(p.Events) > 0 {
		at = p.Events[0].Time
	}
	id := m.head(session) + pick(t, "offset", int64(1), 1, 1, 0, 2, 5)
	var drafts []store.Draft
	for range rapid.IntRange(1, 4).Draw(t, "drafts") {
		d := drawDraft(t)
		at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
		d.ID, d.Time = id, at
		d.Data = bytes.Replace(d.Data, []byte(`"id":"c`), []byte(`"id":"`+session+"-c"), 1) // two sessions that tell of one kontask are another test's affair
		drafts = append(drafts, d)
		id += pick(t, "step", int64(1), 1, 1, 1, 1, 1, 2)
	}
	m.appendBoth(session, store.AppendOptions{Restore: true}, drafts)
}

func drawSpec(t *rapid.T) store.SessionSpec {
	return store.SessionSpec{
		Title: pick(t, "title", "", "Title", "tItLe_2", "100%"),
		Scope: pick(t, "scope", "", "a", "b"),
		Tags:  pick(t, "tags", nil, []string{"red"}, []string{"blue", "red"}, []string{""}),
		Meta:  pick(t, "meta", nil, json.RawMessage(`{"a": 1}`), json.RawMessage(`[]`)),

		Retention: pick(t, "keep", nil, nil, &store.Keep{}, keep(-1, 3, -1), keep(-1, 0, 500), keep(5000, -1, -1)),
	}
}

func (m *model) create(t *rapid.T) {
	session, spec := pick(t, "session", modelSessions...), drawSpec(t)
	got, gotMade, gotErr := m.got.CreateSession(ctx, session, spec)
	want, wantMade, wantErr := m.want.CreateSession(ctx, session, spec)
	g, w := m.described(got, want)
	m.same(fmt.Sprintf("create %s %+v", session, spec), fmt.Sprint(g, gotMade), fmt.Sprint(w, wantMade), gotErr, wantErr)
	if wantErr == nil && wantMade {
		m.forget(session)
	}
}

func (m *model) update(t *rapid.T) {
	session, spec := pick(t, "session", modelSessions...), drawSpec(t)
	patch := store.SessionPatch{Title: &spec.Title}
	if chance(t, "more", 2) {
		patch.Scope, patch.Tags, patch.Meta, patch.Retention = &spec.Scope, &spec.Tags, &spec.Meta, spec.Retention
	}
	got, gotErr := m.got.UpdateSession(ctx, session, patch)
	want, wantErr := m.want.UpdateSession(ctx, session, patch)
	g, w := m.described(got, want)
	m.same(fmt.Sprintf("update %s %+v", session, spec), g, w, gotErr, wantErr)
}

func (m *model) delete(t *rapid.T) {
	session := pick(t, "session", modelSessions...)
	m.same("delete "+session, "", "", m.got.DeleteSession(ctx, session), m.want.DeleteSession(ctx, session))
	m.forget(session)
}

func (m *model) forget(session string) {
	delete(m.sent, session+"/p")
	delete(m.sent, session+"/q")
}
