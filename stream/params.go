package stream

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
)

// Limits of what a request may ask for.
const (
	PollEventsMax = 10_000   // limit= of a long-poll page
	PollBytesMax  = 4 << 20  // of a long-poll page
	CursorMax     = 16 << 10 // bytes of cursor=
	ResumeMax     = 64 << 10 // bytes of Last-Event-ID: the same cursor with longer ids in it
	TypesMax      = 64       // names in types=
	SpeedMin      = 0.25
	SpeedMax      = 100
	untilGrace    = time.Second // an event has its time before it is committed: one that is within a bound just past may still come
	waitMax       = time.Hour   // of wait=, so that seconds cannot overflow; Config.PollWaitMax cuts it
)

// Request is what a reader asks for, whatever the transport.
type Request struct {
	Session string   // "" when several sessions are asked for
	Cursors []Cursor // the several sessions

	After   int64  // the cursor, exclusive
	FromEnd bool   // start Tail events before the head instead
	Tail    int64  // with FromEnd
	Epoch   string // the one last seen, or ""
	Types   []string
	Turn    string
	Raw     bool // send the agent's own lines too
	Fold    bool // runs of deltas come as one event: all of a page, and of a stream the replay
	Until   Until
	Speed   float64 // of the replay; 0 is as fast as it goes

	Named bool // SSE: name events by their type
	Batch bool // WebSocket: a message may hold several events, one per line

	Wait     time.Duration // long-poll
	Limit    int           // long-poll: events of a page; 0 means the default
	Backward bool          // long-poll: the page below Before
	Before   int64

	Resumed bool // the cursor came as Last-Event-ID

	View View // shows the log in other shapes; or nil

	show func(*store.Event) bool // which events the reader's credential lets through; nil is all
}

// Cursor is a place in one of several sessions.
type Cursor struct {
	Session string
	After   int64
}

// Until bounds a read by an id or a time. The zero value is no bound.
type Until struct {
	ID   int64
	Time time.Time
}

func (u Until) bounded() bool { return u.ID > 0 || !u.Time.IsZero() }

// cut drops the events past a bound in time and reports whether there were any.
func (u Until) cut(events []store.Event) ([]store.Event, bool) {
	if u.Time.IsZero() {
		return events, false
	}
	for i := range events {
		if events[i].Time.After(u.Time) {
			return events[:i], true
		}
	}
	return events, false
}

// reached reports whether nothing can come any more for a cursor.
func (u Until) reached(after int64, level bool) bool {
	if u.ID > 0 {
		return after >= u.ID
	}
	return level && !u.Time.IsZero() && time.Since(u.Time) >= untilGrace
}

// filter returns the events that the request wants.
func (q *Request) filter(events []store.Event) []store.Event {
	if q.Types == nil && q.Turn == "" && q.show == nil {
		return events
	}
	var wanted []store.Event // a new slice: the page belongs to the engine
	for i := range events {
		if q.wants(&events[i]) {
			wanted = append(wanted, events[i])
		}
	}
	return wanted
}

func (q *Request) wants(e *store.Event) bool {
	return (q.Turn == "" || q.Turn == e.Turn) && (q.Types == nil || slices.Contains(q.Types, e.Type)) && (q.show == nil || q.show(e))
}

// each returns a request per session asked for.
func (q *Request) each() []Request {
	if q.Session != "" {
		return []Request{*q}
	}
	all := make([]Request, len(q.Cursors))
	for i, c := range q.Cursors {
		all[i] = *q
		all[i].Session, all[i].After, all[i].Cursors = c.Session, c.After, nil
	}
	return all
}

// ParseRequest reads the parameters of PROTOCOL.md section 3 from the query.
// session is the one the path names, or "" for the several-sessions form. A
// Last-Event-ID header wins over after= and cursor=. The error is a
// *store.Error.
func ParseRequest(r *http.Request, session string) (Request, error) {
	if session != "" {
		if err := store.ValidSessionID(session); err != nil {
			return Request{}, err
		}
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return Request{}, err
	}
	p := params{get: query.Get}
	q := p.request(session)
	if session == "" && q.Epoch != "" {
		p.fail("epoch goes with one session: each of several has its own")
	}
	last := r.Header.Get("Last-Event-ID")
	if session == "" {
		if last != "" {
			q.Cursors = p.cursors(last, ResumeMax)
		} else {
			q.Cursors = p.cursors(query.Get("cursor"), CursorMax)
		}
	}
	if last != "" {
		q.Resumed, q.FromEnd = true, false
		if session != "" {
			q.After = p.id("Last-Event-ID", last)
		}
	}
	q.Named, q.Batch = p.flag("named"), p.flag("batch")
	q.Wait = p.wait()
	if p.has("limit") {
		q.Limit = int(min(p.id("limit", p.get("limit")), PollEventsMax))
	}
	if p.has("before") {
		q.Backward, q.Before = true, p.id("before", p.get("before"))
		if q.Fold {
			p.fail("fold=1 reads forwards only: leave it or before out")
		}
	}
	return q, p.failure()
}

// known are the parameters that a reader may send.
var known = []string{
	"after", "tail", "cursor", "epoch", "types", "turn", "raw", "until", "speed",
	"named", "batch", "wait", "limit", "before", "fold",
}

// parseQuery refuses what would otherwise be lost in silence: a reader that
// misspells until= would get what it did not ask for.
func parseQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalidQuery, "the query is malformed: %v", err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return nil, store.Errorf(store.CodeInvalidQuery, "parameter %.40q is not known here; use %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return nil, store.Errorf(store.CodeInvalidQuery, "parameter %s is given more than once", name)
		}
	}
	return query, nil
}

// subscribeRequest reads the same parameters from a subscribe frame.
func subscribeRequest(members map[string]json.RawMessage) (Request, error) {
	p := params{}
	p.get = func(name string) string { return p.member(name, members[name]) }
	session := p.get("session")
	if err := store.ValidSessionID(session); err != nil {
		return Request{}, err
	}
	q := p.request(session)
	return q, p.failure()
}

// params reads named values and keeps the first thing that is wrong.
type params struct {
	get func(name string) string
	err *store.Error // or nil
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = store.Errorf(store.CodeInvalidQuery, format, args...)
	}
}

func (p *params) failure() error {
	if p.err == nil {
		return nil // not a nil *store.Error in an interface
	}
	return p.err
}

func (p *params) has(name string) bool { return p.get(name) != "" }

// request reads what every transport has in common.
func (p *params) request(session string) Request {
	q := Request{Session: session, Epoch: p.get("epoch"), Turn: p.get("turn"), Raw: p.flag("raw"), Fold: p.flag("fold")}
	if p.has("after") {
		q.After = p.id("after", p.get("after"))
	}
	if p.has("tail") {
		q.FromEnd, q.Tail = true, p.id("tail", p.get("tail"))
	}
	if p.has("after") && p.has("tail") {
		p.fail("after and tail exclude each other")
	}
	q.Types = p.types()
	q.Until = p.until()
	q.Speed = p.speed()
	return q
}

func (p *params) id(name, value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || value[0] == '+' || value[0] == '-' {
		p.fail("%s=%.40q: want a number from 0", name, value)
		return 0
	}
	return n
}

func (p *params) flag(name string) bool {
	switch v := p.get(name); v {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	default:
		p.fail("%s=%.40q: want 0 or 1", name, v)
		return false
	}
}

func (p *params) types() []string {
	if !p.has("types") {
		return nil
	}
	types := strings.Split(p.get("types"), ",")
	if len(types) > TypesMax {
		p.fail("types: %d names are over the limit of %d", len(types), TypesMax)
	}
	for _, t := range types {
		if t == "" || len(t) > store.TypeBytesMax {
			p.fail("types: %.80q cannot be a type", t)
		}
	}
	return types
}

func (p *params) until() Until {
	v := p.get("until")
	if v == "" {
		return Until{}
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return Until{Time: t}
	}
	id := p.id("until", v)
	if id == 0 {
		p.fail("until=%.40q: want an event id from 1 or a time such as 2026-01-31T12:00:00Z", v)
	}
	return Until{ID: id}
}

func (p *params) speed() float64 {
	v := p.get("speed")
	if v == "" {
		return 0
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= SpeedMin && f <= SpeedMax) {
		p.fail("speed=%.40q: want a number from %g to %g", v, SpeedMin, float64(SpeedMax))
		return 0
	}
	return f
}

func (p *params) wait() time.Duration {
	v := p.get("wait")
	if v == "" {
		return 0
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0) {
		p.fail("wait=%.40q: want seconds", v)
		return 0
	}
	return time.Duration(min(f, waitMax.Seconds()) * float64(time.Second))
}

// cursors reads s1:12,s2:40. A session's id may hold colons; the cursor comes
// after the last one.
func (p *params) cursors(v string, bytesMax int) []Cursor {
	if v == "" {
		return nil
	}
	if len(v) > bytesMax {
		p.fail("cursor of %d bytes is over the limit of %d", len(v), bytesMax)
		return nil
	}
	var list []Cursor
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(v, ",") {
		i := strings.LastIndexByte(part, ':')
		if i < 0 || i+1 == len(part) || store.ValidSessionID(part[:i]) != nil {
			p.fail("cursor: %.160q is not session:id", part)
			return nil
		}
		c := Cursor{Session: part[:i], After: p.id("cursor", part[i+1:])}
		if seen[c.Session] {
			p.fail("cursor: session %s stands twice", c.Session)
		}
		seen[c.Session] = true
		list = append(list, c)
	}
	return list
}

// member gives a member of a frame the form it would have in a query.
func (p *params) member(name string, value json.RawMessage) string {
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	switch value[0] {
	case '"':
		var s string
		_ = json.Unmarshal(value, &s) // a checked string cannot fail
		return s
	case '[':
		var list []string
		if json.Unmarshal(value, &list) != nil {
			p.fail("%s: want an array of strings", name)
		}
		return strings.Join(list, ",")
	case '{':
		p.fail("%s: want a plain value", name)
		return ""
	}
	return string(value) // a number, true or false
}
