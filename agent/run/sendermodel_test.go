package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

// sendModel puts numbered drafts while everything fails that can.
type sendModel struct {
	*sending
	rng   *rand.Rand
	next  int      // the number of the next draft
	turns []string // by draft
	turn  string   // the agent's open one, or ""
	ended string   // the one before
	lost  bool     // the spool's note of turns was lost, which no crash does
	trace []string
}

// draft makes the next draft; data is further members.
func (m *sendModel) draft(typ, turn, data string) store.Draft {
	d := store.Draft{Key: "k" + strconv.Itoa(m.next), Type: typ, Turn: turn, Data: fmt.Appendf(nil, `{"n":%d%s}`, m.next, data)}
	if m.rng.IntN(3) == 0 {
		d.Raw = fmt.Appendf(nil, `{"n":%d,"line":1}`, m.next)
	}
	m.next++
	m.turns = append(m.turns, turn)
	return d
}

// say puts one to three drafts of a line.
func (m *sendModel) say() {
	var drafts []store.Draft
	for range 1 + m.rng.IntN(3) {
		switch m.rng.IntN(10) {
		case 0:
			if m.turn == "" {
				m.turn = "t" + strconv.Itoa(m.next)
				drafts = append(drafts, m.draft("turn_start", m.turn, `,"leaseMs":60000`))
			}
		case 1:
			if m.turn != "" {
				drafts = append(drafts, m.draft("turn_end", m.turn, `,"requestId":"`+m.turn+`"`))
				m.turn, m.ended = "", m.turn
			}
		case 2:
			drafts = append(drafts, m.draft("text", m.ended, "")) // late, or of no turn
		case 3:
			drafts = append(drafts, m.draft([]string{"hello", "turn_end", "permission_request"}[m.rng.IntN(3)], "never", "")) // refused
		case 4:
			if m.rng.IntN(4) == 0 {
				drafts = append(drafts, m.draft("text", m.turn, `,"text":"`+strings.Repeat("x", 40_000)+`"`))
			}
		default:
			drafts = append(drafts, m.draft([]string{"text", "agent", "task_end"}[m.rng.IntN(3)], m.turn, ""))
		}
	}
	m.put(drafts...)
}

// disturb lets something go wrong, or right again.
func (m *sendModel) disturb() {
	op := []string{"away", "back", "lose", "busy", "crash", "forget", "abandon", "other", "sleep", "ask"}[m.rng.IntN(10)]
	m.trace = append(m.trace, fmt.Sprintf("%d:%s", m.next, op))
	switch op {
	case "away":
		m.log.set(func(l *fakeLog) { l.away = true })
	case "back":
		m.log.set(func(l *fakeLog) { l.away, l.refuse = false, nil })
	case "lose":
		n := m.rng.IntN(4)
		m.log.set(func(l *fakeLog) { l.lose = n })
	case "busy":
		m.log.set(func(l *fakeLog) { l.refuse = func([]store.Draft) error { return store.ErrQueueFull } })
	case "crash":
		m.crash()
	case "forget": // as when the process ended between the log's answer and its note
		lost := []string{ackedName, turnsName}[:1+m.rng.IntN(2)]
		m.lost = m.lost || len(lost) > 1
		m.crash(lost...)
	case "abandon":
		pass(2 * time.Minute)
		if _, _, err := m.log.engine.ExpireTurns(m.Context()); err != nil {
			m.Fatal(err)
		}
	case "other":
		typ, turn := "turn_start", "o"+strconv.Itoa(m.next)
		s, err := m.log.engine.Session(m.Context(), "s")
		if err != nil {
			m.Fatal(err)
		}
		if strings.HasPrefix(s.Turn, "o") {
			typ, turn = "turn_end", s.Turn
		}
		_, _ = m.log.engine.Append(m.Context(), "s", store.AppendOptions{}, store.Draft{Type: typ, Turn: turn}) // refused while the agent's is open
	case "sleep":
		pass(time.Duration(m.rng.IntN(10_000)) * time.Millisecond)
	case "ask":
		m.log.set(func(l *fakeLog) { l.away, l.refuse = false, nil })
		if _, err := m.ask(m.draft("text", "", "")); err != nil {
			m.Error(err)
		}
	}
	if m.rng.IntN(2) == 0 {
		synctest.Wait()
	}
}

// check compares the log with what was put.
func (m *sendModel) check() {
	m.Helper()
	n := 0
	at := map[string]int{} // how often each turn was continued; without one at last
	for _, e := range m.log.events("s") {
		number := e.Field("n")
		if number == nil {
			continue
		}
		if string(number) != strconv.Itoa(n) {
			m.Fatalf("event %d has draft %s, want %d", e.ID, number, n)
		}
		turn := m.turns[n]
		n++
		if e.Turn != turn || at[turn] != 0 {
			k := 1 << 30
			if suffix, ok := strings.CutPrefix(e.Turn, turn+"+"); ok && turn != "" {
				k, _ = strconv.Atoi(suffix)
			} else if e.Turn != "" && e.Turn == turn {
				k = 0
			} else if e.Turn != "" {
				m.Fatalf("event %d, of turn %q, is in %q", e.ID, turn, e.Turn)
			}
			if k < at[turn] && !(m.lost && at[turn] == 1<<30) {
				m.Fatalf("event %d, of turn %q, is in %q, after %d", e.ID, turn, e.Turn, at[turn])
			}
			at[turn] = k
		}
	}
	if n != m.next {
		m.Fatalf("the log has %d drafts of %d", n, m.next)
	}
}

// TestSenderModel: whatever fails, the log has what was put, each once, in
// order, and each turn's events together.
func TestSenderModel(t *testing.T) {
	rounds := 20
	if !long.Wanted() {
		rounds = 6
	}
	for seed := range rounds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				m := &sendModel{rng: rand.New(rand.NewPCG(uint64(seed), 5))}
				m.sending = newSending(t, memory.Options{EventBytesMax: 16 << 10}, func(c *SenderConfig) {
					if m.rng.IntN(2) == 0 {
						c.EventBytes = 16 << 10
					}
				})
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("%v", m.trace)
					}
				})
				for range 150 {
					m.say()
					if m.rng.IntN(3) == 0 {
						m.disturb()
					}
				}
				m.log.set(func(l *fakeLog) { l.away, l.refuse, l.lose = false, nil, 0 })
				m.drained()
				m.check()
			})
		})
	}
}

// nullLog takes everything.
type nullLog struct {
	Log
	taken int
}

func (l *nullLog) Producer(string, string, int64) Producer { return l }

func (l *nullLog) Append(_ context.Context, drafts ...store.Draft) (store.Appended, error) {
	l.taken += len(drafts)
	return store.Appended{First: 1, Last: 1}, nil
}

func BenchmarkPut(b *testing.B) {
	s, err := OpenSpool(b.TempDir(), 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	d := numbered(1, 280)
	b.SetBytes(int64(d.Size()))
	for b.Loop() {
		if err := s.Put(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPutAndSend is what one line of an agent costs on its way to the log,
// without the log.
func BenchmarkPutAndSend(b *testing.B) {
	s, err := OpenSpool(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	l := &nullLog{}
	sender := NewSender(SenderConfig{Log: l, Session: "s", Producer: "p", Spool: s})
	ctx, cancel := context.WithCancel(b.Context())
	over := make(chan error, 1)
	go func() { over <- sender.Run(ctx) }()
	d := numbered(1, 280)
	b.SetBytes(int64(d.Size()))
	n := 0
	for b.Loop() {
		n++
		if err := s.Put(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	if err := sender.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	cancel()
	if err := <-over; err != nil {
		b.Fatal(err)
	}
	if l.taken != n {
		b.Fatalf("%d of %d arrived", l.taken, n)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
