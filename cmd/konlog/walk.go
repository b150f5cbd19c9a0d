package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/internal/sse"
)

// walker makes the requests of doctor.
type walker struct {
	url    string
	header http.Header // of every request
	idle   int
	http   *http.Client
	silent error           // nobody answers at all
	off    map[string]bool // transports that the server does not offer

	stranger bool // the server asks for a credential, and has none that it takes
}

// walk is what came over one transport.
type walk struct {
	frames  []walkFrame
	err     error  // why it ended, or nil
	off     bool   // the server does not offer it
	blocked string // what to do when nothing came
}

// walkFrame is one frame of the server's diagnosis script.
type walkFrame struct {
	N    int           `json:"n"`
	Of   int           `json:"of"`
	AtMs int64         `json:"atMs"`
	at   time.Duration // when it came, since the request
}

// The bounds of what a diagnosis reads and waits for.
const (
	walkBytesMax  = 64 << 10 // a health page or frame
	walkFramesMax = 16       // frames of a script
	walkPatience  = 15 * time.Second
)

func walkTimeout(idle int) time.Duration { return walkPatience + time.Duration(idle)*time.Second }

func (d *walker) get(ctx context.Context, path string) (int, []byte, error) {
	resp, err := d.open(ctx, path)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, walkBytesMax))
	return resp.StatusCode, body, err
}

func (d *walker) open(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = d.header.Clone()
	return d.http.Do(req)
}

func (d *walker) script(path string) string {
	if d.idle > 0 {
		return fmt.Sprintf("%s?idle=%d", path, d.idle)
	}
	return path
}

// add keeps a frame with the time that it came.
func (w *walk) add(body []byte, began time.Time) error {
	f := walkFrame{at: time.Since(began)}
	if err := json.Unmarshal(body, &f); err != nil || f.N != len(w.frames)+1 || f.Of < f.N || f.Of > walkFramesMax {
		return errors.New("what came is not what the server sends")
	}
	w.frames = append(w.frames, f)
	return nil
}

func (w *walk) whole() bool { return len(w.frames) > 0 && len(w.frames) == w.frames[0].Of }

func (d *walker) webSocket(ctx context.Context) finding {
	w := walk{off: d.off["websocket"], blocked: "a proxy on the way does not pass WebSocket upgrades on; readers fall back to sse by themselves"}
	if !w.off {
		w.err = d.readWebSocket(ctx, &w)
	}
	return judge("ws", w)
}

func (d *walker) readWebSocket(ctx context.Context, w *walk) error {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout(d.idle))
	defer cancel()
	began := time.Now()
	ws, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(d.url, "http")+d.script("/v1/diag/ws"), &websocket.DialOptions{HTTPHeader: d.header.Clone()})
	if err != nil {
		if resp != nil {
			return fmt.Errorf("the upgrade was answered with HTTP %d", resp.StatusCode)
		}
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(walkBytesMax)
	for !w.whole() {
		_, body, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := w.add(body, began); err != nil {
			return err
		}
	}
	return nil
}

func (d *walker) sse(ctx context.Context) finding {
	w := walk{off: d.off["sse"], blocked: "a proxy on the way does not pass event streams on; readers fall back to long-poll by themselves"}
	if !w.off {
		w.err = d.readSSE(ctx, &w)
	}
	return judge("sse", w)
}

func (d *walker) readSSE(ctx context.Context, w *walk) error {
	began := time.Now()
	resp, err := d.open(ctx, d.script("/v1/diag/sse"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return fmt.Errorf("HTTP %d with %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	r := sse.NewReader(resp.Body, walkBytesMax)
	for !w.whole() {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if err := w.add(e.Data, began); err != nil {
			return err
		}
	}
	return nil
}

func (d *walker) poll(ctx context.Context) finding {
	w := walk{off: d.off["poll"], blocked: "requests do not get through; look at the proxy's log"}
	began := time.Now()
	for n := 1; !w.off && !w.whole() && w.err == nil; n++ {
		path := fmt.Sprintf("/v1/diag/poll?n=%d", n)
		if d.idle > 0 {
			path += fmt.Sprintf("&idle=%d", d.idle)
		}
		status, body, err := d.get(ctx, path)
		switch {
		case err != nil:
			w.err = err
		case status != http.StatusOK:
			w.err = fmt.Errorf("HTTP %d", status)
		default:
			w.err = w.add(body, began)
		}
	}
	return judge("poll", w)
}
