package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// contextBytesMax bounds a context file: a prompt of some length, and an
// environment.
const contextBytesMax = 1 << 20

// Context is what a context file says of one run. Env holds secrets: its values
// go to the agent's process and nowhere else.
type Context struct {
	Prompt  string
	Dir     string // absolute, or ""; the member cwd
	Env     map[string]string
	Session string
	Resume  string // the agent's own id of the conversation to go on with
}

// LogValue names the variables and leaves out what they hold, and the prompt.
func (c Context) LogValue() slog.Value {
	return slog.GroupValue(slog.String("cwd", c.Dir), slog.String("session", c.Session), slog.String("resume", c.Resume),
		slog.Int("promptBytes", len(c.Prompt)), slog.Any("env", slices.Sorted(maps.Keys(c.Env))))
}

// String is LogValue for those who print it.
func (c Context) String() string { return c.LogValue().String() }

// GoString is String, so that no verb prints the values.
func (c Context) GoString() string { return c.String() }

// ReadContext reads a context file once: a JSON object with the members prompt,
// cwd, env, session and resume, of which none is needed. The file is gone when
// it returns without an error.
//
// It is gone as well when it cannot be used, once it was opened as a file that
// is ours to use: it holds secrets, and whoever wrote it has gone on and does not
// come back for it. Only a file that is not such a file stays, because then the
// path is probably a mistake.
func ReadContext(path string) (Context, error) {
	c, err := readContext(path)
	if err != nil {
		return Context{}, fmt.Errorf("context file %s: %w", path, err)
	}
	return c, nil
}

func readContext(path string) (c Context, err error) {
	if err := checkContextFile(os.Lstat(path)); err != nil {
		return c, err
	}
	f, err := openContext(path)
	if err != nil {
		return c, plainPathError(err)
	}
	defer func() { _ = f.Close() }()
	// Another file may have taken its place since.
	if err := checkContextFile(f.Stat()); err != nil {
		return c, err
	}
	content, readErr := io.ReadAll(io.LimitReader(f, contextBytesMax+1))
	if err := os.Remove(path); err != nil {
		return c, fmt.Errorf("it cannot be deleted, and is to be read once only: give this user the right to write to its directory: %w", plainPathError(err))
	}
	switch {
	case readErr != nil:
		return c, plainPathError(readErr)
	case len(content) > contextBytesMax:
		return c, fmt.Errorf("it is deleted, but was not used: it is larger than %d bytes", contextBytesMax)
	}
	if c, err = parseContext(content); err != nil {
		return Context{}, fmt.Errorf("it is deleted, but was not used: %w", err)
	}
	return c, nil
}

// plainPathError leaves out the path, which is said already.
func plainPathError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkContextFile refuses what is no file that only its owner reads.
func checkContextFile(at os.FileInfo, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("there is none: it is used once and deleted, so write a new one for each run")
	case err != nil:
		return plainPathError(err)
	case at.Mode()&os.ModeSymlink != 0:
		return errors.New("it is a symbolic link: name the file itself")
	case !at.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	return checkContextOwner(at)
}

// parseContext reads the object. Its errors say where a fault is, and nothing
// of what stands there.
func parseContext(content []byte) (c Context, err error) {
	if !utf8.Valid(content) {
		return c, errors.New("it is not UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil || members == nil {
		return c, contextFault(err)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := c.take(name, members[name]); err != nil {
			return c, err
		}
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		return c, errors.New("cwd is not an absolute path")
	}
	for name, value := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return c, fmt.Errorf("env: the variable %q cannot be set: a name has no = and no NUL, a value no NUL", name)
		}
	}
	return c, nil
}

// contextFault says where the JSON ends to be an object.
func contextFault(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is not JSON at byte %d", syntax.Offset)
	}
	return errors.New("it is not a JSON object")
}

// take reads one member.
func (c *Context) take(name string, value []byte) error {
	var to any
	kind := "a string"
	switch name {
	case "prompt":
		to = &c.Prompt
	case "cwd":
		to = &c.Dir
	case "session":
		to = &c.Session
	case "resume":
		to = &c.Resume
	case "env":
		to, kind = &c.Env, "an object of strings"
	default:
		return fmt.Errorf("unknown member %q: there are prompt, cwd, env, session and resume", name)
	}
	if json.Unmarshal(value, to) != nil {
		return fmt.Errorf("%s is not %s", name, kind)
	}
	return nil
}
