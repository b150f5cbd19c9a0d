package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strings"
)

// replayFiles are the parts of a page that shows one recorded session. They
// are no assets of the server: Replay puts them into one file.
//
//go:embed replay/page.html replay/style.css replay/scene.js replay/player.js
var replayFiles embed.FS

// replayScripts are what the page runs, in this order. The first is the live
// page's own: an agent's lines mean the same in both.
var replayScripts = []string{"agent.js", "replay/scene.js", "replay/player.js"}

// Replay writes a page that shows a recorded session and needs nothing else:
// no server, no network. data is the session as JSON in which <, > and & are
// escaped, as encoding/json does; anything else is refused, for text in it
// could end the element that it stands in.
//
// The page's policy lets nothing be loaded and no script run but its own, by
// hash. Styles may stand in the page, since the cards of agents bring theirs.
func Replay(w io.Writer, title string, data []byte) error {
	if i := bytes.IndexAny(data, "<>"); i >= 0 {
		return fmt.Errorf("replay: the data holds %q at byte %d, which is not escaped", data[i], i)
	}
	var script bytes.Buffer
	for _, name := range replayScripts {
		files := Files
		if strings.HasPrefix(name, "replay/") {
			files = replayFiles
		}
		b, err := files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		script.Write(b)
	}
	page, err := replayFiles.ReadFile("replay/page.html")
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	style, err := replayFiles.ReadFile("replay/style.css")
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	hash := sha256.Sum256(script.Bytes())
	parts := strings.NewReplacer(
		"{{hash}}", base64.StdEncoding.EncodeToString(hash[:]),
		"{{title}}", html.EscapeString(title),
		"{{style}}", string(style),
		"{{script}}", script.String(),
	)
	// The data goes past the replacer: it may hold anything, and be long.
	head, tail, ok := bytes.Cut(page, []byte("{{data}}"))
	if !ok {
		return fmt.Errorf("replay: the page has no place for the data")
	}
	if _, err := parts.WriteString(w, string(head)); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	_, err = parts.WriteString(w, string(tail))
	return err
}
