package api

import (
	"net/http"
	"strconv"
	"time"
)

// Header values that every answer carries. They are shared between answers, so
// nothing may write into them.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	sameSite   = []string{"same-site"}
	noStore    = []string{"no-store"}
	// What is no page loads nothing, runs nothing and stands in no frame, also
	// when somebody opens it in a browser. Pages have policies of their own.
	apiPolicy = []string{"default-src 'none'; frame-ancestors 'none'"}
)

// baseHeaders are those of all answers. What a cache may keep, and what is a
// page, says so in its handler; the rest may hold what only this client may see.
func (s *Server) baseHeaders(h http.Header, r *http.Request) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Cross-Origin-Resource-Policy"] = sameSite
	h["Content-Security-Policy"] = apiPolicy
	h["Cache-Control"] = noStore
	if s.hsts != nil && ClientScheme(r) == "https" { // over plain HTTP a browser must not believe it
		h["Strict-Transport-Security"] = s.hsts
	}
}

// hstsValue is the header for the time, nil for none. Names below the host's
// are not this server's to decide about.
func hstsValue(age time.Duration) []string {
	if age <= 0 {
		return nil
	}
	return []string{"max-age=" + strconv.FormatInt(int64(age/time.Second), 10)}
}

// closeAfter ends the connection after the answer: for a refused body, for the
// rest of which it would otherwise wait, and where what follows on the
// connection may not be what it seems. With HTTP/2 net/http ends just the
// stream, and the header would end the connection with all its other streams.
func closeAfter(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor < 2 {
		w.Header().Set("Connection", "close")
	}
}
