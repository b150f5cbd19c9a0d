package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

const hookURL = "http://receiver.test/hook"

// got is a delivery as the receiver saw it.
type got struct {
	at   time.Time
	url  string
	id   string
	head http.Header
	text string
	body struct {
		Type    string
		FeedID  int64
		Session string
		ID      int64
		Turn    string
		Time    time.Time
		Data    json.RawMessage
		Event   json.RawMessage
	}
}

// receiver is the other side, without a network.
type receiver struct {
	answer func(n int, r *http.Request) (status int, header http.Header) // of the n-th request, from 1; nil answers 204

	mu   sync.Mutex // guards what follows
	seen []got
	open int // requests that are not answered
	most int // of those at a time
}

func (v *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	g := got{at: time.Now(), url: r.URL.String(), id: r.Header.Get("webhook-id"), head: r.Header, text: string(text)}
	if err := json.Unmarshal(text, &g.body); err != nil {
		return nil, fmt.Errorf("body %s: %w", text, err)
	}
	v.mu.Lock()
	v.seen = append(v.seen, g)
	n := len(v.seen)
	v.open++
	v.most = max(v.most, v.open)
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		v.open--
		v.mu.Unlock()
	}()
	status, header := 204, http.Header{}
	if v.answer != nil {
		status, header = v.answer(n, r)
	}
	if status == 0 { // it hangs
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if status < 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("secret answer")), Request: r}, nil
}

func (v *receiver) all() []got {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]got(nil), v.seen...)
}

// rig is a sender over a store in memory.
type rig struct {
	*testing.T
	log      *memory.Log
	hub      *stream.Hub
	reader   stream.Log     // of the sender, likewise
	store    store.Webhooks // of the sender; the log unless a test puts something between
	receiver *receiver
	sender   *Sender
	text     *logged
}

// logged is what was logged.
type logged struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// virtual runs f in virtual time, without a sender yet.
func virtual(t *testing.T, f func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, hub: stream.NewHub(), receiver: &receiver{}, text: new(logged)}
		r.log = memory.New(memory.Options{Committed: r.hub.Committed})
		r.store, r.reader = r.log, r.log
		defer r.close()
		f(r)
	})
}

func (r *rig) start() {
	r.sender = Start(Options{
		Log: r.reader, Webhooks: r.store, Hub: r.hub, Version: "v9", Transport: r.receiver,
		Logger: slog.New(slog.NewTextHandler(r.text, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	synctest.Wait()
}

func (r *rig) close() {
	if r.sender != nil {
		r.sender.Close()
		r.sender = nil
	}
}

// hook makes a webhook that wants turn_end of every session, unless said else.
func (r *rig) hook(change ...func(*store.WebhookSpec)) store.Webhook {
	r.Helper()
	spec := store.WebhookSpec{URL: hookURL, Types: []string{"turn_end"}}
	for _, f := range change {
		f(&spec)
	}
	w, err := r.log.CreateWebhook(ctx, spec)
	if err != nil {
		r.Fatal(err)
	}
	if r.sender != nil {
		r.sender.Changed()
		synctest.Wait()
	}
	return w
}

func (r *rig) patch(id string, p store.WebhookPatch) {
	r.Helper()
	if _, err := r.log.UpdateWebhook(ctx, id, p); err != nil {
		r.Fatal(err)
	}
	r.sender.Changed()
	synctest.Wait()
}

// kept is the webhook as the store has it.
func (r *rig) kept(id string) store.Webhook {
	r.Helper()
	w, err := r.log.Webhook(ctx, id)
	if err != nil {
		r.Fatal(err)
	}
	return w
}

// feed appends an entry to the feed and waits until all is quiet.
func (r *rig) feed(typ, session string, id int64) int64 {
	r.Helper()
	n := r.feedOnly(typ, session, id)
	synctest.Wait()
	return n
}

// feedOnly appends as a restored log does: the rules of appending are not for
// the feed, which repeats what other sessions have taken.
func (r *rig) feedOnly(typ, session string, id int64) int64 {
	r.Helper()
	feed, err := r.log.Session(ctx, store.FeedSession)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		r.Fatal(err)
	}
	d := store.Draft{ID: feed.Head + 1, Type: typ, Turn: fmt.Sprint("r-", id), Data: fmt.Appendf(nil, `{"session":%q,"id":%d,"success":true}`, session, id)}
	if _, err := r.log.Append(ctx, store.FeedSession, store.AppendOptions{Restore: true}, d); err != nil {
		r.Fatal(err)
	}
	return d.ID
}

// wait lets virtual time pass.
func (r *rig) wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// wantFeed checks which entries of the feed arrived, in order.
func (r *rig) wantFeed(what string, want ...int64) {
	r.Helper()
	var have []int64
	for _, g := range r.receiver.all() {
		have = append(have, g.body.FeedID)
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		r.Fatalf("%s: got %v, want %v\n%s", what, have, want, r.text)
	}
}

// verify checks a signature by the text of the specification, with nothing of
// the code under test.
func verify(t *testing.T, secret string, g got) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", g.head.Get("webhook-id"), g.head.Get("webhook-timestamp"), g.text)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); g.head.Get("webhook-signature") != want {
		t.Errorf("signature %s, want %s", g.head.Get("webhook-signature"), want)
	}
	if n := fmt.Sprint(g.at.Unix()); g.head.Get("webhook-timestamp") != n {
		t.Errorf("timestamp %s, want %s", g.head.Get("webhook-timestamp"), n)
	}
}

// gate acts around the reads of the feed: those of the loop, or those that a
// delivery begins with.
type gate struct {
	stream.Log
	before, after func(step bool) // or nil
}

func (g *gate) Read(ctx context.Context, session string, q store.Query) (store.Page, error) {
	step := q.Limit.Events == feedPageEvents
	if session == store.FeedSession && g.before != nil {
		g.before(step)
	}
	page, err := g.Log.Read(ctx, session, q)
	if session == store.FeedSession && g.after != nil {
		g.after(step)
	}
	return page, err
}
