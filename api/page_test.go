//go:build !noui

package api

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// TestConsoleHeaders: whatever the console's files are, they come with the
// policy that keeps them to this server, and no other page may frame them.
func TestConsoleHeaders(t *testing.T) {
	r := newRig(t, Config{})
	for path, kind := range map[string]string{"/": "text/html", "/assets/app.js": "text/javascript", "/assets/app.css": "text/css", "/assets/icon.svg": "image/svg+xml"} {
		a := r.get(path)
		wantStatus(t, a, 200)
		policy := map[string]string{}
		for _, directive := range strings.Split(a.header.Get("Content-Security-Policy"), "; ") {
			name, value, _ := strings.Cut(directive, " ")
			policy[name] = value
		}
		for name, want := range map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data: blob:", "connect-src": "'self'",
			"frame-src": "'self'", "font-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
		} {
			if policy[name] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, policy[name], want)
			}
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-cache", "Vary": "Origin, Accept-Encoding",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			t.Errorf("%s: type %q, want %s", path, got, kind)
		}
		if got := a.header.Get("Permissions-Policy"); !strings.Contains(got, "microphone=()") || strings.Contains(got, "clipboard") {
			t.Errorf("%s: Permissions-Policy %q", path, got)
		}
	}
}

// TestConsoleIsAskedFor: a browser that has a file asks and is told that it has
// it, and one that takes gzip gets gzip, under an ETag of its own.
func TestConsoleIsAskedFor(t *testing.T) {
	r := newRig(t, Config{})
	const path = "/assets/app.js"
	plain := r.do("GET", path, nil, "Accept-Encoding", "identity")
	wantStatus(t, plain, 200)
	packed := r.do("GET", path, nil, "Accept-Encoding", "br, gzip;q=0.5")
	if packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) >= len(plain.body) {
		t.Fatalf("gzip: %v, %d bytes of %d", packed.header, len(packed.body), len(plain.body))
	}
	z, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != plain.body {
		t.Errorf("unpacked it is %d bytes, %v", len(b), err)
	}
	if a, b := plain.header.Get("ETag"), packed.header.Get("ETag"); a == "" || a == b || strings.HasPrefix(a, "W/") {
		t.Errorf("ETags %s and %s", a, b)
	}
	for _, c := range []struct{ encoding, match string }{
		{"identity", plain.header.Get("ETag")}, {"gzip", packed.header.Get("ETag")},
		{"gzip", `"x", ` + packed.header.Get("ETag")}, {"identity", "W/" + plain.header.Get("ETag")},
	} {
		a := r.do("GET", path, nil, "Accept-Encoding", c.encoding, "If-None-Match", c.match)
		if a.status != 304 || a.body != "" || a.header.Get("ETag") == "" || a.header.Get("Cache-Control") != "no-cache" || a.header.Get("Vary") == "" {
			t.Errorf("%s %s: %d %v", c.encoding, c.match, a.status, a.header)
		}
	}
	if a := r.do("GET", path, nil, "Accept-Encoding", "gzip", "If-None-Match", plain.header.Get("ETag")); a.status != 200 {
		t.Errorf("the tag of the other form is taken for its own: %d", a.status)
	}
	head := r.do("HEAD", path, nil, "Accept-Encoding", "gzip")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != packed.header.Get("Content-Length") || head.header.Get("ETag") != packed.header.Get("ETag") {
		t.Errorf("HEAD %d %v, GET %v", head.status, head.header, packed.header)
	}
}

func TestAcceptEncoding(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br": false, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "gzip;q=0.001": true,
		"*": true, "*;q=0": false, "gzip;q=0, *": false, "*;q=0, gzip": true, "identity": false, "gzip;q=x": false, "gzipped": false,
	} {
		if got := takesGzip([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	if !takesGzip([]string{"br", "gzip"}) {
		t.Error("the second header is not read")
	}
}
