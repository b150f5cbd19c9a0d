// Package web holds the page that the server shows at /: a list of sessions
// and one of them live. It is plain HTML, CSS and script without a build step,
// and it uses only what any client can use.
package web

import "embed"

// Files are the page's files, index.html among them.
//
//go:embed index.html style.css app.js agent.js
var Files embed.FS
