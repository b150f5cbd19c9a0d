package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// Message types that the feed does not have.
const typeTest = "test"

// place is what an event of the feed says of the event behind it.
type place struct {
	Session string `json:"session"`
	ID      int64  `json:"id"`
}

// placeOf reads it; ok is false for an event that no feed should have.
func placeOf(e *store.Event) (p place, ok bool) {
	return p, json.Unmarshal(e.Data, &p) == nil && p.Session != ""
}

// messageID is the same for each attempt to deliver an event, so that a
// receiver knows a repetition. The feed's epoch is in it because a backup that
// was put back gives its ids to new events.
func messageID(webhook, epoch string, feedID int64) string {
	epoch, _, _ = strings.Cut(epoch, "-")
	return "msg_" + webhook + "_" + epoch + "_" + strconv.FormatInt(feedID, 10)
}

// sign returns the signature of one attempt, as the Standard Webhooks
// specification makes it.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp(at) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// stamp is the time in the header: whole seconds.
func stamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// body makes the message of an event of the feed. It is written by hand: the
// event stands in it byte for byte as every reader gets it.
func (s *Sender) body(ctx context.Context, e *store.Event, p place) []byte {
	b := append([]byte(`{"type":`), quote(e.Type)...)
	b = append(b, `,"feedId":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"session":`...)
	b = append(b, quote(p.Session)...)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, p.ID, 10)
	if e.Turn != "" {
		b = append(b, `,"turn":`...)
		b = append(b, quote(e.Turn)...)
	}
	b = append(b, `,"time":"`...)
	b = store.AppendTime(b, e.Time)
	b = append(b, `","data":`...)
	b = append(b, e.Data...)
	if original := s.original(ctx, e, p); original != nil {
		b = append(b, `,"event":`...)
		b = append(b, original...)
	}
	return append(b, '}')
}

// original returns the event that the feed speaks of, or nil: some entries
// have none, it may be gone or redacted, and it may be too large. A read that
// fails costs the message no more than that.
func (s *Sender) original(ctx context.Context, e *store.Event, p place) []byte {
	page, err := s.options.Log.Read(ctx, p.Session, store.Query{After: p.ID - 1, Until: p.ID, Limit: store.Limit{Events: 1}})
	if err != nil || len(page.Events) != 1 {
		return nil
	}
	o := &page.Events[0]
	if o.ID != p.ID || o.Type != e.Type || len(o.Data) == 0 || len(o.JSON()) > eventBytesMax {
		return nil
	}
	return o.JSON()
}

// testBody makes the message by which a client tries a webhook.
func testBody(w *store.Webhook, at time.Time) []byte {
	b := append([]byte(`{"type":"`+typeTest+`","webhook":`), quote(w.ID)...)
	b = append(b, `,"time":"`...)
	return append(store.AppendTime(b, at), `"}`...)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("notify: a string did not encode: " + err.Error()) // encoding/json encodes every string
	}
	return b
}
