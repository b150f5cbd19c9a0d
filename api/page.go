package api

import (
	_ "embed"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/web"
)

//go:embed openapi.json
var openAPI []byte

// pagePolicy lets the page load its own files and talk to this server, and
// nothing else. Text of agents is shown there, so no inline script may run.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (s *Server) openAPI(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/json", openAPI)
}

func (s *Server) page(c echo.Context) error { return serveFile(c, "index.html") }

func (s *Server) asset(c echo.Context) error { return serveFile(c, c.Param("file")) }

func serveFile(c echo.Context, name string) error {
	content, err := fs.ReadFile(web.Files, name)
	if err != nil {
		return store.Because(codeNotFound, err, "there is no such file")
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache") // the files change with the binary
	return c.Blob(http.StatusOK, mime.TypeByExtension(path.Ext(name)), content)
}
