package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// choose chooses from a kontask and appends the prompt that the choice stands
// for, in the kontask's session, once: whoever comes second gets the first's.
func (s *Server) choose(ctx context.Context, _ string, body []byte) (begun, error) {
	var id string
	var choice []byte
	err := eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "kontaskId", "id":
			id, err = stringValue(name, value)
		case "choice":
			choice = value
		case "session", "type", "ref", "key":
		default:
			err = unknownMember(name, "a choice has kontaskId and choice")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if id == "" || choice == nil {
		return nil, store.Errorf(store.CodeInvalidEvent, "a choice needs the kontaskId and the choice: its place in the list, from 0, or its label or value")
	}
	k, err := s.changedKontask(ctx, id)
	if err != nil {
		return nil, err
	}
	picked, place, err := pick(&k, choice)
	if err != nil {
		return nil, err
	}
	chosen, prompt := object{}, object{}
	chosen.text("kontaskId", id)
	chosen.add("choice", strconv.AppendInt(nil, int64(place), 10))
	chosen.text("label", picked.Label)
	chosen.text("value", picked.Value)
	prompt.text("text", picked.Value)
	prompt.text("source", "kontask")
	prompt.text("kontaskId", id)
	drafts := []store.Draft{{Type: store.TypeKontaskChosen, Data: chosen.bytes()}, {Type: store.TypePrompt, Data: prompt.bytes()}}
	wait, err := s.begin(ctx, k.Session, store.AppendOptions{NoCreate: true, Together: true}, drafts...)
	if err != nil {
		return nil, err
	}
	return func() (commandAnswer, error) {
		a, err := wait()
		if err != nil || !a.Duplicate {
			a.Turn = drafts[1].Turn
			return a, err
		}
		if !grantOf(ctx).MayRead(a.Session) {
			return a, nil
		}
		e, err := s.eventAt(ctx, a.Session, a.ID+1)
		if e != nil && e.Type == store.TypePrompt && e.Text("kontaskId") == id {
			a.Turn = e.Turn
		}
		return a, err
	}, nil
}

// pick finds a choice by its place, label or value.
func pick(k *store.Kontask, choice []byte) (store.Choice, int, error) {
	choices := k.Choices()
	n, err := strconv.Atoi(string(choice))
	if err == nil && n >= 0 && n < len(choices) {
		return choices[n], n, nil
	}
	if said, err := stringValue("choice", choice); err == nil {
		for i, c := range choices {
			if c.Label == said || c.Value == said {
				return c, i, nil
			}
		}
	}
	return store.Choice{}, 0, store.Errorf(store.CodeNoChoice, "kontask %.100q has %d choices, and %.80s is none of them", k.ID, len(choices), choice)
}

func (s *Server) kontask(ctx context.Context, id string) (store.Kontask, error) {
	kontasks, ok := s.log.(store.Kontasks)
	if !ok {
		return store.Kontask{}, errNoAbility("kontasks")
	}
	return kontasks.Kontask(ctx, id)
}

// postChoice is choose with the kontask in the path.
func (s *Server) postChoice(c echo.Context) error {
	id := pathParam(c, "k")
	choose := func(s *Server, ctx context.Context, _ string, body []byte) (begun, error) {
		named := object{}
		named.text("kontaskId", id)
		if err := eachMember(body, func(name string, value []byte) error {
			if name == "kontaskId" || name == "id" {
				return unknownMember(name, "the address names the kontask")
			}
			named.add(name, value)
			return nil
		}); err != nil {
			return nil, err
		}
		return s.choose(ctx, "", named.bytes())
	}
	return s.postCommand(choose)(c)
}

// putKontask creates or updates a kontask, whatever state its turn is in, by
// appending what the client says of it to its session.
func (s *Server) putKontask(c echo.Context) error {
	id, ctx := pathParam(c, "k"), c.Request().Context()
	body, err := s.objectBody(c)
	if err != nil {
		return err
	}
	defer body.free()
	d, session, err := s.kontaskDraft(ctx, id, body.b)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if d.Type != "" {
		o := store.AppendOptions{NoCreate: d.Type == store.TypeKontaskUpdated}
		if _, err := s.append(ctx, session, o, []store.Draft{d}); err != nil {
			return at("kontask", id, err)
		}
		if d.Type != store.TypeKontaskUpdated {
			status = http.StatusCreated
		}
	}
	if !grantOf(ctx).MayRead(session) {
		return writeJSON(c, status, nameOnly{ID: id, Session: session})
	}
	k, err := s.kontask(ctx, id)
	if err != nil {
		return at("kontask", id, err)
	}
	return writeJSON(c, status, json.RawMessage(appendKontask(nil, &k)))
}

// kontaskDraft is the event that says what body says. Its type is "" when the
// record says it already.
func (s *Server) kontaskDraft(ctx context.Context, id string, body []byte) (d store.Draft, session string, err error) {
	if !utf8.ValidString(id) {
		return d, "", store.Errorf(store.CodeInvalidUTF8, "the kontask's id is not valid UTF-8")
	}
	if len(id) > store.KontaskIDBytesMax {
		return d, "", store.Errorf(store.CodeInvalidQuery, "the kontask's id is over %d bytes", store.KontaskIDBytesMax)
	}
	var status string
	named := false
	if err = eachMember(body, func(name string, value []byte) (err error) {
		switch name {
		case "id", "kontaskId":
			var said string
			if said, err = stringValue(name, value); err == nil && said != id {
				err = store.Errorf(store.CodeInvalidEvent, "the address names kontask %.100q and the body %.100q", id, said)
			}
			named = named || name == "id"
		case "session":
			session, err = stringValue(name, value)
		case "status":
			status, err = stringValue(name, value)
		case "requestId":
			d.Turn, err = stringValue(name, value)
		}
		return err
	}); err != nil {
		return d, "", err
	}
	d.Data = body
	if !named {
		inner := bytes.TrimSpace(body)[1:] // eachMember has seen an object
		d.Data = append(appendJSONString([]byte(`{"id":`), id), ',')
		if bytes.TrimSpace(inner)[0] == '}' {
			d.Data = d.Data[:len(d.Data)-1]
		}
		d.Data = append(d.Data, inner...)
	}
	if err := (&store.Draft{Type: store.TypeKontaskUpdated, Data: d.Data}).Check(s.limits.EventBytes); err != nil {
		return d, "", err
	}
	known, err := s.changedKontask(ctx, id)
	// Two that say the same at the same moment say it once.
	d.Key = fmt.Sprintf("put-%x", sha256.Sum256(fmt.Appendf(nil, "%q %d %s", id, known.Last, d.Data)))
	if store.CodeOf(err) == store.CodeNoKontask {
		d.Type = store.TypeKontaskCreated
		if store.Ready(status) {
			d.Type = store.TypeKontaskReady
		}
		if session == "" {
			return d, "", store.Errorf(codeSessionRequired, "the kontask is new: name its session")
		}
		return d, session, nil
	}
	if err != nil {
		return d, "", err
	}
	return s.kontaskUpdate(&known, d, session, status)
}

func (s *Server) kontaskUpdate(known *store.Kontask, d store.Draft, session, status string) (store.Draft, string, error) {
	if session != "" && session != known.Session {
		return d, "", store.Errorf(store.CodeKontaskMoved, "kontask %.100q belongs to another session; use another id", known.ID)
	}
	switch {
	case known.Says(d.Data):
		d.Type = ""
	case known.Ready == 0 && known.Chosen == 0 && status != "" && store.Ready(status):
		d.Type = store.TypeKontaskReady
	default:
		d.Type = store.TypeKontaskUpdated
	}
	return d, known.Session, nil
}

// appendKontask appends a kontask as it stands on the wire: what was said of
// it, and what the server knows. Where both say it the server is right.
func appendKontask(dst []byte, k *store.Kontask) []byte {
	o := object{}
	own := map[string]bool{"id": true, "session": true, "createdAt": true, "updatedAt": true, "events": true, "chosen": true}
	o.text("id", k.ID)
	o.text("session", k.Session)
	_ = eachMember(k.Record, func(name string, value []byte) error { // checked when it was appended
		if !own[name] {
			o.add(name, value)
		}
		return nil
	})
	o.text("createdAt", k.CreatedAt.UTC().Format(store.TimeLayout))
	o.text("updatedAt", k.UpdatedAt.UTC().Format(store.TimeLayout))
	o.add("chosen", k.Choice)
	events := object{}
	for _, e := range []struct {
		name string
		id   int64
	}{{"created", k.Created}, {"ready", k.Ready}, {"chosen", k.Chosen}, {"last", k.Last}} {
		if e.id > 0 {
			events.add(e.name, strconv.AppendInt(nil, e.id, 10))
		}
	}
	o.add("events", events.bytes())
	return append(dst, o.bytes()...)
}

func (s *Server) getKontask(c echo.Context) error {
	k, err := s.shownKontask(c.Request().Context(), pathParam(c, "k"))
	if err != nil {
		return at("kontask", pathParam(c, "k"), err)
	}
	return writeJSON(c, http.StatusOK, json.RawMessage(appendKontask(nil, &k)))
}

func (s *Server) listKontasks(c echo.Context) error {
	q, err := queryOf(c.Request(), "session", "status", "scope", "tag", "targetUser", "requestId", "open", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := queryInt(q, "limit", store.TurnsPageDefault, 1, store.TurnsPageMax)
	if err != nil {
		return err
	}
	open, err := queryBool(q, "open")
	if err != nil {
		return err
	}
	kontasks, ok := s.log.(store.Kontasks)
	if !ok {
		return errNoAbility("kontasks")
	}
	page, err := kontasks.ListKontasks(c.Request().Context(), store.KontaskFilter{
		Session: q.Get("session"), Status: q.Get("status"), Scope: q.Get("scope"), Tag: q.Get("tag"), TargetUser: q.Get("targetUser"),
		RequestID: q.Get("requestId"), Open: open, Cursor: q.Get("cursor"), Limit: limit,
		Visible: visible(c.Request().Context()),
	})
	if err != nil {
		return err
	}
	list := []byte{'['}
	for i := range page.Kontasks {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendKontask(list, &page.Kontasks[i])
	}
	out := object{}
	out.add("kontasks", append(list, ']'))
	if page.Next != "" { // left out on the last one
		out.text("next", page.Next)
	}
	return writeJSON(c, http.StatusOK, json.RawMessage(out.bytes()))
}
