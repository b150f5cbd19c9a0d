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

// renewal gives a WebSocket another token when the server says that the one it
// has is about to expire, so that the stream goes on where it is.
type renewal struct {
	keeper  *tokenKeeper // or nil
	log     *slog.Logger
	life    context.Context // of the carrier
	cancel  context.CancelFunc
	busy    atomic.Bool    // one runs
	running sync.WaitGroup // that one
	sent    string         // the token that the server has; the one that runs has it
}

func newRenewal(ctx context.Context, c *Client, token string) *renewal {
	life, cancel := context.WithCancel(ctx)
	return &renewal{keeper: c.token, log: c.log, life: life, cancel: cancel, sent: token}
}

// renew begins to fetch another token, and sends it. Events are read meanwhile.
// When that fails the server ends the stream, and the tail connects anew.
func (r *renewal) renew(conn *websocket.Conn) {
	if r.keeper == nil || !r.busy.CompareAndSwap(false, true) {
		return
	}
	r.running.Go(func() {
		defer r.busy.Store(false)
		ctx, cancel := context.WithTimeout(r.life, renewTimeout)
		defer cancel()
		token, err := r.keeper.renew(ctx, r.sent)
		if err == nil && token == r.sent {
			return // there is no other
		}
		var frame []byte
		if err == nil {
			frame, err = json.Marshal(map[string]string{"type": "auth", "token": token, "ref": "auth"})
		}
		if err == nil {
			err = conn.Write(ctx, websocket.MessageText, frame)
		}
		if err != nil {
			r.log.Debug("the token was not renewed", "err", err)
			return
		}
		r.sent = token
	})
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
