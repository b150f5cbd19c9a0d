package api

import (
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// sealObject is a seal on the wire.
type sealObject struct {
	First    int64       `json:"first"`
	Last     int64       `json:"last"`
	Hash     string      `json:"hash"`
	SealedAt store.Stamp `json:"sealedAt"`
}

// sealPage is a page of seals; Next is left out on the last one.
type sealPage struct {
	Session string       `json:"session"`
	Epoch   string       `json:"epoch"`
	Head    int64        `json:"head"`
	Seals   []sealObject `json:"seals"`
	Next    int64        `json:"next,omitempty"`
}

// listSeals lists the seals of a session's hash chain, oldest first.
func (s *Server) listSeals(c echo.Context) error {
	id := sessionID(c)
	if err := store.ValidSessionID(id); err != nil {
		return err
	}
	q, err := queryOf(c.Request(), "after", "limit")
	if err != nil {
		return err
	}
	limit, err := queryInt(q, "limit", store.SealsPageDefault, 1, store.SealsPageMax)
	if err != nil {
		return err
	}
	after := int64(0)
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return store.Errorf(store.CodeInvalidQuery, "after=%.40q: want a whole number from 0 to %d", text, int64(math.MaxInt64))
		}
	}
	if store.OwnSession(id) && !grantOf(c.Request().Context()).Read.All() {
		return at("seals", id, store.ErrNotFound) // they are over events that this one may not see
	}
	sealer, ok := s.log.(store.Sealer)
	if !ok {
		return errNoAbility("seals")
	}
	page, err := sealer.Seals(c.Request().Context(), id, after, limit)
	if err != nil {
		return at("seals", id, err)
	}
	out := sealPage{Session: id, Epoch: page.Session.Epoch, Head: page.Session.Head, Seals: make([]sealObject, 0, len(page.Seals)), Next: page.Next}
	for _, seal := range page.Seals {
		out.Seals = append(out.Seals, sealObject{seal.First, seal.Last, seal.Hash.String(), store.Stamp{Time: seal.SealedAt}})
	}
	return writeJSON(c, http.StatusOK, out)
}
