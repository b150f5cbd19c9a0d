package store

import "testing"

// Half of a surrogate pair decodes to the same replacement for every value, so
// two keys, or a line and another, would become one.
func TestP13_HalfSurrogatesAreRefused(t *testing.T) {
	for in, ok := range map[string]bool{
		`"a\ud800"`: false, `"\ud801b"`: false, `"\udc00"`: false, `"\ud83d\ud83d"`: false, `"\ud83d\u0041"`: false,
		`"\ud83d\ude00"`: true, `"\\ud800"`: true, `"\ufffd"`: true, `"�\n"`: true, `"\ufffd\ud83d\ude00"`: true, `"\ufffd\ud83d"`: false,
	} {
		if _, err := Unquote([]byte(in)); (err == nil) != ok {
			t.Errorf("Unquote(%s): %v", in, err)
		}
	}
	if _, err := ParseDraft([]byte(`{"type":"t","key":"a\ud800"}`)); CodeOf(err) != CodeInvalidUTF8 {
		t.Errorf("a key with half a pair: %v", err)
	}
}

// A raw line that nests deeper than decoders go is carried as a string.
func TestDeepRawLineIsAString(t *testing.T) {
	deep := make([]byte, 0, 4*NestingMax)
	for range 2 * NestingMax {
		deep = append(deep, '[')
	}
	for range 2 * NestingMax {
		deep = append(deep, ']')
	}
	e := Event{ID: 1, Session: "s", Type: "t", Data: []byte("1"), Raw: deep}
	if err := checkJSON(e.AppendJSON(nil, true)); err != nil {
		t.Errorf("the event is no JSON that a client could read: %v", err)
	}
}
