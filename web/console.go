// Package web holds the pages that konlog gives to browsers: the console,
// which the server shows at /, and the page that replays one recorded session.
//
// The console is made from web/src by "npm run build"; what comes out is
// committed in web/dist, so that Go alone builds a whole konlog. Built with
// -tags noui there is no console in it. A Console is safe for concurrent use.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sync"
)

// File is a file of the console, ready to be sent. The two forms have an ETag
// each: they are not the same bytes.
type File struct {
	Type     string
	Content  []byte
	ETag     string
	Gzip     []byte // nil where it would save next to nothing
	GzipETag string
}

// Console is the console's files by their path, "index.html" among them. It is
// empty in a build without the console. Nothing may write into it.
type Console map[string]*File

// Files returns the console. It is prepared once, when it is first asked for:
// most commands never show it.
var Files = sync.OnceValue(func() Console {
	console, err := prepare(dist)
	if err != nil {
		panic("web: " + err.Error()) // what is embedded was read when it was built; the tests have asked for all of it
	}
	return console
})

// types are those of every file that a build may make. The host's own table is
// not asked: it differs between machines.
var types = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

// prepare reads the files of a build.
func prepare(dist fs.FS) (Console, error) {
	console := Console{}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dist, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		f := &File{Type: types[path.Ext(name)], Content: content}
		if f.Type == "" {
			return fmt.Errorf("%s: there is no type for %q", name, path.Ext(name))
		}
		hash := sha256.Sum256(content)
		f.ETag = `"` + hex.EncodeToString(hash[:16]) + `"`
		if f.Gzip, err = compress(content); err != nil {
			return fmt.Errorf("compress %s: %w", name, err)
		}
		f.GzipETag = `"` + hex.EncodeToString(hash[:16]) + `-gzip"`
		console[name] = f
		return nil
	})
	return console, err
}

// compress returns nil for what does not become a tenth smaller.
func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(content); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if b.Len() > len(content)*9/10 {
		return nil, nil
	}
	return b.Bytes(), nil
}
