package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// eventBytes is the size of an event on the wire.
const eventBytes = 300

// eventType is the type of all events: what an agent sends most of.
const eventType = "text_delta"

var sentAt = []byte(`"data":{"t":`)

// sentBytesMax is how far into an event its send time can stand.
const sentBytesMax = 320

// eventData makes the data of an event that is eventBytes long on the wire and
// carries the time t.
func eventData(session string, t int64) []byte {
	data := func(text string) []byte { return fmt.Appendf(nil, `{"t":%d,"text":"%s"}`, t, text) }
	e := store.Event{ID: 10_000, Session: session, Type: eventType, Time: time.Now(), Data: data("")}
	return data(strings.Repeat("konlog ", eventBytes)[:max(eventBytes-len(e.JSON()), 0)])
}

// draft makes one event as it is sent.
func draft(session string, t int64) []byte {
	return fmt.Appendf(nil, `{"type":"%s","data":%s}`, eventType, eventData(session, t))
}

// drafts makes n events with a separator between them.
func drafts(session string, n int, separator string) []byte {
	return bytes.Join(repeat(draft(session, now()), n), []byte(separator))
}

func repeat(b []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// parseEvent reads the id and the send time of an event; ok is false when b is
// a control frame. sent is 0 when the event has none.
func parseEvent(b []byte) (id, sent int64, ok bool) {
	const start = `{"id":`
	if len(b) < len(start)+1 || string(b[:len(start)]) != start {
		return 0, 0, false
	}
	id, rest := digits(b[len(start):])
	if len(rest) == 0 || rest[0] != ',' {
		return 0, 0, false
	}
	if i := bytes.Index(rest[:min(len(rest), sentBytesMax)], sentAt); i >= 0 {
		sent, _ = digits(rest[i+len(sentAt):])
	}
	return id, sent, true
}

// digits reads the number that b begins with.
func digits(b []byte) (n int64, rest []byte) {
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	return n, b[i:]
}

// member reads the number behind the first occurrence of a key such as
// `"last":`; -1 when there is none.
func member(b []byte, key string) int64 {
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return -1
	}
	n, rest := digits(b[i+len(key):])
	if len(rest) == len(b)-i-len(key) {
		return -1
	}
	return n
}

// request is a prepared request with the places of a send time in it.
type request struct {
	bytes  []byte
	places []int // of the 19 digits; none when the time does not matter
	start  int   // of the payload, which is masked
	masked bool
}

// stamp writes the send time into the request.
func (r *request) stamp(t int64) {
	var text [19]byte
	strconv.AppendInt(text[:0], t, 10)
	for _, p := range r.places {
		for i, c := range text {
			if r.masked {
				c ^= maskKey[(p+i-r.start)&3]
			}
			r.bytes[p+i] = c
		}
	}
}

// appendFrame prepares a WebSocket frame that appends n events to a session.
func appendFrame(session string, n int) *request {
	payload := fmt.Appendf(nil, `{"type":"append","ref":"1","session":"%s","events":[%s]}`, session, drafts(session, n, ","))
	r := &request{masked: true}
	r.bytes, r.start = appendClientFrame(nil, opText, payload)
	for at := 0; ; {
		i := bytes.Index(payload[at:], sentAt)
		if i < 0 {
			return r
		}
		at += i + len(sentAt)
		r.places = append(r.places, r.start+at)
	}
}
