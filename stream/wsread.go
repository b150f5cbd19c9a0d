package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// Limits of what a client's frame may be beside Config.FrameBytesMax.
const (
	badFramesMax = 10  // in a row, before the connection is closed
	refBytesMax  = 128 // of a frame's ref, which is sent back
)

// The buffers of an upgraded connection. They live as long as it does, so
// they are small; larger frames are read past them.
const (
	readBufferBytes  = 1 << 10
	writeBufferBytes = 256 // for the library's control frames, of up to 127 bytes
)

// frames hold a client's frame while it is handled.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// wireConn is the network connection under a WebSocket. The pump's batches,
// the reading goroutine's answers and the library's control frames meet here:
// each write is whole frames, and each chunk has the write timeout for itself.
type wireConn struct {
	net.Conn
	early    []byte // read by the HTTP server before the upgrade
	timeout  time.Duration
	received func([]byte) // is told of what was read, and may wait; or nil
	closed   func()       // ends that waiting; or nil

	mu sync.Mutex // held over one write, so that nobody moves its deadline
}

func (w *wireConn) Read(p []byte) (n int, err error) {
	if len(w.early) > 0 {
		n = copy(p, w.early)
		w.early = w.early[n:]
	} else {
		n, err = w.Conn.Read(p)
	}
	if w.received != nil && n > 0 {
		w.received(p[:n])
	}
	return n, err
}

// Close implements net.Conn.
func (w *wireConn) Close() error {
	if w.closed != nil {
		w.closed()
	}
	return w.Conn.Close()
}

func (w *wireConn) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return writeChunks(w.Conn, p, func() error { return w.SetWriteDeadline(time.Now().Add(w.timeout)) })
}

// hijackWriter gives the library a wireConn and small buffers in place of the
// HTTP server's.
type hijackWriter struct {
	http.ResponseWriter
	timeout time.Duration
	conn    *wireConn // once hijacked
}

func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	h.conn = &wireConn{Conn: conn, timeout: h.timeout}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // what is buffered can be peeked
		h.conn.early = bytes.Clone(early)
	}
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, readBufferBytes), bufio.NewWriterSize(h.conn, writeBufferBytes)), nil
}

// readAll handles the client's frames until the connection ends.
func (o *wsCarrier) readAll(ctx context.Context) *ending {
	// The library arms a timer per read for a context that can end. Closing
	// the connection ends a read as well.
	plain := context.WithoutCancel(ctx)
	commands := pipeline{carrier: o}
	defer commands.close()
	bad := 0
	for {
		typ, r, err := o.ws.Reader(plain)
		if err != nil {
			return peerGone
		}
		o.hear()
		if typ != websocket.MessageText {
			return &ending{code: CloseBadFrame, reason: "frames are JSON text"}
		}
		buf := frames.Get().(*bytes.Buffer)
		buf.Reset()
		max := int64(o.conn.srv.cfg.FrameBytesMax)
		hold := o.conn.srv.cfg.Intake.Hold()
		held := &heldReader{r: io.LimitReader(r, max+1), hold: &hold}
		n, err := buf.ReadFrom(held)
		var end *ending
		switch {
		case held.full:
			end = &ending{code: websocket.StatusTryAgainLater, reason: "the server has no room for a frame of this size now"}
		case err != nil:
			end = peerGone
		case n > max:
			end = &ending{code: CloseFrameTooLarge, reason: "frame too large"}
		case ctx.Err() != nil: // the connection is being closed
		case !utf8.Valid(buf.Bytes()): // a ref would be sent back in a text message
			end = &ending{code: CloseBadFrame, reason: "frame is not UTF-8"}
		default:
			bad, end = o.handle(ctx, &commands, buf, bad)
		}
		hold.Release()
		if end != nil {
			return end
		}
	}
}

func free(buf *bytes.Buffer) {
	if buf.Cap() <= outboxKeepMax {
		frames.Put(buf)
	}
}

// handle carries out one frame, which it owns. It returns the number of
// malformed frames in a row, and an ending when the connection cannot go on.
func (o *wsCarrier) handle(ctx context.Context, commands *pipeline, buf *bytes.Buffer, bad int) (int, *ending) {
	if v := o.conn.view; v != nil {
		if body, ok := v.Inbound(buf.Bytes()); ok {
			buf.Reset()
			buf.Write(body)
		}
	}
	f, members, err := parseFrame(buf.Bytes())
	if o.limits != nil && f.asks() {
		o.wait(func() { o.limits.Asked(ctx) })
	}
	if err == nil && f.command() && o.conn.srv.cfg.Commander != nil {
		commands.add(ctx, f, buf)
		return 0, nil
	}
	defer free(buf)
	if err == nil {
		if err = o.carryOut(ctx, f, members); err == nil {
			return 0, nil
		}
	} else if store.CodeOf(err) == store.CodeInvalidJSON {
		return bad, &ending{code: CloseBadFrame, reason: "frame is not a JSON object"}
	}
	if code := store.CodeOf(err); code == CodeInvalidFrame || code == CodeUnauthorized { // of guessing, too, ten are enough
		bad++
	} else {
		bad = 0
	}
	o.note(ctx, f.Type, err)
	if bad >= badFramesMax {
		return bad, &ending{code: CloseBadFrame, reason: "too many bad frames"}
	}
	return bad, o.reply(o.conn.encode(newFailure(err, "", f.Ref)))
}

// clientFrame is what every frame of a client has.
type clientFrame struct {
	Type string
	Ref  json.RawMessage
}

// command reports whether the frame is the Commander's.
func (f clientFrame) command() bool {
	switch f.Type {
	case "ping", "pong", "subscribe", "unsubscribe", "auth":
		return false
	}
	return true
}

// asks reports whether the frame counts as a request: all but those that count
// by their bytes, and signs of life.
func (f clientFrame) asks() bool {
	switch f.Type {
	case "append", "ping", "pong":
		return false
	}
	return true
}

// pace slows down the reads of the wire to the client's limits, for as long as
// it is open: also what comes while it is being closed has to be read.
func (o *wsCarrier) pace(ctx context.Context) {
	if o.limits == nil {
		return
	}
	open, closed := context.WithCancel(context.WithoutCancel(ctx))
	var frames frameCounter
	o.wire.closed = closed
	o.wire.received = func(p []byte) {
		o.wait(func() { o.limits.Received(open, frames.count(p), len(p)) })
	}
}

// wait runs what may keep the client waiting, which is not its silence.
func (o *wsCarrier) wait(f func()) {
	o.busy.Add(1)
	f()
	o.busy.Add(-1)
	o.hear()
}

// parseFrame reads a frame. The members are nil for the frames of the
// Commander, which reads the bytes itself.
func parseFrame(body []byte) (clientFrame, map[string]json.RawMessage, error) {
	if f, ok := appendFrame(body); ok {
		return f, nil, nil
	}
	var f clientFrame
	var head struct {
		Type json.RawMessage `json:"type"`
		Ref  json.RawMessage `json:"ref"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return f, nil, store.Errorf(store.CodeInvalidJSON, "not a JSON object: %v", err)
	}
	if len(head.Ref) > refBytesMax {
		return f, nil, store.Errorf(CodeInvalidFrame, "ref of %d bytes is over the limit of %d", len(head.Ref), refBytesMax)
	}
	if head.Ref != nil {
		f.Ref = bytes.Clone(head.Ref) // body is used again
	}
	if len(head.Type) == 0 || json.Unmarshal(head.Type, &f.Type) != nil || f.Type == "" {
		return f, nil, store.Errorf(CodeInvalidFrame, "type is missing")
	}
	switch f.Type {
	case "subscribe", "unsubscribe", "auth":
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			return f, nil, store.Errorf(store.CodeInvalidJSON, "not a JSON object: %v", err)
		}
		return f, members, nil
	}
	return f, nil, nil
}

// appendFrame reads the type and ref of an append in the form that a fast
// producer sends, whose thousands of bytes the Commander alone then scans. Any
// other form is left to encoding/json.
func appendFrame(body []byte) (clientFrame, bool) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"type":"append","ref":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 || end+1 >= len(rest) || rest[end+1] != ',' || end > refBytesMax-2 {
		return clientFrame{}, false
	}
	for _, c := range rest[:end] {
		if c < ' ' || c > '~' || c == '\\' {
			return clientFrame{}, false
		}
	}
	ref := make([]byte, 0, end+2) // a copy: body is used again
	ref = append(append(append(ref, '"'), rest[:end]...), '"')
	return clientFrame{Type: "append", Ref: ref}, true
}

func (o *wsCarrier) carryOut(ctx context.Context, f clientFrame, members map[string]json.RawMessage) error {
	switch f.Type {
	case "ping":
		_ = o.reply(o.conn.encode(Pong{Type: "pong", Ref: f.Ref, ID: o.level.Load(), ServerTime: stamp(time.Now())}))
		return nil
	case "pong":
		return nil
	case "auth":
		return o.renew(ctx, f, members)
	case "subscribe":
		req, err := subscribeRequest(members)
		if err != nil {
			return err
		}
		o.change(ctx, op{req: req, ref: f.Ref})
		return nil
	case "unsubscribe":
		req, err := subscribeRequest(map[string]json.RawMessage{"session": members["session"]})
		if err != nil {
			return err
		}
		o.change(ctx, op{cancel: req.Session, ref: f.Ref})
		return nil
	}
	return store.Errorf(CodeInvalidFrame, "unknown frame type %.40q", f.Type)
}

// change hands a change of the subscriptions to the pump, and waits until it
// is taken.
func (o *wsCarrier) change(ctx context.Context, change op) {
	o.busy.Add(1)
	select {
	case o.conn.ops <- change:
	case <-ctx.Done():
	}
	o.hear()
	o.busy.Add(-1)
}

// reply sends an answer beside the pump's batches.
func (o *wsCarrier) reply(body []byte) *ending {
	if body == nil { // the connection's view does not show it
		return nil
	}
	framed := append(appendFrameHeader(make([]byte, 0, frameHeaderMax+len(body)), opText, len(body)), body...)
	if _, err := o.wire.Write(framed); err != nil {
		return peerGone
	}
	return nil
}
