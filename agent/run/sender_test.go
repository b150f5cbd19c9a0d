package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

// sending is a Sender with its spool and log.
type sending struct {
	*testing.T
	log    *fakeLog
	dir    string
	config SenderConfig
	spool  *Spool
	*Sender
	said *strings.Builder // the Sender's own log

	mu    sync.Mutex // guards moves
	moves []string
	stop  func() error // ends Run
}

// newSending starts a Sender of session s. It is for use in a bubble of synctest.
func newSending(t *testing.T, o memory.Options, change func(*SenderConfig)) *sending {
	r := &sending{T: t, log: newFakeLog(t, o), dir: t.TempDir(), said: &strings.Builder{}}
	r.config = SenderConfig{
		Log: r.log, Session: "s", Producer: "p", Epoch: 100,
		Logger: slog.New(slog.NewTextHandler(r.said, nil)),
		Moved: func(from, to string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.moves = append(r.moves, from+" "+to)
		},
	}
	if change != nil {
		change(&r.config)
	}
	if err := r.log.Log.Create(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	r.open()
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// open opens the spool and runs a Sender of it.
func (r *sending) open() {
	r.spool = openedSpool(r.T, r.dir, 0)
	r.config.Spool = r.spool
	r.Sender = NewSender(r.config)
	r.run()
}

func (r *sending) run() {
	ctx, cancel := context.WithCancel(r.Context())
	over := make(chan error, 1)
	go func() { over <- r.Sender.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-over
	})
}

// crash lets the next process go on with what is in the files now, without
// those that are lost.
func (r *sending) crash(lost ...string) {
	r.Helper()
	if err := r.stop(); err != nil {
		r.Fatal(err)
	}
	r.dir = crashed(r.T, r.dir)
	removeAll(r.T, r.dir, lost...)
	r.config.Epoch++
	r.open()
}

func (r *sending) put(drafts ...store.Draft) {
	r.Helper()
	putAll(r.T, r.spool, drafts...)
}

// drained waits until the log has everything.
func (r *sending) drained() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
	defer cancel()
	if err := r.Drain(ctx); err != nil {
		r.Fatal(err)
	}
	if n, _ := r.Lag(); n != 0 {
		r.Errorf("%d drafts are left", n)
	}
	synctest.Wait()
}

// tells compares the session with lines of type, turn and data; an end of "*"
// stands for any.
func (r *sending) tells(want ...string) {
	r.Helper()
	got := r.log.story("s")
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		head, any := strings.CutSuffix(want[i], "*")
		ok = got[i] == want[i] || any && strings.HasPrefix(got[i], head)
	}
	if !ok {
		r.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *sending) ask(drafts ...store.Draft) (store.Appended, error) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
	defer cancel()
	return r.Ask(ctx, drafts...)
}

// of makes a draft that is keyed by what it is.
func of(typ, turn, data string) store.Draft {
	return store.Draft{Key: typ + " " + turn + " " + data, Type: typ, Turn: turn, Data: []byte(data)}
}

func text(turn, s string) store.Draft { return of("text", turn, `{"text":"`+s+`"}`) }

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// inBubble runs the test with virtual time.
func inBubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

func TestSenderSendsInBatches(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		_ = r.stop()
		var want []string
		for n := range 2500 {
			r.put(text("t", fmt.Sprint(n)))
			want = append(want, fmt.Sprintf(`text t {"text":"%d"}`, n))
		}
		for range 6 {
			r.put(store.Draft{Type: "text", Data: []byte(`"` + strings.Repeat("x", 1<<20-100) + `"`)})
			want = append(want, "text  *")
		}
		if n, oldest := r.Lag(); n != 2506 || oldest != 0 {
			t.Errorf("lag: %d, %v", n, oldest)
		}
		pass(time.Minute)
		if _, oldest := r.Lag(); oldest != time.Minute {
			t.Errorf("the oldest has waited for %v", oldest)
		}
		start := time.Now()
		r.run()
		r.drained()
		r.tells(want...)
		if got := fmt.Sprint(r.log.requests); got != "[1000 1000 503 3]" || time.Since(start) != 0 {
			t.Errorf("requests of %s events took %v", got, time.Since(start))
		}
		if len(r.moves) != 0 || r.said.Len() != 0 {
			t.Errorf("told %v, said %s", r.moves, r.said)
		}
	})
}

func TestSenderGoesOnAfterAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.set(func(l *fakeLog) { l.away = true })
		r.put(text("t", "1"))
		pass(time.Minute)
		r.put(text("t", "2"))
		tried := r.log.tries()
		if tried < 12 || tried > 30 { // every 2.5 to 5 s, and more often at first
			t.Errorf("%d tries in a minute", tried)
		}
		for _, code := range []store.Code{store.CodeQueueFull, store.CodeStorageFull, store.CodeStorageFailed, store.CodeShutdown, "internal", "a_new_one"} {
			r.log.set(func(l *fakeLog) {
				l.away = false
				l.refuse = func([]store.Draft) error { return fmt.Errorf("append: %w", &store.Error{Code: code}) }
			})
			before := r.log.tries()
			pass(time.Minute)
			if n := r.log.tries() - before; n < 10 || n > 30 {
				t.Errorf("%s: %d tries in a minute", code, n)
			}
		}
		r.log.set(func(l *fakeLog) { l.refuse = nil })
		start := time.Now()
		r.drained()
		if d := time.Since(start); d > sendWaitMax {
			t.Errorf("it was noticed after %v that the log is back", d)
		}
		r.tells(`text t {"text":"1"}`, `text t {"text":"2"}`)
		if got := r.said.String(); strings.Count(got, "level=WARN") != 1 || strings.Count(got, "takes events again") != 1 || strings.Count(got, "\n") != 2 {
			t.Errorf("said\n%s", got)
		}
	})
}

func TestSenderLostAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.set(func(l *fakeLog) { l.lose = 3 })
		r.put(text("t", "1"), text("t", "2"))
		synctest.Wait()
		r.put(text("t", "3"))
		r.drained()
		a, err := r.ask(store.Draft{Type: "x"})
		if err != nil || a.First != 4 || a.Duplicate {
			t.Errorf("got %+v, %v", a, err)
		}
		r.log.set(func(l *fakeLog) { l.lose = 2 })
		if a, err = r.ask(store.Draft{Type: "y"}); err != nil || a.First != 5 || a.Duplicate {
			t.Errorf("an ask whose answers were lost: got %+v, %v", a, err)
		}
		r.tells(`text t {"text":"1"}`, `text t {"text":"2"}`, `text t {"text":"3"}`, `x  null`, `y  null`)
	})
}

// TestSenderStoppedInDoubt: a Run that ends while an outcome is unknown settles
// it when it goes on, before it sends anything else.
func TestSenderStoppedInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.set(func(l *fakeLog) { l.lose = 1 << 30 })
		r.put(text("t", "1"))
		synctest.Wait()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.put(text("t", "2"))
		r.run()
		synctest.Wait()
		r.log.set(func(l *fakeLog) { l.lose = 0 })
		r.drained()
		r.tells(`text t {"text":"1"}`, `text t {"text":"2"}`)
		if err := r.Sender.Run(t.Context()); err == nil {
			t.Error("a second Run at the same time began")
		}
	})
}

func TestSenderAskKeepsItsPlace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.set(func(l *fakeLog) { l.slow = time.Second })
		r.put(text("", "1"), text("", "2"))
		var asks sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			asks.Go(func() {
				if _, err := r.ask(text("", name)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			r.put(text("", "after "+name))
		}
		asks.Wait()
		r.drained()
		r.tells(`text  {"text":"1"}`, `text  {"text":"2"}`, `text  {"text":"a"}`, `text  {"text":"after a"}`, `text  {"text":"b"}`, `text  {"text":"after b"}`)

		r.log.set(func(l *fakeLog) { l.slow = 0 })
		_, err := r.ask(of("turn_end", "t9", `{}`))
		if store.CodeOf(err) != store.CodeNoTurn {
			t.Errorf("the log's refusal: got %v", err)
		}
		if _, err := r.ask(of("turn_start", "t1", `{}`), of("turn_start", "t2", `{}`)); store.CodeOf(err) != store.CodeTurnOpen {
			t.Errorf("the log's refusal of two: got %v", err)
		}
		r.log.set(func(l *fakeLog) { l.away = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r.put(text("", "3")) // holds up the ask, which is not begun then
		if _, err := r.Ask(ctx, text("", "never")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an ask whose context ended: got %v", err)
		}
		r.log.set(func(l *fakeLog) { l.away = false })
		r.drained()
		if got := r.log.story("s"); len(got) != 7 || got[6] != `text  {"text":"3"}` {
			t.Errorf("the log has %q", got[6:])
		}
	})
}

func TestSenderEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(r *sending)
		want error
	}{
		{"closed", func(r *sending) { r.log.appendAs("s", store.Draft{Type: "session_closed"}) }, store.ErrSessionClosed},
		{"deleted", func(r *sending) { _ = r.log.engine.DeleteSession(r.Context(), "s") }, store.ErrNotFound},
		{"fenced", func(r *sending) {
			if _, err := r.log.Log.Producer("s", "p", 500).Append(r.Context(), store.Draft{Type: "x"}); err != nil {
				r.Fatal(err)
			}
		}, ErrFenced},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newSending(t, memory.Options{}, nil)
				r.put(text("", "1"))
				r.drained()
				test.end(r)
				r.put(text("", "2"))
				asked := make(chan error, 1)
				go func() {
					_, err := r.ask(text("", "3"))
					asked <- err
				}()
				for what, err := range map[string]error{"drain": r.Drain(t.Context()), "run": r.stop(), "ask": <-asked} {
					if !errors.Is(err, test.want) {
						t.Errorf("%s: got %v, want %v", what, err, test.want)
					}
				}
				if _, err := r.ask(text("", "4")); !errors.Is(err, test.want) {
					t.Errorf("ask: got %v, want %v", err, test.want)
				}
				wantDrafts(t, readAll(t, r.spool), []store.Draft{text("", "2")})
			})
		})
	}
}

// TestSenderEpochs: who begins is the newest, whatever its clock says; who is
// fenced later is not.
func TestSenderEpochs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, func(c *SenderConfig) {
			if _, err := c.Log.(*fakeLog).engine.Append(t.Context(), "s", store.AppendOptions{Producer: &store.Producer{ID: "p", Epoch: 7000}}, store.Draft{Type: "x"}); err != nil {
				t.Fatal(err)
			}
		})
		r.put(text("", "1"))
		r.drained()
		if got := fmt.Sprint(r.log.epochs); got != "[100 7001]" {
			t.Errorf("epochs %s", got)
		}

		// A producer with the very same epoch: what it sent is not taken for ours.
		same := newSending(t, memory.Options{}, func(c *SenderConfig) {
			if _, err := c.Log.(*fakeLog).engine.Append(t.Context(), "s", store.AppendOptions{Producer: &store.Producer{ID: "p", Epoch: 100}}, store.Draft{Type: "x"}); err != nil {
				t.Fatal(err)
			}
		})
		same.put(text("", "1"))
		same.drained()
		same.tells("x  null", `text  {"text":"1"}`)

		// The log was restored from before the producer began.
		same.put(text("", "2"))
		same.drained()
		if err := same.log.engine.DeleteSession(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		if err := same.log.Log.Create(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		same.put(text("", "3"))
		same.drained()
		same.tells(`text  {"text":"3"}`)

		// One whose first append may have been stored is overtaken as any other.
		late := newSending(t, memory.Options{}, nil)
		late.log.set(func(l *fakeLog) { l.lose = 1 })
		late.log.set(func(l *fakeLog) {
			l.before = func([]store.Draft) {
				if l.is(func(l *fakeLog) bool { return l.lose == 0 }) {
					_, _ = l.Log.(local).Producer("s", "p", 500).Append(t.Context(), store.Draft{Type: "newer", Key: "n"})
				}
			}
		})
		late.put(text("", "1"))
		if err := late.Drain(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("got %v, want to be fenced", err)
		}
	})
}

// TestSenderFindsTheRefusedOne: one bad draft costs a few requests, and those
// around it keep their order and their form.
func TestSenderFindsTheRefusedOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		_ = r.stop()
		var want []string
		for n := range 1000 {
			if n == 300 || n == 301 || n == 999 {
				r.put(store.Draft{Key: fmt.Sprint(n), Type: "hello", Turn: "t", Data: []byte(`{"n":1}`), Raw: []byte("line")})
				want = append(want, `agent t "line"`)
				continue
			}
			r.put(text("t", fmt.Sprint(n)))
			want = append(want, fmt.Sprintf(`text t {"text":"%d"}`, n))
		}
		r.run()
		r.drained()
		r.tells(want...)
		if r.log.tries() > 60 {
			t.Errorf("it took %d requests", r.log.tries())
		}
	})
}

// abandon lets the open turn's lease pass.
func (r *sending) abandon() {
	r.Helper()
	pass(2 * time.Hour)
	n, _, err := r.log.engine.ExpireTurns(r.Context())
	if err != nil || n != 1 {
		r.Fatalf("%d turns were abandoned, %v", n, err)
	}
}

const leased = `{"agent":"claude","run":"r1","leaseMs":60000}`

func TestSenderContinuesATurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		if _, err := r.ask(of("turn_start", "t", leased)); err != nil {
			t.Fatal(err)
		}
		r.put(text("t", "1"))
		r.drained()
		r.abandon()
		r.put(text("t", "2"), of("stop_turn", "t", `{"requestId":"t","a":1}`), text("u", "other"))
		r.drained()
		r.abandon()
		r.put(text("t", "3"), text("t+2", "4"), of("turn_end", "t", `{"success":true,"requestId":"t","fullText":"t"}`), text("t", "late"))
		r.drained()
		r.put(of("turn_end", "t", `{"success":false,"requestId":"t"}`))
		r.drained()
		abandoned := func(turn string) string {
			return `turn_end ` + turn + ` {"requestId":"` + turn + `","success":false,"reason":"abandoned"}`
		}
		r.tells(
			`turn_start t `+leased, `text t {"text":"1"}`, abandoned("t"),
			`turn_start t+2 {"continues":"t","agent":"claude","run":"r1","leaseMs":60000}`, `text t+2 {"text":"2"}`,
			`stop_turn t+2 {"requestId":"t+2","a":1}`, `text u {"text":"other"}`, abandoned("t+2"),
			`turn_start t+3 {"continues":"t+2","agent":"claude","run":"r1","leaseMs":60000}`, `text t+3 {"text":"3"}`, `text t+3 {"text":"4"}`,
			`turn_end t+3 {"success":true,"requestId":"t+3","fullText":"t"}`, `text t+3 {"text":"late"}`,
			`agent.turn_end t+3 {"success":false,"requestId":"t"}`,
		)
		if got := fmt.Sprint(r.moves); got != "[t t+2 t+2 t+3]" {
			t.Errorf("told %s", got)
		}
	})
}

// TestSenderContinuesAfterACrash: what is in doubt is found where it is, and a
// turn goes on where it went on.
func TestSenderContinuesAfterACrash(t *testing.T) {
	for _, forget := range []bool{false, true} {
		t.Run(fmt.Sprint("forget=", forget), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newSending(t, memory.Options{}, nil)
				r.put(of("turn_start", "t", leased), text("t", "1"))
				r.drained()
				r.abandon()
				r.put(text("t", "2"), of("turn_end", "x", `{"a":1}`), text("t", "3"))
				r.drained()
				want := r.log.story("s")
				// Of the next process nothing was acknowledged: all is sent again.
				var lost []string
				if forget {
					lost = []string{ackedName, turnsName}
				}
				r.crash(lost...)
				r.drained()
				r.tells(want...)
				r.put(text("t", "4"))
				r.drained()
				r.tells(append(slices.Clone(want), `text t+2 {"text":"4"}`)...)
			})
		})
	}
}

func TestSenderTurnThatCannotContinue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.put(of("turn_start", "t", leased))
		r.drained()
		r.abandon()
		r.log.appendAs("s", of("turn_start", "u", `{}`))
		r.put(text("t", "1"), of("turn_end", "t", `{"success":true}`))
		r.drained()
		r.log.appendAs("s", of("turn_end", "u", `{}`))
		r.put(text("t", "2"))
		r.drained()
		r.tells(`turn_start t *`, `turn_end t *`, `turn_start u {}`, `text  {"text":"1"}`, `agent.turn_end  {"success":true}`, `turn_end u {}`, `text  {"text":"2"}`)
		if len(r.moves) != 0 {
			t.Errorf("told %v", r.moves)
		}
	})
}

// TestSenderTurnOfItsOwn: the agent began a turn while somebody else's was open.
func TestSenderTurnOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.appendAs("s", of("turn_start", "u", `{}`))
		start := of("turn_start", "own", `{"agent":"x"}`)
		start.Raw = []byte(`{"type":"result"}`)
		r.put(start, text("own", "1"), of("prompt", "own", `{"text":"steers"}`))
		r.drained()
		want := []string{`turn_start u {}`, `agent  {"type":"result"}`, `text  {"text":"1"}`, `agent.prompt  {"text":"steers"}`}
		r.tells(want...)
		r.log.appendAs("s", of("turn_end", "u", `{}`))
		r.crash() // the turn stays without a name, though it could be opened now
		r.put(text("own", "2"), of("turn_end", "own", `{"success":true}`), of("turn_start", "own2", `{}`))
		r.drained()
		r.tells(append(want, `turn_end u {}`, `text  {"text":"2"}`, `agent.turn_end  {"success":true}`, `turn_start own2 {}`)...)
	})
}

func TestSenderDemotes(t *testing.T) {
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	raw := func(d store.Draft, line string) store.Draft {
		d.Raw = []byte(line)
		return d
	}
	for _, test := range []struct {
		name  string
		draft store.Draft
		want  string
	}{
		{"second end", raw(of("turn_end", "done", `{"a":1}`), `{"line":1}`), `agent done {"line":1}`},
		{"second end without a line", of("turn_end", "done", `{"a":1}`), `agent.turn_end done {"a":1}`},
		{"second start", of("turn_start", "done", `{"a":1}`), `agent.turn_start done {"a":1}`},
		{"words to a turn that is over", of("prompt", "done", `{"text":"x"}`), `agent.prompt done {"text":"x"}`},
		{"end of a turn that never was", of("turn_end", "no", `{}`), `agent.turn_end no {}`},
		{"question that was answered", of("permission_request", "done", `{"requestId":"q"}`), `agent.permission_request done {"requestId":"q"}`},
		{"question without an id", of("permission_request", "done", `{}`), `agent.permission_request done {}`},
		{"reserved type", raw(of("hello", "done", `{}`), "a"), `agent done "a"`},
		{"no type", of("NO", "done", `{}`), `agent.event done {}`},
		{"lease", raw(of("turn_start", "new", `{"leaseMs":1}`), "b"), `agent new "b"`},
		{"turn of two names", of("turn_end", "done", `{"requestId":"other"}`), `agent.turn_end done {"requestId":"other"}`},
		{"kontask of another session", of("kontask_ready", "done", `{"id":"theirs"}`), `agent.kontask_ready done {"id":"theirs"}`},
		{"prompt that waits", of("prompt", "waits", `{"text":"again"}`), `agent.prompt waits {"text":"again"}`},
		{"turn that is no label", text("a\nb", "x"), `agent.text  {"text":"x"}`},
		{"key that is none", store.Draft{Key: "a\x00", Type: "x"}, `x  null`},
		{"data that is no JSON", store.Draft{Key: "k", Type: "x", Turn: "done", Data: []byte("\xff{")}, `agent.x  "` + "\uFFFD" + `{"`},
		{"data that nests too deep", store.Draft{Key: "k", Type: "x", Data: []byte(deep)}, `agent.x  "` + deep + `"`},
		{"line that nests too deep", store.Draft{Key: "k", Type: "agent", Data: []byte(deep)}, `agent  "` + deep + `"`},
		{"raw of two lines", raw(of("x", "done", `{}`), "a\nb"), `agent done "a\nb"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				if utf8.ValidString(test.draft.Key) && !strings.Contains(test.draft.Key, "\x00") {
					test.draft.Key = "refused"
				}
				r := newSending(t, memory.Options{}, nil)
				r.log.appendAs("theirs", of("kontask_created", "", `{"id":"theirs"}`))
				r.log.appendAs("s", of("turn_start", "done", `{}`), of("permission_request", "done", `{"requestId":"q"}`))
				r.log.appendAs("s", of("permission_response", "done", `{"requestId":"q","allow":true}`), store.Draft{Type: "turn_end", Turn: "done"})
				r.log.appendAs("s", store.Draft{Type: "prompt", Turn: "waits", Data: []byte(`{"text":"x"}`)})
				r.put(text("", "before"), test.draft, text("", "after"))
				r.drained()
				want := append([]string{"turn_start *", "permission_request *", "permission_response *", "turn_end *", "prompt *"}, `text  {"text":"before"}`, test.want, `text  {"text":"after"}`)
				r.tells(want...)
				if e := r.log.events("s")[6]; test.draft.Raw != nil || test.draft.Type == agent.TypeLine {
					was, _ := agent.Line(test.draft.Data, test.draft.Raw)
					if line, err := agent.Line(e.Data, e.Raw); err != nil || !bytes.Equal(line, was) {
						t.Errorf("the line came back as %.80q, %v", line, err)
					}
				}
				// Sent again, as after a crash, it is there.
				r.crash(ackedName, turnsName)
				r.drained()
				r.tells(want...)
			})
		})
	}
}

// TestSenderKeyOfSomethingElse: two lines under one key are both kept.
func TestSenderKeyOfSomethingElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		one, two, three := text("t", "1"), text("t", "2"), store.Draft{Type: "agent", Turn: "t", Data: []byte(`"3"`)}
		one.Key, two.Key, three.Key = "k", "k", "k"
		two.Raw = []byte("line")
		r.put(one, two, three, text("t", "4"))
		r.drained()
		want := []string{`text t {"text":"1"}`, `agent t "line"`, `agent t "3"`, `text t {"text":"4"}`}
		r.tells(want...)
		r.crash(ackedName)
		r.drained()
		r.tells(want...)
	})
}

func TestSenderLargeLines(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const limit = 32 << 10
		r := newSending(t, memory.Options{EventBytesMax: limit}, nil) // the Sender was told of 1 MiB
		line := `{"type":"x","text":"` + strings.Repeat("y", 3<<20) + `"}`
		big := store.Draft{Key: "big", Type: "text", Turn: "t", Data: []byte(`{"text":"` + strings.Repeat("y", 100_000) + `"}`), Raw: []byte(line)}
		r.log.set(func(l *fakeLog) { l.blobs = func(string, int) error { return errAway } })
		r.put(text("t", "1"), big, text("t", "2"))
		pass(time.Minute)
		r.tells(`text t {"text":"1"}`)
		r.log.set(func(l *fakeLog) { l.blobs = nil })
		r.drained()
		r.tells(`text t {"text":"1"}`, `text t {"line":{"sha256":*`, `text t {"text":"2"}`)
		e := r.log.events("s")[1]
		back, ok, err := agent.FittedLine(e.Data, func(sha string) ([]byte, error) { return r.log.ReadBlob(t.Context(), sha) })
		if err != nil || !ok || string(back) != line {
			t.Errorf("got %d bytes, %v, %v", len(back), ok, err)
		}
		want := r.log.story("s")
		r.crash(ackedName)
		r.drained()
		r.tells(want...)
	})
}

// TestSenderKeepsBlobsAlive: while the log takes no events for days, it does not
// remove the content to which the first one will refer.
func TestSenderKeepsBlobsAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.log.set(func(l *fakeLog) { l.refuse = func([]store.Draft) error { return store.ErrStorageFull } })
		r.put(store.Draft{Key: "big", Type: "agent", Data: []byte(`"` + strings.Repeat("y", 1100<<10) + `"`)})
		for range 26 {
			pass(time.Hour)
			if _, err := r.log.engine.SweepBlobs(t.Context(), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		r.log.set(func(l *fakeLog) { l.refuse = nil })
		r.drained()
		e := r.log.events("s")[0]
		if _, err := r.log.ReadBlob(t.Context(), store.BlobRefs(e.Data)[0]); err != nil {
			t.Error(err)
		}
	})
}

func TestNextTurn(t *testing.T) {
	for turn, want := range map[string]string{
		"t": "t+2", "t+2": "t+3", "t+9": "t+10", "t+1": "t+1+2", "t+02": "t+02+2", "+2": "+2+2", "a+b": "a+b+2", "t+": "t++2",
	} {
		if got := nextTurn(turn); got != want {
			t.Errorf("%s: got %s, want %s", turn, got, want)
		}
	}
	turn := strings.Repeat("x", store.TurnBytesMax)
	seen := map[string]bool{turn: true}
	for range 20 {
		if turn = nextTurn(turn); len(turn) > store.TurnBytesMax || seen[turn] {
			t.Fatalf("got %q", turn)
		}
		seen[turn] = true
	}
}

func TestSetMember(t *testing.T) {
	got := string(setMember([]byte(`{ "a" : 1.0 ,"requestId":"t", "b":{"requestId":"t"},"requestId":null}`), "requestId", `t"2`))
	if want := `{"a":1.0,"requestId":"t\"2","b":{"requestId":"t"},"requestId":"t\"2"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestSenderLateEnd: of a turn that was given up only its end is left, and that
// is told; by a process that knows nothing of the turn, too.
func TestSenderLateEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{}, nil)
		r.put(of("turn_start", "t", leased))
		r.drained()
		r.abandon()
		r.put(of("turn_end", "t", `{"success":true}`))
		r.drained()
		want := []string{
			`turn_start t *`, `turn_end t *`, `turn_start t+2 {"continues":"t","agent":"claude","run":"r1","leaseMs":60000}`,
			`turn_end t+2 {"success":true}`,
		}
		r.tells(want...)
		_ = r.stop()
		r.dir = t.TempDir()
		r.config.Epoch++
		r.open()
		r.put(text("t", "late"))
		r.drained()
		r.tells(append(want, `text t+2 {"text":"late"}`)...)

		r.log.appendAs("s", of("turn_start", "u", leased))
		r.abandon()
		r.put(text("u", "1"))
		r.drained()
		r.tells(append(want, `text t+2 *`, `turn_start u *`, `turn_end u *`, `turn_start u+2 {"continues":"u","leaseMs":900000}`, `text u+2 {"text":"1"}`)...)
	})
}

// TestSenderMovedMayWait: who is told of a move may be held up by the spool that
// the Sender empties.
func TestSenderMovedMayWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		told := make(chan struct{})
		r := newSending(t, memory.Options{}, func(c *SenderConfig) {
			c.Moved = func(string, string) { <-told }
		})
		r.put(of("turn_start", "t", leased))
		r.drained()
		r.abandon()
		r.put(text("t", "1"), text("t", "2"))
		r.drained()
		close(told)
	})
}

func TestSenderLimitThatIsTooLow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newSending(t, memory.Options{EventBytesMax: 1000}, nil)
		r.put(store.Draft{Key: "k", Type: "agent", Data: []byte(`"` + strings.Repeat("y", 9000) + `"`)})
		if err := r.Drain(t.Context()); store.CodeOf(err) != store.CodeEventTooLarge || !strings.Contains(err.Error(), "raise its limit") {
			t.Errorf("got %v", err)
		}
		if n, _ := r.Lag(); n != 1 {
			t.Error("the spool did not keep it")
		}
	})
}
