package abuse

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// The tokens of the two, and where they come from: on loopback every address of
// 127/8 can be one's own.
const (
	ordinaryToken = "ordinary"
	attackerToken = "attacker"
	ordinaryFrom  = "127.0.0.1"
	attackerFrom  = "127.0.0.66"
)

// credentials are those that the server knows.
type credentials struct{}

func (credentials) Verify(_ context.Context, token string) (access.Grant, error) {
	if token != ordinaryToken && token != attackerToken {
		return access.Grant{}, access.ErrUnauthorized
	}
	return access.Grant{Subject: token, ID: "key:" + token, Read: store.AllSessions, Write: store.AllSessions, Metrics: true}, nil
}

func (credentials) Holds(*access.Grant) bool { return true }

// target is a server that is attacked.
type target struct {
	t    *testing.T
	log  *sqlite.Log
	addr string
	http *http.Client // of the ordinary ones
	open atomic.Int64 // connections that the server has
	most atomic.Int64 // of those, at a time
}

// settings are small enough that an attack reaches them within a second, and
// far above what the ordinary ones need.
func settings() api.Config {
	return api.Config{
		Limits: api.Limits{LineTimeout: 2 * time.Second},
		Stream: stream.Config{WriteTimeout: 2 * time.Second, SilenceMax: 5 * time.Second, Heartbeat: time.Second},
		Rates: api.Rates{
			Local: true, Requests: 1000, RequestsBurst: 2000, AddressRequests: 2000, AddressRequestsBurst: 4000, Bytes: 8 << 20, BytesBurst: 1,
			Frames: 2000, FramesBurst: 2000, Failures: 1, FailuresBurst: 10, SessionsPerHour: 50, ConnectionsPerCredential: 100, SubscriptionsPerCredential: 500,
			IntakeBytes: 24 << 20, Sockets: 600, SocketsPerAddress: 300, NewSockets: 5000, NewSocketsBurst: 5000,
		},
	}
}

func newTarget(t *testing.T, change func(*api.Config)) *target {
	t.Helper()
	if probe, err := net.Listen("tcp", attackerFrom+":0"); err != nil {
		t.Skipf("only one loopback address here: %v", err)
	} else {
		_ = probe.Close()
	}
	cfg := settings()
	a, err := access.New(access.Config{Verifier: credentials{}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Access, cfg.Ingest = a, plainLines
	if change != nil {
		change(&cfg)
	}
	hub := stream.NewHub()
	log, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Committed: hub.Committed, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", ordinaryFrom+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := api.New(log, hub, cfg)
	tg := &target{t: t, log: log, addr: l.Addr().String()}
	h := &http.Server{Handler: s.Handler()}
	s.ConfigureHTTP(h)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(&counting{s.LimitListener(l), tg})
	}()
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	tg.http = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Drain(ctx, 0)
		_ = h.Close()
		<-served
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return tg
}

// plainLines takes an agent's lines as the server's own reader does, as far as
// an attacker can tell: it holds one until it ends.
func plainLines(ctx context.Context, q api.IngestRequest) (done api.Ingested, err error) {
	lines := bufio.NewScanner(q.Body)
	lines.Buffer(nil, q.LineBytes)
	for lines.Scan() {
		data, err := json.Marshal(lines.Text())
		if err != nil {
			return done, err
		}
		if _, err := q.Append(ctx, []store.Draft{{Type: "agent", Data: data}}); err != nil {
			return done, err
		}
		done.Lines++
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return done, store.Errorf(store.CodeEventTooLarge, "the line is too long")
	}
	return done, lines.Err()
}

// counting counts the connections that got past the limits.
type counting struct {
	net.Listener
	t *target
}

type counted struct {
	net.Conn
	t    *target
	once sync.Once
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := l.t.open.Add(1)
	for most := l.t.most.Load(); n > most && !l.t.most.CompareAndSwap(most, n); most = l.t.most.Load() {
	}
	return &counted{Conn: c, t: l.t}, nil
}

func (c *counted) Close() error {
	c.once.Do(func() { c.t.open.Add(-1) })
	return c.Conn.Close()
}

func (c *counted) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// dial connects as the attacker.
func (tg *target) dial() (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackerFrom)}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", tg.addr)
	if err == nil {
		// Else an attack would begin with filling megabytes of the kernel's.
		err = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	return c, err
}

// head is the header of a request of the attacker, without its last line.
func (tg *target) head(method, path string, more ...string) string {
	h := method + " " + path + " HTTP/1.1\r\nHost: " + tg.addr + "\r\nAuthorization: Bearer " + attackerToken + "\r\n"
	for _, m := range more {
		h += m + "\r\n"
	}
	return h
}

// ask sends one request of the attacker on a connection of its own and returns
// the answer; status 0 when the server cut it off instead.
func (tg *target) ask(method, path, body string, more ...string) (status int, answer string) {
	c, err := tg.dial()
	if err != nil {
		return 0, ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	more = append(more, fmt.Sprintf("Content-Length: %d", len(body)), "Connection: close")
	go func() { _, _ = io.WriteString(c, tg.head(method, path, more...)+"\r\n"+body) }() // it may be refused before its end
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// codeOf is the code of a problem.
func codeOf(body string) string {
	var p struct{ Code, Limit string }
	_ = json.Unmarshal([]byte(body), &p)
	return p.Code + "/" + p.Limit
}

// webSocket upgrades a connection of the attacker.
func (tg *target) webSocket(path string, more ...string) (net.Conn, *bufio.Reader, *http.Response, error) {
	c, err := tg.dial()
	if err != nil {
		return nil, nil, nil, err
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	more = append(more, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+base64.StdEncoding.EncodeToString(key))
	if _, err := io.WriteString(c, tg.head("GET", path, more...)+"\r\n"); err != nil {
		_ = c.Close()
		return nil, nil, nil, err
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("upgrade: %s", res.Status)
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, res, err
	}
	return c, r, res, nil
}

// frame makes a client's frame, masked with zeroes.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// closeCode reads frames until the server's close frame and returns its code,
// 0 when the connection ended without one.
func closeCode(c net.Conn, r *bufio.Reader) int {
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		var h [2]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return 0
		}
		n := int(h[1] & 0x7f)
		if n >= 126 {
			ext := make([]byte, map[int]int{126: 2, 127: 8}[n])
			if _, err := io.ReadFull(r, ext); err != nil {
				return 0
			}
			n = 0
			for _, b := range ext {
				n = n<<8 | int(b)
			}
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return 0
		}
		if h[0]&0xf == 8 && n >= 2 {
			return int(body[0])<<8 | int(body[1])
		}
	}
}

// ordinary is a producer and a reader who do what they always do: append an
// event, see it, append the next.
type ordinary struct {
	tg      *target
	session string
	lines   chan int64 // ids as the reader sees them
	close   func()
	last    int64
}

func (tg *target) ordinary() *ordinary {
	o := &ordinary{tg: tg, session: "ordinary", lines: make(chan int64, 1)}
	o.append()
	req, _ := http.NewRequest("GET", "http://"+tg.addr+"/v1/sessions/"+o.session+"/sse?after=1", nil)
	req.Header.Set("Authorization", "Bearer "+ordinaryToken)
	ctx, cancel := context.WithCancel(context.Background())
	res, err := tg.http.Do(req.WithContext(ctx))
	if err != nil || res.StatusCode != 200 {
		tg.t.Fatalf("the ordinary reader could not begin: %v %v", err, res)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(o.lines)
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			var id int64
			if _, err := fmt.Sscanf(lines.Text(), "id: %d", &id); err == nil {
				select {
				case o.lines <- id:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	o.close = func() {
		cancel()
		_ = res.Body.Close()
		<-done
	}
	return o
}

func (o *ordinary) append() {
	o.tg.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+o.tg.addr+"/v1/sessions/"+o.session+"/events", strings.NewReader(`{"type":"text","data":{"text":"as always"}}`))
	req.Header.Set("Authorization", "Bearer "+ordinaryToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := o.tg.http.Do(req)
	if err != nil {
		o.tg.t.Fatalf("an ordinary append: %v", err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 201 {
		o.tg.t.Fatalf("an ordinary append was refused: %s", body)
	}
	o.last++
}

// ordinaryPace is far below the limits, whatever machine this is.
const ordinaryPace = 2 * time.Millisecond

// samplesMin is how many events are timed at least, however slow.
const samplesMin = 100

// times does the ordinary until done is closed and both have seen enough, and
// returns how long events took from the call to the reader.
func (o *ordinary) times(done <-chan struct{}) []time.Duration {
	var took []time.Duration
	pace := time.NewTicker(ordinaryPace)
	defer pace.Stop()
	for over := false; !over || len(took) < samplesMin; {
		start := time.Now()
		o.append()
		if id := <-o.lines; id != o.last {
			o.tg.t.Fatalf("the ordinary reader got event %d, want %d", id, o.last)
		}
		took = append(took, time.Since(start))
		<-pace.C
		select {
		case <-done:
			over = true
		default:
		}
	}
	return took
}

// felt is how long most events took, and nearly all.
type felt struct{ median, p99 time.Duration }

func feltOf(took []time.Duration) felt {
	slices.Sort(took)
	return felt{took[len(took)/2], took[len(took)*99/100]}
}

func (f felt) String() string { return fmt.Sprintf("median %v, p99 %v", f.median, f.p99) }

// measured is what an attack may cost.
type measured struct {
	ratio   int   // median of the ordinary under attack, over that without
	heap    int64 // bytes that are live during the attack, more than before
	sockets int64 // that the server has open at a time, those of the ordinary ones too
	last    time.Duration
}

// The defaults of measured. The ratio is large because on a machine with two
// cores attackers and server share them; without the limits it is hundreds, or
// the ordinary ones get nothing at all. Of the slowest nothing but that they come
// is asked: on a busy machine a few are slow without an attack.
const (
	ratioMax    = 50
	floor       = 5 * time.Millisecond // a median below this is noise
	p99Max      = 10 * time.Second
	attackLasts = 600 * time.Millisecond
	baseLasts   = 200 * time.Millisecond
)

// under runs the attack beside the ordinary ones and holds what they feel
// against the same without it. attack returns when ctx ends.
func (tg *target) under(m measured, attack func(ctx context.Context)) {
	t := tg.t
	t.Helper()
	o := tg.ordinary()
	defer o.close()
	o.times(after(baseLasts / 3)) // connections, caches and files are warm
	before, goroutines, files := live(), runtime.NumGoroutine(), descriptors()
	looked := make(chan struct{})
	go func() { // as under the attack, so that the two can be compared
		defer close(looked)
		<-after(baseLasts * 3 / 4)
		live()
	}()
	base := feltOf(o.times(after(baseLasts)))
	<-looked

	if m.last == 0 {
		m.last = attackLasts
	}
	ctx, cancel := context.WithCancel(context.Background())
	attacked := make(chan struct{})
	go func() {
		defer close(attacked)
		attack(ctx)
	}()
	stop := time.AfterFunc(m.last, cancel)
	defer stop.Stop()
	var heap int64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		<-after(m.last * 3 / 4)
		heap = live() - before
	}()
	got := feltOf(o.times(watched))
	<-watched
	<-ctx.Done()
	<-attacked

	if m.ratio == 0 {
		m.ratio = ratioMax
	}
	if got.median > time.Duration(m.ratio)*max(base.median, floor) || got.p99 > p99Max {
		t.Errorf("under attack the ordinary take %v; without it %v; the bounds are %d times the median, and %v", got, base, m.ratio, p99Max)
	}
	if heap > m.heap {
		t.Errorf("under attack %d KiB more are live; the bound is %d", heap>>10, m.heap>>10)
	}
	if most := tg.most.Load(); m.sockets > 0 && most > m.sockets {
		t.Errorf("under attack the server had %d connections open; the bound is %d", most, m.sockets)
	}
	t.Logf("%v; without attack %v; heap %+d KiB; at most %d connections", got, base, heap>>10, tg.most.Load())
	tg.givesBack(o, before, goroutines, files)
}

// givesBack waits until what the attack took is free again, and looks whether
// the ordinary ones still get what they always got.
func (tg *target) givesBack(o *ordinary, before int64, goroutines, files int) {
	t := tg.t
	t.Helper()
	// What the runtime keeps for itself of goroutines that have ended, and pools,
	// is no leak; half a MiB per attacker's connection would be.
	const givenBack = 6 << 20
	const slack = 12 // of goroutines and files: the ordinary client's idle connections, the runtime's own
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := after(time.Minute)
	for {
		heap := live() - before
		if runtime.NumGoroutine() <= goroutines+slack && descriptors() <= files+slack && heap < givenBack {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("after the attack: %d goroutines (before: %d), %d descriptors (%d), %d KiB more are live", runtime.NumGoroutine(), goroutines, descriptors(), files, heap>>10)
			return
		}
	}
	o.times(after(0))
}

// after is closed when d is over.
func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

// live is how much memory is in use, garbage left out.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// descriptors is how many this process has, 0 where it cannot know.
func descriptors() int {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(dir)
}

// crowd runs n attackers until ctx ends, each again and again.
func crowd(ctx context.Context, n int, f func(ctx context.Context, i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				f(ctx, i)
			}
		})
	}
	all.Wait()
}

// until closes the connection when ctx ends, which ends reads and writes.
func until(ctx context.Context, c net.Conn) (stop func()) {
	halt := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() {
		halt()
		_ = c.Close()
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// seed fills a session with n events of the given size, as one who may.
func (tg *target) seed(session string, n, size int) {
	tg.t.Helper()
	data := []byte(`{"text":"` + string(bytes.Repeat([]byte("lorem ipsum "), size/12)) + `"}`)
	for range n {
		if _, err := tg.log.Append(context.Background(), session, store.AppendOptions{}, store.Draft{Type: "text", Data: data}); err != nil {
			tg.t.Fatal(err)
		}
	}
}
