package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	words "mvdan.cc/sh/v3/shell"

	"github.com/konlog/konlog/api"
	"github.com/konlog/konlog/shell"
	"github.com/konlog/konlog/stream"
)

// shellOpener is how the API opens terminals.
type shellOpener struct{ *shell.Manager }

// Open implements api.Shells.
func (o shellOpener) Open(ctx context.Context, s api.ShellSpec) (string, error) {
	return o.Manager.Open(ctx, shell.Spec(s))
}

// openShells is what runs terminals, or nil where they are switched off. What
// an earlier process of the server has left open is closed in the log first.
func (s *server) openShells(ctx context.Context, hub *stream.Hub) (*shell.Manager, error) {
	c := s.settings
	if !c.bool("shell.realtime") {
		return nil, nil
	}
	command, err := words.Fields(c.text("shell.command"), nil)
	if err != nil {
		return nil, usagef("setting shell.command: %w", err)
	}
	dir := c.text("shell.dir")
	if dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, failf("%w", err)
		}
	}
	m := shell.NewManager(shell.Config{
		Log: s.log, Hub: hub, Command: command, Dir: dir, Env: shellEnv(os.Environ()), Logger: s.logger,
		Shells: c.int("shell.max"), Idle: c.duration("shell.idle"), Rate: int(c.bytes("shell.rate")),
	})
	return m, m.Recover(ctx)
}

// shellEnv is the server's own environment without what is the server's alone:
// its settings and its supervisor.
func shellEnv(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "KONLOG_") && !strings.HasPrefix(e, "NOTIFY_SOCKET=") && !strings.HasPrefix(e, "WATCHDOG_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (s *server) offerShells(c *api.Config) {
	if s.shells != nil {
		c.Shells = shellOpener{s.shells}
	}
}

func (s *server) closeShells(ctx context.Context) {
	if s.shells != nil {
		s.shells.Close(ctx)
	}
}
