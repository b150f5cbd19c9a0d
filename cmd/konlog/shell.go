package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

const (
	detachKey    = 0x1d // Ctrl-]
	shellKeys    = 4096 // bytes of one event of input
	shellPending = 256  // of those that wait to be sent
	endOfInput   = 0x04 // Ctrl-D
	endTries     = 5    // that it is typed again
	endAgain     = time.Second
)

// errDetached ends an attachment; the terminal goes on.
var errDetached = errors.New("detached")

func (a *app) shellCommand() *cobra.Command {
	var spec client.ShellSpec
	var attach bool
	cmd := &cobra.Command{
		Use:   "shell [SESSION] [-- COMMAND]",
		Short: "Open a terminal on the server, or come back to one",
		Long: `Open a terminal on the server and sit before it. It is a session: it goes on when
you leave (Ctrl-]) or the network does, konlog shell --attach SESSION comes back to
it, and others may watch it or type into it at the same time.

The server opens terminals only with ENABLE_SHELL_REALTIME=true, for credentials
that may use shells. What is typed is in the log, passwords too.

The exit code is that of the command. Without a terminal here, standard input is
typed as it is, and its end as Ctrl-D.`,
		Example: "  konlog shell\n  konlog shell build-box -- make test\n  konlog shell --attach build-box",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			if at < 0 {
				at = len(args)
			}
			switch {
			case at > 1:
				return usagef("%q are several sessions", args[:at]).because("put -- before the command")
			case at == 1:
				spec.Session = args[0]
			case attach:
				return usagef("--attach needs the SESSION")
			}
			spec.Command = args[at:]
			if attach && len(spec.Command) > 0 {
				return usagef("--attach takes no command: that of %s runs", spec.Session)
			}
			return a.shell(cmd, spec, attach)
		},
	}
	cmd.Flags().BoolVar(&attach, "attach", false, "come back to a terminal that is there")
	cmd.Flags().StringVar(&spec.Dir, "dir", "", "where it begins, on the server")
	cmd.ValidArgsFunction = a.completeSessions
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) shell(cmd *cobra.Command, spec client.ShellSpec, attach bool) error {
	c, err := a.dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	if out, ok := a.stdout.(*os.File); ok {
		if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
			spec.Cols, spec.Rows = cols, rows
		}
	}
	s := &seat{app: a, client: c, cols: spec.Cols, rows: spec.Rows}
	if attach {
		s.session = spec.Session
		err = s.find(cmd.Context())
	} else {
		s.session, err = c.OpenShell(cmd.Context(), spec)
	}
	if err != nil {
		return err
	}
	if s.over {
		a.say("session %s; its program has ended", s.session)
	} else {
		a.say("session %s; Ctrl-] leaves it running", s.session)
	}
	code, err := s.sit(cmd.Context(), attach)
	switch {
	case errors.Is(err, errDetached):
		a.say("it goes on: konlog shell --attach %s", s.session)
		return nil
	case err != nil:
		return err
	case code != 0:
		return &failure{code: code, err: errSilent}
	}
	return nil
}

// seat is somebody before a terminal of the server.
type seat struct {
	app        *app
	client     *client.Client
	session    string
	cols, rows int
	over       bool // the program has ended: nothing can be typed
}

// find looks whether the session is a terminal, and whether it runs.
func (s *seat) find(ctx context.Context) error {
	session, err := s.client.Session(ctx, s.session)
	if err != nil {
		return err
	}
	if !slices.Contains(session.Tags, store.TagShell) {
		return failf("session %s is no terminal", s.session).because("konlog tail %s shows it; konlog sessions ls --tag %s shows the terminals", s.session, store.TagShell)
	}
	s.over = true
	for e, err := range s.client.Tail(ctx, s.session, client.TailOptions{Types: []string{store.TypeTerminalStart, store.TypeTerminalExit}, NoFollow: true}) {
		if err != nil {
			return err
		}
		s.over = e.Type == store.TypeTerminalExit
	}
	return nil
}

// sit shows what is printed and sends what is typed, until the program ends or
// somebody leaves. It returns the exit code.
func (s *seat) sit(ctx context.Context, attached bool) (code int, err error) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	if s.over {
		return s.show(ctx)
	}
	typed := make(chan store.Draft, shellPending)
	if in, ok := s.app.stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		state, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return 0, failf("the terminal here: %w", err)
		}
		defer func() { _ = term.Restore(int(in.Fd()), state) }()
		go s.watchSize(ctx, typed)
		if attached && s.cols > 0 {
			typed <- resizeDraft(s.cols, s.rows)
		}
		go s.readKeys(ctx, typed, true, leave)
	} else {
		go s.readKeys(ctx, typed, false, leave)
	}
	go func() { leave(s.send(ctx, typed)) }()
	code, err = s.show(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return 0, cause
	}
	return code, err
}

// readKeys passes on what is typed here.
func (s *seat) readKeys(ctx context.Context, typed chan<- store.Draft, keys bool, leave context.CancelCauseFunc) {
	buf := make([]byte, shellKeys)
	for {
		n, err := s.app.stdin.Read(buf)
		content := buf[:n]
		if i := bytes.IndexByte(content, detachKey); keys && i >= 0 {
			leave(errDetached)
			return
		}
		if errors.Is(err, io.EOF) && !keys {
			content = append(content, endOfInput)
		}
		if len(content) > 0 {
			select {
			case typed <- store.Draft{Type: store.TypeTerminalInput, Data: fmt.Appendf(nil, `{"bytes":%q}`, base64.StdEncoding.EncodeToString(content))}:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			if !keys {
				s.endInput(ctx, typed)
			}
			return
		}
	}
}

// endInput types Ctrl-D some more times: a program that has just taken its
// terminal throws away what was typed before.
func (s *seat) endInput(ctx context.Context, typed chan<- store.Draft) {
	end := store.Draft{Type: store.TypeTerminalInput, Data: fmt.Appendf(nil, `{"bytes":%q}`, base64.StdEncoding.EncodeToString([]byte{endOfInput}))}
	for range endTries {
		select {
		case <-time.After(endAgain):
			typed <- end
		case <-ctx.Done():
			return
		}
	}
}

// watchSize passes on how large the terminal here is.
func (s *seat) watchSize(ctx context.Context, typed chan<- store.Draft) {
	out, ok := s.app.stdout.(*os.File)
	if !ok {
		return
	}
	told, stop := resizes()
	defer stop()
	for {
		select {
		case <-told:
		case <-ctx.Done():
			return
		}
		cols, rows, err := term.GetSize(int(out.Fd()))
		if err != nil || cols == s.cols && rows == s.rows {
			continue
		}
		s.cols, s.rows = cols, rows
		select {
		case typed <- resizeDraft(cols, rows):
		case <-ctx.Done():
			return
		}
	}
}

func resizeDraft(cols, rows int) store.Draft {
	return store.Draft{Type: store.TypeTerminalResize, Data: fmt.Appendf(nil, `{"cols":%d,"rows":%d}`, cols, rows)}
}

// send appends what was typed, once and in order, over whatever breaks.
func (s *seat) send(ctx context.Context, typed <-chan store.Draft) error {
	p := s.client.Producer(s.session, "konlog-shell-"+rand.Text(), time.Now().UnixMilli())
	p.NoCreate = true
	for {
		var batch []store.Draft
		select {
		case d := <-typed:
			batch = append(batch, d)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(batch) < shellPending; {
			select {
			case d := <-typed:
				batch = append(batch, d)
			default:
				more = false
			}
		}
		if _, err := p.Append(ctx, batch...); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// show writes what is printed until the program has ended.
func (s *seat) show(ctx context.Context) (code int, err error) {
	for e, err := range s.client.Tail(ctx, s.session, client.TailOptions{Types: []string{store.TypeTerminalOutput, store.TypeTerminalExit, store.TypeTerminalStart}}) {
		if err != nil {
			return 0, err
		}
		var d struct {
			Bytes    []byte
			ExitCode int
			Reason   string
		}
		if json.Unmarshal(e.Data, &d) != nil {
			continue
		}
		switch e.Type {
		case store.TypeTerminalOutput:
			if _, err := s.app.stdout.Write(d.Bytes); err != nil {
				return 0, err
			}
		case store.TypeTerminalExit:
			if again, err := s.another(ctx, e.ID); again || err != nil {
				if err != nil {
					return 0, err
				}
				continue
			}
			code = d.ExitCode
			if d.Reason != "exit" {
				s.app.say("\r\nthe terminal was ended: %s", d.Reason)
			}
			if code < 0 {
				code = exitFailure
			}
			return code, nil
		}
	}
	return code, ctx.Err()
}

// another reports whether the session had another terminal after the one that
// ended with that event.
func (s *seat) another(ctx context.Context, end int64) (bool, error) {
	for _, err := range s.client.Tail(ctx, s.session, client.TailOptions{After: end, Types: []string{store.TypeTerminalStart}, NoFollow: true}) {
		return err == nil, err
	}
	return false, ctx.Err()
}
