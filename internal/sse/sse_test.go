package sse

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

type seen struct {
	name, data, id string
	hasID          bool
	retry          time.Duration
}

func readAll(r io.Reader, lineMax int) ([]seen, error) {
	in := NewReader(r, lineMax)
	var all []seen
	for {
		e, err := in.Next()
		if err != nil {
			return all, err
		}
		all = append(all, seen{e.Name, string(e.Data), e.ID, e.HasID, e.Retry})
	}
}

func TestReader(t *testing.T) {
	cases := map[string]struct {
		in   string
		want []seen
	}{
		"plain":        {"data: a\n\n", []seen{{data: "a"}}},
		"id and name":  {"id: 7\nevent: x\ndata: a\n\ndata: b\n\n", []seen{{name: "x", data: "a", id: "7", hasID: true}, {data: "b", id: "7"}}},
		"lines":        {"data: a\ndata:b\ndata\n\n", []seen{{data: "a\nb\n"}}},
		"one space":    {"data:  a\n\n", []seen{{data: " a"}}},
		"crlf and cr":  {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", []seen{{data: "a"}, {data: "b"}, {data: "c"}}},
		"mark":         {"\xef\xbb\xbfdata: a\n\n", []seen{{data: "a"}}},
		"comment":      {": hi\n\n:\n\ndata: a\n\n", []seen{{data: "a"}}},
		"name only":    {"event: x\n\ndata: a\n\n", []seen{{data: "a"}}},
		"retry":        {"retry: 1500\n\nretry: x\n\nretry: -1\n\n", []seen{{retry: 1500 * time.Millisecond}}},
		"id without":   {"id: 3\n\ndata: a\n\n", []seen{{id: "3", hasID: true}, {data: "a", id: "3"}}},
		"id emptied":   {"id: 3\ndata: a\n\nid\ndata: b\n\n", []seen{{data: "a", id: "3", hasID: true}, {data: "b", hasID: true}}},
		"id with NUL":  {"id: 3\x00\ndata: a\n\n", []seen{{data: "a"}}},
		"empty data":   {"data\n\n", []seen{{data: ""}}},
		"unknown":      {"dat: a\nDATA: b\ndata: c\n\n", []seen{{data: "c"}}},
		"cut off":      {"data: a\n\ndata: b\n", []seen{{data: "a"}}},
		"cut in line":  {"data: a\n\ndata: b", []seen{{data: "a"}}},
		"empty stream": {"", nil},
	}
	for name, c := range cases {
		for way, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)), "halves": iotest.HalfReader(strings.NewReader(c.in)),
		} {
			got, err := readAll(r, 0)
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
			if len(got) != len(c.want) {
				t.Errorf("%s, %s: %+v, want %+v", name, way, got, c.want)
				continue
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%s, %s, event %d: %+v, want %+v", name, way, i, got[i], c.want[i])
				}
			}
		}
	}
}

func TestReaderIsBounded(t *testing.T) {
	for name, in := range map[string]string{
		"line": "data: " + strings.Repeat("x", 200) + "\n\n", "data": strings.Repeat("data: xxxxxxxxxxxxxxxx\n", 20), "endless": strings.Repeat("x", 1<<20),
	} {
		if _, err := readAll(strings.NewReader(in), 100); !errors.Is(err, ErrLineTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := readAll(strings.NewReader("data: "+strings.Repeat("x", 94)+"\n\n"), 100); len(got) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("a line of just the limit: %v, %v", got, err)
	}
}

func TestAppend(t *testing.T) {
	b := AppendRetry(nil, 2*time.Second)
	b = AppendComment(b, "beat")
	b = append(b, "id: 4\n"...)
	b = AppendName(b, "text_delta")
	b = AppendData(b, []byte(`{"a":1}`))
	want := "retry: 2000\n\n: beat\n\nid: 4\nevent: text_delta\ndata: {\"a\":1}\n\n"
	if string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
	got, _ := readAll(bytes.NewReader(b), 0)
	if len(got) != 2 || got[1] != (seen{name: "text_delta", data: `{"a":1}`, id: "4", hasID: true}) {
		t.Errorf("read back: %+v", got)
	}
}

// However a stream is cut into reads, the events are the same, and memory is
// bounded.
func FuzzSSEReader(f *testing.F) {
	f.Add([]byte("retry: 2000\n\nid: 1\ndata: {}\n\n: beat\n\nevent: ping\ndata: {}\n\n"), uint8(3))
	f.Add([]byte("\xef\xbb\xbfdata:a\r\rdata\r\n\r\n"), uint8(1))
	f.Add([]byte("id\nid:\x00\n\n\n"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		const lineMax = 64
		whole, err1 := readAll(bytes.NewReader(in), lineMax)
		parts, err2 := readAll(&steps{in: in, n: int(step%16) + 1}, lineMax)
		if len(whole) != len(parts) || errors.Is(err1, ErrLineTooLong) != errors.Is(err2, ErrLineTooLong) {
			t.Fatalf("whole: %+v, %v; in parts: %+v, %v", whole, err1, parts, err2)
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Fatalf("event %d: %+v, %+v", i, whole[i], parts[i])
			}
			if len(whole[i].data) > lineMax+1 {
				t.Fatalf("event %d holds %d bytes", i, len(whole[i].data))
			}
		}
	})
}

// steps reads n bytes at a time.
type steps struct {
	in []byte
	n  int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(s.n, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}
