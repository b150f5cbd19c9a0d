//go:build unix

package run

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func contextFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "context.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadContext(t *testing.T) {
	path := contextFile(t, `{"prompt":"fix <it>","cwd":"/w","env":{"KEY":"a\"b","EMPTY":""},"session":"s1","resume":"r"}`+"\n", 0o600)
	got, err := ReadContext(path)
	want := Context{Prompt: "fix <it>", Dir: "/w", Env: map[string]string{"KEY": `a"b`, "EMPTY": ""}, Session: "s1", Resume: "r"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := ReadContext(path); err == nil || !strings.Contains(err.Error(), "write a new one") {
		t.Errorf("read again: %v", err)
	}
	for _, content := range []string{"{}", `{"env":null,"prompt":null}`} {
		got, err = ReadContext(contextFile(t, content, 0o400))
		if err != nil || !reflect.DeepEqual(got, Context{}) {
			t.Errorf("%s: got %+v, %v", content, got, err)
		}
	}
	_, err = ReadContext(contextFile(t, `{"prompt":"`+strings.Repeat("x", contextBytesMax-13)+`"}`, 0o600))
	if err != nil {
		t.Errorf("a file of the largest size: %v", err)
	}
}

const contextSecret = "hunter2-hunter2"

func TestReadContextRefusesContent(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{``, "not JSON"},
		{`[]`, "not a JSON object"},
		{`null`, "not a JSON object"},
		{`"` + contextSecret + `"`, "not a JSON object"},
		{`{"env":{"K":"` + contextSecret + `"`, "not JSON at byte"},
		{`{"env":{"K":"` + contextSecret + `"}} {}`, "not JSON at byte"},
		{`{"env":{"K":"` + contextSecret + `"},"enviroment":{}}`, `unknown member "enviroment"`},
		{`{"Env":{"K":"` + contextSecret + `"}}`, `unknown member "Env"`},
		{`{"env":{"K":["` + contextSecret + `"]}}`, "env is not an object of strings"},
		{`{"env":"` + contextSecret + `"}`, "env is not an object of strings"},
		{`{"prompt":7}`, "prompt is not a string"},
		{`{"cwd":"here"}`, "absolute"},
		{`{"env":{"A=B":"` + contextSecret + `"}}`, "cannot be set"},
		{`{"env":{"":"` + contextSecret + `"}}`, "cannot be set"},
		{`{"env":{"A":"` + contextSecret + `\u0000"}}`, "cannot be set"},
		{"{\"prompt\":\"\xff\"}", "not UTF-8"},
		{`{"prompt":"` + strings.Repeat("x", contextBytesMax) + `"}`, "larger than 1048576 bytes"},
	} {
		path := contextFile(t, tt.content, 0o600)
		c, err := ReadContext(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "deleted") {
			t.Errorf("%.60s: %v, want %q", tt.content, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), contextSecret) || !reflect.DeepEqual(c, Context{}) {
			t.Errorf("%.60s: the secret is in %v or %+v", tt.content, err, c)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%.60s: the secrets stay on disk", tt.content)
		}
	}
}

func TestReadContextRefusesFile(t *testing.T) {
	dir := t.TempDir()
	private := contextFile(t, "{}", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "there is none"},
		{link, "symbolic link"},
		{dir, "not a regular file"},
		{pipe, "not a regular file"},
		{"/dev/null", "not a regular file"},
		{contextFile(t, "{}", 0o644), "chmod 600"},
		{contextFile(t, "{}", 0o640), "chmod 600"},
		{contextFile(t, "{}", 0o620), "chmod 600"},
		{contextFile(t, "{}", 0o601), "chmod 600"},
	} {
		var err error
		within(t, func() { _, err = ReadContext(tt.path) })
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
		if _, there := os.Lstat(tt.path); there != nil && tt.want != "there is none" {
			t.Errorf("%s was deleted, and is not a context file", tt.path)
		}
	}
	if _, err := os.Stat(private); err != nil {
		t.Errorf("the file behind the link: %v", err)
	}
}

func TestOpenContextFollowsNothing(t *testing.T) {
	// What is put in the file's place after it was looked at.
	private := contextFile(t, "{}", 0o600)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	if f, err := openContext(link); err == nil {
		_ = f.Close()
		t.Error("a link was followed")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		if f, err := openContext(pipe); err == nil {
			_ = f.Close()
		}
	})
}

func TestContextDoesNotPrintValues(t *testing.T) {
	c := Context{Prompt: contextSecret, Session: "s1", Env: map[string]string{"KEY": contextSecret}}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "context", c)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "context", c)
	fmt.Fprintf(&b, "%v %+v %#v %s", c, c, c, c)
	if strings.Contains(b.String(), contextSecret) || !strings.Contains(b.String(), "KEY") || !strings.Contains(b.String(), "s1") {
		t.Errorf("printed %s", b.String())
	}
}
