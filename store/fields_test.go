package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

func TestFieldReadsTopLevelMembers(t *testing.T) {
	long := strings.Repeat(`\n`, 600)
	for _, c := range []struct{ data, name, field, text string }{
		{`{"text":"a","block":3}`, "text", `"a"`, "a"},
		{`{"text":"a","block":3}`, "block", `3`, ""},
		{` { "text" : "a" , "n" : [1,{"text":"inner"}] , "o":{"text":"x"} } `, "text", `"a"`, "a"},
		{`{"n":[1,{"text":"inner"}],"s":"\"text\":1"}`, "text", ``, ""},
		{`{"text":"first","text":"last"}`, "text", `"last"`, "last"},
		{`{"text":"a","t\u0065xt":"b"}`, "text", `"b"`, "b"},
		{`{"Text":"a"}`, "text", ``, ""},
		{`{"text":null}`, "text", `null`, ""},
		{`{"text":"","x":"\\"}`, "text", `""`, ""},
		{`{"x":"\\\"","text":"\\"}`, "text", `"\\"`, `\`},
		{`{"text":"\u00e9\ud83d\ude00\ud83d\n\/"}`, "text", `"\u00e9\ud83d\ude00\ud83d\n\/"`, "é😀\ufffd\n/"},
		{`{"text":"` + long + `"}`, "text", `"` + long + `"`, strings.Repeat("\n", 600)},
		{`["text","a"]`, "text", ``, ""},
		{`"text"`, "text", ``, ""},
		{`null`, "text", ``, ""},
		{``, "text", ``, ""},
		{`{}`, "text", ``, ""},
		{`{"":"a"}`, "", `"a"`, "a"},
	} {
		e := store.Event{Data: []byte(c.data)}
		if got := e.Field(c.name); string(got) != c.field || (got == nil) != (c.field == "") {
			t.Errorf("Field(%q) of %.80s: got %.80q, want %.80q", c.name, c.data, got, c.field)
		}
		if got := e.Text(c.name); got != c.text {
			t.Errorf("Text(%q) of %.80s: got %.80q, want %.80q", c.name, c.data, got, c.text)
		}
	}
}

// What Field gives is the event's own: nobody can write past it by appending.
func TestFieldIsClipped(t *testing.T) {
	e := store.Event{Data: []byte(`{"a":1,"b":2}`)}
	_ = append(e.Field("a"), "xx"...)
	if string(e.Data) != `{"a":1,"b":2}` {
		t.Errorf("appending to a field changed the data to %s", e.Data)
	}
}

func TestTextAllocatesItsResultOnly(t *testing.T) {
	for _, c := range []struct {
		data string
		want float64
	}{{`{"text":"fifteen bytes..","block":3}`, 1}, {`{"text":"two\nlines \u00e9","block":3}`, 1}, {`{"other":"x"}`, 0}} {
		e := store.Event{Data: []byte(c.data)}
		if got := testing.AllocsPerRun(100, func() { _ = e.Text("text") }); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.data, got, c.want)
		}
	}
}

// FuzzField holds Field and Text against encoding/json, for any JSON. For any
// other bytes they must come back.
func FuzzField(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a","block":3}`, `{"a":{"b":[1,"]"]},"text":"\\\""}`, `{"t\u0065xt":"\ud83d\u00e9"}`, `{"text":"a","text":null}`, ` {} `, `[{"text":1}]`,
		`{"text":"\ud83d\ud83d\ude00"}`, "{\"text\":\"\xff\"}", `{"text":"\u12"`, `{"text":"a`, `{"text"`, `{"text":}`, `{"text":[}`, `{"text":"\`, `{"text":"\"}`,
	} {
		f.Add([]byte(seed), "text")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		e := store.Event{Data: data}
		field, text := e.Field(name), e.Text(name)
		if len(field) > 0 && !bytes.Contains(data, field) {
			t.Fatalf("%q is no part of %q", field, data)
		}
		if !utf8.ValidString(text) && utf8.Valid(data) {
			t.Fatalf("text %q of %q is not valid UTF-8", text, data)
		}
		if !json.Valid(data) || !utf8.Valid(data) || !utf8.ValidString(name) {
			return
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(data, &members) != nil {
			members = nil
		}
		want := bytes.TrimSpace(members[name])
		if !bytes.Equal(field, want) {
			t.Fatalf("field %q of %s: got %q, want %q", name, data, field, want)
		}
		var s string
		if len(want) == 0 || json.Unmarshal(want, &s) != nil {
			s = ""
		}
		if text != s {
			t.Fatalf("text %q of %s: got %q, want %q", name, data, text, s)
		}
	})
}

func BenchmarkText(b *testing.B) {
	for name, data := range map[string]string{
		"delta":   `{"text":"fifteen bytes..","block":3}`,
		"escaped": `{"text":"fifteen\nbytes..","block":3}`,
		"output":  fmt.Sprintf(`{"id":"toolu_01","output":%q,"text":"x"}`, strings.Repeat("a line of output, \"quoted\"\n", 2000)),
	} {
		e := store.Event{Data: []byte(data)}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_ = e.Text("text")
			}
		})
	}
}
