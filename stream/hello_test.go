package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// The size of the schedule.
const (
	helloReaders  = 6
	helloAttaches = 40 // of each reader
	helloBurstMax = 6
	helloNames    = 4 // turns, questions, tasks and kontasks that events choose among
)

// TestP9_HelloIsLevelSet lets events of every kind come while readers attach
// at any moment, on every transport, with any cursor: what a hello and each
// status say is the fold of the events up to the one that they name, and the
// events after it follow.
func TestP9_HelloIsLevelSet(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("KONLOG_HELLO_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("KONLOG_HELLO_SEED=%q is not a number", v)
		}
		seed = n
	}
	t.Logf("KONLOG_HELLO_SEED=%d", seed)
	l := newFakeLog("a", "b")
	m := &marked{}
	w := newSite(t, New(l, l.hub, Config{PageEvents: 7, Marks: m, Heartbeat: time.Hour}))
	p := &levelProducer{log: l, marks: m, random: rand.New(rand.NewPCG(seed, 0)), oracle: map[string]*levelOracle{"a": newLevelOracle("a"), "b": newLevelOracle("b")}}
	p.burst("a", 40)
	p.burst("b", 40)
	l.setAfterRead(func(page store.Page) { // between what was read and what is said of it
		if page.Session.Head%5 == 0 {
			p.burst(page.Session.ID, 1)
		}
	})
	var readers sync.WaitGroup
	for i := range helloReaders {
		r := &levelReader{T: t, site: w, p: p, random: rand.New(rand.NewPCG(seed, uint64(1+i)))}
		readers.Go(func() {
			for range helloAttaches {
				r.attach()
			}
		})
	}
	readers.Wait()
	t.Logf("%d hellos, %d with questions, %d with tasks, %d with kontasks, %d statuses, %d working, %d waiting, %d with a queue",
		p.hellos.Load(), p.questions.Load(), p.tasks.Load(), p.kontasks.Load(), p.statuses.Load(), p.working.Load(), p.waiting.Load(), p.queued.Load())
	for _, n := range []*atomic.Int64{&p.questions, &p.tasks, &p.kontasks, &p.working, &p.waiting, &p.queued} {
		if n.Load() < p.hellos.Load()/10 {
			t.Error("too little was open: this proves nothing")
		}
	}
}

// marked is a read mark that rises.
type marked struct {
	store.Marks // what is not asked for
	at          atomic.Int64
}

func (m *marked) Seen(context.Context, string, string) (int64, error) { return m.at.Load(), nil }

// levelProducer appends random events and counts what readers were told.
type levelProducer struct {
	log   *fakeLog
	marks *marked

	mu     sync.Mutex // guards random and oracle
	random *rand.Rand
	oracle map[string]*levelOracle

	hellos, questions, tasks, kontasks, statuses, working, waiting, queued atomic.Int64
}

// levelOracle is a session's log and the session after each of its events.
type levelOracle struct {
	events []string
	after  []store.Session // after[n] is the fold of the first n
}

func newLevelOracle(id string) *levelOracle {
	return &levelOracle{after: []store.Session{{ID: id, Epoch: "epoch-1", Floor: 1}}}
}

// burst appends n events one by one, so that a reader may come after each.
func (p *levelProducer) burst(session string, n int) {
	for range n {
		p.mu.Lock()
		e := p.event()
		raise, back := p.random.IntN(30) == 0, p.random.Int64N(30)
		p.mu.Unlock()
		p.log.append(session, e)
		if state, err := p.log.Session(context.Background(), session); err == nil && raise {
			for at := p.marks.at.Load(); at < state.Head-back && !p.marks.at.CompareAndSwap(at, state.Head-back); at = p.marks.at.Load() {
			}
		}
	}
}

// event is anything that a log may say, in any order: a restored one may.
func (p *levelProducer) event() store.Event {
	pick := func(kind string) string { return fmt.Sprint(kind, p.random.IntN(helloNames)) }
	types := []string{
		store.TypePrompt, store.TypeTurnStart, store.TypeTurnEnd, store.TypePermissionRequest,
		store.TypePermissionResponse, store.TypePermissionResponse, store.TypePermissionResponse, store.TypePermissionResponse,
		store.TypeTaskStart, store.TypeTaskUpdate, store.TypeTaskEnd, store.TypeKontaskCreated, store.TypeKontaskReady, store.TypeKontaskReady,
		store.TypeKontaskUpdated, store.TypeKontaskChosen, store.TypeTextDelta, store.TypeText, "noise",
	}
	e := store.Event{Type: types[p.random.IntN(len(types))], Turn: pick("t")}
	switch e.Type {
	case store.TypePermissionRequest, store.TypePermissionResponse:
		e.Data = fmt.Appendf(nil, `{"requestId":"%s","tool":"Bash <é>","input":{"n": 1.0},"options":["a"],"allow":true}`, pick("q"))
	case store.TypeTaskStart, store.TypeTaskUpdate, store.TypeTaskEnd:
		e.Data = fmt.Appendf(nil, `{"taskId":"%s","title":"T","status":"%s"}`, pick("k"), pick("s"))
	case store.TypeKontaskCreated, store.TypeKontaskReady, store.TypeKontaskUpdated:
		e.Data = fmt.Appendf(nil, `{"id":"%s","title":"%s","context":{"choices":[{"label":"a","value":"b"}]}}`, pick("c"), pick("title"))
	case store.TypeKontaskChosen:
		e.Data = fmt.Appendf(nil, `{"kontaskId":"%s","choice":0}`, pick("c"))
	}
	return e
}

// state returns the session after n events, folded from the log.
func (p *levelProducer) state(session string, n int64) (state store.Session, events []string) {
	p.log.mu.Lock()
	log := p.log.sessions[session].events
	p.log.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.oracle[session]
	for int64(len(o.events)) < n {
		e := log[len(o.events)]
		next := o.after[len(o.after)-1]
		next.Fold(&e, 0)
		o.after, o.events = append(o.after, next), append(o.events, string(e.JSON()))
	}
	return o.after[n], o.events[:n:n]
}

// levelReader attaches again and again.
type levelReader struct {
	*testing.T
	site   *site
	p      *levelProducer
	random *rand.Rand
}

func (r *levelReader) attach() {
	session := []string{"a", "b"}[r.random.IntN(2)]
	after := r.random.Int64N(r.head(session) + 4) // sometimes beyond the head
	query := fmt.Sprintf("after=%d", after)
	filter := []string{"", "", "&fold=1", "&types=noise"}[r.random.IntN(4)]
	r.p.burst(session, r.random.IntN(helloBurstMax))
	mark := r.p.marks.at.Load()
	one := "/v1/sessions/" + session
	var s liveStream
	switch r.random.IntN(6) {
	case 0:
		s = r.site.sse(one + "/sse?" + query + filter)
	case 1:
		s = r.site.ws(one + "/ws?" + query + filter)
	case 2:
		s = r.site.ws(one + "/ws?batch=1&" + query + filter)
	case 3:
		s = r.site.sse(fmt.Sprintf("/v1/sse?cursor=%s:%d%s", session, after, filter))
	case 4:
		ws := r.site.ws("/v1/ws")
		f := map[string]any{"type": "subscribe", "session": session, "after": after}
		switch filter {
		case "&fold=1":
			f["fold"] = true
		case "&types=noise":
			f["types"] = []string{"noise"}
		}
		ws.send(r, string(encode(f)))
		s = ws
	default:
		r.poll(session, one+"/events?limit=20&"+query+filter)
		return
	}
	defer s.close()
	r.p.burst(session, r.random.IntN(helloBurstMax))
	r.follow(s, session, after, mark, filter)
}

func (r *levelReader) head(session string) int64 {
	state, err := r.p.log.Session(context.Background(), session)
	if err != nil {
		r.Error(err)
	}
	return state.Head
}

// follow reads a stream some way into what came after its hello.
func (r *levelReader) follow(s liveStream, session string, after, mark int64, filter string) {
	through, wanted := int64(-1), int64(r.random.IntN(3))
	last, told, reset := after, int64(0), false
	for {
		g, err := s.next()
		if err != nil {
			r.Errorf("after hello through %d: %v", through, err)
			return
		}
		switch g.name {
		case "hello":
			through = r.hello(g, session, after, mark)
			if wanted += through; after > through {
				wanted = through
			}
			for r.head(session) < wanted { // there must be something to follow
				r.p.burst(session, 1)
			}
		case "status":
			at := r.status(g.body, session)
			if at < through || at < told {
				r.Errorf("a status of event %d came after one of event %d and a hello through %d", at, told, through)
			}
			told = at
		case "reset":
			if after <= through || reset {
				r.Errorf("after=%d of %d: %s", after, through, g.body)
			}
			last, reset = 0, true
		case "caught_up":
			if g.id < through {
				r.Errorf("caught up at %d, hello was through %d", g.id, through)
				return
			}
			if filter == "&types=noise" {
				return
			}
		case "":
			if through < 0 {
				r.Errorf("event %d came before hello", g.id)
			}
			_, events := r.p.state(session, g.id)
			folded := filter == "&fold=1" && g.id <= through
			if !folded && g.body != events[g.id-1] {
				r.Errorf("event %d is %s, the log has %s", g.id, g.body, events[g.id-1])
			}
			if filter == "&types=noise" {
				break
			}
			if g.id != last+1 && !folded || g.id <= last {
				r.Errorf("%s: event %d came after %d; hello was through %d", filter, g.id, last, through)
				return
			}
			last = g.id
		default:
			r.Errorf("got %s", g.body)
			return
		}
		if through >= 0 && last >= max(wanted, 1) {
			return
		}
	}
}

// hello holds a hello against the fold of the log.
func (r *levelReader) hello(g got, session string, after, mark int64) (through int64) {
	var h struct {
		Session                    string
		Head, After, Through       int64
		Questions, Tasks, Kontasks json.RawMessage
		Status                     json.RawMessage
	}
	if err := json.Unmarshal([]byte(g.body), &h); err != nil {
		r.Errorf("%v: %s", err, g.body)
		return 0
	}
	state, _ := r.p.state(session, h.Through)
	open := store.Open{}
	if state.Open != nil {
		open = *state.Open
	}
	if h.Session != session || h.Head != h.Through || h.After != after {
		r.Errorf("after=%d of %s: %s", after, session, g.body)
	}
	r.list("questions", h.Through, h.Questions, open.Questions)
	r.list("tasks", h.Through, h.Tasks, open.Tasks)
	right := false // with the mark before, after, or any between: it rises meanwhile
	for ; mark <= r.p.marks.at.Load() && !right; mark++ {
		var cards []store.Card
		for _, c := range open.Kontasks {
			if c.Ready > mark {
				cards = append(cards, c)
			}
		}
		right = bytes.Equal(h.Kontasks, listJSON(cards))
		if right && len(cards) > 0 {
			r.p.kontasks.Add(1)
		}
	}
	if !right {
		r.Errorf("through %d: kontasks %s, want those above the mark of %s", h.Through, h.Kontasks, listJSON(open.Kontasks))
	}
	r.status(string(h.Status), session)
	r.p.hellos.Add(1)
	if len(open.Questions) > 0 {
		r.p.questions.Add(1)
	}
	if len(open.Tasks) > 0 {
		r.p.tasks.Add(1)
	}
	return h.Through
}

func (r *levelReader) list(name string, through int64, got json.RawMessage, want any) {
	if b := listJSON(want); !bytes.Equal(got, b) {
		r.Errorf("through %d: %s %s, want %s", through, name, got, b)
	}
}

// listJSON is a list as it stands in a hello, where it is never null.
func listJSON(list any) []byte {
	b := encode(list)
	if string(b) == "null" {
		return []byte("[]")
	}
	return b
}

// status holds a status against the fold of the events up to its head.
func (r *levelReader) status(body, session string) (head int64) {
	var s struct {
		Session, State, Turn string
		TurnActive           bool
		Queued               int
		Head                 int64
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		r.Errorf("%v: %s", err, body)
		return 0
	}
	state, _ := r.p.state(session, s.Head)
	if s.Session != session || s.State != state.State() || s.Turn != state.Turn || s.TurnActive != (state.Turn != "") || s.Queued != len(state.Queue()) {
		r.Errorf("status %s, want state %s, turn %q and %d queued", body, state.State(), state.Turn, len(state.Queue()))
	}
	r.p.statuses.Add(1)
	switch {
	case s.State == store.StateWaiting:
		r.p.waiting.Add(1)
	case s.TurnActive:
		r.p.working.Add(1)
	}
	if s.Queued > 0 {
		r.p.queued.Add(1)
	}
	return s.Head
}

// poll reads a page, whose head and status are of one moment.
func (r *levelReader) poll(session, path string) {
	body, res := r.site.body(path)
	var p struct {
		Head   int64
		Events []json.RawMessage
		Status json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 200 {
		r.Errorf("%s: status %d, %v: %s", path, res.StatusCode, err, body)
		return
	}
	var s struct{ Head int64 }
	if err := json.Unmarshal(p.Status, &s); err != nil || s.Head != p.Head {
		r.Errorf("%s: the page is of head %d, its status %s", path, p.Head, p.Status)
		return
	}
	r.status(string(p.Status), session)
	for _, e := range p.Events {
		if id := parseGot(string(e)).id; id > p.Head {
			r.Errorf("%s: event %d in a page of head %d", path, id, p.Head)
		}
	}
}
