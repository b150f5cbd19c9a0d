package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
)

// blobs keeps what Fit puts.
type blobs struct {
	content map[string][]byte
	types   map[string]string
	max     int // of one blob; 0 is no bound
}

func (b *blobs) put(_ context.Context, contentType string, content []byte) (store.Blob, error) {
	if b.max > 0 && len(content) > b.max {
		return store.Blob{}, fmt.Errorf("put: %w", store.BlobTooLarge(int64(b.max)))
	}
	sum := sha256.Sum256(content)
	id := hex.EncodeToString(sum[:])
	if b.content == nil {
		b.content, b.types = map[string][]byte{}, map[string]string{}
	}
	b.content[id], b.types[id] = bytes.Clone(content), contentType
	return store.Blob{SHA256: id, Bytes: int64(len(content)), ContentType: contentType}, nil
}

func (b *blobs) read(id string) ([]byte, error) {
	if content, ok := b.content[id]; ok {
		return content, nil
	}
	return nil, store.ErrBlobNotFound
}

// fitted fits a draft and checks what must always hold.
func fitted(t *testing.T, d store.Draft, max int, b *blobs) store.Draft {
	t.Helper()
	data, raw := bytes.Clone(d.Data), bytes.Clone(d.Raw)
	got, err := Fit(t.Context(), d, max, b.put)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.Data, data) || !bytes.Equal(d.Raw, raw) {
		t.Error("the draft was changed")
	}
	check := got
	if err := check.Check(max); err != nil {
		t.Fatalf("the log would refuse it: %v", err)
	}
	again, err := Fit(t.Context(), d, max, b.put)
	if err != nil || again.BodyHash() != got.BodyHash() || again.Key != d.Key {
		t.Errorf("the same draft became another one: %v", err)
	}
	if got.Type != d.Type || got.Turn != d.Turn || got.Parent != d.Parent || got.Key != d.Key {
		t.Errorf("got labels %+v", got)
	}
	if got.Size() == d.Size() {
		return got
	}
	refs := store.BlobRefs(got.Data)
	if len(refs) == 0 || got.Raw != nil {
		t.Fatalf("no blob is referred to by %.200s, raw %.20s", got.Data, got.Raw)
	}
	for _, ref := range refs {
		if _, err := b.read(ref); err != nil {
			t.Errorf("blob %s: %v", ref, err)
		}
	}
	return got
}

// wantLine checks that the line comes back, byte for byte.
func wantLine(t *testing.T, d store.Draft, b *blobs, want []byte) {
	t.Helper()
	line, ok, err := FittedLine(d.Data, b.read)
	if err != nil || !ok || !bytes.Equal(line, want) {
		t.Errorf("line: got %.60q of %d bytes, %v, %v, want %d bytes", line, len(line), ok, err, len(want))
	}
}

func filler(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }

func TestFitLeavesWhatFits(t *testing.T) {
	d := store.Draft{Type: "text", Data: []byte(`{"text":"` + filler(8000) + `"}`), Raw: []byte("raw")}
	got, err := Fit(t.Context(), d, d.Size(), nil)
	if err != nil || &got.Data[0] != &d.Data[0] || string(got.Raw) != "raw" {
		t.Errorf("got %.60q, %v", got.Data, err)
	}
}

func TestFit(t *testing.T) {
	line := []byte(`{"type":"assistant","text":"` + filler(20_000) + `"}`)
	for _, test := range []struct {
		name  string
		draft store.Draft
		max   int
		want  string // data with the hash left out
		kind  string
	}{
		{
			"the line alone is too much",
			store.Draft{Key: "k", Type: "text", Turn: "t", Data: []byte(`{"text":"short","block":"b"}`), Raw: line}, 16 << 10,
			`{"line":{"sha256":"","bytes":20030,"contentType":"application/json"},"text":"short","block":"b"}`, "application/json",
		},
		{
			"the text is too long as well",
			store.Draft{Key: "k", Type: "text", Data: []byte(`{"block":"b","text":"` + filler(20_000) + `"}`), Raw: line}, 16 << 10,
			`{"line":{"sha256":"","bytes":20030,"contentType":"application/json"},"cut":true,"block":"b","text":"` + filler(4096) + `…"}`, "application/json",
		},
		{
			"many long texts",
			store.Draft{Key: "k", Type: "x", Data: []byte(`{"a":["` + filler(4000) + `","` + filler(4000) + `","` + filler(200) + `"]}`), Raw: line}, 4 << 10,
			`{"line":{"sha256":"","bytes":20030,"contentType":"application/json"},"cut":true,"a":["` + filler(1024) + `…","` + filler(1024) + `…","` + filler(200) + `"]}`, "application/json",
		},
		{
			"members without texts",
			store.Draft{Key: "k", Type: "tool_start", Data: []byte(`{"id":"` + filler(1000) + `","name":"n","input":[` + strings.Repeat("1,", 5000) + `1],"small":[1]}`), Raw: line}, 4 << 10,
			`{"line":{"sha256":"","bytes":20030,"contentType":"application/json"},"cut":true,"id":"` + filler(1000) + `","name":"n","small":[1]}`, "application/json",
		},
		{
			"an agent's object",
			store.Draft{Key: "k", Type: TypeLine, Data: []byte(`{"line":7,"cut":1,"type":"x","text":"` + filler(20_000) + `"}`)}, 16 << 10,
			`{"line":{"sha256":"","bytes":20039,"contentType":"application/json"},"cut":true,"type":"x","text":"` + filler(4096) + `…"}`, "application/json",
		},
		{
			"an agent's text",
			store.Draft{Key: "k", Type: TypeLine, Data: textData([]byte("\"quoted\" " + filler(20_000)))}, 16 << 10,
			`{"line":{"sha256":"","bytes":20009,"contentType":"text/plain; charset=utf-8"},"head":"\"quoted\" ` + filler(1015) + `","bytes":20009}`, "text/plain; charset=utf-8",
		},
		{
			"an agent's bytes",
			store.Draft{Key: "k", Type: TypeLine, Data: lineData([]byte("a\xff" + filler(20_000)))}, 16 << 10,
			`{"line":{"sha256":"","bytes":20002,"contentType":"application/octet-stream"},"head":"a` + "\uFFFD" + filler(1022) + `","bytes":20002}`, "application/octet-stream",
		},
		{
			"no line",
			store.Draft{Key: "k", Type: "tool_result", Data: []byte(`{"id":"i","output":"` + filler(20_000) + `"}`)}, 16 << 10,
			`{"whole":{"sha256":"","bytes":20022,"contentType":"application/json"},"cut":true,"id":"i","output":"` + filler(4096) + `…"}`, "application/json",
		},
		{
			"no line and no object",
			store.Draft{Key: "k", Type: "x", Data: []byte(`[` + strings.Repeat("1,", 5000) + `1]`)}, 4 << 10,
			`{"whole":{"sha256":"","bytes":10003,"contentType":"application/json"},"head":"[` + strings.Repeat("1,", 511) + `1","bytes":10003}`, "application/json",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b blobs
			got := fitted(t, test.draft, test.max, &b)
			ref := store.BlobRefs(got.Data)[0]
			if data := strings.Replace(string(got.Data), ref, "", 1); data != test.want {
				t.Errorf("got  %s\nwant %s", data, test.want)
			}
			if b.types[ref] != test.kind {
				t.Errorf("the blob is %q, want %q", b.types[ref], test.kind)
			}
			line, isLine := test.draft.Raw, true
			if line == nil {
				line, _ = Line(test.draft.Data, nil)
				isLine = test.draft.Type == TypeLine
			}
			if !isLine { // no reader of lines takes it for one
				if _, ok, _ := FittedLine(got.Data, b.read); ok {
					t.Error("data without a line gives one")
				}
				if string(b.content[ref]) != string(test.draft.Data) {
					t.Error("the blob is not the data")
				}
				return
			}
			wantLine(t, got, &b, line)
		})
	}
}

// A part of a line goes into a blob whatever its size: the small one at a line's
// end too, and one that no event could hold.
func TestFitPart(t *testing.T) {
	for name, content := range map[string][]byte{
		"small": []byte("end"), "a part of a text": []byte("\x82\xac and"), "bytes": {0, 0xff, '\n', 0xfe}, "large": bytes.Repeat([]byte("0123456789abcdef"), 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			d := Part(2, true, content)
			d.Key, d.Turn = "k", "t"
			var b blobs
			got := fitted(t, d, store.EventBytesDefault, &b)
			if again := fitted(t, d, store.EventBytesDefault, &b); !bytes.Equal(again.Data, got.Data) {
				t.Error("the second time it is another event")
			}
			ref := store.BlobRefs(got.Data)[0]
			want := fmt.Sprintf(`{"line":{"sha256":"%s","bytes":%d,"contentType":"application/octet-stream"},"part":2,"more":true}`, ref, len(content))
			if string(got.Data) != want || got.Raw != nil || got.Turn != "t" {
				t.Errorf("got  %+v\nwant %s", got, want)
			}
			wantLine(t, got, &b, content)
			for _, plain := range []store.Draft{Demote(d), Demote(got)} {
				if plain = fitted(t, plain, store.EventBytesDefault, &b); string(plain.Data) != want || plain.Turn != "" || plain.Raw != nil {
					t.Errorf("demoted it is %+v", plain)
				}
			}
		})
	}
	for _, line := range []string{`{"part":1,"more":true}`, `{"part":1}`, `{ "part": 1 }`} { // of an agent
		d := Lines([]byte(line))
		if NeedsFit(&d, store.EventBytesDefault) {
			t.Errorf("%s is taken for a part", line)
		}
	}
}

func TestFitSeveralBlobs(t *testing.T) {
	long.Only(t)
	line := bytes.Repeat([]byte("a"), store.BlobBytesDefault+1000)
	d := store.Draft{Type: TypeLine, Data: textData(line)}
	var b blobs
	got := fitted(t, d, store.EventBytesDefault, &b)
	if refs := store.BlobRefs(got.Data); len(refs) != 2 || !bytes.HasPrefix(got.Data, []byte(`{"lines":[{"sha256":"`)) {
		t.Errorf("got %d blobs in %.80s", len(refs), got.Data)
	}
	wantLine(t, got, &b, line)

	b = blobs{max: 100_000} // a log that takes less
	line = bytes.Repeat([]byte("€"), 100_001)
	d.Data = textData(line)
	got = fitted(t, d, 4<<10, &b)
	wantLine(t, got, &b, line)
	for ref, kind := range b.types {
		if kind != store.BlobTypeDefault {
			t.Errorf("piece %s, which may end within a character, is %q", ref, kind)
		}
	}

	b = blobs{max: 1000}
	if _, err := Fit(t.Context(), d, 4<<10, b.put); !errors.Is(err, &store.Error{Code: store.CodeBlobTooLarge}) {
		t.Errorf("a log without room: got %v", err)
	}
	if _, err := Fit(t.Context(), d, FitBytesMin-1, b.put); err == nil || !strings.Contains(err.Error(), "least limit") {
		t.Errorf("a limit that is too low: got %v", err)
	}
}

// TestFitLongLabels fits the least limit with the longest labels and most blobs.
func TestFitLongLabels(t *testing.T) {
	b := blobs{max: fitPieceMin}
	d := store.Draft{
		Type: strings.Repeat("t", store.TypeBytesMax), Turn: strings.Repeat("u", store.TurnBytesMax), Parent: strings.Repeat("p", store.ParentBytesMax),
		Data: textData(bytes.Repeat([]byte("\x01"), fitPieces*fitPieceMin/6-10)),
	}
	fitted(t, d, FitBytesMin, &b)
	d.Data = nil
	d.Raw = bytes.Repeat([]byte("x"), fitPieces*fitPieceMin)
	got := fitted(t, d, FitBytesMin, &b)
	if n := len(store.BlobRefs(got.Data)); n != 1 { // they have the same content
		t.Errorf("got %d blobs", n)
	}
	wantLine(t, got, &b, d.Raw)
}

func TestFittedLineSaysWhatIsWrong(t *testing.T) {
	var b blobs
	got := fitted(t, store.Draft{Type: TypeLine, Data: textData([]byte(filler(9000)))}, 4<<10, &b)
	ref := store.BlobRefs(got.Data)[0]
	b.content[ref] = b.content[ref][1:]
	if _, ok, err := FittedLine(got.Data, b.read); !ok || err == nil || !strings.Contains(err.Error(), "9000") {
		t.Errorf("content of another size: got %v, %v", ok, err)
	}
	delete(b.content, ref)
	if _, ok, err := FittedLine(got.Data, b.read); !ok || !errors.Is(err, store.ErrBlobNotFound) {
		t.Errorf("no content: got %v, %v", ok, err)
	}
	for _, data := range []string{``, `null`, `"text"`, `{"line":5}`, `{"line":{"sha256":"short","bytes":1}}`, `{"lines":[]}`, `{"lines":[{"sha256":"` + ref, `{"text":"x","line":{"sha256":"` + ref + `","bytes":1}}`} {
		if line, ok, err := FittedLine([]byte(data), b.read); ok || err != nil || line != nil {
			t.Errorf("%s: got %q, %v, %v", data, line, ok, err)
		}
	}
}

// TestLineThatLooksFitted: an agent may print what Fit writes.
func TestLineThatLooksFitted(t *testing.T) {
	for _, line := range []string{`{"line":{"sha256":"` + strings.Repeat("0", 64) + `","bytes":1}}`, `{"lines":[{"sha256":"` + strings.Repeat("0", 64) + `","bytes":1}]}`} {
		if d := Lines([]byte(line)); string(d.Raw) != line {
			t.Errorf("%s has no Raw: a reader takes it for a line that is elsewhere", line)
		}
	}
}

func TestCutTexts(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{"a":"12345678"}`, `{"a":"12345678"}`},
		{`{"a":"123456789"}`, `{"a":"12345678…"}`},
		{`{"a" : "123456789" , "b":["123456789x",{"c":"123456789"}]}`, `{"a" : "12345678…" , "b":["12345678…",{"c":"12345678…"}]}`},
		{`{"id":"123456789","toolId":"123456789","session_id":"123456789","identity":"123456789"}`, `{"id":"123456789","toolId":"123456789","session_id":"123456789","identity":"12345678…"}`},
		{`{"id":["123456789"],"b":"123456789"}`, `{"id":["12345678…"],"b":"12345678…"}`},
		{`{"id":5,"b":"123456789"}`, `{"id":5,"b":"12345678…"}`},
		{`["1234567ä"]`, `["1234567…"]`},
		{`["12345\u00e4"]`, `["12345…"]`},
		{`["1\u00e4x2"]`, `["1\u00e4x…"]`},
		{`["\ud83d\ude00"]`, `["…"]`},
		{`["1234567\\9"]`, `["1234567…"]`},
		{`["123456\\9"]`, `["123456\\…"]`},
		{`["123456\"9"]`, `["123456\"…"]`},
		{`{"123456789x":"123456789"}`, `{"123456789x":"12345678…"}`},
		{`"123456789"`, `"12345678…"`},
		{`{"a":"x:\"}{,","b":1}`, `{"a":"x:\"}{,","b":1}`},
	} {
		got := string(cutTexts([]byte(test.in), 8))
		if got != test.want || !json.Valid([]byte(got)) {
			t.Errorf("%s: got %s, want %s", test.in, got, test.want)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add([]byte(`{"a":"`+filler(5000)+`"}`), []byte(nil), true, uint16(0))
	f.Add([]byte(`[1,2,"`+strings.Repeat(`\ud83d\ude00é`, 900)+`"]`), []byte("raw"), false, uint16(9))
	f.Add([]byte(`{"id":"`+filler(9000)+`","id":{"x":["`+filler(300)+`"]}}`), []byte("raw"), false, uint16(9))
	f.Add(bytes.Repeat([]byte("\xff\x01"), 3000), []byte(nil), true, uint16(77))
	f.Fuzz(func(t *testing.T, content, raw []byte, isLine bool, over uint16) {
		if len(content) > 0 {
			content = bytes.Repeat(content, 1+3*FitBytesMin/len(content)) // what fits is not of interest
		}
		d := store.Draft{Key: "k", Type: "text", Turn: "t", Data: content}
		line := raw
		if isLine {
			d = Lines(content)
			line = content
		} else if len(raw) > 0 && fitsRaw(raw) {
			d.Raw = bytes.Repeat(raw, 1+3*FitBytesMin/len(raw))
			line = d.Raw
		}
		if check := d; check.Check(1<<40) != nil {
			return
		}
		max := FitBytesMin + int(over)
		var b blobs
		got := fitted(t, d, max, &b)
		if got.Size() == d.Size() && bytes.Equal(got.Data, d.Data) {
			return
		}
		if isLine || d.Raw != nil {
			wantLine(t, got, &b, line)
		}
		if !utf8.Valid(got.Data) || slices.Contains(got.Data, '\n') {
			t.Errorf("data is %q", got.Data)
		}
	})
}
