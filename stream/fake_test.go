package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog keeps sessions in memory, and lets a test act in the gap after a
// read.
type fakeLog struct {
	hub *Hub

	mu        sync.Mutex
	sessions  map[string]*fakeSession
	afterRead func(store.Page) // or nil; called without the lock
	broken    error            // given by every read, or nil
	reads     int
}

type fakeSession struct {
	store.Session
	events []store.Event
}

func newFakeLog(sessions ...string) *fakeLog {
	l := &fakeLog{hub: NewHub(), sessions: make(map[string]*fakeSession)}
	for _, id := range sessions {
		l.create(id, "epoch-1", 0)
	}
	return l
}

func (l *fakeLog) create(id, epoch string, head int64) {
	l.mu.Lock()
	l.sessions[id] = &fakeSession{Session: store.Session{ID: id, Epoch: epoch, Head: head, Floor: head + 1}}
	l.mu.Unlock()
	l.hub.Committed(id, head)
}

func (l *fakeLog) delete(id string) {
	l.mu.Lock()
	delete(l.sessions, id)
	l.mu.Unlock()
	l.hub.Committed(id, 0)
}

func (l *fakeLog) forget(id string, floor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[id].Floor = floor
}

// store appends without telling the hub.
func (l *fakeLog) store(id string, events ...store.Event) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	for _, e := range events {
		e.ID, e.Session = s.Head+1, id
		if e.Type == "" {
			e.Type = "text_delta"
		}
		if e.Time.IsZero() {
			e.Time = time.Now().UTC()
		}
		if e.Data == nil {
			e.Data = fmt.Appendf(nil, `{"text":"%d"}`, e.ID)
		}
		e.Seal()
		s.Fold(&e, len(e.Data))
		s.events = append(s.events, e)
	}
	return s.Head
}

func (l *fakeLog) append(id string, events ...store.Event) {
	l.hub.Committed(id, l.store(id, events...))
}

func (l *fakeLog) appendN(id string, n int) { l.append(id, make([]store.Event, n)...) }

func (l *fakeLog) Session(_ context.Context, id string) (store.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sessions[id]
	if !ok {
		return store.Session{}, store.ErrNotFound
	}
	return s.Session, nil
}

func (l *fakeLog) Read(ctx context.Context, id string, q store.Query) (store.Page, error) {
	page, err := l.read(id, q)
	if err == nil {
		err = ctx.Err()
	}
	l.mu.Lock()
	after := l.afterRead
	l.mu.Unlock()
	if err == nil && after != nil {
		after(page)
	}
	return page, err
}

func (l *fakeLog) read(id string, q store.Query) (store.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if l.broken != nil {
		return store.Page{}, l.broken
	}
	s, ok := l.sessions[id]
	if !ok {
		return store.Page{}, store.ErrNotFound
	}
	limit := q.Limit.OrDefault()
	page := store.Page{Session: s.Session}
	size := 0
	take := func(e store.Event) bool {
		size += len(e.JSON())
		if q.Raw {
			size += len(e.Raw)
		} else {
			e.Raw = nil
		}
		if len(page.Events) > 0 && (len(page.Events) >= limit.Events || size > limit.Bytes) {
			return false
		}
		page.Events = append(page.Events, e)
		return true
	}
	if q.Backward {
		for i := len(s.events) - 1; i >= 0; i-- {
			e := s.events[i]
			if (q.Before == 0 || e.ID < q.Before) && e.ID >= s.Floor && !take(e) {
				break
			}
		}
		for i, j := 0, len(page.Events)-1; i < j; i, j = i+1, j-1 {
			page.Events[i], page.Events[j] = page.Events[j], page.Events[i]
		}
		return page, nil
	}
	if q.Fold {
		f := store.NewFolder(q)
		for _, e := range s.events {
			if e.ID > q.After && e.ID >= s.Floor && (q.Until == 0 || e.ID <= q.Until) && !f.Add(e) {
				break
			}
		}
		page.Events = f.Events()
		return page, nil
	}
	for _, e := range s.events {
		if e.ID > q.After && e.ID >= s.Floor && (q.Until == 0 || e.ID <= q.Until) && !take(e) {
			break
		}
	}
	return page, nil
}

func (l *fakeLog) setAfterRead(f func(store.Page)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.afterRead = f
}

// handler serves the routes of section 3 and answers refusals with their code.
func handler(s *Server) http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, f func(http.ResponseWriter, *http.Request, Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			req, err := ParseRequest(r, r.PathValue("s"))
			if err == nil {
				err = f(w, r, req)
			}
			if err != nil {
				code := http.StatusBadRequest
				if errors.Is(err, store.ErrNotFound) {
					code = http.StatusNotFound
				}
				http.Error(w, string(store.CodeOf(err)), code)
			}
		})
	}
	serve("GET /v1/sessions/{s}/ws", s.ServeWebSocket)
	serve("GET /started/{s}/ws", func(w http.ResponseWriter, r *http.Request, req Request) error {
		return s.StartWebSocket(w, r, req, func() {})
	})
	serve("GET /v1/ws", s.ServeWebSocket)
	serve("GET /v1/sessions/{s}/sse", s.ServeSSE)
	serve("GET /v1/sse", s.ServeSSE)
	serve("GET /v1/sessions/{s}/events", s.ServePoll)
	serve("GET /v1/poll", s.ServePoll)
	return mux
}

// site is a server that a test talks to.
type site struct {
	t      testing.TB
	url    string
	client *http.Client
	stop   func()
}

// newSite serves on loopback.
func newSite(t testing.TB, s *Server) *site {
	ts := httptest.NewServer(handler(s))
	client := &http.Client{Transport: &http.Transport{}}
	w := &site{t: t, url: ts.URL, client: client}
	w.stop = func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx, "test", 0)
		client.CloseIdleConnections()
		ts.CloseClientConnections()
		ts.Close()
	}
	t.Cleanup(w.stop)
	return w
}

// pipes is a listener whose connections are pipes, which virtual time can see
// through.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newPipeSite serves inside a bubble of virtual time. stop must be called
// before the bubble ends.
func newPipeSite(t testing.TB, s *Server) *site {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	hs := &http.Server{Handler: handler(s)}
	done := make(chan struct{})
	go func() { defer close(done); _ = hs.Serve(p) }()
	tr := &http.Transport{DialContext: p.dial}
	w := &site{t: t, url: "http://konlog.test", client: &http.Client{Transport: tr}}
	w.stop = func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Drain(ctx, "test", 0)
		_ = hs.Close()
		tr.CloseIdleConnections()
		<-done
	}
	return w
}

// got is one thing a reader received: an event or a control frame.
type got struct {
	name  string // of the frame; "" for an event
	body  string
	id    int64
	sseID string
	hasID bool
	event string // SSE name
}

func (g got) field(name string) any {
	var m map[string]any
	if err := json.Unmarshal([]byte(g.body), &m); err != nil {
		panic(err)
	}
	return m[name]
}

func parseGot(body string) got {
	var m struct {
		ID   int64
		Type string
		Data json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		panic(fmt.Sprintf("%v: %q", err, body))
	}
	g := got{body: body, id: m.ID}
	if m.Data == nil {
		g.name = m.Type
	}
	return g
}

// stream is a reader's end of a live connection.
type liveStream interface {
	next() (got, error)
	close()
}

type sseStream struct {
	cancel context.CancelFunc
	res    *http.Response
	r      *sse.Reader
}

func (s *sseStream) next() (got, error) {
	for {
		e, err := s.r.Next()
		if err != nil {
			return got{}, err
		}
		if e.Data == nil {
			continue
		}
		g := parseGot(string(e.Data))
		g.sseID, g.hasID, g.event = e.ID, e.HasID, e.Name
		return g, nil
	}
}
func (s *sseStream) close() { s.cancel(); s.res.Body.Close() }

func (w *site) get(path string, header ...string) (*http.Response, context.CancelFunc) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	return res, cancel
}

func (w *site) body(path string, header ...string) (string, *http.Response) {
	w.t.Helper()
	res, cancel := w.get(path, header...)
	defer cancel()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b), res
}

func (w *site) sse(path string, header ...string) liveStream {
	w.t.Helper()
	res, cancel := w.get(path, header...)
	if res.StatusCode != http.StatusOK {
		cancel()
		w.t.Fatalf("%s: status %d", path, res.StatusCode)
	}
	return &sseStream{cancel: cancel, res: res, r: sse.NewReader(res.Body, 0)}
}

type wsStream struct {
	c     *websocket.Conn
	lines []string
	sizes []int // lines per message
}

func (w *site) ws(path string) *wsStream {
	w.t.Helper()
	c, res, err := websocket.Dial(context.Background(), w.url+path, &websocket.DialOptions{HTTPClient: w.client, Subprotocols: []string{"konlog.v1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	if got := res.Header.Get(TransportHeader); got != WebSocket {
		w.t.Errorf("%s: %q", TransportHeader, got)
	}
	c.SetReadLimit(-1)
	return &wsStream{c: c}
}

func (s *wsStream) next() (got, error) {
	if len(s.lines) == 0 {
		_, b, err := s.c.Read(context.Background())
		if err != nil {
			return got{}, err
		}
		s.lines = strings.Split(string(b), "\n")
		s.sizes = append(s.sizes, len(s.lines))
	}
	g := parseGot(s.lines[0])
	s.lines = s.lines[1:]
	return g, nil
}
func (s *wsStream) close() { _ = s.c.CloseNow() }
func (s *wsStream) send(t testing.TB, frame string) {
	t.Helper()
	if err := s.c.Write(context.Background(), websocket.MessageText, []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

// until reads up to and with the first of the named frame ("" for an event).
func until(t testing.TB, s liveStream, name string) []got {
	t.Helper()
	var all []got
	for {
		g, err := s.next()
		if err != nil {
			t.Fatalf("waiting for %q after %s: %v", name, names(all), err)
		}
		all = append(all, g)
		if g.name == name {
			return all
		}
	}
}

// nEvents reads until n events came.
func nEvents(t testing.TB, s liveStream, n int) []string {
	t.Helper()
	var all []string
	for len(all) < n {
		g, err := s.next()
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(all), n, err)
		}
		if g.name == "" {
			all = append(all, g.body)
		}
	}
	return all
}

// rest reads to the end of the stream.
func rest(s liveStream) ([]got, error) {
	var all []got
	for {
		g, err := s.next()
		if err != nil {
			return all, err
		}
		all = append(all, g)
	}
}

// names writes a run of frames and events in short: "hello status 1 2 caught_up".
func names(all []got) string {
	var b strings.Builder
	for _, g := range all {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if g.name == "" {
			fmt.Fprint(&b, g.id)
		} else {
			b.WriteString(g.name)
		}
	}
	return b.String()
}

// bodies returns the bytes of all the events of a session.
func (l *fakeLog) bodies(id string, raw bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, e := range l.sessions[id].events {
		if e.ID >= l.sessions[id].Floor {
			all = append(all, string(e.AppendJSON(nil, raw)))
		}
	}
	return all
}

// pollPage is the answer of a poll as a client sees it.
type pollPage struct {
	Session, Epoch    string
	Floor, Head, Next int64
	CaughtUp          bool
	Status            map[string]any
	Events            []json.RawMessage
	Gap, Reset        map[string]any
}

func (w *site) poll(path string, header ...string) pollPage {
	w.t.Helper()
	b, res := w.body(path, header...)
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: status %d: %s", path, res.StatusCode, b)
	}
	var p pollPage
	d := json.NewDecoder(bytes.NewReader([]byte(b)))
	if err := d.Decode(&p); err != nil {
		w.t.Fatalf("%s: %v: %s", path, err, b)
	}
	return p
}

func (p pollPage) ids() string {
	var all []got
	for _, e := range p.Events {
		all = append(all, parseGot(string(e)))
	}
	return names(all)
}
