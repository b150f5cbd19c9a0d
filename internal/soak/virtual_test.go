package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

const (
	virtualDefault = 2 // hours
	virtualAgents  = 6
	virtualPause   = 40 * time.Second // between two requests of an agent
	faultEvery     = 7 * time.Minute
)

// TestSoak_VirtualDay is a day of agents at work and people who watch, in
// virtual time: heartbeats, leases, long-polls, retries and restarts all come as
// they do in a day.
func TestSoak_VirtualDay(t *testing.T) {
	hours := virtualDefault
	if text := os.Getenv("KONLOG_SOAK_HOURS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("KONLOG_SOAK_HOURS: %v", err)
		}
		hours = n
	}
	disk, err := faultvfs.NewPlain()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, dir: dir, disk: disk}
		h.open()
		web := &http.Client{Transport: &http.Transport{DialContext: h.dial, MaxIdleConnsPerHost: 100}}
		c, err := client.New("http://konlog.test", client.WithHTTPClient(web), client.WithHeader("Host", "localhost"))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, virtualAgents, virtualPause, c, map[string]*client.Client{"ws": c, "sse": c, "poll": c, "auto": c})
		random := rand.New(rand.NewPCG(5, 6))
		faults := map[string]int{}
		for end := time.Now().Add(time.Duration(hours) * time.Hour); time.Now().Before(end) && !t.Failed(); {
			time.Sleep(faultEvery)
			faults[h.fault(random)]++
		}
		h.disk.Lift()
		w.settle(t, c)
		t.Logf("%d h: %d events acknowledged, %d seen by %d readers, %v", hours, w.events.Load(), w.seen.Load(), len(w.readers), faults)
		_ = c.Close()
		web.CloseIdleConnections()
		h.close()
	})
	if err := disk.Close(); err != nil {
		t.Error(err)
	}
}

// house is a server without a network: clients reach it through pipes.
type house struct {
	t    *testing.T
	dir  string
	disk *faultvfs.VFS

	offset atomic.Int64 // of its clock
	log    *sqlite.Log
	api    *api.Server
	http   *http.Server

	mu    sync.Mutex // guards what follows
	door  *door      // nil while it is closed
	pipes map[net.Conn]struct{}
}

func (h *house) open() {
	hub := stream.NewHub()
	log, err := sqlite.Open(context.Background(), h.dir, sqlite.Options{
		Committed: hub.Committed, VFS: h.disk.Name(),
		Now: func() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.log, h.api = log, api.New(log, hub, api.Config{AllowedHosts: []string{"*"}})
	h.http = &http.Server{Handler: h.api.Handler()}
	h.api.ConfigureHTTP(h.http)
	d := &door{conns: make(chan net.Conn), closed: make(chan struct{})}
	h.mu.Lock()
	h.door, h.pipes = d, map[net.Conn]struct{}{}
	h.mu.Unlock()
	go func() { _ = h.http.Serve(d) }()
}

func (h *house) close() {
	ctx, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	h.mu.Lock()
	h.door = nil
	h.mu.Unlock()
	h.api.Drain(ctx, 0)
	h.cut()
	_ = h.http.Shutdown(ctx)
	if err := h.log.Close(); err != nil {
		h.t.Error(err)
	}
}

// cut ends all connections, in mid-message.
func (h *house) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.pipes {
		_ = c.Close()
	}
	clear(h.pipes)
}

var errClosed = errors.New("connection refused")

func (h *house) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	h.mu.Lock()
	d := h.door
	h.mu.Unlock()
	if d == nil {
		return nil, errClosed
	}
	near, far := net.Pipe()
	select {
	case d.conns <- far:
	case <-d.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	h.pipes[near] = struct{}{}
	h.mu.Unlock()
	return near, nil
}

// fault does one thing that happens in a day.
func (h *house) fault(random *rand.Rand) string {
	what := []string{"cut", "cut", "full", "clock", "restart", "calm"}[random.IntN(6)]
	switch what {
	case "cut":
		h.cut()
	case "full":
		h.disk.Inject(faultvfs.Fault{Ops: faultvfs.OpWrite, Code: faultvfs.Full})
		time.Sleep(30 * time.Second)
		h.disk.Lift()
	case "clock":
		h.offset.Store(random.Int64N(int64(2*clockMax)) - int64(clockMax))
	case "restart":
		h.close()
		time.Sleep(20 * time.Second)
		h.open()
	}
	return what
}

// door is the listener of a house.
type door struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *door) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
