package api

import (
	"bytes"
	_ "embed"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/web"
)

//go:embed openapi.json
var openAPI []byte

// consoleHeaders are those of every file of the console. It loads its own
// files and talks to this server ('self' covers its WebSockets), and nothing
// else: texts of agents are shown there, so no inline script or style may
// stand in it, and no other page may frame it or keep a hand on its window.
var consoleHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; frame-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy": "same-origin",
	"Permissions-Policy":         "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=()",
	// The files change with the binary under the same names, so each use asks.
	"Cache-Control": "no-cache",
	"Vary":          "Origin, Accept-Encoding",
}

// withoutConsole is what / says in a build with the tag noui.
const withoutConsole = "konlog runs. This build has no console (tag noui); the API is described at /openapi.json.\n"

func (s *Server) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/json", openAPI)
}

func (s *Server) page(c echo.Context) error {
	if len(web.Files()) == 0 {
		return c.String(http.StatusOK, withoutConsole)
	}
	return serveFile(c, "index.html")
}

func (s *Server) asset(c echo.Context) error { return serveFile(c, "assets/"+c.Param("file")) }

// serveFile sends a file of the console as the request takes it. Conditions,
// ranges and HEAD are net/http's.
func serveFile(c echo.Context, name string) error {
	f := web.Files()[name]
	if f == nil {
		return store.Errorf(codeNotFound, "there is no such file")
	}
	h := c.Response().Header()
	for name, value := range consoleHeaders {
		h.Set(name, value)
	}
	h.Set("Content-Type", f.Type)
	content, tag := f.Content, f.ETag
	if f.Gzip != nil && takesGzip(c.Request().Header["Accept-Encoding"]) {
		content, tag = f.Gzip, f.GzipETag
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(content))) // with an encoding net/http leaves it out
	}
	h.Set("ETag", tag)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(content))
	return nil
}

// takesGzip reads Accept-Encoding (RFC 9110): gzip by its name, else what * says.
func takesGzip(values []string) bool {
	any := false
	for _, coding := range strings.Split(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		wanted := true
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			wanted = err == nil && weight > 0
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			any = wanted
		}
	}
	return any
}
