package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strings"
)

// The parts of a page that shows one recorded session. They are no assets of
// the server: Replay puts them into one file. Script and style are made from
// web/src/export by "npm run build", of the console's own components, so that
// a session reads the same in both.
var (
	//go:embed replay/page.html
	replayPage string
	//go:embed replay/dist/page.js
	replayScript string
	//go:embed replay/dist/page.css
	replayStyle string
)

// Replay writes a page that shows a recorded session and needs nothing else:
// no server, no network. data is the session as JSON. It is compressed, and so
// becomes base64, of which no text can end the element that it stands in.
//
// The page's policy lets nothing be loaded and no script run but its own, by
// hash. Styles may stand in the page, since the cards of agents bring theirs.
func Replay(w io.Writer, title string, data []byte) error {
	hash := sha256.Sum256([]byte(replayScript))
	parts := strings.NewReplacer(
		"{{hash}}", base64.StdEncoding.EncodeToString(hash[:]),
		"{{title}}", html.EscapeString(title),
		"{{style}}", replayStyle,
		"{{script}}", replayScript,
	)
	// The data goes past the replacer: it may be long.
	head, tail, ok := strings.Cut(replayPage, "{{data}}")
	if !ok {
		return fmt.Errorf("replay: the page has no place for the data")
	}
	if _, err := parts.WriteString(w, head); err != nil {
		return err
	}
	if err := pack(w, data); err != nil {
		return err
	}
	_, err := parts.WriteString(w, tail)
	return err
}

// pack writes data compressed, as base64.
func pack(w io.Writer, data []byte) error {
	text := base64.NewEncoder(base64.StdEncoding, w)
	z := gzip.NewWriter(text)
	if _, err := io.Copy(z, bytes.NewReader(data)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return text.Close()
}
