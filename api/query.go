package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
)

// sessionID is the session that the path names, "" when it names none. The
// router hands out path segments as they were sent, and clients escape colons.
func sessionID(c echo.Context) string {
	return pathParam(c, "s")
}

func pathParam(c echo.Context, name string) string {
	raw := c.Param(name)
	if strings.IndexByte(raw, '%') < 0 {
		return raw
	}
	value, err := url.PathUnescape(raw)
	if err != nil {
		return raw // it is refused as it stands
	}
	return value
}

// queryOf parses the query and refuses parameters that the route does not
// know: a misspelt one would otherwise be lost in silence.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalidQuery, "the query is malformed")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, store.Errorf(store.CodeInvalidQuery, "parameter %.40q is not known here; use %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return nil, store.Errorf(store.CodeInvalidQuery, "parameter %q is given more than once", name)
		}
	}
	return q, nil
}

// queryBool reads 1, true, 0 or false; false when absent.
func queryBool(q url.Values, name string) (bool, error) {
	v := q.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, store.Errorf(store.CodeInvalidQuery, "%s=%.40q: want 1 or 0", name, v)
	}
	return b, nil
}

// queryInt reads a whole number between min and max; fallback when absent.
func queryInt(q url.Values, name string, fallback, min, max int) (int, error) {
	v := q.Get(name)
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < min || n > max {
		return 0, store.Errorf(store.CodeInvalidQuery, "%s=%.40q: want a whole number from %d to %d", name, v, min, max)
	}
	return n, nil
}
