package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// carrier names a transport that a reader uses.
type carrier string

const (
	carrierWS    carrier = "ws"
	carrierBatch carrier = "ws batch=1"
	carrierSSE   carrier = "sse"
)

// target is the path and query of a reader's request.
func (c carrier) target(session string, after int64) string {
	switch c {
	case carrierSSE:
		return fmt.Sprintf("/v1/sessions/%s/sse?after=%d", session, after)
	case carrierBatch:
		return fmt.Sprintf("/v1/sessions/%s/ws?after=%d&batch=1", session, after)
	}
	return fmt.Sprintf("/v1/sessions/%s/ws?after=%d", session, after)
}

// reader follows one session and requires every id once and in order.
type reader struct {
	session string
	carrier carrier
	after   int64                              // the cursor that it begins with
	stopAt  int64                              // run ends with this id; 0 means never
	delays  *histogram                         // from due to arrival; or nil
	taken   func(event []byte, at int64) error // is told of every event; or nil

	wire    *wire
	asked   int64        // when the request was sent
	first   atomic.Int64 // when the first event came; 0 before
	level   atomic.Int64 // when caught_up came; 0 before
	last    atomic.Int64 // id of the last event
	lastAt  atomic.Int64 // when it came
	partial []byte       // of a message in several frames, or of an event stream
	chunks  dechunker
}

// connect sends the request and reads the head of its answer.
func (r *reader) connect(ctx context.Context, addr string, bufferBytes int) (err error) {
	if r.wire, err = dial(ctx, addr, bufferBytes); err != nil {
		return err
	}
	return r.ask(addr)
}

// ask sends the request on a wire that is there.
func (r *reader) ask(addr string) error {
	r.last.Store(r.after)
	target, want := r.carrier.target(r.session, r.after), 101
	request := upgradeRequest(addr, target)
	if r.carrier == carrierSSE {
		request, want = getRequest(addr, target), 200
	}
	r.asked = now()
	if err := r.wire.write(request); err != nil {
		return err
	}
	return r.wire.run(func(b []byte, _ int64) (int, error) {
		h, size, err := parseHead(b)
		if size == 0 || err != nil {
			return 0, err
		}
		if h.status != want {
			return 0, fmt.Errorf("%s: status %d: %s", target, h.status, b[size:])
		}
		if want == 200 && !h.chunked {
			return 0, fmt.Errorf("%s: an event stream that is not chunked", target)
		}
		return size, errDone
	})
}

// run reads until stopAt, or until the wire is closed.
func (r *reader) run() error {
	if r.carrier == carrierSSE {
		return r.wire.run(r.takeSSE)
	}
	return r.wire.run(r.takeFrames)
}

func (r *reader) takeFrames(b []byte, at int64) (used int, err error) {
	for {
		f, size, err := parseFrame(b[used:])
		if size == 0 || err != nil {
			return used, err
		}
		used += size
		if err := r.takeFrame(f, at); err != nil {
			return used, err
		}
	}
}

func (r *reader) takeFrame(f serverFrame, at int64) error {
	switch f.op {
	case opPing:
		pong, _ := appendClientFrame(nil, opPong, f.payload)
		return r.wire.write(pong)
	case opPong:
		return nil
	case opClose:
		return fmt.Errorf("the server closed the connection: %q", f.payload)
	case opText, opContinuation:
	default:
		return fmt.Errorf("a frame of kind %d", f.op)
	}
	message := f.payload
	if !f.final || len(r.partial) > 0 {
		if r.partial = append(r.partial, message...); !f.final {
			return nil
		}
		message, r.partial = r.partial, r.partial[:0]
	}
	for len(message) > 0 {
		line := message
		if i := bytes.IndexByte(message, '\n'); i >= 0 {
			line, message = message[:i], message[i+1:]
		} else {
			message = nil
		}
		if err := r.take(line, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) takeSSE(b []byte, at int64) (used int, err error) {
	for {
		data, n, err := r.chunks.next(b[used:])
		if err != nil {
			return used, err
		}
		if r.chunks.over {
			return used, errors.New("the server ended the event stream")
		}
		if n == 0 {
			return used, nil
		}
		used += n
		r.partial = append(r.partial, data...)
		if err := r.takeBlocks(at); err != nil {
			return used, err
		}
	}
}

func (r *reader) takeBlocks(at int64) error {
	rest := r.partial
	for {
		id, data, named, size, err := parseSSE(rest)
		if err != nil {
			return err
		}
		if size == 0 {
			r.partial = append(r.partial[:0], rest...)
			return nil
		}
		rest = rest[size:]
		if data == nil {
			continue
		}
		if err := r.take(data, at); err != nil {
			return err
		}
		if !named && id != r.last.Load() {
			return fmt.Errorf("session %s: an event came under the id %d: %.80s", r.session, id, data)
		}
	}
}

// take handles one event or control frame.
func (r *reader) take(b []byte, at int64) error {
	id, sent, ok := parseEvent(b)
	if !ok {
		return r.control(b, at)
	}
	if last := r.last.Load(); id != last+1 {
		return fmt.Errorf("session %s: event %d came after event %d", r.session, id, last)
	}
	if r.first.Load() == 0 {
		r.first.Store(at)
	}
	if r.taken != nil {
		if err := r.taken(b, at); err != nil {
			return fmt.Errorf("session %s: event %d: %w", r.session, id, err)
		}
	}
	if r.delays != nil && sent != 0 {
		r.delays.record(at - sent)
	}
	r.lastAt.Store(at)
	r.last.Store(id)
	if id == r.stopAt {
		return errDone
	}
	return nil
}

func (r *reader) control(b []byte, at int64) error {
	const start = `{"type":"`
	name, _, ok := strings.Cut(strings.TrimPrefix(string(b[:min(len(b), 40)]), start), `"`)
	switch {
	case !ok:
		return fmt.Errorf("session %s: neither an event nor a frame: %.80s", r.session, b)
	case name == "caught_up":
		r.level.CompareAndSwap(0, at)
	case name == "gap", name == "reset", name == "bye", name == "error":
		return fmt.Errorf("session %s: the server sent %.200s", r.session, b)
	}
	return nil
}

// crowd is a number of readers that run at once.
type crowd struct {
	readers []*reader
	wait    sync.WaitGroup
	leaving atomic.Bool
	failed  atomic.Pointer[error]
}

// gatherAtOnce is how many readers connect at the same time when a crowd
// gathers before a measurement.
const gatherAtOnce = 32

// gather connects the readers, lets them run and waits until each is level.
func gather(ctx context.Context, addr string, readers []*reader) (*crowd, error) {
	c := &crowd{readers: readers}
	slots := make(chan struct{}, gatherAtOnce)
	var connecting sync.WaitGroup
	for _, r := range readers {
		slots <- struct{}{}
		connecting.Go(func() {
			defer func() { <-slots }()
			c.start(ctx, addr, r)
		})
	}
	connecting.Wait()
	err := c.until(ctx, func(r *reader) bool { return r.level.Load() != 0 })
	if err != nil {
		_ = c.leave() // err says more
		return nil, err
	}
	return c, nil
}

// start connects one reader and lets it run.
func (c *crowd) start(ctx context.Context, addr string, r *reader) {
	err := r.connect(ctx, addr, wireBytesSmall)
	if err != nil {
		c.fail(err)
		return
	}
	c.wait.Go(func() { c.fail(r.run()) })
}

func (c *crowd) fail(err error) {
	if err != nil && !c.leaving.Load() {
		c.failed.CompareAndSwap(nil, &err)
	}
}

func (c *crowd) err() error {
	if e := c.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// until waits until ok holds for every reader or one has failed.
func (c *crowd) until(ctx context.Context, ok func(*reader) bool) error {
	at := 0
	err := until(ctx, func() bool {
		for at < len(c.readers) && ok(c.readers[at]) {
			at++
		}
		return at == len(c.readers) || c.err() != nil
	})
	if failed := c.err(); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("reader %d of %d is at event %d of %s and gets no further: %w", at+1, len(c.readers), c.readers[at].last.Load(), c.readers[at].session, err)
	}
	return nil
}

// reach waits until every reader has the event, and returns when the last one
// got it.
func (c *crowd) reach(ctx context.Context, id int64) (lastAt int64, err error) {
	err = c.until(ctx, func(r *reader) bool { return r.last.Load() >= id })
	for _, r := range c.readers {
		lastAt = max(lastAt, r.lastAt.Load())
	}
	return lastAt, err
}

// leave closes all connections and waits for the readers to end.
func (c *crowd) leave() error {
	c.leaving.Store(true)
	for _, r := range c.readers {
		if r.wire != nil {
			r.wire.close()
		}
	}
	c.wait.Wait()
	return c.err()
}
