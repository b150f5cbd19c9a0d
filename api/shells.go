package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

const (
	shellRetryAfter = 10 // seconds, for one who found no free shell
	shellNameLen    = 10 // letters and digits of a name that is made
)

// Shells opens terminals. Open returns the session that the terminal is; its
// errors are *store.Error.
type Shells interface {
	Open(ctx context.Context, spec ShellSpec) (session string, err error)
}

// ShellSpec is a terminal that is asked for.
type ShellSpec struct {
	Session string   // "" is a new one
	Command []string // empty is the server's own
	Dir     string   // "" is the server's own
	Cols    int      // 0 is 80
	Rows    int      // 0 is 24
	By      string   // the subject who asks

	Revoked func() bool // whether the credential was taken back since; asked again and again
}

// shells is the need of whoever opens one.
var shells = need{kind: needShell}

// postShell opens a terminal (PROTOCOL.md section 7.9).
func (s *Server) postShell(c echo.Context) error {
	if s.cfg.Shells == nil {
		return store.Errorf(codeShellDisabled, "this server opens no shells; ENABLE_SHELL_REALTIME switches them on")
	}
	body, err := s.objectBodyOf(c, s.limits.SessionBodyBytes)
	if err != nil {
		return err
	}
	defer body.free()
	ctx := c.Request().Context()
	g := grantOf(ctx)
	spec := ShellSpec{By: g.Subject, Revoked: func() bool { return s.cfg.Access.Revoked(g) }}
	if err := eachMember(body.b, func(name string, value []byte) error { return shellMember(&spec, name, value) }); err != nil {
		return err
	}
	if spec.Session == "" {
		spec.Session = newShell(g)
	}
	if spec.Session == "" {
		return store.Because(access.CodeForbidden, access.ErrForbidden, "this credential may not change sessions of every name: name one that it may, as session")
	}
	if err := writable(spec.Session); err != nil {
		return err
	}
	if err := s.mayChange(ctx, spec.Session); err != nil {
		return err
	}
	if err := s.rates.mayCreate(ctx, spec.Session); err != nil {
		return err
	}
	session, err := s.cfg.Shells.Open(ctx, spec)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusCreated, map[string]string{"session": session})
}

// newShell is a name for a terminal that the grant may change; "" when it may
// not choose freely.
func newShell(g *access.Grant) string {
	if name := "shell-" + strings.ToLower(rand.Text()[:shellNameLen]); g.MayWrite(name) {
		return name
	}
	return ""
}

func shellMember(spec *ShellSpec, name string, value []byte) (err error) {
	switch name {
	case "session":
		spec.Session, err = stringValue(name, value)
	case "dir":
		spec.Dir, err = stringValue(name, value)
	case "command":
		if json.Unmarshal(value, &spec.Command) != nil {
			return store.Errorf(store.CodeInvalidShell, "command must be an array of strings, as in [\"bash\", \"-l\"]")
		}
	case "cols", "rows":
		n, err := intValue(name, value)
		if err != nil {
			return err
		}
		if n < 1 || n > 10_000 { // the rest is the terminal's business
			return store.Errorf(store.CodeInvalidShell, "%s must be above 0", name)
		}
		if name == "cols" {
			spec.Cols = int(n)
		} else {
			spec.Rows = int(n)
		}
	default:
		return store.Errorf(store.CodeInvalidShell, "unknown member %.40q; a shell has session, command, dir, cols and rows", name)
	}
	return err
}

// mayOrder refuses the events of terminals to whoever may not use one: they type
// into it, or would stand for what its program printed.
func (s *Server) mayOrder(ctx context.Context, drafts []store.Draft) error {
	for i := range drafts {
		if store.TerminalType(drafts[i].Type) && !grantOf(ctx).Shell {
			return store.Because(access.CodeForbidden, access.ErrForbidden, "this credential may not append a terminal's events: konlog token create --shell makes one that may")
		}
	}
	return nil
}
