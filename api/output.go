package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// outputHeaders are those of a kontask's HTML, which an agent wrote: it is
// shown in a frame of this server's pages without an origin, without scripts
// and without anything from elsewhere, also when somebody opens its address.
var outputHeaders = map[string]string{
	"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
	"Cache-Control":           "no-store", // it changes with the next event, and a redaction must reach everybody
}

// getOutput gives context.output of a kontask as a page of its own. What is no
// string is shown as JSON. With source=1 it comes as text, as it was appended.
func (s *Server) getOutput(c echo.Context) error {
	id := pathParam(c, "k")
	q, err := queryOf(c.Request(), "source")
	if err != nil {
		return err
	}
	source, err := queryBool(q, "source")
	if err != nil {
		return err
	}
	k, err := s.shownKontask(c.Request().Context(), id)
	if err != nil {
		return at("kontask", id, err)
	}
	output := memberOf(memberOf(k.Record, "context"), "output")
	if output == nil || string(output) == "null" {
		return at("kontask", id, store.Errorf(codeNotFound, "the kontask has no context.output"))
	}
	for name, value := range outputHeaders {
		c.Response().Header().Set(name, value)
	}
	var card string
	if json.Unmarshal(output, &card) != nil {
		var text bytes.Buffer
		_ = json.Indent(&text, output, "", "  ") // it was checked when it was appended
		if source {
			return c.String(http.StatusOK, text.String())
		}
		return c.HTMLBlob(http.StatusOK, textPage(text.String()))
	}
	if source {
		return c.String(http.StatusOK, card)
	}
	return c.HTMLBlob(http.StatusOK, cardPage(card))
}

// memberOf returns the value of a member of an object, nil when b is no object
// or has none. Of several by that name the last counts.
func memberOf(b []byte, name string) (found []byte) {
	err := eachMember(b, func(n string, value []byte) error {
		if n == name {
			found = value
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return found
}
