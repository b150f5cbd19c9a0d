package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/internal/sse"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// The diagnosis script: frames 1 to 5 are due 0, 500, 1000, 1500 and 2000 ms
// after the request, and with idle=N (seconds) a sixth after N seconds of
// complete silence. Each carries when it was due (atMs) and the server's clock
// when it was sent. A client that gets them all at once sits behind something
// that buffers; one that never gets the sixth, behind something that cuts idle
// connections; and serverTime less half the round trip shows how far its own
// clock is off. Over poll each frame is a request of its own (n=1, 2, …), held
// for as long as the script pauses before that frame.

// diagFrame is one frame of the script.
type diagFrame struct {
	Type       string `json:"type"` // "diag"
	N          int    `json:"n"`
	Of         int    `json:"of"`
	AtMs       int64  `json:"atMs"` // when it is due, counted from the first
	ServerTime string `json:"serverTime"`
}

// diagScript is when the frames are due.
func diagScript(c echo.Context, known ...string) (due []time.Duration, n int, err error) {
	q, err := queryOf(c.Request(), append(known, "idle")...)
	if err != nil {
		return nil, 0, err
	}
	idle, err := queryInt(q, "idle", 0, 0, diagIdleMax)
	if err != nil {
		return nil, 0, err
	}
	for i := range diagFrames {
		due = append(due, time.Duration(i)*diagPace)
	}
	if idle > 0 {
		due = append(due, due[diagFrames-1]+time.Duration(idle)*time.Second)
	}
	n, err = queryInt(q, "n", 1, 1, len(due))
	return due, n, err
}

// playDiag sends the script. It stops when the reader left or the server does.
func (s *Server) playDiag(ctx context.Context, due []time.Duration, send func(frame []byte) error) error {
	start := time.Now()
	for i, at := range due {
		if err := s.pause(ctx, at-time.Since(start)); err != nil {
			return err
		}
		if err := send(diagFrameAt(due, i)); err != nil {
			return err
		}
	}
	return nil
}

func diagFrameAt(due []time.Duration, i int) []byte {
	return encode(diagFrame{Type: "diag", N: i + 1, Of: len(due), AtMs: due[i].Milliseconds(), ServerTime: time.Now().UTC().Format(store.TimeLayout)})
}

func (s *Server) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.stopped:
		return store.ErrShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) diagPoll(c echo.Context) error {
	if s.cfg.DisablePolling {
		return errDisabled(stream.Poll)
	}
	due, n, err := diagScript(c, "n")
	if err != nil {
		return err
	}
	leave, err := s.conns.enter(c.Request())
	if err != nil {
		return err
	}
	defer leave()
	liftDeadlines(c.Response())
	hold := due[n-1]
	if n > 1 {
		hold -= due[n-2]
	}
	if err := s.pause(c.Request().Context(), hold); err != nil {
		return err
	}
	c.Response().Header().Set(stream.TransportHeader, stream.Poll)
	h := c.Response().Header()
	h["Content-Type"] = jsonType
	h.Set("Cache-Control", "no-store, no-transform")
	_, err = c.Response().Write(diagFrameAt(due, n-1))
	return err
}

func (s *Server) diagSSE(c echo.Context) error {
	if s.cfg.DisableSSE {
		return errDisabled(stream.SSE)
	}
	due, _, err := diagScript(c)
	if err != nil {
		return err
	}
	leave, err := s.conns.enter(c.Request())
	if err != nil {
		return err
	}
	defer leave()
	w := c.Response()
	liftDeadlines(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set(stream.TransportHeader, stream.SSE)
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	n := 0
	return s.playDiag(c.Request().Context(), due, func(frame []byte) error {
		n++
		_ = rc.SetWriteDeadline(time.Now().Add(diagWriteMax))
		out := append([]byte("id: "), strconv.Itoa(n)...)
		if _, err := w.Write(sse.AppendData(append(out, '\n'), frame[:len(frame)-1])); err != nil {
			return err
		}
		return rc.Flush()
	})
}

func (s *Server) diagWebSocket(c echo.Context) error {
	if s.cfg.DisableWebSocket {
		return errDisabled(stream.WebSocket)
	}
	due, _, err := diagScript(c)
	if err != nil {
		return err
	}
	if c.Request().Header.Get("Upgrade") == "" {
		return store.Errorf(stream.CodeUpgradeRequired, "this address speaks WebSocket: send an upgrade request")
	}
	leave, err := s.conns.enter(c.Request())
	if err != nil {
		return err
	}
	defer leave()
	c.Response().Header().Set(stream.TransportHeader, stream.WebSocket)
	ws, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the guard has checked the origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return fmt.Errorf("upgrade: %w", err) // the library has answered
	}
	defer ws.CloseNow()
	ctx := ws.CloseRead(c.Request().Context())
	err = s.playDiag(ctx, due, func(frame []byte) error {
		write, cancel := context.WithTimeout(ctx, diagWriteMax)
		defer cancel()
		return ws.Write(write, websocket.MessageText, frame[:len(frame)-1])
	})
	if err == nil {
		return ws.Close(websocket.StatusNormalClosure, "")
	}
	return ws.Close(websocket.StatusGoingAway, "")
}
