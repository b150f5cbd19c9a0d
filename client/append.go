package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/konlog/konlog/store"
)

// AppendOptions are the conditions of an append. Idempotence is not among
// them: it always holds.
type AppendOptions struct {
	NoCreate   bool   // refuse with store.ErrNotFound when there is no such session
	ExpectHead *int64 // append only if this is the head, else store.ErrHeadMoved
}

// Append puts the drafts at the end of the session's log, all or none, in the
// given order, and returns when they are durable. A draft without a key gets a
// new one (the caller's draft is not changed), and every retry sends the same
// keys, so that a lost answer never doubles an event. Set keys of your own
// where the process itself may die and send again.
//
// It retries while ctx lives, within the limits of WithRetry, when the server
// could not be reached, was busy or out of space, or its answer was lost.
func (c *Client) Append(ctx context.Context, session string, o AppendOptions, drafts ...store.Draft) (store.Appended, error) {
	body, made, err := encodeDrafts(drafts, true)
	if err != nil {
		return store.Appended{}, fmt.Errorf("append %s: %w", session, err)
	}
	r := c.appendCall(session, o, body)
	a, err := c.sendAppend(ctx, r)
	if made == len(drafts) {
		a.Duplicate = false // keys that nobody else can know: the first was our own attempt
	}
	return a, err
}

func (c *Client) appendCall(session string, o AppendOptions, body []byte) *call {
	q := url.Values{}
	if o.NoCreate {
		q.Set("create", "0")
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if o.ExpectHead != nil {
		h.Set("Expect-Head", strconv.FormatInt(*o.ExpectHead, 10))
	}
	return &call{
		op: "append " + session, method: http.MethodPost,
		url: c.url(q, "v1", "sessions", session, "events"), header: h, body: body,
	}
}

func (c *Client) sendAppend(ctx context.Context, r *call) (store.Appended, error) {
	var out struct {
		First     int64   `json:"first"`
		Last      int64   `json:"last"`
		Duplicate bool    `json:"duplicate"`
		IDs       []int64 `json:"ids"`
	}
	if _, err := c.do(ctx, r, &out); err != nil {
		return store.Appended{}, err
	}
	return store.Appended{First: out.First, Last: out.Last, Duplicate: out.Duplicate, IDs: out.IDs}, nil
}

// encodeDrafts makes the body of an append: an object, or an array of several.
// It returns how many keys it made.
func encodeDrafts(drafts []store.Draft, keys bool) (body []byte, made int, err error) {
	if len(drafts) == 0 {
		return nil, 0, store.Errorf(store.CodeInvalidEvent, "no events to append")
	}
	many := len(drafts) > 1
	if many {
		body = append(body, '[')
	}
	for i, d := range drafts {
		if i > 0 {
			body = append(body, ',')
		}
		if keys && d.Key == "" {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, 0, fmt.Errorf("make key: %w", err)
			}
			d.Key = id.String()
			made++
		}
		if body, err = appendDraft(body, d); err != nil {
			return nil, 0, fmt.Errorf("event %d: %w", i, err)
		}
	}
	if many {
		body = append(body, ']')
	}
	return body, made, nil
}

// appendDraft encodes one draft. It is checked here already, because invalid
// UTF-8 would otherwise be replaced in silence as it is encoded; the size limit
// is the server's setting.
func appendDraft(dst []byte, d store.Draft) ([]byte, error) {
	if bytes.ContainsAny(d.Data, "\r\n") {
		d.Data = bytes.Clone(d.Data) // Check changes line breaks in place
	}
	if err := d.Check(math.MaxInt); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for _, m := range [...]struct{ name, value string }{{"type", d.Type}, {"turn", d.Turn}, {"parent", d.Parent}, {"key", d.Key}} {
		if m.value != "" {
			dst = appendMember(dst, m.name, m.value)
		}
	}
	if d.Raw != nil {
		dst = appendMember(dst, "raw", string(d.Raw))
	}
	dst = append(dst, `"data":`...)
	dst = append(dst, d.Data...)
	return append(dst, '}'), nil
}

func appendMember(dst []byte, name, value string) []byte {
	quoted, err := json.Marshal(value)
	if err != nil {
		panic("client: a string did not encode: " + err.Error()) // encoding/json encodes every string
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	dst = append(dst, quoted...)
	return append(dst, ',')
}
