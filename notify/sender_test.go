package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

func TestDelivery(t *testing.T) {
	virtual(t, func(r *rig) {
		r.feed("turn_end", "old", 1)
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 42)
		r.feed("turn_start", "s1", 43)
		r.feed("turn_end", "s1", 44)
		r.wantFeed("only what it wants, from its beginning on", 2, 4)
		g := r.receiver.all()[0]
		verify(t, w.Secret, g)
		b := g.body
		if b.Type != "turn_end" || b.Session != "s1" || b.ID != 42 || b.Turn != "r-42" || !b.Time.Equal(time.Now()) || b.Event != nil || string(b.Data) != `{"session":"s1","id":42,"success":true}` {
			t.Errorf("body %s", g.text)
		}
		if g.url != hookURL || g.head.Get("User-Agent") != "konlog/v9" || g.head.Get("Content-Type") != "application/json" {
			t.Errorf("request to %s with %v", g.url, g.head)
		}
		if k := r.kept(w.ID); k.Cursor != 4 || k.LastStatus != 204 || k.Failures != 0 || k.LastError != "" || !k.LastAt.Equal(time.Now()) {
			t.Errorf("kept %+v", k.WebhookState)
		}
		if ids := r.receiver.all(); ids[0].id == ids[1].id {
			t.Error("two events share an id")
		}
		r.close()
		r.start()
		r.wantFeed("nothing again after a restart", 2, 4)
	})
}

func TestSignVector(t *testing.T) {
	s := store.WebhookSpec{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} // of the Standard Webhooks libraries
	if got, want := sign(s.Key(), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A failed event is tried again, later each time, under the same id; those
// behind it wait.
func TestRetry(t *testing.T) {
	virtual(t, func(r *rig) {
		const fails = 15
		r.receiver.answer = func(n int, _ *http.Request) (int, http.Header) {
			if n <= fails {
				return []int{503, 302, 400, -1}[n%4], nil
			}
			return 200, nil
		}
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.feed("turn_end", "s1", 2)
		k := r.kept(w.ID)
		if k.Failures != 1 || k.Cursor != 0 || k.LastStatus != 302 || !strings.Contains(k.LastError, "redirects are not followed") || k.FailingSince.IsZero() {
			t.Errorf("after one failure: %+v", k.WebhookState)
		}
		r.wait(8 * time.Hour)
		all := r.receiver.all()
		if len(all) != fails+2 {
			t.Fatalf("%d requests, want %d", len(all), fails+2)
		}
		for i := 1; i <= fails; i++ {
			bound := min(time.Second<<(i-1), time.Hour)
			if d := all[i].at.Sub(all[i-1].at); d < bound/2 || d > bound {
				t.Errorf("attempt %d came after %s, want %s to %s", i+1, d, bound/2, bound)
			}
			if all[i].id != all[0].id || all[i].body.FeedID != 1 || all[i].text != all[0].text {
				t.Errorf("attempt %d is of another message: %s", i+1, all[i].text)
			}
			verify(t, w.Secret, all[i])
		}
		if last := all[fails+1]; last.body.FeedID != 2 || last.id == all[0].id {
			t.Errorf("then came %s", last.text)
		}
		if k := r.kept(w.ID); k.Failures != 0 || k.LastError != "" || !k.NextAt.IsZero() || k.Cursor != 2 {
			t.Errorf("at the end: %+v", k.WebhookState)
		}
		if delivered, failed, dropped := r.sender.Counts(); delivered != 2 || failed != fails || dropped != 0 {
			t.Errorf("counted %d, %d, %d", delivered, failed, dropped)
		}
		if strings.Contains(r.text.String(), w.Secret) || strings.Contains(r.text.String(), "receiver.test") || strings.Contains(k.LastError, "secret answer") {
			t.Errorf("the log tells too much:\n%s", r.text)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		value    func() string
		min, max time.Duration
	}{
		"seconds":   {func() string { return "100" }, 100 * time.Second, 100 * time.Second},
		"date":      {func() string { return time.Now().Add(300 * time.Second).UTC().Format(http.TimeFormat) }, 299 * time.Second, 300 * time.Second},
		"for ever":  {func() string { return "99999999" }, retryAfterMax, retryAfterMax},
		"past":      {func() string { return "-5" }, 0, time.Second},
		"nonsense":  {func() string { return "soon" }, 0, time.Second},
		"too small": {func() string { return "0" }, retryMin / 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(r *rig) {
				r.receiver.answer = func(n int, _ *http.Request) (int, http.Header) {
					if n == 1 {
						return 429, http.Header{"Retry-After": {c.value()}}
					}
					return 200, nil
				}
				r.hook()
				r.start()
				r.feed("turn_end", "s1", 1)
				r.wait(retryAfterMax + time.Second)
				all := r.receiver.all()
				if len(all) != 2 {
					t.Fatalf("%d requests", len(all))
				}
				if d := all[1].at.Sub(all[0].at); d < c.min || d > c.max {
					t.Errorf("tried again after %s, want %s to %s", d, c.min, c.max)
				}
			})
		})
	}
}

func TestGonePausesUntilResumed(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, _ *http.Request) (int, http.Header) {
			return map[bool]int{true: 410, false: 200}[n == 1], nil
		}
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.feed("turn_end", "s1", 2)
		r.wait(100 * time.Hour)
		r.wantFeed("nothing more after 410", 1)
		if k := r.kept(w.ID); !k.Paused || k.Cursor != 0 {
			t.Errorf("kept %t %+v", k.Paused, k.WebhookState)
		}
		r.close()
		r.start()
		r.wait(time.Hour)
		r.wantFeed("nor after a restart", 1)
		resume := false
		r.patch(w.ID, store.WebhookPatch{Paused: &resume})
		r.wantFeed("resumed with what it refused", 1, 1, 2)
	})
}

// An event is given up when its receiver has failed for 72 hours and it is
// that old; the next one then gets its own time.
func TestGiveUp(t *testing.T) {
	virtual(t, func(r *rig) {
		var dead atomic.Bool
		dead.Store(true)
		r.receiver.answer = func(int, *http.Request) (int, http.Header) {
			return map[bool]int{true: 500, false: 200}[dead.Load()], nil
		}
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.wait(giveUpAfter - time.Minute)
		if k := r.kept(w.ID); k.Dropped != 0 || k.Cursor != 0 || k.Failures < 72 {
			t.Fatalf("before its time: %+v", k.WebhookState)
		}
		r.feed("turn_end", "s1", 2)
		r.wait(2 * time.Hour)
		if k := r.kept(w.ID); k.Dropped != 1 || k.Cursor != 1 || !strings.Contains(r.text.String(), "webhook event given up") {
			t.Fatalf("after its time: %+v", k.WebhookState)
		}
		r.wait(60 * time.Hour)
		dead.Store(false)
		r.wait(2 * time.Hour)
		all := r.receiver.all()
		if k := r.kept(w.ID); k.Dropped != 1 || k.Cursor != 2 || all[len(all)-1].body.FeedID != 2 {
			t.Errorf("at the end: %+v", k.WebhookState)
		}
		if _, _, dropped := r.sender.Counts(); dropped != 1 {
			t.Errorf("counted %d", dropped)
		}
	})
	virtual(t, func(r *rig) { // while the server was down nobody failed
		r.receiver.answer = func(int, *http.Request) (int, http.Header) { return 500, nil }
		w := r.hook()
		r.feed("turn_end", "s1", 1)
		r.wait(2 * giveUpAfter)
		r.start()
		r.wait(giveUpAfter - time.Minute)
		if k := r.kept(w.ID); k.Dropped != 0 || k.Cursor != 0 {
			t.Errorf("an old event had no time: %+v", k.WebhookState)
		}
	})
}

// A sender that stops in the middle leaves the event to the next one, which
// sends it under the same id.
func TestRestartInTheMiddle(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, _ *http.Request) (int, http.Header) { return map[bool]int{true: 0, false: 200}[n == 1], nil }
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.feed("turn_end", "s1", 2)
		r.close() // the receiver hangs
		if k := r.kept(w.ID); k.Cursor != 0 || k.Failures != 0 {
			t.Errorf("a stop counted as a failure: %+v", k.WebhookState)
		}
		r.start()
		r.wantFeed("again, then on", 1, 1, 2)
		if all := r.receiver.all(); all[0].id != all[1].id {
			t.Errorf("another id the second time: %s, %s", all[0].id, all[1].id)
		}
	})
}

// forgetful loses outcomes, as a crash between the answer and the commit does.
type forgetful struct {
	*rig
	lists    atomic.Bool // fail
	advances error       // or nil
}

func (f *forgetful) CreateWebhook(ctx context.Context, s store.WebhookSpec) (store.Webhook, error) {
	return f.log.CreateWebhook(ctx, s)
}
func (f *forgetful) Webhook(ctx context.Context, id string) (store.Webhook, error) {
	return f.log.Webhook(ctx, id)
}
func (f *forgetful) UpdateWebhook(ctx context.Context, id string, p store.WebhookPatch) (store.Webhook, error) {
	return f.log.UpdateWebhook(ctx, id, p)
}
func (f *forgetful) DeleteWebhook(ctx context.Context, id string) error {
	return f.log.DeleteWebhook(ctx, id)
}
func (f *forgetful) ListWebhooks(ctx context.Context) ([]store.Webhook, error) {
	if f.lists.Load() {
		return nil, errors.New("disk on fire")
	}
	return f.log.ListWebhooks(ctx)
}
func (f *forgetful) AdvanceWebhook(ctx context.Context, id string, cursor int64, o store.WebhookOutcome) (store.Webhook, error) {
	if f.advances != nil {
		return store.Webhook{}, f.advances
	}
	return f.log.AdvanceWebhook(ctx, id, cursor, o)
}

func TestCrashAfterTheAnswerSendsAgain(t *testing.T) {
	virtual(t, func(r *rig) {
		f := &forgetful{rig: r, advances: store.ErrStorageFull}
		r.store = f
		r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.feed("turn_end", "s1", 2)
		r.wantFeed("goes on though nothing is kept", 1, 2)
		r.close()
		f.advances = nil
		r.start()
		r.wantFeed("both again", 1, 2, 1, 2)
		if all := r.receiver.all(); all[0].id != all[2].id || all[1].id != all[3].id {
			t.Error("the repetitions have other ids")
		}
	})
}

func TestStoreThatCannotBeRead(t *testing.T) {
	virtual(t, func(r *rig) {
		f := &forgetful{rig: r}
		f.lists.Store(true)
		r.store = f
		r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.wait(storeRetry * 3)
		r.wantFeed("nothing yet")
		if n := strings.Count(r.text.String(), "could not be read"); n < 2 || n > 5 {
			t.Errorf("said %d times in %s:\n%s", n, storeRetry*3, r.text)
		}
		f.lists.Store(false)
		r.wait(storeRetry)
		r.wantFeed("by itself", 1)
	})
}

// Receivers that hang cost the others nothing, and no more than deliveriesMax
// requests are open.
func TestSlowReceiverDelaysNobody(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(_ int, q *http.Request) (int, http.Header) {
			return map[bool]int{true: 0, false: 200}[strings.HasPrefix(q.URL.Host, "slow")], nil
		}
		slow := r.hook(func(s *store.WebhookSpec) { s.URL = "http://slow.test/" })
		r.hook()
		r.start()
		began := time.Now()
		for id := range int64(5) {
			r.feed("turn_end", "s1", id+1)
		}
		n := 0
		for _, g := range r.receiver.all() {
			if g.url == hookURL {
				n++
			}
		}
		if n != 5 || time.Since(began) != 0 {
			t.Fatalf("%d of 5 came in %s", n, time.Since(began))
		}
		r.wait(deliveryTimeout + time.Second)
		if k := r.kept(slow.ID); k.Failures == 0 || !strings.Contains(k.LastError, "no answer within 15s") {
			t.Errorf("the slow one: %+v", k.WebhookState)
		}
	})
}

func TestDeliveriesAreBounded(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, q *http.Request) (int, http.Header) {
			return map[bool]int{true: 0, false: 200}[n <= 3*deliveriesMax], nil
		}
		for i := range store.WebhooksMax {
			r.hook(func(s *store.WebhookSpec) { s.URL = fmt.Sprint("http://h", i, ".test/") })
		}
		r.start()
		r.feed("turn_end", "s1", 1)
		r.wait(time.Hour)
		if r.receiver.most != deliveriesMax {
			t.Errorf("%d at a time, want %d", r.receiver.most, deliveriesMax)
		}
		done := map[string]bool{}
		for _, g := range r.receiver.all()[3*deliveriesMax:] {
			done[g.url] = true
		}
		if len(done) != store.WebhooksMax {
			t.Errorf("%d of %d were told", len(done), store.WebhooksMax)
		}
	})
}

func TestOneDeliveryAtATime(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, q *http.Request) (int, http.Header) {
			<-time.After(time.Second)
			return 200, nil
		}
		r.hook()
		for id := range int64(200) { // more than a page of the feed
			r.feedOnly("turn_end", "s1", id)
		}
		w := r.hook()
		r.start()
		for id := range int64(200) {
			r.feedOnly("turn_end", "s1", id)
		}
		r.wait(time.Hour)
		if r.receiver.most != 2 {
			t.Errorf("%d at a time for two webhooks", r.receiver.most)
		}
		last := map[string]int64{}
		for _, g := range r.receiver.all() {
			hook := g.id[:40]
			if g.body.FeedID <= last[hook] {
				t.Fatalf("%s: %d after %d", hook, g.body.FeedID, last[hook])
			}
			last[hook] = g.body.FeedID
		}
		if n := len(r.receiver.all()); n != 600 {
			t.Errorf("%d deliveries, want 600", n)
		}
		if k := r.kept(w.ID); k.Cursor != 400 {
			t.Errorf("cursor %d", k.Cursor)
		}
	})
}

func TestFilter(t *testing.T) {
	virtual(t, func(r *rig) {
		r.hook(func(s *store.WebhookSpec) { s.Types, s.Sessions = []string{"*"}, []string{"build-*", "x"} })
		r.start()
		r.feed("seen", "build-1", 1)
		r.feed("seen", "other", 2)
		r.feed("kontask_ready", "x", 3)
		_, err := r.log.Append(ctx, store.FeedSession, store.AppendOptions{}, store.Draft{Type: "seen", Data: []byte(`["not an entry"]`)})
		if err != nil {
			t.Fatal(err)
		}
		r.feed("session_created", "build-", 0)
		r.wantFeed("by pattern", 1, 3, 5)
	})
}

// A cursor moves over what nobody asked for, and is kept now and then: not for
// every event, and not never.
func TestCursorIsKeptNowAndThen(t *testing.T) {
	virtual(t, func(r *rig) {
		w := r.hook()
		paused := r.hook(func(s *store.WebhookSpec) { s.Paused = true })
		r.start()
		for range 10 {
			r.feed("seen", "s1", 1)
		}
		if k := r.kept(w.ID); k.Cursor != 0 {
			t.Errorf("kept at once: %d", k.Cursor)
		}
		r.wait(cursorEvery)
		if k := r.kept(w.ID); k.Cursor != 10 || !k.LastAt.IsZero() {
			t.Errorf("after a while: %+v", k.WebhookState)
		}
		r.feed("turn_end", "s1", 1)
		r.feed("seen", "s1", 1)
		r.wait(cursorEvery)
		r.wantFeed("the paused one is told nothing", 11)
		resume := false
		r.patch(paused.ID, store.WebhookPatch{Paused: &resume})
		r.wantFeed("but later", 11, 11)
	})
}

// What a client changes counts for what comes, not for what was passed over.
func TestChanges(t *testing.T) {
	virtual(t, func(r *rig) {
		r.start()
		r.feed("turn_end", "s1", 1)
		w := r.hook()
		r.feed("kontask_ready", "s1", 2)
		types := []string{"kontask_ready"}
		r.patch(w.ID, store.WebhookPatch{Types: &types})
		r.close()
		r.start() // which knows the kept cursor only
		r.wantFeed("not what was passed over")
		r.feed("turn_end", "s1", 3)
		types = []string{"turn_end", "kontask_ready"}
		r.patch(w.ID, store.WebhookPatch{Types: &types})
		r.feed("kontask_ready", "s1", 4)
		r.wantFeed("from the change on", 4)
		url := "http://moved.test/"
		r.patch(w.ID, store.WebhookPatch{URL: &url})
		r.feed("kontask_ready", "s1", 5)
		if all := r.receiver.all(); len(all) != 2 || all[1].url != url {
			t.Errorf("%d requests, the last to %s", len(all), all[len(all)-1].url)
		}
		if err := r.log.DeleteWebhook(ctx, w.ID); err != nil {
			t.Fatal(err)
		}
		r.sender.Changed()
		r.feed("kontask_ready", "s1", 6)
		r.wantFeed("nothing to a removed one", 4, 5)
		r.hook()
		r.feed("turn_end", "s1", 7)
		r.wantFeed("and a new one begins where it is made", 4, 5, 7)
	})
}

// A change that comes while a delivery is under way is not lost to its end.
func TestChangeWhileBusy(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, q *http.Request) (int, http.Header) { return map[bool]int{true: 0, false: 200}[n == 1], nil }
		w := r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		url := "http://moved.test/"
		r.patch(w.ID, store.WebhookPatch{URL: &url})
		r.wait(deliveryTimeout)
		if k := r.kept(w.ID); k.Failures != 0 || k.Paused {
			t.Errorf("the old URL's failure counts: %+v", k.WebhookState)
		}
		all := r.receiver.all()
		if len(all) != 2 || all[1].url != url || all[1].body.FeedID != 1 {
			t.Errorf("%d requests, the last to %s", len(all), all[len(all)-1].url)
		}
		r.receiver.answer = func(int, *http.Request) (int, http.Header) { return 0, nil }
		r.feed("turn_end", "s1", 2)
		if err := r.log.DeleteWebhook(ctx, w.ID); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Hour)
		if n := len(r.receiver.all()); n != 3 {
			t.Errorf("%d requests; one that was removed under way is not tried again", n)
		}
	})
}

// What comes while a delivery is under way is sent when it ends.
func TestNewsWhileBusy(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(int, *http.Request) (int, http.Header) {
			<-time.After(time.Second)
			return 200, nil
		}
		r.hook()
		r.start()
		r.feed("turn_end", "s1", 1)
		r.feed("turn_end", "s1", 2)
		r.wait(2 * time.Second)
		r.wantFeed("both", 1, 2)
	})
}

// What is committed between the loop's read and its wait is not forgotten, and
// takes no time.
func TestNewsInTheGap(t *testing.T) {
	virtual(t, func(r *rig) {
		var left atomic.Int64
		r.reader = &gate{Log: r.log, after: func(step bool) {
			if !step && left.Add(-1) >= 0 {
				r.feedOnly("turn_end", "s1", 1)
			}
		}}
		r.hook()
		r.start()
		left.Store(1)
		began := time.Now()
		r.feed("seen", "s1", 1) // after which nothing else would wake the loop
		r.wantFeed("what came in the gap", 2)
		if time.Since(began) != 0 {
			t.Errorf("after %s", time.Since(began))
		}
	})
}

// A change that comes while a delivery only looks, and settles nothing.
func TestChangeWhileLooking(t *testing.T) {
	virtual(t, func(r *rig) {
		looking, open := make(chan struct{}, 8), make(chan struct{})
		r.reader = &gate{Log: r.log, before: func(step bool) {
			if step {
				looking <- struct{}{}
				<-open
			}
		}}
		r.feed("seen", "s1", 1)
		w := r.hook()
		r.start()
		<-looking
		url := "http://moved.test/"
		r.patch(w.ID, store.WebhookPatch{URL: &url})
		close(open)
		synctest.Wait()
		r.feed("turn_end", "s1", 2)
		if all := r.receiver.all(); len(all) != 1 || all[0].url != url {
			t.Errorf("got %+v, want one request to %s", all, url)
		}
	})
}

// Keeping the cursor of a paused webhook sends nothing, whatever comes in
// between.
func TestPausedIsNotSentTo(t *testing.T) {
	virtual(t, func(r *rig) {
		var armed atomic.Bool
		r.reader = &gate{Log: r.log, before: func(step bool) {
			if step && armed.CompareAndSwap(true, false) {
				r.feedOnly("turn_end", "s1", 1)
			}
		}}
		w := r.hook()
		r.start()
		pause := true
		r.patch(w.ID, store.WebhookPatch{Paused: &pause})
		armed.Store(true)
		r.feed("seen", "s1", 1)
		r.wait(2 * cursorEvery)
		r.wantFeed("nothing to a paused one")
		if k := r.kept(w.ID); k.Cursor != 1 {
			t.Errorf("cursor %d was not kept", k.Cursor)
		}
	})
}

func TestFeedCutByRetention(t *testing.T) {
	virtual(t, func(r *rig) {
		w := r.hook()
		for id := range int64(10) {
			r.feedOnly("turn_end", "s1", id+1)
		}
		if _, err := r.log.Retain(ctx, store.Retention{Events: 2}); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.wantFeed("what is left", 9, 10)
		if !strings.Contains(r.text.String(), "from=1 to=8") || r.kept(w.ID).Cursor != 10 {
			t.Errorf("logged\n%s", r.text)
		}
	})
}

func TestBodyHoldsTheEvent(t *testing.T) {
	virtual(t, func(r *rig) {
		r.hook(func(s *store.WebhookSpec) { s.Types = []string{"*"} })
		r.start()
		ask := store.Draft{Type: "permission_request", Data: []byte(`{"requestId":"q", "tool":"<b>&\u00e9", "n":1.0}`)}
		large := store.Draft{Type: "permission_request", Data: []byte(`{"requestId":"r","input":"` + strings.Repeat("x", eventBytesMax) + `"}`)}
		if _, err := r.log.Append(ctx, "real", store.AppendOptions{}, ask, large); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		page, err := r.log.Read(ctx, "real", store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		r.feed("turn_end", "real", 1) // says something else of that id
		r.feed("turn_end", "real", 99)
		var with, without int
		for _, g := range r.receiver.all() {
			if g.body.Event == nil {
				without++
				continue
			}
			with++
			if want := `,"event":` + string(page.Events[0].JSON()) + "}"; g.body.ID != 1 || !strings.HasSuffix(g.text, want) {
				t.Errorf("body %s\nwant the event byte for byte: %s", g.text, want)
			}
		}
		feed, err := r.log.Session(ctx, store.FeedSession)
		if err != nil || with != 1 || int64(with+without) != feed.Head {
			t.Errorf("%d bodies with the event and %d without, of %d", with, without, feed.Head)
		}
	})
}

func TestTest(t *testing.T) {
	virtual(t, func(r *rig) {
		r.receiver.answer = func(n int, _ *http.Request) (int, http.Header) { return []int{200, 500, -1, 0, 0}[n-1], nil }
		w := r.hook(func(s *store.WebhookSpec) { s.Paused = true })
		r.start()
		for _, want := range []store.WebhookOutcome{{Status: 200}, {Status: 500, Error: "status 500 Internal Server Error"}, {Error: "connection refused"}, {Error: "no answer within 15s"}} {
			o, err := r.sender.Test(ctx, w)
			if err != nil || o.Status != want.Status || o.Error != want.Error {
				t.Errorf("got %+v, %v, want %+v", o, err, want)
			}
		}
		g := r.receiver.all()[0]
		verify(t, w.Secret, g)
		if g.body.Type != "test" || !strings.Contains(g.text, w.ID) || g.id == r.receiver.all()[1].id {
			t.Errorf("sent %s as %s", g.text, g.id)
		}
		if k := r.kept(w.ID); !k.LastAt.IsZero() || !k.Paused {
			t.Errorf("a test was kept: %+v", k.WebhookState)
		}
		ended := make(chan error, 1)
		s := r.sender
		go func() {
			_, err := s.Test(ctx, w)
			ended <- err
		}()
		synctest.Wait()
		r.close()
		if err := <-ended; !errors.Is(err, store.ErrShutdown) {
			t.Errorf("under way at the end: %v", err)
		}
	})
}

func TestBackoff(t *testing.T) {
	for n, bound := range map[int64]time.Duration{1: time.Second, 2: 2 * time.Second, 12: 2048 * time.Second, 13: time.Hour, 99: time.Hour, 1 << 40: time.Hour} {
		var all []time.Duration
		for range 100 {
			all = append(all, backoff(n))
		}
		if low, high := slices.Min(all), slices.Max(all); low < bound/2 || high > bound || low == high {
			t.Errorf("after %d failures %s to %s, want %s to %s", n, low, high, bound/2, bound)
		}
	}
}
