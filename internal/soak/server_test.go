package soak

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/internal/faultvfs"
	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/stream"
)

// serveEnv makes the test's own binary a server of that data directory: the
// same code as konlog serve, with a disk and a clock that obey.
const serveEnv = "KONLOG_SOAK_SERVE"

// readyMax is how long a server takes to be ready, after a kill too.
const readyMax = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serve(dir, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(long.Main(m))
}

// serve runs until SIGTERM, and does what its standard input says: "full",
// "room", "clock DURATION".
func serve(dir, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	disk, err := faultvfs.NewPlain()
	if err != nil {
		return err
	}
	var offset atomic.Int64
	hub := stream.NewHub()
	log, err := sqlite.Open(ctx, dir, sqlite.Options{
		Committed: hub.Committed, VFS: disk.Name(),
		Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := api.New(log, hub, api.Config{})
	h := &http.Server{Handler: server.Handler()}
	server.ConfigureHTTP(h)
	go func() { _ = h.Serve(listener) }()
	go func() {
		for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
			switch word, rest, _ := strings.Cut(orders.Text(), " "); word {
			case "full":
				disk.Inject(faultvfs.Fault{Ops: faultvfs.OpWrite, Code: faultvfs.Full})
			case "room":
				disk.Lift()
			case "clock":
				d, _ := time.ParseDuration(rest) // the test wrote it
				offset.Store(int64(d))
			}
		}
	}()
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	server.Drain(end, 0)
	_ = h.Shutdown(end)
	return log.Close()
}

// server is such a process, over its deaths.
type server struct {
	dir, addr, url string

	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd
	stdin *os.File
}

func newServer(t *testing.T) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: filepath.Join(t.TempDir(), "data"), addr: l.Addr().String()}
	_ = l.Close()
	s.url = "http://" + s.addr
	t.Cleanup(s.kill)
	s.start(t)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], s.addr)
	cmd.Env = append(os.Environ(), serveEnv+"="+s.dir)
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	s.mu.Lock()
	s.cmd, s.stdin = cmd, out
	s.mu.Unlock()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // another process: there is nothing to wait on but its port
		resp, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Since(began) > readyMax {
			t.Fatalf("the server is not ready: %v", err)
		}
	}
}

// order tells the server to misbehave.
func (s *server) order(words ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.stdin, words...)
}

// kill ends the server without warning.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
		_ = s.stdin.Close()
		s.cmd = nil
	}
}

// terminate ends the server in order.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.cmd = nil
}

// usage is the memory, in bytes, and the open files of the server's process; ok
// is false where /proc does not say, and while it is dead.
func (s *server) usage() (memory int64, files int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0, 0, false
	}
	proc := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	open, err := os.ReadDir(proc + "/fd")
	status, err2 := os.ReadFile(proc + "/status")
	_, line, found := strings.Cut(string(status), "\nVmRSS:")
	if err != nil || err2 != nil || !found {
		return 0, 0, false
	}
	kib, err := strconv.ParseInt(strings.Fields(line)[0], 10, 64)
	return kib << 10, len(open), err == nil
}
