//go:build !noui

package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var built embed.FS

// dist is what "npm run build" made.
var dist = func() fs.FS {
	sub, err := fs.Sub(built, "dist")
	if err != nil {
		panic("web: " + err.Error()) // the name is a constant
	}
	return sub
}()
