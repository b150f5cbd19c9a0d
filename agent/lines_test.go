package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/konlog/konlog/store"
)

func TestLinesKeepTheBytes(t *testing.T) {
	for _, c := range []struct{ name, line, data, raw string }{
		{"object verbatim", `{"b": 1.0, "a":"\u00e9"}`, `{"b": 1.0, "a":"\u00e9"}`, ""},
		{"number", `1e5`, `1e5`, ""},
		{"text", `hello <world> & "you"`, `"hello <world> & \"you\""`, ""},
		{"text that is a JSON string", `"hello"`, `"hello"`, `"hello"`},
		{"space around JSON", "  {} \t", `{}`, "  {} \t"},
		{"carriage return between tokens", "{\r}", `"{\r}"`, ""},
		{"not UTF-8", "a\xff", `{"encoding":"base64","bytes":"Yf8="}`, ""},
		{"looks like an encoded line", `{"encoding":"base64","bytes":"Yf8="}`, `{"encoding":"base64","bytes":"Yf8="}`, `{"encoding":"base64","bytes":"Yf8="}`},
		{"same members, other spelling", `{"encoding": "base64","bytes":"Yf8="}`, `{"encoding": "base64","bytes":"Yf8="}`, ""},
		{"control character", "a\x00b", `"a\u0000b"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Lines([]byte(c.line))
			if d.Type != TypeLine || string(d.Data) != c.data || string(d.Raw) != c.raw {
				t.Fatalf("got %s data %s raw %q, want data %s raw %q", d.Type, d.Data, d.Raw, c.data, c.raw)
			}
			checkRoundTrip(t, []byte(c.line))
		})
	}
}

// checkRoundTrip passes a line through the checks and encodings of the store.
func checkRoundTrip(t *testing.T, line []byte) {
	t.Helper()
	d := Lines(line)
	if err := d.Check(EncodedLineMax(len(line)) + len(line) + len(TypeLine)); err != nil {
		t.Fatalf("line %q: the draft is refused: %v", line, err)
	}
	e := store.Event{ID: 1, Session: "s", Type: d.Type, Time: time.Now(), Data: d.Data, Raw: d.Raw}
	e.Seal()
	back, err := Line(e.Data, e.Raw)
	if err != nil || !bytes.Equal(back, line) {
		t.Fatalf("line %q came back as %q (%v)", line, back, err)
	}
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `"x"`, "plain", " 1 ", "\xff", "{\r}", `{"encoding":"base64","bytes":"Yf8="}`, `null`, "\u2028<&>"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 || bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		checkRoundTrip(t, line)
		LineTime(line)
	})
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 8)
	f.Add([]byte("aaaaaaaaaaaaaaa\nb"), 4)
	f.Add([]byte("aaaaaaaaa"), 4)
	f.Add([]byte("         \r\nb\r"), 4)
	f.Fuzz(func(t *testing.T, body []byte, lineMax int) {
		if lineMax < 1 || lineMax > 1<<20 {
			return
		}
		want := bytes.Split(body, []byte("\n"))
		for i, l := range want {
			want[i] = bytes.TrimSuffix(l, []byte("\r"))
		}
		want = keep(want, func(l []byte) bool { return len(bytes.TrimSpace(l)) > 0 || len(l) > lineMax })
		var got [][]byte
		var rest []byte // of a line in parts
		s := NewSplitter(iotest.OneByteReader(bytes.NewReader(body)), lineMax)
		for part := 0; ; {
			line, err := s.Next()
			if err != nil {
				break
			}
			if !bytes.HasPrefix(body[line.Offset:], line.Text) {
				t.Fatalf("line %d: offset %d does not point at it", line.Number, line.Offset)
			}
			if end := line.Offset + int64(len(line.Text)); line.Open != (!line.More && bytes.IndexByte(body[end:], '\n') < 0) {
				t.Fatalf("line %d: open is %v", line.Number, line.Open)
			}
			if len(line.Text) > lineMax || line.More && len(line.Text) != lineMax {
				t.Fatalf("line %d: a text of %d bytes, more %v, with a limit of %d", line.Number, len(line.Text), line.More, lineMax)
			}
			if line.Part > 0 || part > 0 {
				if part++; line.Part != part {
					t.Fatalf("line %d: part %d, want %d", line.Number, line.Part, part)
				}
			}
			if rest = append(rest, line.Text...); line.More {
				continue
			}
			got = append(got, rest)
			rest, part = nil, 0
		}
		if !bytes.Equal(bytes.Join(got, []byte("\n")), bytes.Join(want, []byte("\n"))) || len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func keep(lines [][]byte, ok func([]byte) bool) (kept [][]byte) {
	for _, l := range lines {
		if ok(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

func TestSplitterGoesOnAfterALongLine(t *testing.T) {
	long := strings.Repeat("x", 3*splitterBytes)
	read := func() *Splitter {
		s := NewSplitter(strings.NewReader("one\r\n\n"+long+"\nlast"), splitterBytes*2)
		line, err := s.Next()
		if err != nil || string(line.Text) != "one" || line.Number != 1 || line.Part != 0 || s.Ready() { // a blank line is nothing to return
			t.Fatalf("got %+v, %v", line, err)
		}
		return s
	}
	wantLast := func(s *Splitter) {
		line, err := s.Next()
		if err != nil || string(line.Text) != "last" || line.Number != 4 || line.Offset != int64(len("one\r\n\n")+len(long)+1) || !line.Open || line.Part != 0 {
			t.Fatalf("got %+v, %v", line, err)
		}
		if _, err = s.Next(); err != io.EOF {
			t.Fatalf("got %v, want io.EOF", err)
		}
	}
	s := read()
	for i, want := range []int{2 * splitterBytes, splitterBytes} {
		line, err := s.Next()
		if err != nil || line.Number != 3 || line.Part != i+1 || line.More != (i == 0) || len(line.Text) != want || line.Open {
			t.Fatalf("part %d: got line %d part %d of %d bytes, more %v, %v", i+1, line.Number, line.Part, len(line.Text), line.More, err)
		}
	}
	wantLast(s)
	s = read()
	var tooLong *TooLongError
	if _, err := s.Whole(); !errors.As(err, &tooLong) || tooLong.Number != 3 {
		t.Fatalf("got %v, want line 3 to be too long", err)
	}
	wantLast(s)
}

func TestSplitterKeepsLongLines(t *testing.T) {
	long := strings.Repeat("y", 5*splitterBytes)
	s := NewSplitter(strings.NewReader(long+"\r\nz\n"), len(long))
	line, err := s.Next()
	if err != nil || string(line.Text) != long {
		t.Fatalf("got %d bytes, %v; want %d", len(line.Text), err, len(long))
	}
	if line, err = s.Next(); err != nil || string(line.Text) != "z" {
		t.Fatalf("got %q, %v", line.Text, err)
	}
}

func TestLineTime(t *testing.T) {
	rfc := time.Date(2026, 11, 20, 17, 52, 47, 447e6, time.UTC)
	for _, c := range []struct {
		line string
		want time.Duration
		ok   bool
	}{
		{`{"t_ms":12,"timestamp":99}`, 12 * time.Millisecond, true},
		{`{"timestamp":"2026-11-20T17:52:47.447Z"}`, time.Duration(rfc.UnixNano()), true},
		{`{"timestamp":1500}`, 1500 * time.Millisecond, true},
		{`{"recorded_at":1780531400000000}`, 1780531400 * time.Second, true},
		{`{"time":"2026-11-20T17:52:47.447Z"}`, time.Duration(rfc.UnixNano()), true},
		{`{"time":"soon"}`, 0, false},
		{`{"t_ms":null}`, 0, false},
		{`{"t_ms":1e300}`, 0, false},
		{`text`, 0, false},
		{`[1]`, 0, false},
	} {
		got, ok := LineTime([]byte(c.line))
		if got != c.want || ok != c.ok {
			t.Errorf("%s: got %v %v, want %v %v", c.line, got, ok, c.want, c.ok)
		}
	}
}

func TestPacer(t *testing.T) {
	p := Pacer{Factor: 2, GapMax: 3 * time.Second}
	for i, c := range []struct {
		line string
		want time.Duration
	}{
		{`{"t_ms":1000}`, 0},
		{`{"t_ms":1200}`, 100 * time.Millisecond},
		{`no time`, 0},
		{`{"t_ms":1100}`, 0}, // back: the clock of the pacer stays
		{`{"t_ms":1300}`, 50 * time.Millisecond},
		{`{"t_ms":99999}`, 1500 * time.Millisecond},
	} {
		if got := p.Gap([]byte(c.line)); got != c.want {
			t.Errorf("line %d: got %v, want %v", i, got, c.want)
		}
	}
}

func TestLinesOfRecordings(t *testing.T) {
	files, err := filepath.Glob("../testdata/recordings/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSplitter(bytes.NewReader(body), store.EventBytesDefault)
		for {
			line, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkRoundTrip(t, line.Text)
		}
	}
}
