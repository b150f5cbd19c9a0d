package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// Command says what became of a command.
type Command struct {
	Session   string
	ID        int64  // of the event; of the first one when Duplicate
	Turn      string // the one that a prompt will become, or that the command is about
	Duplicate bool   // the log had it: by a key of the caller's, or because somebody decided before
	Event     *Event // the first one, when Duplicate and it can still be read; or nil
}

// PromptSpec is a prompt. Only Text is needed.
type PromptSpec struct {
	Text      string
	Images    []json.RawMessage
	Source    string // user, inject, kontask or api
	Turn      string // the turn that it becomes, or the open one that it steers; the server names it when it is empty
	KontaskID string
	Key       string // made when it is empty
}

// StopSpec names the turn to stop.
type StopSpec struct {
	Turn   string // the open one when it is empty
	Reason string
	Key    string // made when it is empty
}

// AnswerSpec answers a question.
type AnswerSpec struct {
	RequestID    string // the question's
	Allow        bool
	UpdatedInput json.RawMessage // or nil
	Option       string
	Message      string
	By           string
	Key          string // made when it is empty
}

// commandBody is the body of every command.
type commandBody struct {
	Text         *string           `json:"text,omitempty"`
	Images       []json.RawMessage `json:"images,omitempty"`
	Source       string            `json:"source,omitempty"`
	RequestID    string            `json:"requestId,omitempty"`
	KontaskID    string            `json:"kontaskId,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Allow        *bool             `json:"allow,omitempty"`
	UpdatedInput json.RawMessage   `json:"updatedInput,omitempty"`
	Option       string            `json:"option,omitempty"`
	Message      string            `json:"message,omitempty"`
	By           string            `json:"by,omitempty"`
	Choice       any               `json:"choice,omitempty"`
	ID           *int64            `json:"id,omitempty"`
	Key          string            `json:"key,omitempty"`
}

// encode refuses invalid UTF-8, which would otherwise be replaced in silence,
// and escapes no more than JSON asks for: the text is stored as it is sent.
func (b *commandBody) encode() ([]byte, error) {
	choice, _ := b.Choice.(string) // or a place
	for name, s := range map[string]string{
		"source": b.Source, "requestId": b.RequestID, "kontaskId": b.KontaskID, "reason": b.Reason, "option": b.Option,
		"message": b.Message, "by": b.By, "key": b.Key, "choice": choice,
	} {
		if !utf8.ValidString(s) {
			return nil, store.Errorf(store.CodeInvalidUTF8, "%s is not valid UTF-8", name)
		}
	}
	if b.Text != nil && !utf8.ValidString(*b.Text) {
		return nil, store.Errorf(store.CodeInvalidUTF8, "the text is not valid UTF-8")
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Prompt asks the session for a turn. When it returns the prompt is durable
// and waits for whoever runs the session's agent. Like Append it is sent with
// a key, and again until it is answered: it is asked for once.
func (c *Client) Prompt(ctx context.Context, session string, p PromptSpec) (Command, error) {
	op := "prompt " + session
	made, err := fillKey(&p.Key)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", op, err)
	}
	body := commandBody{Text: &p.Text, Images: p.Images, Source: p.Source, RequestID: p.Turn, KontaskID: p.KontaskID, Key: p.Key}
	r, err := c.commandCall(op, body, "v1", "sessions", session, "prompts")
	if err != nil {
		return Command{}, err
	}
	done, err := c.command(ctx, r)
	done.Duplicate = done.Duplicate && !made // a key that nobody else can know: the first was our own attempt
	return done, err
}

// Stop asks whoever runs the turn to stop it; a turn that waits ends at once.
// Without a turn it is about the one that is open as it begins: a later one is
// never stopped by a retry. When there is nothing to stop the code of the error
// is store.CodeNoTurn.
func (c *Client) Stop(ctx context.Context, session string, o StopSpec) (Command, error) {
	op := "stop " + session
	if o.Turn == "" {
		s, err := c.Session(ctx, session)
		if err != nil {
			return Command{}, fmt.Errorf("%s: %w", op, err)
		}
		if o.Turn = s.Turn; o.Turn == "" {
			return Command{}, fmt.Errorf("%s: %w", op, store.Errorf(store.CodeNoTurn, "no turn is open in this session"))
		}
	}
	made, err := fillKey(&o.Key)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", op, err)
	}
	r, err := c.commandCall(op, commandBody{RequestID: o.Turn, Reason: o.Reason, Key: o.Key}, "v1", "sessions", session, "stop")
	if err != nil {
		return Command{}, err
	}
	done, err := c.command(ctx, r)
	done.Duplicate = done.Duplicate && !made
	return done, err
}

// Answer answers a question of the session. The first answer wins: when there
// was another one Duplicate is set and Event is that one.
func (c *Client) Answer(ctx context.Context, session string, a AnswerSpec) (Command, error) {
	op := "answer " + session
	made, err := fillKey(&a.Key)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", op, err)
	}
	body := commandBody{RequestID: a.RequestID, Allow: &a.Allow, UpdatedInput: a.UpdatedInput, Option: a.Option, Message: a.Message, By: a.By, Key: a.Key}
	r, err := c.commandCall(op, body, "v1", "sessions", session, "answers")
	if err != nil {
		return Command{}, err
	}
	done, err := c.command(ctx, r)
	if made && r.unsure && done.Duplicate && done.Event != nil && a.is(done.Event) {
		done.Duplicate = false // the attempt whose answer was lost did it
	}
	return done, err
}

// is reports whether the event says what the answer says.
func (a *AnswerSpec) is(e *Event) bool {
	var said commandBody
	if json.Unmarshal(e.Data, &said) != nil || said.Allow == nil || *said.Allow != a.Allow || said.Option != a.Option || said.Message != a.Message || said.By != a.By {
		return false
	}
	is, err := decoded(said.UpdatedInput)
	if err != nil {
		return false
	}
	want, err := decoded(a.UpdatedInput)
	return err == nil && reflect.DeepEqual(is, want)
}

// decoded is a value without the freedoms of its spelling.
func decoded(v json.RawMessage) (value any, err error) {
	if v == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// Choose chooses from a kontask by the label or value of one of its choices,
// and so prompts its session, once: when somebody chose before Duplicate is set
// and Event is that choice.
func (c *Client) Choose(ctx context.Context, kontask, choice string) (Command, error) {
	return c.choose(ctx, kontask, choice, func(d chosen) bool { return d.Label == choice || d.Value == choice })
}

// ChooseAt is Choose by the place in the list of choices, from 0.
func (c *Client) ChooseAt(ctx context.Context, kontask string, place int) (Command, error) {
	return c.choose(ctx, kontask, place, func(d chosen) bool { return d.Choice == place })
}

// chosen is the data of a choice.
type chosen struct {
	Choice int    `json:"choice"`
	Label  string `json:"label"`
	Value  string `json:"value"`
}

func (c *Client) choose(ctx context.Context, kontask string, choice any, ours func(chosen) bool) (Command, error) {
	r, err := c.commandCall("choose from "+kontask, commandBody{Choice: choice}, "v1", "kontasks", kontask, "choose")
	if err != nil {
		return Command{}, err
	}
	done, err := c.command(ctx, r)
	if r.unsure && done.Duplicate && done.Event != nil {
		var d chosen
		if json.Unmarshal(done.Event.Data, &d) == nil && ours(d) {
			done.Duplicate = false // the attempt whose answer was lost did it
		}
	}
	return done, err
}

// Seen raises the read mark of whoever this client is: the session was seen up
// to the event of this id. A mark never falls; the one in force is returned.
func (c *Client) Seen(ctx context.Context, session string, id int64) (int64, error) {
	r, err := c.commandCall("seen "+session, commandBody{ID: &id}, "v1", "sessions", session, "seen")
	if err != nil {
		return 0, err
	}
	done, err := c.command(ctx, r)
	return done.ID, err
}

// TouchTurn renews the lease of the open turn and returns when it ends; zero
// when the turn may be silent for ever.
func (c *Client) TouchTurn(ctx context.Context, session, turn string) (time.Time, error) {
	var out struct {
		Deadline time.Time `json:"deadline"`
	}
	r := &call{op: "touch turn " + turn + " of " + session, method: http.MethodPost, url: c.url(nil, "v1", "sessions", session, "turns", turn, "touch")}
	_, err := c.do(ctx, r, &out)
	return out.Deadline, err
}

// fillKey makes a key where there is none, and reports whether it did.
func fillKey(key *string) (made bool, err error) {
	if *key != "" {
		return false, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("make key: %w", err)
	}
	*key = id.String()
	return true, nil
}

func (c *Client) commandCall(op string, body commandBody, segments ...string) (*call, error) {
	b, err := body.encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return &call{op: op, method: http.MethodPost, url: c.url(nil, segments...), body: b, header: http.Header{"Content-Type": {"application/json"}}}, nil
}

func (c *Client) command(ctx context.Context, r *call) (Command, error) {
	var out struct {
		Session   string          `json:"session"`
		ID        int64           `json:"id"`
		Turn      string          `json:"turn"`
		Duplicate bool            `json:"duplicate"`
		Event     json.RawMessage `json:"event"`
	}
	if _, err := c.do(ctx, r, &out); err != nil {
		return Command{}, err
	}
	done := Command{Session: out.Session, ID: out.ID, Turn: out.Turn, Duplicate: out.Duplicate}
	if out.Event != nil {
		e, err := decodeEvent(out.Event)
		if err != nil {
			return done, r.wrap(err)
		}
		done.Event = &e
	}
	return done, nil
}
