package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// sessionBody reads what a client says of a new session. An empty body says
// nothing.
func (s *Server) sessionBody(c echo.Context, withID bool) (id string, spec store.SessionSpec, err error) {
	var patch store.SessionPatch
	err = s.sessionMembers(c, func(name string, value []byte) (err error) {
		if withID && name == "id" {
			id, err = stringValue(name, value)
			return err
		}
		return patchMember(&patch, name, value)
	})
	if err != nil {
		return "", spec, err
	}
	spec, err = patch.Apply(spec)
	return id, spec, err
}

func (s *Server) sessionMembers(c echo.Context, f func(name string, value []byte) error) error {
	r := c.Request()
	if err := checkCoding(r); err != nil {
		return err
	}
	lines, err := mediaType(r)
	if err != nil {
		return err
	}
	if lines {
		return store.Errorf(codeUnsupportedMedia, "send one object as application/json")
	}
	buf, err := s.readBody(r, s.limits.SessionBodyBytes)
	if err != nil {
		return err
	}
	defer buf.free()
	if len(buf.b) == 0 {
		return nil
	}
	if !utf8.Valid(buf.b) {
		return store.Errorf(store.CodeInvalidUTF8, "the body is not valid UTF-8")
	}
	if !json.Valid(buf.b) {
		return store.Errorf(store.CodeInvalidJSON, "the body is not valid JSON")
	}
	return eachMember(buf.b, f)
}

// patchMember reads one member. A null empties what it names.
func patchMember(p *store.SessionPatch, name string, value []byte) error {
	switch name {
	case "title":
		title, err := stringValue(name, value)
		p.Title = &title
		return err
	case "scope":
		scope, err := stringValue(name, value)
		p.Scope = &scope
		return err
	case "tags":
		var tags []string
		if json.Unmarshal(value, &tags) != nil {
			return store.Errorf(store.CodeInvalidQuery, "tags must be an array of strings")
		}
		p.Tags = &tags
		return nil
	case "meta":
		meta := json.RawMessage(slices.Clone(value)) // the body's memory is used again
		p.Meta = &meta
		return nil
	case "retention":
		keep, err := keepValue(value)
		p.Retention = keep
		return err
	}
	return store.Errorf(store.CodeInvalidQuery, "unknown member %.40q; a session has title, scope, tags, meta and retention, and id when it is created with POST", name)
}

// keepValue reads a session's own retention; null takes it away.
func keepValue(value []byte) (*store.Keep, error) {
	keep := &store.Keep{}
	decode := json.NewDecoder(bytes.NewReader(value))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&keep); err != nil {
		return nil, store.Errorf(store.CodeInvalidQuery, "retention must be an object with ageMs, events and bytes, whole numbers of which each may be left out, or null")
	}
	if keep == nil {
		keep = &store.Keep{}
	}
	return keep, nil
}
