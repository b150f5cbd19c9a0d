package parity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// bare are all forms in which the server carries a log.
var bare = []string{"ws", "ws-lines", "sse", "sse-resume", "poll", "many-ws", "many-sse", "many-poll"}

// notes is what a reader was told and given after a place, in order.
type notes struct {
	told   []string
	epoch  string
	events [][]byte
}

// listen reads over a bare wire from a place until an event has this id.
func (r *rig) listen(t *testing.T, transport string, at place, until int64) (n notes) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	w, err := open(ctx, h, r.url, transport, []place{at})
	if err != nil {
		t.Fatalf("%s: %v", transport, err)
	}
	defer w.close()
	for {
		f, err := w.next()
		if err != nil {
			t.Fatalf("%s: %v after %d events, told %v", transport, err, len(n.events), n.told)
		}
		n.note(&f)
		if f.kind == "" && f.id == until {
			return n
		}
	}
}

func (n *notes) note(f *frame) {
	switch f.kind {
	case "":
		n.events = append(n.events, append([]byte(nil), f.body...))
	case "hello", "connected":
		n.epoch = f.epoch
	case "gap":
		n.told = append(n.told, fmt.Sprintf("gap %d-%d %s, %d events before", f.from, f.to, f.reason, len(n.events)))
	case "reset":
		n.epoch = f.epoch
		n.told = append(n.told, fmt.Sprintf("reset %s, %d events before", f.reason, len(n.events)))
	case "error", "bye":
		n.told = append(n.told, f.kind+" "+f.reason)
	}
}

// tail does the same with the Go client.
func (r *rig) tail(t *testing.T, transport, session string, after, until int64, epoch string) (n notes) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o := client.TailOptions{After: after, Epoch: epoch, Transport: transport}
	o.OnState = func(s client.State) {
		n.note(&frame{kind: s.Kind.String(), epoch: s.Epoch, reason: s.Reason, from: s.From, to: s.To})
	}
	for e, err := range r.direct.Tail(ctx, session, o) {
		if err != nil {
			t.Fatalf("client %s: %v after %d events, told %v", transport, err, len(n.events), n.told)
		}
		n.events = append(n.events, e.JSON)
		if e.ID == until {
			break
		}
	}
	return n
}

// TestP6_RetentionIsTold takes events away before readers that were on their
// way, on every transport and across a change of it.
func TestP6_RetentionIsTold(t *testing.T) {
	r := newRig(t, sqlite.Options{}, quick())
	r.append(t, "s", 100, 50)
	before := map[string]notes{}
	for _, transport := range []string{"ws", "sse", "poll"} {
		before[transport] = r.tail(t, transport, "s", 0, 5, "")
		same(t, transport, before[transport].events, before["ws"].events)
	}
	if _, err := r.log.Retain(t.Context(), store.Retention{Events: 20}); err != nil {
		t.Fatal(err)
	}
	log, floor := r.readLog(t, "s", false)
	if len(log) != 20 || floor != 80 {
		t.Fatalf("%d events after %d are left, want 20 after 80", len(log), floor)
	}
	want := "[gap 6-80 retention, 0 events before]"
	next := map[string]string{"ws": "sse", "sse": "poll", "poll": "ws"}
	for from, to := range next {
		n := r.tail(t, to, "s", 5, 100, before[from].epoch)
		same(t, from+" to "+to, n.events, log)
		if got := fmt.Sprint(n.told); got != want {
			t.Errorf("%s to %s: told %s, want %s", from, to, got, want)
		}
	}
	for _, transport := range bare {
		n := r.listen(t, transport, place{"s", 5, ""}, 100)
		same(t, transport, n.events, log)
		if got := fmt.Sprint(n.told); got != want {
			t.Errorf("%s: told %s, want %s", transport, got, want)
		}
		if n = r.listen(t, transport, place{"s", 90, ""}, 100); len(n.told) > 0 || len(n.events) != 10 {
			t.Errorf("%s: told %v and %d events, want the last 10 alone", transport, n.told, len(n.events))
		}
	}
}

// TestP6_RetentionIsToldInMidStream takes events away under readers that are
// connected and have stopped reading.
func TestP6_RetentionIsToldInMidStream(t *testing.T) {
	t.Parallel() // it waits most of the time
	cfg := quick()
	cfg.Stream.WriteTimeout = 20 * time.Second
	cfg.Stream.SilenceMax = 20 * time.Second
	r := newRig(t, sqlite.Options{CacheBytes: -1}, cfg)
	const events = 120
	for _, transport := range []string{"ws", "ws-lines", "sse", "many-ws", "many-sse"} {
		session := "s-" + transport
		for range events / 20 {
			r.append(t, session, 20, 20<<10)
		}
		log, _ := r.readLog(t, session, false)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		w, err := open(ctx, &http.Client{Transport: smallWindow(windowBytes)}, r.url, transport, []place{{session: session}})
		if err != nil {
			t.Fatal(err)
		}
		var n notes
		lastID := int64(0)
		for lastID < events {
			f, err := w.next()
			if err != nil {
				t.Fatalf("%s: %v after %d, told %v", transport, err, lastID, n.told)
			}
			n.note(&f)
			switch {
			case f.kind == "gap":
				if f.from != lastID+1 || f.to < f.from {
					t.Errorf("%s: gap %d-%d after event %d", transport, f.from, f.to, lastID)
				}
				lastID = f.to
			case f.kind == "":
				if lastID++; f.id != lastID || string(f.body) != string(log[lastID-1]) {
					t.Fatalf("%s: event %d came after %d: %.100s", transport, f.id, lastID-1, f.body)
				}
			}
			if f.id == 1 && f.kind == "" { // the server's next batches wait for us
				if _, err := r.log.Retain(t.Context(), store.Retention{Events: 5}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.close()
		cancel()
		if len(n.told) != 1 || len(n.events) > events/2 {
			t.Errorf("%s: told %v around %d events; nothing was missed", transport, n.told, len(n.events))
		}
	}
}

// windowBytes is small beside what is sent, and larger than a packet of the
// loopback interface: below that the kernel sends at the pace of its timers.
const windowBytes = 128 << 10

// smallWindow connects with a small receive buffer, so that a reader that
// stops is felt at once.
func smallWindow(bytes int) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(bytes)
		}
		return c, err
	}}
}

// TestP6_AnotherHistoryIsTold deletes a session and makes it again while
// readers are away: whoever knows the old epoch is told to drop its state, and
// whoever does not can see that events are gone or that the epoch is another.
func TestP6_AnotherHistoryIsTold(t *testing.T) {
	r := newRig(t, sqlite.Options{}, quick())
	r.append(t, "s", 30, 50)
	old := r.tail(t, "ws", "s", 0, 30, "").epoch
	if err := r.direct.DeleteSession(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	r.append(t, "s", 10, 50)
	log, before := r.readLog(t, "s", false)
	if before != 30 || len(log) != 10 {
		t.Fatalf("the new history is %d events after %d: ids must go on", len(log), before)
	}
	check := func(who string, n notes, want string) {
		t.Helper()
		same(t, who, n.events, log)
		if got := fmt.Sprint(n.told); got != want || n.epoch == old || n.epoch == "" {
			t.Errorf("%s: told %s and epoch %s (was %s), want %s", who, got, n.epoch, old, want)
		}
	}
	renewed := "[reset epoch_changed, 0 events before gap 1-30 retention, 0 events before]"
	for _, after := range []int64{20, 30} { // inside the old history, and where nothing seems to be missing
		for _, transport := range []string{"ws", "sse", "poll"} {
			check(fmt.Sprintf("client %s after %d", transport, after), r.tail(t, transport, "s", after, 40, old), renewed)
		}
		for _, transport := range []string{"ws", "ws-lines", "sse", "poll", "many-ws"} {
			check(fmt.Sprintf("%s after %d", transport, after), r.listen(t, transport, place{"s", after, old}, 40), renewed)
		}
	}
	for _, transport := range []string{"sse-resume", "many-sse", "many-poll"} { // cursors without an epoch
		check(transport+" after 20", r.listen(t, transport, place{"s", 20, ""}, 40), "[gap 21-30 retention, 0 events before]")
		check(transport+" after 30", r.listen(t, transport, place{"s", 30, ""}, 40), "[]")
	}
	for _, transport := range bare {
		check(transport+" beyond the head", r.listen(t, transport, place{"s", 99, ""}, 40), "[reset cursor_beyond_head, 0 events before gap 1-30 retention, 0 events before]")
	}
}

// TestP6_AnotherHistoryIsToldLive does it under connected readers: they learn
// that the session is gone, or that it began anew, before they see an event.
func TestP6_AnotherHistoryIsToldLive(t *testing.T) {
	r := newRig(t, sqlite.Options{}, quick())
	for _, transport := range []string{"ws", "sse", "poll"} {
		session := "s-" + transport
		r.append(t, session, 3, 50)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		renewed := false
		o := client.TailOptions{Transport: transport}
		o.OnState = func(s client.State) {
			renewed = renewed || s.Kind == client.StateReset
			if s.Kind == client.StateCaughtUp && !renewed {
				if err := r.direct.DeleteSession(ctx, session); err != nil {
					t.Error(err)
				}
				r.append(t, session, 2, 50)
			}
		}
		for e, err := range r.direct.Tail(ctx, session, o) {
			if errors.Is(err, store.ErrNotFound) {
				renewed = true
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", transport, err)
			}
			if e.ID > 3 && !renewed {
				t.Errorf("%s: event %d of another history came without a word", transport, e.ID)
			}
			if e.ID == 5 {
				break
			}
		}
		if !renewed {
			t.Errorf("%s: nothing was told", transport)
		}
		cancel()
	}
}
