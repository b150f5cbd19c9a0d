package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	hashA = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	hashB = "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func TestBlobRefs(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want []string
	}{
		"none":                     {`{"text":"hello"}`, nil},
		"word":                     {`{"text":"sha256"}`, nil},
		"member":                   {`{"sha256":"` + hashA + `"}`, []string{hashA}},
		"spaces":                   {"{ \"sha256\" \t:  \"" + hashA + `" }`, []string{hashA}},
		"nested":                   {`[1,{"images":[{"sha256":"` + hashA + `"},{"x":{"sha256":"` + hashB + `"}}]}]`, []string{hashA, hashB}},
		"each once, in order":      {`[{"sha256":"` + hashB + `"},{"sha256":"` + hashA + `"},{"sha256":"` + hashB + `"}]`, []string{hashB, hashA}},
		"member given twice":       {`{"sha256":"` + hashB + `","sha256":"` + hashA + `"}`, []string{hashB, hashA}},
		"other name":               {`{"sha2567":"` + hashA + `","xsha256":"` + hashA + `","SHA256":"` + hashA + `"}`, nil},
		"value, no name":           {`["sha256","` + hashA + `"]`, nil},
		"inside a string":          {`{"text":"{\"sha256\":\"` + hashA + `\"}"}`, nil},
		"upper case":               {`{"sha256":"` + strings.ToUpper(hashA) + `"}`, nil},
		"short":                    {`{"sha256":"` + hashA[1:] + `"}`, nil},
		"long":                     {`{"sha256":"` + hashA + `0"}`, nil},
		"no string":                {`{"sha256":[{"sha256":"` + hashA + `"}],"a":{"sha256":null}}`, []string{hashA}},
		"a name as the value":      {`{"sha256":"sha256","a":{"sha256":"` + hashA + `"}}`, []string{hashA}},
		"escaped name":             {`{"\u0073ha25\u0036":"` + hashA + `"}`, []string{hashA}},
		"all escaped":              {`{"\u0073\u0068\u0061\u0032\u0035\u0036":"` + hashA + `"}`, []string{hashA}},
		"escape at the very end":   {`"\u00`, nil},
		"escaped value":            {`{"sha256":"\u0030` + hashA[1:] + `"}`, []string{hashA}},
		"escaped quote before":     {`{"a\"":"\\","sha256":"` + hashA + `"}`, []string{hashA}},
		"cut off":                  {`{"sha256":"` + hashA, nil},
		"cut off after the name":   {`{"sha256"`, nil},
		"cut off after the colon":  {`{"sha256": `, nil},
		"cut off in a lone string": {`"sha256`, nil},
		"empty":                    {``, nil},
	} {
		if got := BlobRefs([]byte(test.data)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestBlobRefsAreBounded(t *testing.T) {
	var all []string
	for i := range 2 * BlobRefsMax {
		all = append(all, fmt.Sprintf(`{"sha256":"%064x"}`, i))
	}
	got := BlobRefs([]byte("[" + strings.Join(all, ",") + "]"))
	if len(got) != BlobRefsMax || got[BlobRefsMax-1] != fmt.Sprintf("%064x", BlobRefsMax-1) {
		t.Errorf("got %d references, want the first %d", len(got), BlobRefsMax)
	}
}

// decodedRefs is BlobRefs by way of encoding/json.
func decodedRefs(t *testing.T, data []byte) (refs []string) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value func(named bool)
	value = func(named bool) {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		switch v := token.(type) {
		case string:
			_, ok := BlobHash(v)
			if named && ok && !slices.Contains(refs, v) && len(refs) < BlobRefsMax {
				refs = append(refs, v)
			}
		case json.Delim:
			for d.More() {
				is := false
				if v == '{' {
					name, err := d.Token()
					if err != nil {
						t.Fatalf("%q: %v", data, err)
					}
					is = name == "sha256"
				}
				value(is)
			}
			_, _ = d.Token() // the closing one, which valid JSON has
		}
	}
	value(false)
	return refs
}

func FuzzBlobRefs(f *testing.F) {
	for _, s := range []string{
		`{"sha256":"` + hashA + `"}`, `[{"x":{"sha256" : "` + hashB + `"}},{"sha256":1}]`, `{"\u0073ha256":"` + hashA + `"}`,
		`{"sha256":"sha256","sha256":"\u0030` + hashA[1:] + `"}`, `{"text":"{\"sha256\":\"` + hashA + `\"}"}`, `"\\u0073"`, `{"":"","sha256":{"sha256":"` + hashA + `"}}`, `nul`, `"sha256`, `{"sha256":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := BlobRefs(data) // must end on anything
		if !json.Valid(data) {
			return
		}
		if want := decodedRefs(t, data); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	})
}

func BenchmarkBlobRefsNone(b *testing.B) {
	data := []byte(`{"text":"` + strings.Repeat(`so it goes, \u003cb\u003e and on\n`, 10) + `"}`)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if BlobRefs(data) != nil {
			b.Fatal("found a reference")
		}
	}
}

func TestBlobType(t *testing.T) {
	for in, want := range map[string]string{
		"image/png":                     "image/png",
		" Image/PNG ":                   "image/png",
		"text/plain; CHARSET=utf-8":     "text/plain; charset=utf-8",
		`multipart/x; boundary="a b"`:   `multipart/x; boundary="a b"`,
		"":                              BlobTypeDefault,
		"text":                          BlobTypeDefault,
		"text/":                         BlobTypeDefault,
		"/plain":                        BlobTypeDefault,
		"a/b; c":                        BlobTypeDefault,
		"a/b\nSet-Cookie: x":            BlobTypeDefault,
		"text/html\x00":                 BlobTypeDefault,
		"a/" + strings.Repeat("b", 300): BlobTypeDefault,
	} {
		got := BlobType(in)
		if got != want || BlobType(got) != got {
			t.Errorf("%q: got %q, then %q; want %q", in, got, BlobType(got), want)
		}
	}
}
