package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// The size of the schedule.
const (
	rebuildRounds   = 3 // engines, each with a directory and a schedule of its own
	rebuildSteps    = 200
	rebuildSessions = 4
	rebuildNames    = 5 // turns, questions, tasks and kontasks of a session that events choose among
)

// TestI8_RebuildFindsNothing lets a random schedule go through an engine and
// folds every log anew: the tables must say what the log says, at any moment,
// and a rebuild that finds nothing must leave everything as it was.
func TestI8_RebuildFindsNothing(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("KONLOG_REBUILD_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("KONLOG_REBUILD_SEED=%q is not a number", v)
		}
		seed = n
	}
	t.Logf("KONLOG_REBUILD_SEED=%d", seed)
	done := map[string]int{}
	for round := range rebuildRounds {
		s := &schedule{T: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, uint64(round))), done: map[string]int{}}
		s.retains = round%2 == 1 // of a log that was cut less can be said
		s.now = time.Date(2026, 11, 20, 17, 24, 1, 0, time.UTC)
		s.open()
		for n := range rebuildSteps {
			s.step()
			if n%60 == 59 {
				s.rebuildAll()
			}
		}
		s.rebuildAll()
		if err := s.log.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %v", round, s.done)
		for what, n := range s.done {
			done[what] += n
		}
	}
	for _, what := range []string{"prompt", "turn_start", "turn_end", "permission_request", "permission_response", "kontask_ready", "kontask_chosen", "usage", "tool_start", "task_end"} {
		if done[what] == 0 {
			t.Errorf("no %s was appended: %v", what, done)
		}
	}
}

// TestI8_UsageOfATurnThatWaits: what is said of a turn before it begins is in
// its fold, also when it ends without beginning.
func TestI8_UsageOfATurnThatWaits(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l, err := Open(ctx, t.TempDir(), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, d := range []store.Draft{
		{Type: store.TypePrompt, Turn: "r-1", Data: []byte(`{"text":"go"}`)},
		{Type: store.TypeUsage, Turn: "r-1", Data: []byte(`{"costUsd":0.5}`)},
		{Type: store.TypeTurnEnd, Turn: "r-1", Data: []byte(`{"success":false,"reason":"stopped"}`)},
	} {
		if _, err := l.Append(ctx, "s", store.AppendOptions{}, d); err != nil {
			t.Fatal(err)
		}
	}
	if differences, err := l.Rebuild(ctx, "s"); err != nil || len(differences) > 0 {
		t.Errorf("the tables say something else than the log: %q, %v", differences, err)
	}
	if turn, err := l.Turn(ctx, "s", "r-1"); err != nil || turn.CostUSD != "0.5" {
		t.Errorf("its cost is lost: %+v, %v", turn, err)
	}
}

// schedule is an engine and what is done to it.
type schedule struct {
	*testing.T
	dir    string
	log    *Log
	random *rand.Rand
	done   map[string]int // events appended, by type

	retains bool

	mu  sync.Mutex // guards now: the engine asks for it
	now time.Time
}

func (s *schedule) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *schedule) open() {
	s.Helper()
	cache := int64(-1)
	if s.random.IntN(2) == 0 {
		cache = 1 << 20
	}
	l, err := Open(context.Background(), s.dir, Options{Now: s.clock, CacheBytes: cache, LeasesByHand: true, NoSync: true})
	if err != nil {
		s.Fatal(err)
	}
	s.log = l
}

func (s *schedule) session() string { return fmt.Sprint("s", s.random.IntN(rebuildSessions)) }

// named is one of a few names, so that events meet at the same ones.
func (s *schedule) named(kind string) string {
	return fmt.Sprintf("%s%d", kind, s.random.IntN(rebuildNames))
}

// step does one thing. Most of them are appends, and some of those are refused.
func (s *schedule) step() {
	s.Helper()
	s.mu.Lock()
	s.now = s.now.Add(time.Duration(s.random.IntN(700)) * time.Millisecond)
	s.mu.Unlock()
	ctx, session := context.Background(), s.session()
	var err error
	switch x := s.random.IntN(100); {
	case x < 1:
		if err = s.log.Close(); err == nil {
			s.open()
		}
	case x < 6:
		_, _, err = s.log.ExpireTurns(ctx)
	case x < 9:
		_, err = s.log.MarkSeen(ctx, store.SubjectLocal, session, int64(s.random.IntN(40)))
	case x < 10:
		err = s.log.DeleteSession(ctx, session)
	case x < 12 && s.retains:
		_, err = s.log.Retain(ctx, store.Retention{Events: int64(20 + s.random.IntN(60))})
	default:
		s.append(ctx, session)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Fatal(err)
	}
}

func (s *schedule) append(ctx context.Context, session string) {
	s.Helper()
	state, err := s.log.Session(ctx, session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Fatal(err)
	}
	drafts := make([]store.Draft, 1+s.random.IntN(4))
	for i := range drafts {
		drafts[i] = s.draft(session, &state)
	}
	_, err = s.log.Append(ctx, session, store.AppendOptions{}, drafts...)
	var refused *store.Error
	if err != nil && (!errors.As(err, &refused) || refused.Code == store.CodeStorageFailed) {
		s.Fatal(err)
	}
	for i := range drafts {
		if err == nil {
			s.done[drafts[i].Type]++
		}
	}
}

// draft is an event of the open turn as a rule, of another one else. Kontasks
// have names that only one session uses, else most would be refused.
func (s *schedule) draft(session string, state *store.Session) store.Draft {
	turn := state.Turn
	if turn == "" || s.random.IntN(6) == 0 {
		turn = fmt.Sprintf("t%d", s.random.IntN(1000))
		if s.random.IntN(2) == 0 && len(state.Queue()) > 0 {
			turn = state.Queue()[0].Turn
		} else if state.Open != nil && state.Open.Ended != nil && s.random.IntN(2) == 0 {
			turn = state.Open.Ended.Turn // what comes late
		} else if s.random.IntN(3) == 0 {
			turn = s.named("t")
		}
	}
	typ := rebuildTypes[s.random.IntN(len(rebuildTypes))]
	d := store.Draft{Type: typ, Turn: turn}
	question, task, card := s.named("q-"+turn), s.named("k"), fmt.Sprintf("c-%s-%s", session, s.named(""))
	switch typ {
	case "prompt":
		d.Data = fmt.Appendf(nil, `{"text":"%d","source":"user"}`, s.random.IntN(1000))
		if s.random.IntN(2) == 0 {
			d.Turn = "" // the server names it
		}
	case "turn_start":
		d.Data = []byte(`{"agent":"a","leaseMs":5000}`)
	case "turn_end":
		d.Data = []byte(`{"success":true,"reason":"done","usage":{"n":1}}`)
	case "text_delta", "text", "thinking":
		d.Data = fmt.Appendf(nil, `{"text":"é%d ","block":"b%d"}`, s.random.IntN(1000), s.random.IntN(2))
	case "tool_start", "tool_result":
		d.Data = fmt.Appendf(nil, `{"id":"%s","name":"Bash","input":{},"isError":false}`, s.named("call"))
	case "permission_request":
		d.Data = fmt.Appendf(nil, `{"requestId":"%s","tool":"Bash"}`, question)
	case "permission_response":
		if open := state.Questions(); len(open) > 0 {
			question = open[0].RequestID
		}
		d.Turn, d.Data = "", fmt.Appendf(nil, `{"requestId":"%s","allow":true,"by":"%d"}`, question, s.random.IntN(3))
	case "task_start", "task_update", "task_end":
		d.Data = fmt.Appendf(nil, `{"taskId":"%s","status":"%d"}`, task, s.random.IntN(5))
	case "kontask_created", "kontask_ready", "kontask_updated":
		d.Data = fmt.Appendf(nil, `{"id":"%s","title":"%d","tags":["x"],"context":{"choices":[{"label":"a","value":"b"}]}}`, card, s.random.IntN(100))
	case "kontask_chosen":
		if s.random.IntN(3) == 0 { // else the card would never be open
			d.Data = fmt.Appendf(nil, `{"kontaskId":"%s","choice":0}`, card)
		} else {
			d.Type, d.Data = "kontask_updated", fmt.Appendf(nil, `{"id":"%s","status":"done"}`, card)
		}
	case "usage":
		d.Data = fmt.Appendf(nil, `{"n":%d,"costUsd":0.5}`, s.random.IntN(10))
	case "session_init":
		d.Data = []byte(`{"sessionId":"agent-1"}`)
	}
	return d
}

var rebuildTypes = []string{
	"prompt", "turn_start", "turn_start", "turn_end", "text_delta", "text_delta", "text", "thinking", "tool_start", "tool_result",
	"permission_request", "permission_response", "task_start", "task_update", "task_end",
	"kontask_created", "kontask_ready", "kontask_updated", "kontask_chosen", "usage", "session_init", "plan",
}

// rebuildAll folds every session anew, the feed as well.
func (s *schedule) rebuildAll() {
	s.Helper()
	ctx := context.Background()
	before := s.derived()
	for i := range rebuildSessions + 1 {
		session := store.FeedSession
		if i < rebuildSessions {
			session = fmt.Sprint("s", i)
		}
		differences, err := s.log.Rebuild(ctx, session)
		if err != nil && !errors.Is(err, store.ErrNotFound) || len(differences) > 0 {
			s.Fatalf("rebuild %s: %v %q", session, err, differences)
		}
	}
	if after := s.derived(); after != before {
		s.Fatalf("a rebuild that found nothing changed something\nbefore %s\nafter  %s", before, after)
	}
}

// derived shows all that is derived from the logs.
func (s *schedule) derived() string {
	s.Helper()
	ctx := context.Background()
	var all []any
	for i := range rebuildSessions {
		session, err := s.log.Session(ctx, fmt.Sprint("s", i))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			s.Fatal(err)
		}
		turns, err := s.log.ListTurns(ctx, store.TurnFilter{Session: session.ID, Limit: store.TurnsPageMax})
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, session)
		for _, listed := range turns.Turns {
			turn, err := s.log.Turn(ctx, session.ID, listed.ID)
			if err != nil {
				s.Fatal(err)
			}
			all = append(all, turn)
		}
		kontasks, err := s.log.ListKontasks(ctx, store.KontaskFilter{Session: session.ID, Limit: store.TurnsPageMax})
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, kontasks.Kontasks)
	}
	b, err := json.Marshal(all)
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}
