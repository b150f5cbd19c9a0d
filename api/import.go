package api

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// importSession appends events as an export gave them, with their ids and
// times. The session member of a line is checked but does not decide: a log
// may be restored under another name.
func (s *Server) importSession(c echo.Context) error {
	r := c.Request()
	if err := checkCoding(r); err != nil {
		return err
	}
	lines, err := mediaType(r)
	if err != nil {
		return err
	}
	if !lines {
		return store.Errorf(codeUnsupportedMedia, "an import is a stream of lines: send it as application/x-ndjson")
	}
	q, err := queryOf(r, "create", "head")
	if err != nil {
		return err
	}
	noCreate, err := noCreateOf(q)
	if err != nil {
		return err
	}
	st := &streamed{session: sessionID(c), parse: parseImportLine}
	st.options = store.AppendOptions{Restore: true, NoCreate: noCreate}
	if q.Has("head") {
		if err := s.restoreHead(c, st.session, q.Get("head")); err != nil {
			return err
		}
	}
	if err := s.stream(c, st, s.limits.ImportLineBytes); err != nil {
		return err
	}
	return writeAppended(c.Response(), st.fresh.Count == 0, st.answer())
}

// restoreHead gives a session without events the head that its log had.
func (s *Server) restoreHead(c echo.Context, session, value string) error {
	head, err := strconv.ParseInt(value, 10, 64)
	if err != nil || head < 1 {
		return store.Errorf(store.CodeInvalidQuery, "head=%.40q: want the id of the last event that there was", value)
	}
	if err := writable(session); err != nil {
		return err
	}
	log, ok := s.log.(store.HeadRestorer)
	if !ok {
		return store.Errorf(store.CodeInvalidQuery, "this server cannot restore a head")
	}
	if err := s.rates.mayCreate(c.Request().Context(), session); err != nil {
		return err
	}
	_, err = log.RestoreHead(c.Request().Context(), session, head)
	return err
}

// parseImportLine reads an event object with its id and time. The bytes of
// data stay as they are.
func parseImportLine(line []byte) (store.Draft, error) {
	if !utf8.Valid(line) {
		return store.Draft{}, store.Errorf(store.CodeInvalidUTF8, "the line is not valid UTF-8")
	}
	if !json.Valid(line) {
		return store.Draft{}, store.Errorf(store.CodeInvalidJSON, "the line is not valid JSON")
	}
	var d store.Draft
	err := eachMember(line, func(name string, value []byte) error { return importMember(&d, name, value) })
	switch {
	case err != nil:
	case d.ID == 0:
		err = store.Errorf(store.CodeInvalidEvent, "id is missing: an import restores events under their old ids")
	case d.Time.IsZero():
		err = store.Errorf(store.CodeInvalidEvent, "time is missing: an import restores events with their old times")
	case d.Data == nil:
		err = store.Errorf(store.CodeInvalidEvent, "data is missing; an export writes null where there was none")
	default:
		err = store.ValidType(d.Type)
	}
	return d, err
}

func importMember(d *store.Draft, name string, value []byte) (err error) {
	switch name {
	case "id":
		if d.ID, err = intValue(name, value); err == nil && d.ID == 0 {
			err = store.Errorf(store.CodeInvalidEvent, "id must be a whole number from 1")
		}
	case "session":
		var session string
		if session, err = stringValue(name, value); err == nil {
			err = store.ValidSessionID(session)
		}
	case "type":
		d.Type, err = stringValue(name, value)
	case "turn":
		d.Turn, err = stringValue(name, value)
	case "parent":
		d.Parent, err = stringValue(name, value)
	case "time":
		d.Time, err = timeValue(value)
	case "data":
		d.Data = value
	case "raw":
		d.Raw, err = store.ParseRaw(value)
	default:
		err = store.Errorf(store.CodeInvalidEvent, "unknown member %.40q; an exported event has id, session, type, turn, parent, time, data and raw", name)
	}
	return err
}

func timeValue(value []byte) (time.Time, error) {
	s, err := stringValue("time", value)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, store.Errorf(store.CodeInvalidEvent, "time %.40q: want RFC 3339, such as 2026-11-20T17:24:01.123Z", s)
	}
	return t.UTC().Truncate(time.Millisecond), nil
}
