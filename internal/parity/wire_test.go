package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/internal/sse"
)

// lineMax bounds what a wire takes in one piece: a batch of the largest events.
const lineMax = 16 << 20

// place is where a reader stands in one session.
type place struct {
	session string
	after   int64
	epoch   string // or ""
}

// wire is one connection as the server's bytes come out of it. It guards
// nothing: what the server repeats, leaves out or mixes up is seen.
type wire interface {
	next() (frame, error)
	close()
}

// frame is an event, with its bytes, or a control frame.
type frame struct {
	kind    string // "" for an event
	session string
	id      int64
	body    []byte // valid until the next frame

	epoch, reason string
	from, to      int64
}

// parseFrame tells the two apart by the order of keys, which is part of the
// protocol: an event begins with its id and its session.
func parseFrame(b []byte) (frame, error) {
	if rest, ok := bytes.CutPrefix(b, []byte(`{"id":`)); ok {
		num, rest, _ := bytes.Cut(rest, []byte(`,"session":"`))
		name, _, ok := bytes.Cut(rest, []byte(`","type":"`))
		id, err := strconv.ParseInt(string(num), 10, 64)
		if err != nil || !ok {
			return frame{}, fmt.Errorf("event with other keys in front: %.80q", b)
		}
		return frame{session: string(name), id: id, body: b}, nil
	}
	var c struct {
		Type, Session, Epoch, Reason string
		ID, From, To                 int64
	}
	if err := json.Unmarshal(b, &c); err != nil || c.Type == "" {
		return frame{}, fmt.Errorf("neither event nor frame: %.80q", b)
	}
	return frame{kind: c.Type, session: c.Session, id: c.ID, body: b, epoch: c.Epoch, reason: c.Reason, from: c.From, to: c.To}, nil
}

// open connects on one of the transports ws, ws-lines, sse, poll, and, for any
// number of sessions, many-ws, many-sse and many-poll.
func open(ctx context.Context, h *http.Client, base, transport string, at []place) (wire, error) {
	one := base + "/v1/sessions/" + at[0].session
	q := "?after=" + strconv.FormatInt(at[0].after, 10)
	if at[0].epoch != "" {
		q += "&epoch=" + url.QueryEscape(at[0].epoch)
	}
	switch transport {
	case "ws":
		return openWS(ctx, h, one+"/ws"+q, nil)
	case "ws-lines":
		return openWS(ctx, h, one+"/ws"+q+"&batch=1", nil)
	case "many-ws":
		return openWS(ctx, h, base+"/v1/ws", at)
	case "sse":
		return openSSE(ctx, h, one+"/sse"+q, "")
	case "sse-resume": // as a browser does it: the same address for ever
		last := ""
		if at[0].after > 0 {
			last = strconv.FormatInt(at[0].after, 10)
		}
		return openSSE(ctx, h, one+"/sse?after=0", last)
	case "many-sse":
		return openSSE(ctx, h, base+"/v1/sse?cursor="+cursor(at, true), cursor(at, false))
	case "poll":
		return &pollWire{ctx: ctx, h: h, url: one + "/events?limit=50&wait=20&after=", cursor: strconv.FormatInt(at[0].after, 10), epoch: at[0].epoch}, nil
	case "many-poll":
		return &pollWire{ctx: ctx, h: h, url: base + "/v1/poll?limit=20&wait=20&cursor=", cursor: cursor(at, false)}, nil
	}
	panic("no transport " + transport)
}

func cursor(at []place, zero bool) string {
	parts := make([]string, len(at))
	for i, p := range at {
		if parts[i] = fmt.Sprintf("%s:%d", p.session, p.after); zero {
			parts[i] = p.session + ":0"
		}
	}
	return strings.Join(parts, ",")
}

type wsWire struct {
	ctx   context.Context
	conn  *websocket.Conn
	lines bool
	rest  []byte
}

func openWS(ctx context.Context, h *http.Client, address string, subscribe []place) (wire, error) {
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: h, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(lineMax)
	w := &wsWire{ctx: ctx, conn: conn, lines: strings.Contains(address, "batch=1")}
	for _, p := range subscribe {
		f := fmt.Sprintf(`{"type":"subscribe","session":%q,"after":%d,"epoch":%q}`, p.session, p.after, p.epoch)
		if err := conn.Write(ctx, websocket.MessageText, []byte(f)); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *wsWire) next() (frame, error) {
	for len(w.rest) == 0 {
		_, b, err := w.conn.Read(w.ctx)
		if err != nil {
			return frame{}, err
		}
		w.rest = b
	}
	b := w.rest
	w.rest = nil
	if w.lines {
		b, w.rest, _ = bytes.Cut(b, []byte{'\n'})
	}
	f, err := parseFrame(b)
	if err == nil && f.kind == "ping" {
		err = w.conn.Write(w.ctx, websocket.MessageText, []byte(`{"type":"pong"}`))
	}
	return f, err
}

func (w *wsWire) close() { _ = w.conn.CloseNow() }

type sseWire struct {
	body io.ReadCloser
	in   *sse.Reader
}

func openSSE(ctx context.Context, h *http.Client, address, last string) (wire, error) {
	header := http.Header{}
	if last != "" {
		header.Set("Last-Event-ID", last)
	}
	resp, err := get(ctx, h, address, header)
	if err != nil {
		return nil, err
	}
	return &sseWire{body: resp.Body, in: sse.NewReader(resp.Body, lineMax)}, nil
}

func (s *sseWire) next() (frame, error) {
	for {
		e, err := s.in.Next()
		if err != nil {
			return frame{}, err
		}
		if e.Data == nil {
			continue
		}
		f, err := parseFrame(e.Data)
		if err == nil && f.kind != e.Name {
			err = fmt.Errorf("%q came under the name %q", f.kind, e.Name)
		}
		if err == nil && f.kind == "" && e.ID != strconv.FormatInt(f.id, 10) && !strings.Contains(","+e.ID+",", fmt.Sprintf(",%s:%d,", f.session, f.id)) {
			err = fmt.Errorf("%w: event %d of %s came under the id %q", errBroken, f.id, f.session, e.ID)
		}
		return f, err
	}
}

func (s *sseWire) close() { _ = s.body.Close() }

type pollWire struct {
	ctx    context.Context
	h      *http.Client
	url    string // up to the cursor
	cursor string
	epoch  string // of one session; several have none
	queue  []frame
}

type pollPage struct {
	Session, Epoch string
	Next           int64
	Events         []json.RawMessage
	Gap, Reset     json.RawMessage
	Status         json.RawMessage
}

func (p *pollWire) next() (frame, error) {
	for len(p.queue) == 0 {
		if err := p.fetch(); err != nil {
			return frame{}, err
		}
	}
	f := p.queue[0]
	p.queue = p.queue[1:]
	return f, nil
}

func (p *pollWire) fetch() error {
	address := p.url + url.QueryEscape(p.cursor)
	if p.epoch != "" {
		address += "&epoch=" + url.QueryEscape(p.epoch)
	}
	resp, err := get(p.ctx, p.h, address, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var many struct {
		pollPage
		Sessions []pollPage
		Cursor   string
	}
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	if many.Session != "" {
		many.Sessions = []pollPage{many.pollPage}
		many.Cursor = strconv.FormatInt(many.Next, 10)
		p.epoch = many.Epoch
	}
	p.cursor = many.Cursor
	for _, page := range many.Sessions {
		p.queue = append(p.queue, frame{kind: "hello", session: page.Session, epoch: page.Epoch})
		for _, control := range []json.RawMessage{page.Reset, page.Gap} {
			if control == nil {
				continue
			}
			f, err := parseFrame(control)
			if err != nil {
				return err
			}
			p.queue = append(p.queue, f)
		}
		for _, e := range page.Events {
			f, err := parseFrame(e)
			if err != nil {
				return err
			}
			p.queue = append(p.queue, f)
		}
		f, err := parseFrame(page.Status) // of the page's head, which its events may not reach
		if err != nil {
			return err
		}
		p.queue = append(p.queue, f)
	}
	return nil
}

func (p *pollWire) close() {}

// get makes a request that must be answered with 200.
func get(ctx context.Context, h *http.Client, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s: status %d", address, resp.StatusCode)
	}
	return resp, nil
}
