package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
)

// pongTimeout bounds the write of an answer to a ping.
const pongTimeout = 5 * time.Second

// wsCarrier reads frames from a WebSocket.
type wsCarrier struct {
	ctx  context.Context // of the connection
	conn *websocket.Conn
	msg  []byte // what is left of the last message
	*renewal
}

func (t *tail) openWebSocket(ctx context.Context) (carrier, error) {
	q := t.query()
	q.Set("batch", "1")
	u := t.c.url(q, "v1", "sessions", t.session, "ws")
	w, token, err := t.dial(ctx, u)
	var se *StatusError
	if errors.As(err, &se) {
		if other, failed := t.c.anotherToken(ctx, se.Status, token); other && failed == nil {
			w, _, err = t.dial(ctx, u)
		}
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// dial returns the token that it showed, too.
func (t *tail) dial(ctx context.Context, u *url.URL) (*wsCarrier, string, error) {
	header := t.c.header.Clone()
	token, err := t.c.authorize(ctx, header)
	if err != nil {
		return nil, "", fmt.Errorf("connect %s: %w", place(u), err)
	}
	conn, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: t.c.http, HTTPHeader: header, Subprotocols: []string{"konlog.v1"},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, token, dialError(err, resp, u)
	}
	conn.SetReadLimit(frameBytesMax)
	return &wsCarrier{ctx: ctx, conn: conn, renewal: newRenewal(ctx, t.c, token)}, token, nil
}

// dialError tells an answer from no answer.
func dialError(err error, resp *http.Response, u *url.URL) error {
	if resp == nil {
		return fmt.Errorf("connect %s: %w", place(u), bare(err))
	}
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	if resp.StatusCode < 300 { // a proxy that took the upgrade for a page, or a broken handshake
		return &refusedError{err: fmt.Errorf("connect %s: status %d instead of an upgrade", place(u), resp.StatusCode)}
	}
	return statusError(resp, http.MethodGet, u)
}

func (w *wsCarrier) next() (frame, error) {
	for {
		w.msg = bytes.TrimLeft(w.msg, "\n")
		if len(w.msg) == 0 {
			if err := w.read(); err != nil {
				return frame{}, err
			}
			continue
		}
		line, rest, _ := bytes.Cut(w.msg, []byte{'\n'})
		w.msg = rest
		f, err := decodeFrame(line)
		switch {
		case err != nil:
		case f.kind == framePing:
			err = w.pong()
		case f.kind == frameAuthExpiring:
			w.renew(w.conn)
		case f.kind == frameAck && f.Ref == renewalRef:
			w.renewed()
		}
		return f, err
	}
}

func (w *wsCarrier) read() error {
	kind, b, err := w.conn.Read(w.ctx)
	switch {
	case websocket.CloseStatus(err) == closeUnauthorized:
		return fmt.Errorf("%w: %w", errNotInForce, err)
	case websocket.CloseStatus(err) == 4404:
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case errors.Is(err, websocket.ErrMessageTooBig):
		return fmt.Errorf("frame over the limit of %d bytes: %w: %w", frameBytesMax, ErrUnreadable, err)
	case err != nil:
		return fmt.Errorf("read frame: %w", err)
	case kind != websocket.MessageText:
		return fmt.Errorf("binary message: %w", ErrUnreadable)
	}
	w.msg = b
	return nil
}

func (w *wsCarrier) pong() error {
	ctx, cancel := context.WithTimeout(w.ctx, pongTimeout)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`)); err != nil {
		return fmt.Errorf("answer ping: %w", err)
	}
	return nil
}

func (w *wsCarrier) close() {
	_ = w.conn.CloseNow() // the reader is done with it either way
	w.end()
}

// sseCarrier reads frames from an event stream.
type sseCarrier struct {
	body io.ReadCloser
	in   *sse.Reader
}

func (t *tail) openSSE(ctx context.Context) (carrier, error) {
	u := t.c.url(t.query(), "v1", "sessions", t.session, "sse")
	resp, err := t.c.send(ctx, http.MethodGet, u, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, statusError(resp, http.MethodGet, u)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		_ = resp.Body.Close() // the refusal matters
		return nil, &refusedError{err: fmt.Errorf("connect %s: %q instead of an event stream", place(u), kind)}
	}
	return &sseCarrier{body: resp.Body, in: sse.NewReader(resp.Body, frameBytesMax)}, nil
}

func (s *sseCarrier) next() (frame, error) {
	for {
		e, err := s.in.Next()
		if errors.Is(err, sse.ErrLineTooLong) {
			return frame{}, fmt.Errorf("read stream: %w: %w", ErrUnreadable, err)
		}
		if err != nil {
			return frame{}, fmt.Errorf("read stream: %w", err)
		}
		if e.Data == nil {
			continue // an id or a retry time alone
		}
		if e.Name != "" {
			return decodeControl(e.Name, e.Data)
		}
		ev, err := decodeEvent(e.Data)
		return frame{kind: frameEvent, event: ev}, err
	}
}

func (s *sseCarrier) close() { _ = s.body.Close() } // read only: nothing is lost

// pollCarrier makes the frames of a stream out of pages.
type pollCarrier struct {
	t     *tail
	ctx   context.Context // of the connection
	begun time.Time
	queue []frame // of the last page
}

func (t *tail) openPoll(ctx context.Context) carrier {
	return &pollCarrier{t: t, ctx: ctx, begun: time.Now()}
}

func (p *pollCarrier) close() {}

func (p *pollCarrier) next() (frame, error) {
	for len(p.queue) == 0 {
		if err := p.fetch(); err != nil {
			return frame{}, err
		}
	}
	f := p.queue[0]
	p.queue = p.queue[1:]
	return f, nil
}

// fetch asks for the next page. The first is answered at once: it is the
// hello of this transport.
func (p *pollCarrier) fetch() error {
	t := p.t
	q := t.query()
	if t.connected {
		if t.level > 0 && t.level0 && time.Since(p.begun) >= t.c.times.pollStay {
			return errStepUp
		}
		switch {
		case t.o.NoFollow:
		case t.plain:
			if err := sleep(p.ctx, t.c.times.plainPause); err != nil {
				return err
			}
		default:
			q.Set("wait", strconv.Itoa(int(t.c.times.pollWait/time.Second)))
		}
	} else if t.o.Tail == 0 {
		q.Set("limit", "100") // a first page that a slow line brings within the time for a hello
	}
	u := t.c.url(q, "v1", "sessions", t.session, "events")
	resp, err := t.c.send(p.ctx, http.MethodGet, u, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := statusError(resp, http.MethodGet, u)
		if q.Has("wait") && store.CodeOf(err) == "transport_disabled" {
			t.plain = true // the server lets nobody wait here, but it lets read
			t.c.log.Info("the server does not let this session be followed; reading it every few seconds", "session", t.session, "every", t.c.times.plainPause)
			return nil
		}
		return err
	}
	var w pageWire
	if err := decodeBody(resp.Body, &w); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	page, err := w.page()
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	p.enqueue(&page)
	return nil
}

// enqueue turns a page into the frames that a stream would have sent.
func (p *pollCarrier) enqueue(page *Page) {
	t := p.t
	if !t.connected {
		f := frame{kind: frameHello, status: page.Status}
		f.Epoch, f.Floor, f.Head, f.After = page.Epoch, page.Floor, page.Head, page.Next
		// Long enough for a whole wait and a slow answer.
		f.HeartbeatMs = max(t.c.times.heartbeat, t.c.times.pollWait/2).Milliseconds()
		if len(page.Events) > 0 {
			f.After = page.Events[0].ID - 1
			if from := page.Events[0].From; from > 0 {
				f.After = from - 1
			}
		}
		p.queue = append(p.queue, f)
	} else {
		t.cur.floor = page.Floor
	}
	if page.Reset != "" {
		f := frame{kind: frameReset}
		f.Epoch, f.Reason, f.Head = page.Epoch, page.Reset, page.Head
		p.queue = append(p.queue, f)
	}
	if g := page.Gap; g != nil {
		f := frame{kind: frameGap}
		f.From, f.To, f.Reason = g.From, g.To, g.Reason
		p.queue = append(p.queue, f)
	}
	for _, e := range page.Events {
		p.queue = append(p.queue, frame{kind: frameEvent, event: e})
	}
	p.queue = append(p.queue, frame{kind: frameStatus, status: page.Status})
	end := frame{kind: framePing}
	end.ID = page.Next
	if page.CaughtUp {
		end.kind = frameCaughtUp
	}
	p.queue = append(p.queue, end)
	if page.CaughtUp && reached(t.o.Until, page) {
		bye := frame{kind: frameBye}
		bye.Reason = "until"
		p.queue = append(p.queue, bye)
	}
}

// reached reports whether no event of a later page can lie before until.
func reached(until string, page *Page) bool {
	if id, err := strconv.ParseInt(until, 10, 64); err == nil {
		return page.Next >= id
	}
	at, err := time.Parse(time.RFC3339, until)
	if err != nil || page.Status == nil {
		return false
	}
	now, err := time.Parse(store.TimeLayout, page.Status.ServerTime)
	return err == nil && now.After(at)
}
