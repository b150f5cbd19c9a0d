package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/konlog/konlog/store"
)

// ShellSpec is a terminal that is asked for. Zero fields leave it to the server.
type ShellSpec struct {
	Session string   `json:"session,omitempty"` // made where it is not there
	Command []string `json:"command,omitempty"`
	Dir     string   `json:"dir,omitempty"` // on the server
	Cols    int      `json:"cols,omitempty"`
	Rows    int      `json:"rows,omitempty"`
}

// OpenShell opens a terminal on the server and returns its session, to be
// followed with Tail and typed into with events of the type terminal_input
// (PROTOCOL.md 7.9). An empty Session is named here, so that a request whose
// answer was lost opens no second one: store.CodeExists says that it runs.
func (c *Client) OpenShell(ctx context.Context, spec ShellSpec) (session string, err error) {
	if spec.Session == "" {
		spec.Session = "shell-" + strings.ToLower(rand.Text()[:10])
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("open shell: %w", err)
	}
	r := &call{op: "open shell " + spec.Session, method: http.MethodPost, url: c.url(nil, "v1", "shells"), body: b, header: http.Header{"Content-Type": {"application/json"}}}
	if _, err = c.do(ctx, r, nil); r.unsure && errors.Is(err, store.ErrExists) {
		err = nil // the attempt whose answer was lost opened it
	}
	return spec.Session, err
}
