package api

import (
	"net/http"
	"net/url"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

// subjectHeader names, percent-encoded, whom a request was written for. A
// client that keeps commands until it is online again may find that somebody
// else has signed in meanwhile, in a way that it cannot know of: a cookie is
// all that a browser has, and no script sees whose it is.
const subjectHeader = "Konlog-Subject"

// meant refuses a request that was written for another subject than the one
// whose credential it comes with.
func meant(r *http.Request, g *access.Grant) error {
	values := r.Header[subjectHeader]
	if values == nil {
		return nil
	}
	if subject, err := url.PathUnescape(values[0]); err == nil && len(values) == 1 && subject == g.Subject {
		return nil
	}
	return store.Because(access.CodeForbidden, access.ErrForbidden, "the request was written for another subject than the one whose credential it comes with")
}
