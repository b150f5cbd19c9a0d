package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

func TestParseDrafts(t *testing.T) {
	tests := []struct {
		name, body string
		want       []store.Draft
	}{
		{"one", `{"type":"text","data":{"text":"a"}}`, []store.Draft{{Type: "text", Data: []byte(`{"text":"a"}`)}}},
		{"all members, in any order", ` { "raw" : "a \"line\"" , "data" : [1, {"x":"}]"}] ,"key":"k","parent":"p","turn":"t\u00e9","type":"x" } `,
			[]store.Draft{{Type: "x", Turn: "té", Parent: "p", Key: "k", Data: []byte(`[1, {"x":"}]"}]`), Raw: []byte(`a "line"`)}}},
		{"no data is null", `{"type":"x"}`, []store.Draft{{Type: "x", Data: []byte("null")}}},
		{"null members are absent", `{"type":"x","turn":null,"parent":null,"key":null,"raw":null,"data":null}`, []store.Draft{{Type: "x", Data: []byte("null")}}},
		{"raw as a value", `{"type":"x","raw":{"a": 1}}`, []store.Draft{{Type: "x", Data: []byte("null"), Raw: []byte(`{"a": 1}`)}}},
		{"array", "[\n{\"type\":\"a\",\"data\":1}\r\n, {\"type\":\"b\",\"data\":-2.50e+3}\n]", []store.Draft{{Type: "a", Data: []byte("1")}, {Type: "b", Data: []byte("-2.50e+3")}}},
		{"escaped quotes and brackets", `[{"data":"\\","type":"a"},{"data":"\"]}","type":"b"}]`, []store.Draft{{Type: "a", Data: []byte(`"\\"`)}, {Type: "b", Data: []byte(`"\"]}"`)}}},
		{"escaped member name", `{"\u0074ype":"a"}`, []store.Draft{{Type: "a", Data: []byte("null")}}},
	}
	for _, test := range tests {
		got, err := store.ParseDrafts([]byte(test.body))
		if err != nil || len(got) != len(test.want) {
			t.Errorf("%s: got %d drafts, %v; want %d", test.name, len(got), err, len(test.want))
			continue
		}
		for i := range got {
			if g, w := show(got[i]), show(test.want[i]); g != w {
				t.Errorf("%s: draft %d: got %s, want %s", test.name, i, g, w)
			}
			if err := got[i].Check(0); err != nil {
				t.Errorf("%s: draft %d: %v", test.name, i, err)
			}
		}
	}
}

func show(d store.Draft) string {
	return fmt.Sprintf("%q %q %q key %q data %q raw %q %t", d.Type, d.Turn, d.Parent, d.Key, d.Data, d.Raw, d.Raw == nil)
}

func TestP16_ParseDraftsRefuses(t *testing.T) {
	tests := []struct {
		body string
		want store.Code
	}{
		{``, store.CodeInvalidJSON},
		{`{"type":"x"`, store.CodeInvalidJSON},
		{`{"type":"x"}{"type":"y"}`, store.CodeInvalidJSON},
		{`{"type":"x","data":01}`, store.CodeInvalidJSON},
		{"{\"type\":\"x\",\"data\":\"\n\"}", store.CodeInvalidJSON},
		{"{\"type\":\"\xff\"}", store.CodeInvalidUTF8},
		{`[]`, store.CodeInvalidEvent},
		{`[[]]`, store.CodeInvalidEvent},
		{`1`, store.CodeInvalidEvent},
		{`"x"`, store.CodeInvalidEvent},
		{`{"type":1}`, store.CodeInvalidEvent},
		{`{"type":"x","turn":{}}`, store.CodeInvalidEvent},
		{`{"type":"x","dta":1}`, store.CodeInvalidEvent},
		{`[{"type":"x"},{"id":1,"type":"x"}]`, store.CodeInvalidEvent},
	}
	for _, test := range tests {
		if _, err := store.ParseDrafts([]byte(test.body)); store.CodeOf(err) != test.want {
			t.Errorf("%q: got %v, want %s", test.body, err, test.want)
		}
	}
	if _, err := store.ParseDrafts([]byte(`[{"type":"x"},{"tpe":1}]`)); err == nil || !strings.Contains(err.Error(), "event 1: ") {
		t.Errorf("got %v, want it to name event 1", err)
	}
}

// P8: only line breaks between tokens change.
func TestP8_DraftKeepsBytes(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1.0,"a":[ ],"b":1E5}`: `{"b":1.0,"a":[ ],"b":1E5}`,
		"{\r\n\t\"a\" :\n1}":        "{  \t\"a\" : 1}",
		"\n\t \"x\\n\\u00e9\"\r\n":  `"x\n\u00e9"`,
		`123456789012345678901.50`:  `123456789012345678901.50`,
	} {
		d := store.Draft{Type: "x", Data: []byte(in)}
		if err := d.Check(0); err != nil || string(d.Data) != want {
			t.Errorf("Check of %q: got %q, %v, want %q", in, d.Data, err, want)
		}
		parsed, err := store.ParseDraft([]byte(`{"type":"x","data":` + in + `}`))
		if err != nil || string(parsed.Data) != want {
			t.Errorf("ParseDraft of %q: got %q, %v, want %q", in, parsed.Data, err, want)
		}
	}
}

func TestP16_EventSizeLimit(t *testing.T) {
	d := store.Draft{Type: "xx", Turn: "t", Parent: "p", Data: []byte(`"12345"`), Raw: []byte("raw")}
	if got := d.Size(); got != 2+1+1+7+3 {
		t.Errorf("got size %d, want 14", got)
	}
	if err := d.Check(14); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := d.Check(13); store.CodeOf(err) != store.CodeEventTooLarge {
		t.Errorf("over the limit: got %v", err)
	}
}

func TestP13_BodyHash(t *testing.T) {
	base := store.Draft{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1"), Raw: []byte("r")}
	same := base
	same.Key, same.ID, same.Time = "k", 7, time.Now()
	if same.BodyHash() != base.BodyHash() {
		t.Error("key, id or time change the hash")
	}
	seen := map[[16]byte]int{}
	for i, d := range []store.Draft{
		base,
		{Type: "a", Turn: "bc", Parent: "d", Data: []byte("1"), Raw: []byte("r")},
		{Type: "ab", Turn: "", Parent: "cd", Data: []byte("1"), Raw: []byte("r")},
		{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1r"), Raw: []byte{}},
		{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1r")},
		{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1")},
		{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1"), Raw: []byte{}},
		{Type: "ab", Turn: "c", Parent: "d", Data: []byte("1"), Raw: []byte{0}},
	} {
		if j, dup := seen[d.BodyHash()]; dup {
			t.Errorf("drafts %d and %d have one hash", i, j)
		}
		seen[d.BodyHash()] = i
	}
}

// P4: the same bytes whichever way an event is encoded.
func TestP4_SealJSONAndAppendJSONAgree(t *testing.T) {
	for _, turn := range []string{"", "t", `q"\`, "é", "<&>", "\x7f", "\u2028"} {
		data := []byte(`{"a": 1}`)
		e := store.Event{ID: 7, Session: "s", Type: "x", Turn: turn, Parent: turn, Time: time.UnixMilli(1790000000123), Data: data, Raw: []byte("line")}
		plain, with := string(e.JSON()), string(e.AppendJSON([]byte("head "), true))
		e.Seal()
		clear(data) // a sealed event has bytes of its own
		if got := string(e.JSON()); got != plain {
			t.Errorf("sealed: got %s, want %s", got, plain)
		}
		if got := string(e.AppendJSON(nil, false)); got != plain {
			t.Errorf("AppendJSON: got %s, want %s", got, plain)
		}
		if got := string(e.AppendJSON([]byte("head "), true)); got != with {
			t.Errorf("AppendJSON with raw: got %s, want %s", got, with)
		}
		if want := "head " + plain[:len(plain)-1] + `,"raw":"line"}`; with != want {
			t.Errorf("got %s, want %s", with, want)
		}
		if string(e.Data) != `{"a": 1}` || cap(e.Data) != len(e.Data) {
			t.Errorf("Data is %q with capacity %d: appending to it would change the wire", e.Data, cap(e.Data))
		}
		var v struct{ Turn, Parent string }
		if err := json.Unmarshal(e.JSON(), &v); err != nil || v.Turn != turn || v.Parent != turn {
			t.Errorf("%s: got %+v, %v, want turn %q", e.JSON(), v, err, turn)
		}
	}
}

var rawLines = []string{
	"", "null", "nul", "true", "1", "-0.50", `"str"`, `"`, `{"a": 1}`, `{"a":`, ` {"a":1}`, "1 ", "\t", "text é 😀 \u2028",
	`back\slash`, "\x00\x01\x7f", "[1,\t2]", "<&>", `{"type":"x","raw":{"raw":null}}`,
}

// What an event shows of a raw line gives the line back.
func TestRawRoundTrip(t *testing.T) {
	for _, raw := range rawLines {
		checkRaw(t, []byte(raw))
	}
	e := store.Event{ID: 1, Session: "s", Type: "x", Data: []byte("1")}
	if got := string(e.AppendJSON(nil, true)); strings.Contains(got, "raw") {
		t.Errorf("an event without raw shows one: %s", got)
	}
}

func checkRaw(t *testing.T, raw []byte) {
	t.Helper()
	e := store.Event{ID: 1, Session: "s", Type: "x", Data: []byte("1"), Raw: raw}
	wire := e.AppendJSON(nil, true)
	if bytes.ContainsAny(wire, "\r\n") || !utf8.Valid(wire) {
		t.Errorf("raw %q: the event is not one line of UTF-8: %q", raw, wire)
	}
	var v struct{ Raw json.RawMessage }
	if err := json.Unmarshal(wire, &v); err != nil {
		t.Fatalf("raw %q: %v in %s", raw, err, wire)
	}
	got, err := store.ParseRaw(v.Raw)
	if v.Raw == nil || err != nil || got == nil || !bytes.Equal(got, raw) {
		t.Errorf("raw %q: got %q (nil %t), %v, by way of %s", raw, got, got == nil, err, wire)
	}
}

func FuzzRawRoundTrip(f *testing.F) {
	for _, raw := range rawLines {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := store.Draft{Type: "x", Raw: raw}
		if raw == nil || d.Check(0) != nil {
			t.Skip()
		}
		checkRaw(t, raw)
	})
}

// What FuzzParseDrafts accepts is what encoding/json sees in the body.
func FuzzParseDrafts(f *testing.F) {
	for _, body := range []string{
		`{"type":"text","data":{"text":"a"}}`, `[{"type":"a"},{"type":"b","data":[1,"]"]}]`, ` [ ] `, `{"type":"x","raw":"l","key":"k"}`,
		"{\n\"type\"\r:\"x\",\"data\":\n1}", `{"type":"x","data":"\\\""}`, `{"\u0074ype":"x"}`, `{}`, `[null]`, `{"type":"x","raw":null,"data":null}`, `{"data":{},"data":2}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		drafts, err := store.ParseDrafts(body)
		if err != nil {
			if store.CodeOf(err) == "" {
				t.Fatalf("%q: an error without a code: %v", original, err)
			}
			return
		}
		want := []json.RawMessage{original}
		if bytes.TrimLeft(original, " \t\r\n")[0] == '[' {
			if err := json.Unmarshal(original, &want); err != nil {
				t.Fatal(err)
			}
		}
		if len(drafts) != len(want) {
			t.Fatalf("%q: got %d drafts, want %d", original, len(drafts), len(want))
		}
		for i := range drafts {
			checkParsed(t, &drafts[i], want[i])
		}
	})
}

func checkParsed(t *testing.T, d *store.Draft, object []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	for name, got := range map[string]string{"type": d.Type, "turn": d.Turn, "parent": d.Parent, "key": d.Key} {
		var want string
		if v, ok := members[name]; ok {
			if err := json.Unmarshal(v, &want); err != nil {
				t.Fatalf("%q: %s: %v", object, name, err)
			}
		}
		if got != want {
			t.Errorf("%q: %s: got %q, want %q", object, name, got, want)
		}
	}
	data := "null"
	if v, ok := members["data"]; ok {
		data = strings.NewReplacer("\r", " ", "\n", " ").Replace(string(v))
	}
	if string(d.Data) != data {
		t.Errorf("%q: data: got %q, want %q", object, d.Data, data)
	}
	if d.Check(0) != nil {
		return
	}
	e := store.Event{ID: 1, Session: "s", Type: d.Type, Turn: d.Turn, Parent: d.Parent, Data: d.Data, Raw: d.Raw}
	if wire := e.AppendJSON(nil, true); !json.Valid(wire) || bytes.ContainsAny(wire, "\r\n") {
		t.Errorf("%q: the event is not one line of JSON: %q", object, wire)
	}
}

func FuzzValidSessionID(f *testing.F) {
	for _, id := range []string{"", "a", "_feed", "_", ".a", "a.b_c:d-e", "a b", "é", "a/b", "a\x00", strings.Repeat("x", 128), strings.Repeat("x", 129)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		err := store.ValidSessionID(id)
		const first = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		want := id != "" && len(id) <= store.SessionIDBytesMax && strings.Contains(first+"_", id[:1]) && strings.Trim(id[1:], first+"._:-") == ""
		for i := 1; want && i < len(id); i++ {
			want = strings.IndexByte(first+"._:-", id[i]) >= 0
		}
		if (err == nil) != want {
			t.Errorf("%q: got %v, want valid %t", id, err, want)
		}
		if err != nil && store.CodeOf(err) != store.CodeInvalidSession {
			t.Errorf("%q: got %v, want code %s", id, err, store.CodeInvalidSession)
		}
	})
}
