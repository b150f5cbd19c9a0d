package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// Commands are appends (PROTOCOL.md section 6): a function here reads the
// members of a command, whether they come in a request's body or in a frame,
// and begins the append; what it returns waits for it.

// commandAnswer says what became of a command.
type commandAnswer struct {
	Session   string          `json:"session"`
	ID        int64           `json:"id"` // of the event; of the first one when Duplicate
	Turn      string          `json:"turn,omitempty"`
	Duplicate bool            `json:"duplicate"`
	Event     json.RawMessage `json:"event,omitempty"` // the first one's, when Duplicate

	unlogged bool // nothing is appended to the session
}

// appendJSON appends the answer with the event as its own bytes (P4), which
// encoding/json would encode anew.
func (a *commandAnswer) appendJSON(dst []byte) json.RawMessage {
	o := object{}
	o.text("session", a.Session)
	o.add("id", strconv.AppendInt(nil, a.ID, 10))
	if a.Turn != "" {
		o.text("turn", a.Turn)
	}
	o.add("duplicate", strconv.AppendBool(nil, a.Duplicate))
	o.add("event", a.Event)
	return append(dst, o.bytes()...)
}

// begun waits for a command.
type begun func() (commandAnswer, error)

// commandFunc begins a command. session is the one that the path or the
// connection names, or ""; body is an object.
type commandFunc func(s *Server, ctx context.Context, session string, body []byte) (begun, error)

// commandTable is every command by the type of its frame.
var commandTable = map[string]commandFunc{
	"send_prompt": (*Server).prompt,
	"stop_turn":   (*Server).stop,
	"cancel":      (*Server).stop,
	"answer":      (*Server).answer,
	"choose":      (*Server).choose,
	"seen":        (*Server).seen,
}

// postCommand serves a command over REST: 201 when it was appended, 200 when
// the log had it.
func (s *Server) postCommand(command commandFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		body, err := s.objectBody(c)
		if err != nil {
			return err
		}
		defer body.free()
		return s.answerCommand(c, command, sessionID(c), body.b)
	}
}

// answerCommand carries out a command and says what became of it.
func (s *Server) answerCommand(c echo.Context, command commandFunc, session string, body []byte) error {
	wait, err := command(s, c.Request().Context(), session, body)
	if err != nil {
		return err
	}
	a, err := wait()
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if a.Duplicate || a.unlogged {
		status = http.StatusOK
	}
	return writeJSON(c, status, a.appendJSON(nil))
}

// objectBody reads a body that is one JSON object; an empty one is {}.
func (s *Server) objectBody(c echo.Context) (*buffer, error) {
	return s.objectBodyOf(c, s.limits.BodyBytes)
}

// objectBodyOf is objectBody with a limit of its own.
func (s *Server) objectBodyOf(c echo.Context, max int) (*buffer, error) {
	r := c.Request()
	if err := checkCoding(r); err != nil {
		return nil, err
	}
	lines, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	if lines {
		return nil, store.Errorf(codeUnsupportedMedia, "send one object as application/json")
	}
	buf, err := s.readBody(r, max)
	if err == nil && len(buf.b) == 0 {
		buf.b = append(buf.b, "{}"...)
	}
	return buf, err
}

// object collects the members of an event's data as they were sent.
type object struct{ b []byte }

func (o *object) add(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	if o.b == nil {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = append(appendJSONString(o.b, name), ':')
	o.b = append(o.b, value...)
}

func (o *object) text(name, value string) { o.add(name, appendJSONString(nil, value)) }

func (o *object) bytes() []byte {
	if o.b == nil {
		return []byte("{}")
	}
	return append(o.b, '}')
}

func appendJSONString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("api: a string did not encode: " + err.Error()) // encoding/json encodes every string
	}
	return append(dst, b...)
}

// sources are who may ask, beside a kontask, whose prompts the server writes.
var sources = map[string]bool{"user": true, "inject": true, "kontask": true, "api": true}

// prompt appends a prompt. It waits for its turn in the log: whoever runs the
// agent reads it there.
func (s *Server) prompt(ctx context.Context, session string, body []byte) (begun, error) {
	d, data, asked := store.Draft{Type: store.TypePrompt}, object{}, false
	err := eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "text", "prompt":
			if asked {
				return store.Errorf(store.CodeInvalidEvent, "give the prompt once, as text or as prompt")
			}
			asked = true
			_, err = stringValue(name, value)
			data.add("text", value)
		case "source":
			var source string
			if source, err = stringValue(name, value); err == nil && !sources[source] {
				err = store.Errorf(store.CodeInvalidEvent, "source %.40q: use user, inject, kontask or api", source)
			}
			data.add(name, value)
		case "images", "files":
			err = checkArray(name, value)
			data.add(name, value)
		case "kontaskId":
			_, err = stringValue(name, value)
			data.add(name, value)
		case "requestId":
			d.Turn, err = stringValue(name, value)
		case "key":
			d.Key, err = stringValue(name, value)
		case "session":
			session, err = sameSession(session, value)
		case "type", "ref":
		default:
			err = unknownMember(name, "a prompt has text, images, files, source, requestId, kontaskId and key")
		}
		return err
	})
	if err == nil && !asked {
		err = store.Errorf(store.CodeInvalidEvent, "the prompt has no text")
	}
	if err != nil {
		return nil, err
	}
	d.Data = data.bytes()
	return s.begin(ctx, session, store.AppendOptions{}, d)
}

// begin appends the drafts of a command and answers with the first of them.
func (s *Server) begin(ctx context.Context, session string, o store.AppendOptions, drafts ...store.Draft) (begun, error) {
	if session == "" {
		return nil, store.Errorf(codeSessionRequired, "name the session")
	}
	wait := s.submit(ctx, session, o, drafts)
	return func() (commandAnswer, error) {
		a, err := wait()
		if err != nil {
			return commandAnswer{}, at("session", session, err)
		}
		answer := commandAnswer{Session: session, ID: a.First, Turn: drafts[0].Turn, Duplicate: a.Duplicate}
		if a.Duplicate {
			err = s.first(ctx, &answer)
		}
		return answer, err
	}, nil
}

// first fills in the event that a command would have repeated.
func (s *Server) first(ctx context.Context, a *commandAnswer) error {
	if a.ID == 0 || !grantOf(ctx).MayRead(a.Session) {
		return nil
	}
	e, err := s.eventAt(ctx, a.Session, a.ID)
	if err != nil || e == nil {
		return err
	}
	a.Turn, a.Event = e.Turn, e.JSON()
	return nil
}

// eventAt reads one event; it is nil when it cannot be read any more.
func (s *Server) eventAt(ctx context.Context, session string, id int64) (*store.Event, error) {
	page, err := s.log.Read(ctx, session, store.Query{After: id - 1, Until: id, Limit: store.Limit{Events: 1}})
	if err != nil {
		return nil, at("session", session, err)
	}
	if len(page.Events) == 0 || page.Events[0].ID != id || len(page.Events[0].Data) == 0 {
		return nil, nil
	}
	return &page.Events[0], nil
}

// stop asks whoever runs a turn to stop it. A turn that waits is ended here
// and now: nobody runs it.
func (s *Server) stop(ctx context.Context, session string, body []byte) (begun, error) {
	var turn string
	data := object{}
	var key string
	err := eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "requestId", "turn":
			turn, err = stringValue(name, value)
		case "reason":
			_, err = stringValue(name, value)
			data.add(name, value)
		case "key":
			key, err = stringValue(name, value)
		case "session":
			session, err = sameSession(session, value)
		case "type", "ref":
		default:
			err = unknownMember(name, "a stop has requestId, reason and key")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if session == "" {
		return nil, store.Errorf(codeSessionRequired, "name the session")
	}
	if err := s.mayChange(ctx, session); err != nil {
		return nil, err
	}
	return func() (commandAnswer, error) {
		for {
			a, waited, err := s.tryStop(ctx, session, turn, key, data)
			if turn == "" && s.mayRead(ctx, session) != nil {
				a.Turn = "" // who may not read is not told which turn is open
			}
			if !waited || store.CodeOf(err) != store.CodeNoTurn {
				return a, err
			}
			// The turn began meanwhile, which it does once, or ended: look again.
		}
	}, nil
}

// tryStop stops what runs, or what waited when it looked.
func (s *Server) tryStop(ctx context.Context, session, turn, key string, data object) (a commandAnswer, waited bool, err error) {
	state, err := s.log.Session(ctx, session)
	if err != nil {
		return a, false, at("session", session, err)
	}
	stop, named := store.Draft{Key: key, Type: store.TypeStopTurn, Turn: turn}, turn != ""
	if !named && state.Turn != "" {
		turn = state.Turn
		stop.AssignTurn(turn)
	}
	all := object{}
	if turn != "" && (named || key == "") { // with a key it is the same stop when another turn is open by then
		all.text("requestId", turn)
	}
	if len(data.b) > 1 {
		all.b = append(append(all.b, "{,"[min(len(all.b), 1)]), data.b[1:]...)
	}
	stop.Data = all.bytes()
	drafts, o := []store.Draft{stop}, store.AppendOptions{NoCreate: true}
	over := turn == "" || turn != state.Turn && !state.Waits(turn)
	switch {
	case over && key == "":
		return a, false, errNothingRuns()
	case over: // only a stop that the log has already is answered, by its key
		o.ExpectHead = new(int64)
		*o.ExpectHead = -1
	case state.Waits(turn):
		o.Waiting, waited = turn, true
		end := store.TurnEndDraft(turn, "stopped")
		if key != "" && len(key)+len(stopEndKey) <= store.KeyBytesMax {
			end.Key = key + stopEndKey
		}
		drafts = append(drafts, end)
	}
	wait, err := s.begin(ctx, session, o, drafts...)
	if err != nil {
		return a, false, err
	}
	a, err = wait()
	if over && errors.Is(err, store.ErrHeadMoved) {
		err = errNothingRuns()
	}
	return a, waited, err
}

// stopEndKey makes the key of the end that a stop brings out of the stop's own,
// so that both are stored once.
const stopEndKey = ".end"

func errNothingRuns() error {
	return store.Errorf(store.CodeNoTurn, "nothing runs in this session that could be stopped")
}

// answer answers a question. The first answer wins, on whatever connection it
// came; the others learn of it.
func (s *Server) answer(ctx context.Context, session string, body []byte) (begun, error) {
	var question string
	d, data, allowed := store.Draft{Type: store.TypePermissionResponse}, object{}, false
	err := eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "requestId":
			question, err = stringValue(name, value)
			data.add(name, value)
		case "allow":
			_, err = boolValue(name, value)
			allowed = true
			data.add(name, value)
		case "message", "by", "option":
			_, err = stringValue(name, value)
			data.add(name, value)
		case "updatedInput":
			data.add(name, value)
		case "key":
			d.Key, err = stringValue(name, value)
		case "session":
			session, err = sameSession(session, value)
		case "type", "ref":
		default:
			err = unknownMember(name, "an answer has requestId, allow, updatedInput, option, message, by and key")
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case question == "" || !allowed:
		return nil, store.Errorf(store.CodeInvalidEvent, "an answer needs requestId and allow")
	case session == "":
		return nil, store.Errorf(codeSessionRequired, "name the session")
	}
	if err := s.mayChange(ctx, session); err != nil {
		return nil, err
	}
	questions, ok := s.log.(store.Questions)
	if !ok {
		return nil, errNoAbility("questions")
	}
	asked, _, err := questions.Answer(ctx, session, question)
	if err != nil {
		return nil, at("session", session, err)
	}
	if asked == 0 {
		return nil, store.ErrNoQuestion
	}
	// An open question gives its answer turn and parent; one whose turn has ended
	// is in the log only.
	if e, err := s.eventAt(ctx, session, asked); err == nil && e != nil {
		d.Adopt(e.Turn, e.Parent)
	}
	d.Data = data.bytes()
	return s.begin(ctx, session, store.AppendOptions{NoCreate: true}, d)
}

// sameSession is the session that a body names, which must not contradict the
// one of the path.
func sameSession(session string, value []byte) (string, error) {
	named, err := stringValue("session", value)
	if err == nil && session != "" && named != session {
		err = store.Errorf(store.CodeInvalidSession, "the address names session %s and the body %.100q", session, named)
	}
	return named, err
}

func unknownMember(name, has string) error {
	return store.Errorf(store.CodeInvalidEvent, "unknown member %.40q; %s", name, has)
}

func checkArray(name string, value []byte) error {
	if value[0] != '[' || !json.Valid(value) {
		return store.Errorf(store.CodeInvalidEvent, "%s must be an array", name)
	}
	return nil
}

// errNoAbility is for an engine that lacks what a route needs; ours have it.
func errNoAbility(what string) error {
	return store.Errorf(codeNotFound, "this server's store does not keep %s", what)
}
