package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// commands carries out the frames of WebSocket clients with the functions that
// REST uses.
type commands struct{ s *Server }

var _ stream.Commander = commands{}

// Begin starts on one frame. What is refused is counted and logged like a
// refused request.
func (c commands) Begin(ctx context.Context, home, typ string, frame []byte) (end func() (any, error)) {
	wait, err := c.begin(ctx, home, typ, frame)
	return func() (any, error) {
		if err != nil {
			return nil, c.refused(ctx, typ, err)
		}
		answer, err := wait()
		if err != nil {
			return nil, c.refused(ctx, typ, err)
		}
		return answer, nil
	}
}

func (c commands) refused(ctx context.Context, typ string, err error) error {
	refused := asRefusal(ctx, err)
	c.s.metrics.refused.WithLabelValues(string(refused.Code)).Inc()
	if refusals[refused.Code].status >= 500 && ctx.Err() == nil {
		c.s.logger.Error("frame refused", "type", typ, "code", refused.Code, "err", err)
	}
	return refused
}

func (c commands) begin(ctx context.Context, home, typ string, frame []byte) (wait func() (any, error), err error) {
	if !access.Of(ctx).InForce(time.Now()) {
		return nil, access.ErrUnauthorized
	}
	if typ != "append" {
		return c.command(ctx, home, typ, frame)
	}
	f, err := parseAppendFrame(frame)
	if err != nil {
		return nil, err
	}
	drafts, err := store.ParseDrafts(f.events)
	if err != nil {
		return nil, err
	}
	if f.session == "" {
		f.session = home
	}
	appended := c.s.submit(ctx, f.session, f.options, drafts)
	return func() (any, error) {
		a, err := appended()
		return json.RawMessage(appendAnswer(nil, f.session, a)), err
	}, nil
}

// command begins what REST has a route of its own for.
func (c commands) command(ctx context.Context, home, typ string, frame []byte) (wait func() (any, error), err error) {
	command := commandTable[typ]
	if command == nil {
		return nil, store.Errorf(codeUnknownCommand, "frame type %.40q is not known; use subscribe, unsubscribe, ping, pong, append, send_prompt, stop_turn, answer, choose or seen", typ)
	}
	begun, err := command(c.s, ctx, home, frame)
	if err != nil {
		return nil, err
	}
	return func() (any, error) {
		a, err := begun()
		return a.appendJSON(nil), err
	}, nil
}

// appendFrame is an append as it comes over WebSocket. events lies in the
// frame and has not been checked.
type appendFrame struct {
	session string
	events  []byte
	options store.AppendOptions
}

func parseAppendFrame(frame []byte) (appendFrame, error) {
	var f appendFrame
	err := eachMember(frame, func(name string, value []byte) (err error) {
		switch name {
		case "session":
			f.session, err = stringValue(name, value)
		case "events":
			f.events = value
		case "producer":
			f.options.Producer, err = parseProducer(value)
		case "expectHead":
			var head int64
			head, err = intValue(name, value)
			f.options.ExpectHead = &head
		case "create":
			var create bool
			create, err = boolValue(name, value)
			f.options.NoCreate = !create
		case "type", "ref":
			if !json.Valid(value) {
				err = store.Errorf(store.CodeInvalidJSON, "%s is not valid JSON", name)
			}
		default:
			err = store.Errorf(store.CodeInvalidEvent, "unknown member %.40q; an append has session, events, ref, producer, expectHead and create", name)
		}
		return err
	})
	if err == nil && f.events == nil {
		err = store.Errorf(store.CodeInvalidEvent, "events is missing")
	}
	return f, err
}

func parseProducer(value []byte) (*store.Producer, error) {
	p := &store.Producer{Epoch: -1, Seq: -1}
	err := eachMember(value, func(name string, value []byte) (err error) {
		switch name {
		case "id":
			p.ID, err = stringValue(name, value)
		case "epoch":
			p.Epoch, err = intValue(name, value)
		case "seq":
			p.Seq, err = intValue(name, value)
		default:
			err = store.Errorf(store.CodeInvalidQuery, "unknown member %.40q; a producer has id, epoch and seq", name)
		}
		return err
	})
	if err == nil && (p.Epoch < 0 || p.Seq < 0) {
		err = store.Errorf(store.CodeInvalidQuery, "a producer needs id, epoch and seq")
	}
	if err == nil {
		err = p.Check()
	}
	return p, err
}
