package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"
)

// scenario is one measurement.
type scenario struct {
	name, about string
	own         bool // it must start and stop the server itself, so --server cannot serve it
	run         func(t *trial) error
}

// scenarios are all of them, in the order in which they run.
var scenarios = []scenario{
	{"fsync", "reference: the disk alone, 4 KiB appended and fdatasync", false, runFsync},
	{"null-http", "reference: an HTTP server that stores nothing, same requests", false, runNull},
	{"append-http", "128 sessions, one append in flight each, over HTTP", false, runAppendHTTP},
	{"append-ws", "the same over WebSocket", false, runAppendWS},
	{"append-array", "arrays of 100 from 16 producers", false, runAppendArray},
	{"append-ndjson", "NDJSON of 100 lines from 16 producers", false, runAppendLines},
	{"append-alone", "one append in flight in all", false, runAlone},
	{"fanout-20", "1,000 WebSocket readers of a session at 20 events/s", false, runFanout20},
	{"fanout-200", "1,000 WebSocket readers of a session at 200 events/s", false, runFanout200},
	{"fanout-sse-200", "1,000 SSE readers of a session at 200 events/s", false, runFanoutSSE},
	{"fanout-100", "100 readers of a session, 128 producers flat out", false, runFanout100},
	{"replay", "100,000 stored events over every transport, memory cold", false, runReplay},
	{"storm", "1,000 readers come back at once", false, runStorm},
	{"sessions-1000", "1,000 sessions with a producer and a reader each", false, runSessions},
	{"folds", "1,000 sessions in which turns go on, against the same that mean nothing", false, runFolds},
	{"idle", "1,000 readers of a session in which nothing happens", true, runIdle},
	{"agents", "100 agents at 50 lines/s each and a reader of each, run by the server, then by a process each", true, runAgents},
	{"grow", "append, tail, replay and restart by the size of the log", true, runGrow},
}

// bench is one run of the command.
type bench struct {
	options
	ctx     context.Context
	printer printer
	addr    string // of the server that --server names, or ""
	dir     string // temporary
	cores   *cores // nil when nothing is pinned
	serial  int
	fsync   time.Duration // of the disk, once known
}

// runOne runs a scenario and ends whatever it has started.
func (b *bench) runOne(s scenario) (err error) {
	if s.own && b.addr != "" {
		return errors.New("it starts and measures its own server; leave out --server")
	}
	ctx, cancel := context.WithTimeout(b.ctx, scenarioMax)
	defer cancel()
	b.serial++
	t := &trial{bench: b, name: s.name, ctx: ctx, addr: b.addr, data: filepath.Join(b.dir, strconv.Itoa(b.serial))}
	defer func() {
		t.stop()
		err = errors.Join(err, os.RemoveAll(t.data))
		debug.FreeOSMemory()
	}()
	return s.run(t)
}

// trial is one scenario as it runs.
type trial struct {
	*bench
	name   string
	ctx    context.Context
	addr   string
	data   string
	server *server // or nil with --server
}

// serve starts the server, unless --server names one.
func (t *trial) serve() error {
	if t.bench.addr != "" {
		return nil
	}
	return t.start(serveArgs(t.data))
}

func (t *trial) start(args []string) (err error) {
	if t.server, err = startServer(t.ctx, t.program, args, t.procs, t.cores); err != nil {
		return err
	}
	t.addr = t.server.addr
	return nil
}

func (t *trial) stop() {
	if t.server != nil {
		t.server.stop()
		t.server = nil
	}
}

// session makes the name of the i-th session of this run. Names differ between
// runs, because a server that --server names may have been measured before.
func (t *trial) session(i int) string {
	return fmt.Sprintf("bench-%s%d-%03d", strconv.FormatInt(started.UnixMilli()%1e9, 36), t.serial, i)
}

// size is the number that -n gave, else one for quick runs or the full one.
func (t *trial) size(quick, whole int) int {
	switch {
	case t.count > 0:
		return t.count
	case t.quick:
		return quick
	}
	return whole
}

// warmUp is the time before a window in which nothing counts.
func (t *trial) warmUp() time.Duration { return min(t.duration/5, time.Second) }

// window opens after the warm-up and is as long as --duration.
func (t *trial) window() window {
	from := now() + int64(t.warmUp())
	return window{from: from, to: from + int64(t.duration)}
}

func (t *trial) report(r Result) error {
	if r.Scenario = t.name; r.Did == "" {
		return errors.New("a result without words")
	}
	if t.quick || t.count > 0 { // the targets are about the full numbers
		r.Target = nil
	}
	return t.printer.print(r)
}

// usage measures the CPU time of both sides.
type usage struct {
	trial        *trial
	at           int64
	server, load time.Duration
}

func (t *trial) usage() usage {
	u := usage{trial: t, at: now(), load: cpuSelf()}
	if t.server != nil {
		u.server, _ = cpuOf(t.server.pid()) // unknown on other systems, and then left out
	}
	return u
}

// into fills in the shares since u was taken.
func (u usage) into(r *Result) {
	v := u.trial.usage()
	wall := float64(v.at - u.at)
	r.ServerCPU, r.LoadCPU = float64(v.server-u.server)/wall, float64(v.load-u.load)/wall
}
