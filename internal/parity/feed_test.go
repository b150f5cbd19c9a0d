package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/faultproxy"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// The size of the feed's schedule.
const (
	feedSessions = 12
	feedSteps    = 300
)

// TestI10_TwoDevicesShowTheSameBadges lets two devices follow the feed through
// a bad network, over transports that change, while sessions go on and each
// device marks what it has seen. What they show in the end is the inbox.
func TestI10_TwoDevicesShowTheSameBadges(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed := seedFromEnv(t)
	r := newRig(t, sqlite.Options{CacheBytes: 1 << 20}, quick())
	proxy, err := faultproxy.New(r.addr, int64(seed), faultproxy.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), settleMax)
	defer cancel()
	if _, _, err := r.direct.CreateSession(ctx, "f0", store.SessionSpec{}); err != nil { // so that there is a feed
		t.Fatal(err)
	}
	head := make(chan int64, 1)
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		if err := r.live(ctx, rand.New(rand.NewPCG(seed, 2)), newClient(t, proxy.URL(), nil)); err != nil {
			t.Error(err)
		}
		s, err := r.direct.Session(ctx, store.FeedSession)
		if err != nil {
			t.Error(err)
		}
		head <- s.Head
	}()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	until := make(chan struct{})
	var last int64
	finished := make(chan *badges, 2)
	for i, transports := range [][]string{{"ws", "many-poll"}, {"sse", "poll", "many-ws"}} {
		b := &badges{at: place{session: store.FeedSession}, of: map[string]*badge{}, random: rand.New(rand.NewPCG(seed, uint64(3+i))), transports: transports}
		go func() {
			if err := b.run(ctx, h, proxy.URL(), func() int64 {
				select {
				case <-until:
					return last
				default:
					return -1
				}
			}); err != nil {
				t.Errorf("%v: %v", transports, err)
			}
			finished <- b
		}()
	}
	go spoilCommands(ctx, proxy, rand.New(rand.NewPCG(seed, 1)), produced)
	last = <-head
	close(until)
	one, other := <-finished, <-finished
	want := r.inbox(t)
	for _, b := range []*badges{one, other} {
		if got := b.show(); got != want {
			t.Errorf("%v: the feed shows\n%s\nwant the inbox\n%s", b.transports, got, want)
		}
	}
	s := proxy.Stats()
	t.Logf("%d events in the feed, %d connections, faults %+v\n%s", last, one.connections+other.connections, s, want)
	if s.Closes+s.Resets == 0 || one.connections <= leavesOf || other.connections <= leavesOf || want == "" {
		t.Error("the network was too good, or the inbox is empty: this proves nothing")
	}
}

// live lets the sessions go through turns, questions and kontasks, and marks
// some of it as seen, through the bad network.
func (r *rig) live(ctx context.Context, random *rand.Rand, marking *client.Client) error {
	turns, questions, cards := 0, 0, 0
	open, asked := map[string][]string{}, map[string][]string{} // cards and questions, by session
	for n := range feedSteps {
		session := fmt.Sprint("f", random.IntN(feedSessions))
		state, err := r.direct.Session(ctx, session)
		if err != nil && store.CodeOf(err) != store.CodeNotFound {
			return err
		}
		var d store.Draft
		switch x := random.IntN(10); {
		case n == feedSteps-1:
			d = store.Draft{Type: store.TypePermissionRequest, Data: []byte(`{"requestId":"last","tool":"Bash"}`)} // the inbox is not empty
		case x < 2 && state.Turn == "":
			turns++
			d = store.Draft{Type: store.TypeTurnStart, Turn: fmt.Sprint("t", turns)}
		case x < 4 && state.Turn != "":
			d = store.Draft{Type: store.TypeTurnEnd, Turn: state.Turn, Data: fmt.Appendf(nil, `{"success":%t}`, random.IntN(2) == 0)}
		case x < 5 && len(asked[session]) == 0:
			questions++
			asked[session] = append(asked[session], fmt.Sprint("q", questions))
			d = store.Draft{Type: store.TypePermissionRequest, Turn: state.Turn, Data: fmt.Appendf(nil, `{"requestId":"q%d","tool":"Bash"}`, questions)}
		case x < 7 && len(asked[session]) > 0:
			d = store.Draft{Type: store.TypePermissionResponse, Data: fmt.Appendf(nil, `{"requestId":%q,"allow":true}`, asked[session][0])}
			asked[session] = asked[session][1:]
		case x < 7 && len(open[session]) < 3:
			cards++
			open[session] = append(open[session], fmt.Sprint("c", cards))
			d = store.Draft{Type: store.TypeKontaskReady, Data: fmt.Appendf(nil, `{"id":"c%d","context":{"choices":[{"label":"a","value":"b"}]}}`, cards)}
		case x < 8 && len(open[session]) > 0:
			d = store.Draft{Type: store.TypeKontaskChosen, Data: fmt.Appendf(nil, `{"kontaskId":%q,"choice":0}`, open[session][0])}
			open[session] = open[session][1:]
		default:
			if state.Head > 0 {
				at := state.Head
				if random.IntN(2) == 0 {
					at = 1 + random.Int64N(at)
				}
				if _, err := marking.Seen(ctx, session, at); err != nil {
					return err
				}
			}
			continue
		}
		if _, err := r.direct.Append(ctx, session, client.AppendOptions{}, d); err != nil {
			return err
		}
		if n%8 == 0 {
			pause(ctx, time.Duration(random.IntN(50))*time.Millisecond)
		}
	}
	return nil
}

// badge is what a device shows of one session.
type badge struct {
	mark      int64
	ended     int64 // id of the turn_end that came last
	success   bool
	questions map[string]string // the turns of the open ones, by request
	cards     map[string]int64  // ids of the events that delivered those that wait
}

func (b *badge) String() string {
	var reasons, shown []string
	if len(b.questions) > 0 {
		reasons = append(reasons, store.ReasonWaiting)
	}
	if b.ended > b.mark && b.success {
		reasons = append(reasons, store.ReasonFinished)
	} else if b.ended > b.mark {
		reasons = append(reasons, store.ReasonFailed)
	}
	for id, at := range b.cards {
		if at > b.mark {
			shown = append(shown, id)
		}
	}
	if len(shown) > 0 {
		reasons = append(reasons, store.ReasonKontask)
	}
	slices.Sort(shown)
	return fmt.Sprint(reasons, b.mark, slices.Sorted(maps.Keys(b.questions)), shown)
}

// How often a device leaves by itself, and after how many events.
const (
	leavesOf    = 3
	leavesEvery = 50
)

// badges is a device that follows the feed.
type badges struct {
	at          place
	of          map[string]*badge
	random      *rand.Rand
	transports  []string
	connections int
}

// run follows the feed until it is where end says; -1 is not known yet.
func (b *badges) run(ctx context.Context, h *http.Client, base string, end func() int64) error {
	for ctx.Err() == nil {
		err := b.connection(ctx, h, base, end)
		if at := end(); at >= 0 && b.at.after >= at {
			return nil
		}
		if err != nil && strings.Contains(err.Error(), errBroken.Error()) {
			return err
		}
		pause(ctx, 10*time.Millisecond)
	}
	return fmt.Errorf("stopped at %d: %w", b.at.after, ctx.Err())
}

func (b *badges) connection(ctx context.Context, h *http.Client, base string, end func() int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(watchdog, cancel)
	defer watch.Stop()
	b.connections++
	w, err := open(ctx, h, base, b.transports[b.random.IntN(len(b.transports))], []place{b.at})
	if err != nil {
		return err
	}
	defer w.close()
	for {
		f, err := w.next()
		if err != nil {
			return err
		}
		watch.Reset(watchdog)
		switch f.kind {
		case "gap", "reset", "error":
			return fmt.Errorf("%w: %s at %d", errBroken, f.kind, b.at.after)
		case "":
			if b.at.after++; f.id != b.at.after {
				return fmt.Errorf("%w: got event %d, want %d", errBroken, f.id, b.at.after)
			}
			if err := b.take(f.body); err != nil {
				return fmt.Errorf("%w: %w", errBroken, err)
			}
			if b.connections <= leavesOf && b.at.after >= leavesEvery*int64(b.connections) {
				return nil // by itself, however good the network is
			}
		}
		if at := end(); at >= 0 && b.at.after >= at {
			return nil
		}
	}
}

// take folds an event of the feed.
func (b *badges) take(body []byte) error {
	var e struct {
		Type, Turn string
		Data       struct {
			Session              string
			ID                   int64
			Success              bool
			RequestID, KontaskID string
		}
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	s := b.of[e.Data.Session]
	if s == nil {
		s = &badge{questions: map[string]string{}, cards: map[string]int64{}}
		b.of[e.Data.Session] = s
	}
	switch e.Type {
	case store.TypeTurnEnd:
		s.ended, s.success = e.Data.ID, e.Data.Success
		maps.DeleteFunc(s.questions, func(_, turn string) bool { return turn == e.Turn })
	case store.TypePermissionRequest:
		s.questions[e.Data.RequestID] = e.Turn
	case store.TypePermissionResponse:
		delete(s.questions, e.Data.RequestID)
	case store.TypeKontaskReady:
		s.cards[e.Data.KontaskID] = e.Data.ID
	case store.TypeKontaskChosen:
		delete(s.cards, e.Data.KontaskID)
	case store.TypeSeen:
		if e.Data.ID <= s.mark {
			return fmt.Errorf("a mark fell from %d: %s", s.mark, body)
		}
		s.mark = e.Data.ID
	}
	return nil
}

// show lists the badges that have a reason, by session.
func (b *badges) show() string {
	var out bytes.Buffer
	for _, session := range slices.Sorted(maps.Keys(b.of)) {
		if line := b.of[session].String(); !strings.HasPrefix(line, "[]") {
			fmt.Fprintln(&out, session, line)
		}
	}
	return out.String()
}

// inbox lists the same from what REST says.
func (r *rig) inbox(t *testing.T) string {
	t.Helper()
	var lines []string
	for cursor := ""; ; {
		page, err := r.direct.Inbox(t.Context(), cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			var questions, cards []string
			for _, q := range item.Questions {
				questions = append(questions, q.RequestID)
			}
			for _, c := range item.Kontasks {
				cards = append(cards, c.KontaskID)
			}
			slices.Sort(questions)
			slices.Sort(cards)
			lines = append(lines, fmt.Sprintln(item.Session.ID, fmt.Sprint(item.Reasons, item.Seen, questions, cards)))
		}
		if cursor = page.Next; cursor == "" {
			slices.Sort(lines)
			return strings.Join(lines, "")
		}
	}
}
