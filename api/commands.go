package api

import (
	"context"
	"encoding/json"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// commands carries out the frames of WebSocket clients with the functions that
// REST uses.
type commands struct{ s *Server }

var _ stream.Commander = commands{}

// Command carries out one frame. What it refuses is counted and logged like a
// refused request.
func (c commands) Command(ctx context.Context, typ string, frame []byte) (any, error) {
	answer, err := c.command(ctx, typ, frame)
	if err == nil {
		return answer, nil
	}
	refused := asRefusal(ctx, err)
	c.s.metrics.refused.WithLabelValues(string(refused.Code)).Inc()
	if refusals[refused.Code].status >= 500 && ctx.Err() == nil {
		c.s.logger.Error("frame refused", "type", typ, "code", refused.Code, "err", err)
	}
	return nil, refused
}

func (c commands) command(ctx context.Context, typ string, frame []byte) (json.RawMessage, error) {
	if typ != "append" {
		return nil, store.Errorf(codeUnknownCommand, "frame type %.40q is not known; use subscribe, unsubscribe, ping, pong or append", typ)
	}
	f, err := parseAppendFrame(frame)
	if err != nil {
		return nil, err
	}
	drafts, err := store.ParseDrafts(f.events)
	if err != nil {
		return nil, err
	}
	a, err := c.s.append(ctx, f.session, f.options, drafts)
	if err != nil {
		return nil, err
	}
	return appendAnswer(nil, f.session, a), nil
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
