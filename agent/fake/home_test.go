package fake

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHome: a further process goes on with the prompt after the last that was
// taken, and what each was told and has said is there.
func TestHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	rec := readRecording(t, duplexFile)
	for i, want := range []int{0, 1, 2} {
		h, err := OpenHome(dir)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Lines: 5, Speed: 100}
		h.Into(&o)
		if o.Part != want || o.Process != i {
			t.Errorf("process %d begins with prompt %d as process %d, want prompt %d", i, o.Part, o.Process, want)
		}
		var out bytes.Buffer
		const said = `{"type":"user","uuid":"u"}` + "\n"
		if err := rec.Play(t.Context(), h.Input(strings.NewReader(said)), &out, o); err != ErrLineLimit {
			t.Fatalf("it ended with %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{"in": said, "out": out.String()} {
			got, err := os.ReadFile(filepath.Join(dir, string(rune('0'+i))+"."+name))
			if err != nil || string(got) != want {
				t.Errorf("process %d: %s has %q (%v), want %q", i, name, got, err, want)
			}
		}
	}
	if _, err := OpenHome(filepath.Join(dir, "0.in")); err == nil {
		t.Error("a file is a home")
	}
}

// TestStamped: the time is put where there is room for it, and the line stays
// as long as it was.
func TestStamped(t *testing.T) {
	var out bytes.Buffer
	line := "a" + Stamp + "b\n"
	if n, err := Stamped(&out).Write([]byte(line)); n != len(line) || err != nil {
		t.Fatal(n, err)
	}
	if got := out.String(); len(got) != len(line) || strings.Contains(got, Stamp) || got[0] != 'a' || !strings.HasSuffix(got, "b\n") {
		t.Errorf("got %q", got)
	}
}
