package shell

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

const (
	readBytes   = 32 << 10              // of output at a time; an event is a third larger
	gather      = 10 * time.Millisecond // what is printed within it is one event
	followBeat  = 10 * time.Second      // a wake-up that was lost costs no more
	behindBytes = 1 << 20               // that a program's jobs may print after its end; a terminal holds far less of its own
	behindWait  = closeWait / 10        // for them to do so
	overBeat    = time.Second           // between two looks whether the session of a program that does not read is over
	appendAgain = time.Second           // wait before what the log did not take is sent again
	keysBytes   = 4 << 10               // of what is typed at a time
	keysMax     = 64                    // such pieces that wait for the program; more wait in the log
)

// Why a shell ends that did not exit by itself.
var (
	errSessionOver = errors.New("closed")
	errIdle        = errors.New("idle")
	errRevoked     = errors.New("revoked")
)

// shell is a program in a terminal.
type shell struct {
	m     *Manager
	spec  Spec
	name  string // of its producer; a secret, or others could append in its place
	seq   int64  // of its next append
	first int64  // id of its terminal_start
	term  *terminal
	last  atomic.Int64 // when something was typed or printed, Unix nanoseconds
}

// start makes the session, starts the program and says so in the log.
func (s *shell) start(ctx context.Context) error {
	log := s.m.c.Log
	session, created, err := log.CreateSession(ctx, s.spec.Session, store.SessionSpec{Tags: []string{store.TagShell}, Title: title(s.spec.Command)})
	if err != nil {
		return err
	}
	if !created && !slices.Contains(session.Tags, store.TagShell) {
		return store.Errorf(store.CodeInvalidShell, "session %s is no terminal's: it lacks the tag %s", s.spec.Session, store.TagShell)
	}
	if session.Closed {
		return store.ErrSessionClosed
	}
	term, err := startTerminal(s.spec, append(slices.Clone(s.m.c.Env), "TERM=xterm-256color", "KONLOG_SESSION="+s.spec.Session))
	empty := func() { // who made the session for it takes it away again
		if created {
			_ = log.DeleteSession(context.WithoutCancel(ctx), s.spec.Session)
		}
	}
	if err != nil {
		empty()
		return store.Because(store.CodeShellFailed, err, "the command did not start: "+err.Error())
	}
	data := map[string]any{"command": s.spec.Command, "dir": s.spec.Dir, "cols": s.spec.Cols, "rows": s.spec.Rows, "by": s.spec.By}
	done, err := s.append(ctx, store.Draft{Type: store.TypeTerminalStart, Data: mustJSON(data)})
	if err != nil {
		term.kill()
		empty()
		return err
	}
	s.first, s.term = done.Last, term
	s.alive()
	return nil
}

// title is what lists call the session.
func title(command []string) string {
	return "Terminal: " + strings.ToValidUTF8(command[0][strings.LastIndexByte(command[0], '/')+1:], "")
}

func (s *shell) alive() { s.last.Store(time.Now().UnixNano()) }

// append numbers its requests, so that one whose outcome is unknown can be sent
// again. One is under way at a time.
func (s *shell) append(ctx context.Context, drafts ...store.Draft) (store.Appended, error) {
	done, err := s.m.c.Log.Append(ctx, s.spec.Session, store.AppendOptions{
		NoCreate: true, Producer: &store.Producer{ID: s.name, Seq: s.seq},
	}, drafts...)
	if err == nil {
		s.seq++
	}
	return done, err
}

// run carries the shell to its end.
func (s *shell) run(ctx context.Context) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	output := make(chan []byte)
	go s.term.read(output)
	go func() { stop(s.follow(ctx)) }()
	go s.watch(ctx, stop)
	hurry := context.AfterFunc(ctx, func() { s.term.hangUp(closeWait) })
	defer hurry()
	for content := range output {
		s.alive()
		if !s.say(ctx, outputDraft(content)) {
			s.term.kill()
			for range output { // nobody takes it any more
			}
			return
		}
		if ctx.Err() == nil {
			s.pace(ctx, len(content))
		}
	}
	data := exitData(s.term.wait())
	if ctx.Err() != nil {
		data["reason"] = reasonOf(context.Cause(ctx))
	}
	s.say(ctx, exitDraft(data))
}

func reasonOf(cause error) string {
	if errors.Is(cause, errIdle) || errors.Is(cause, errSessionOver) || errors.Is(cause, errRevoked) {
		return cause.Error()
	}
	return "stopped"
}

// say appends until the log takes it, so that a full disk holds the program up
// and loses nothing. It is false when the log never will.
func (s *shell) say(ctx context.Context, d store.Draft) bool {
	end := time.Time{}
	for {
		_, err := s.append(context.WithoutCancel(ctx), d)
		switch store.CodeOf(err) {
		case "":
			return true
		case store.CodeNotFound, store.CodeSessionClosed, store.CodeProducerFenced, store.CodeShutdown:
			return false
		}
		if ctx.Err() != nil && end.IsZero() {
			end = time.Now().Add(closeWait)
		}
		if !end.IsZero() && time.Now().After(end) {
			s.m.c.Logger.Error("the end of a shell is not in the log", "session", s.spec.Session, "err", err)
			return false
		}
		pause(ctx, appendAgain)
	}
}

// pause waits, also when ctx has ended: then for the last words.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	if ctx.Err() != nil {
		<-t.C
		return
	}
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pace keeps a program that prints without end from filling the disk.
func (s *shell) pace(ctx context.Context, n int) {
	if d := time.Duration(float64(n) / float64(s.m.c.Rate) * float64(time.Second)); d > gather {
		pause(ctx, d)
	}
}

// watch ends a shell that nobody uses, or whose opener may not have it any more.
func (s *shell) watch(ctx context.Context, stop context.CancelCauseFunc) {
	for {
		left := s.m.c.Idle - time.Since(time.Unix(0, s.last.Load()))
		if left <= 0 {
			stop(errIdle)
			return
		}
		if s.spec.Revoked != nil {
			if s.spec.Revoked() {
				stop(errRevoked)
				return
			}
			left = min(left, s.m.beat)
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// follow types what the session says, until it is over.
func (s *shell) follow(ctx context.Context) error {
	keys := make(chan []byte, keysMax)
	defer close(keys)
	go s.term.write(keys)
	t := stream.NewTail(s.m.c.Log, s.m.c.Hub, s.spec.Session, s.first)
	defer t.Close()
	for {
		b, err := t.Next(ctx, followBeat)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, store.ErrNotFound) || err == nil && b.Reset != nil:
			return errSessionOver
		case err != nil:
			s.m.c.Logger.Error("a shell's session was not read", "session", s.spec.Session, "err", err)
			pause(ctx, appendAgain)
			continue
		}
		for i := range b.Events {
			if err := s.apply(ctx, &b.Events[i], keys); err != nil {
				return err
			}
		}
	}
}

func (s *shell) apply(ctx context.Context, e *store.Event, keys chan<- []byte) error {
	switch e.Type {
	case store.TypeSessionClosed:
		return errSessionOver
	case store.TypeTerminalResize:
		var size sizeData
		if json.Unmarshal(e.Data, &size) == nil && validSide(size.Cols) && validSide(size.Rows) {
			s.term.resize(size.Cols, size.Rows)
		}
	case store.TypeTerminalInput:
		s.alive()
		for content := range slices.Chunk(typed(e), keysBytes) {
			if err := s.press(ctx, content, keys); err != nil {
				return err
			}
		}
	}
	return nil
}

// press waits for the program to read. One that does not still ends with its
// session, whose end stands behind what it does not read.
func (s *shell) press(ctx context.Context, content []byte, keys chan<- []byte) error {
	beat := time.NewTicker(overBeat)
	defer beat.Stop()
	for {
		select {
		case keys <- content:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-beat.C:
		}
		session, err := s.m.c.Log.Session(ctx, s.spec.Session)
		if errors.Is(err, store.ErrNotFound) || err == nil && session.Closed {
			return errSessionOver
		}
	}
}

// exitData is the data of terminal_exit.
func exitData(err error) map[string]any {
	data := map[string]any{"reason": "exit", "exitCode": 0}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		data["exitCode"] = exited.ExitCode()
		if name := signalOf(exited); name != "" {
			data["signal"] = name
		}
	}
	return data
}
