package client

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

// closeUnauthorized is how a server ends a WebSocket whose token is no longer
// in force.
const closeUnauthorized websocket.StatusCode = 4401

// errNotInForce is the error of such a connection.
var errNotInForce = store.Errorf("unauthorized", "the server ended the connection: its token is no longer in force")

// renewTimeout bounds the way to another token for a connection that goes on
// meanwhile. A server waits about as long.
const renewTimeout = 30 * time.Second

// renewalRef is the ref of the frame that brings the token.
const renewalRef = "auth"

// renewal gives a WebSocket another token when the server says that the one it
// has is about to expire, so that the stream goes on where it is.
type renewal struct {
	keeper  *tokenKeeper // or nil
	log     *slog.Logger
	life    context.Context // of the carrier
	cancel  context.CancelFunc
	busy    atomic.Bool    // one runs, or the server has yet to take it
	running sync.WaitGroup // that one
	sent    atomic.Value   // the token that the server has or is given
}

func newRenewal(ctx context.Context, c *Client, token string) *renewal {
	life, cancel := context.WithCancel(ctx)
	r := &renewal{keeper: c.token, log: c.log, life: life, cancel: cancel}
	r.sent.Store(token)
	return r
}

// renew begins to fetch another token, and sends it. Events are read meanwhile.
// When that fails the server ends the stream, and the tail connects anew.
func (r *renewal) renew(conn *websocket.Conn) {
	if r.keeper == nil || !r.busy.CompareAndSwap(false, true) {
		return
	}
	r.running.Go(func() {
		if !r.send(conn) {
			r.busy.Store(false)
		}
	})
}

// renewed is told that the server has the token: what it says from now on that
// expires is that one.
func (r *renewal) renewed() { r.busy.Store(false) }

// send fetches a token and sends it, and reports whether it did.
func (r *renewal) send(conn *websocket.Conn) bool {
	ctx, cancel := context.WithTimeout(r.life, renewTimeout)
	defer cancel()
	had := r.sent.Load().(string)
	token, err := r.keeper.renew(ctx, had)
	if err == nil && token == had {
		return false // there is no other
	}
	var frame []byte
	if err == nil {
		r.sent.Store(token)
		frame, err = json.Marshal(map[string]string{"type": "auth", "token": token, "ref": renewalRef})
	}
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, frame)
	}
	if err != nil {
		r.log.Debug("the token was not renewed", "err", err)
		return false
	}
	return true
}

// end stops a renewal that runs, and waits for it.
func (r *renewal) end() {
	r.cancel()
	r.running.Wait()
}

// renewable reports whether a connection ended because its token did, and
// another one may be had: the next connection asks for it.
func (t *tail) renewable(err error) bool {
	return t.c.token != nil && t.connected && websocket.CloseStatus(err) == closeUnauthorized
}
