package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// turns is what the Sender knows of the turns of its drafts.
type turns struct {
	places recent[string] // the name under which a turn goes on; "" is none
	starts recent[turnStart]
}

// turnStart is what a turn_start says of its turn.
type turnStart struct {
	Agent   json.RawMessage `json:"agent,omitempty"`
	Run     json.RawMessage `json:"run,omitempty"`
	LeaseMs json.RawMessage `json:"leaseMs,omitempty"`
}

// turnsMax bounds what is known of turns: those that may still say something
// are few. The oldest are forgotten.
const turnsMax = 1000

// leaseUnseen is the lease of a turn that continues one whose turn_start was
// not seen. That one had a lease, since the server gave it up, and this one must
// not stay open for ever when nobody is there to end it.
const leaseUnseen = 15 * time.Minute

// place is the name under which the log has the turn.
func (t *turns) place(turn string) string {
	for range turnsMax {
		to, there := t.places.get(turn)
		if !there || to == turn {
			break
		}
		turn = to
	}
	return turn
}

// turnsNote is the form in which turns outlive the process.
type turnsNote struct {
	Places map[string]string    `json:"places"`
	Starts map[string]turnStart `json:"starts"`
}

// note is what is worth keeping: how turns go on.
func (t *turns) note() []byte {
	n := turnsNote{Places: t.places.m, Starts: map[string]turnStart{}}
	for _, to := range t.places.m {
		if s, there := t.starts.get(to); there {
			n.Starts[to] = s
		}
	}
	b, _ := json.Marshal(n) // values that were JSON before
	return b
}

func (t *turns) read(note []byte) {
	var n turnsNote
	if json.Unmarshal(note, &n) != nil {
		return // there is none, or not of this version: then it is found out again
	}
	for from, to := range n.Places {
		t.places.put(from, to)
	}
	for turn, s := range n.Starts {
		t.starts.put(turn, s)
	}
}

// saw notes what drafts that are in the log say of their turns.
func (s *Sender) saw(drafts []store.Draft) {
	for i := range drafts {
		if d := &drafts[i]; d.Type == store.TypeTurnStart {
			e := store.Event{Data: d.Data}
			s.turns.starts.put(turnOf(d), turnStart{e.Field("agent"), e.Field("run"), e.Field("leaseMs")})
		}
	}
}

// settle notes under which name a turn goes on.
func (s *Sender) settle(from, to string) {
	if from == "" || s.turns.place(from) == to {
		return
	}
	s.turns.places.put(from, to)
	s.spoiled(s.c.Spool.keepTurns(s.turns.note()))
}

// goOn opens a turn that continues one that the server has given up. When it
// cannot, because somebody else's is open, what is left of the turn goes without
// one.
func (s *Sender) goOn(ctx context.Context, from string) error {
	was, seen := s.turns.starts.get(from)
	if !seen {
		was = turnStart{LeaseMs: strconv.AppendInt(nil, leaseUnseen.Milliseconds(), 10)}
	}
	to := from
	for range turnsMax {
		to = nextTurn(to)
		_, err := s.line.deliver(ctx, []store.Draft{continuation(from, to, was)})
		switch code := store.CodeOf(err); {
		case err == nil, code == store.CodeKeyConflict: // it is there, perhaps since before a crash
			s.turns.starts.put(to, was)
			s.settle(from, to)
			s.log.Warn("the server had given up a turn; it goes on under another name", "turn", from, "continues", to)
			s.moved(from, to)
			return nil
		case !refuses(err):
			return err
		case code != store.CodeTurnEnded:
			s.settle(from, "")
			s.log.Warn("the server had given up a turn, and no other can be opened; what is left of it is kept without one", "turn", from, "err", err)
			return nil
		}
	}
	return fmt.Errorf("turn %s: %d turns that continue it have ended already; begin another session", from, turnsMax)
}

// continuation is the event that opens the turn. It is the same whenever it is
// made of the same.
func continuation(from, to string, was turnStart) store.Draft {
	data := []byte(`{"continues":`)
	data = append(data, jsonText(from)...)
	for _, m := range [...]struct {
		name  string
		value json.RawMessage
	}{{"agent", was.Agent}, {"run", was.Run}, {"leaseMs", was.LeaseMs}} {
		if len(m.value) > 0 {
			data = append(append(data, `,"`+m.name+`":`...), m.value...)
		}
	}
	return store.Draft{Key: saltedKey("continues:"+to, 0), Type: store.TypeTurnStart, Turn: to, Data: append(data, '}')}
}

// nextTurn is the id of the turn that continues one: ID+2, then ID+3. An id that
// would be too long becomes its hash.
func nextTurn(turn string) string {
	root, n := turn, 1
	if at := strings.LastIndexByte(turn, '+'); at > 0 {
		if k, err := strconv.Atoi(turn[at+1:]); err == nil && k >= 2 && strconv.Itoa(k) == turn[at+1:] {
			root, n = turn[:at], k
		}
	}
	next := root + "+" + strconv.Itoa(n+1)
	if len(next) <= store.TurnBytesMax {
		return next
	}
	sum := sha256.Sum256([]byte(root))
	return hex.EncodeToString(sum[:]) + "+" + strconv.Itoa(n+1)
}

// recent is a map of the names that were put in last.
type recent[V any] struct {
	m     map[string]V
	order []string // those that came first are forgotten first
}

func (r *recent[V]) get(name string) (V, bool) {
	v, there := r.m[name]
	return v, there
}

func (r *recent[V]) put(name string, v V) {
	if r.m == nil {
		r.m = map[string]V{}
	}
	if _, there := r.m[name]; !there {
		if len(r.order) >= turnsMax {
			delete(r.m, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, name)
	}
	r.m[name] = v
}
