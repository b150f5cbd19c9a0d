package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// search finds texts in the sessions' logs by their words.
func (s *Server) search(c echo.Context) error {
	f, err := searchFilter(c)
	if err != nil {
		return err
	}
	log, ok := s.log.(store.Searcher)
	if !ok {
		return errNoAbility("search")
	}
	page, err := log.Search(c.Request().Context(), f)
	if err != nil {
		return at("session", f.Session, err)
	}
	if page.Hits == nil {
		page.Hits = []store.Hit{}
	}
	return writeJSON(c, http.StatusOK, page)
}

func searchFilter(c echo.Context) (f store.SearchFilter, err error) {
	q, err := queryOf(c.Request(), "q", "session", "kind", "since", "until", "cursor", "limit")
	if err != nil {
		return f, err
	}
	f.Query, f.Session, f.Kind, f.Cursor = q.Get("q"), q.Get("session"), q.Get("kind"), q.Get("cursor")
	if f.Since, err = queryTime(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = queryTime(q, "until"); err != nil {
		return f, err
	}
	f.Visible = visible(c.Request().Context())
	f.Limit, err = queryInt(q, "limit", store.SearchPageDefault, 1, store.SearchPageMax)
	return f, err
}
