package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The short way to read an append frame must say what encoding/json says, or
// leave the frame to it.
func TestAppendFrameAgreesWithJSON(t *testing.T) {
	for _, ref := range []string{`"1"`, `""`, `"a b"`, `"\u0041"`, `"ä"`, `7`, `null`, `{"a":1}`, `"` + strings.Repeat("x", refBytesMax) + `"`} {
		body := []byte(fmt.Sprintf(`{"type":"append","ref":%s,"session":"s","events":[]}`, ref))
		f, ok := appendFrame(body)
		if !ok {
			continue
		}
		var want struct{ Ref json.RawMessage }
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		if f.Type != "append" || string(f.Ref) != string(want.Ref) {
			t.Errorf("appendFrame(%s) = %q %s, want ref %s", body, f.Type, f.Ref, want.Ref)
		}
	}
	if _, ok := appendFrame([]byte(`{"type":"append","ref":"1","session":"s","events":[]}`)); !ok {
		t.Error("the usual form took the long way")
	}
}

type beginner func(frame []byte) func() (any, error)

func (b beginner) Begin(_ context.Context, _, _ string, frame []byte) func() (any, error) {
	return b(frame)
}

// Commands that a client sends without waiting are begun in their order, are
// answered in their order, and are under way together.
func TestPipelinedCommands(t *testing.T) {
	const n = 10
	l := newFakeLog("s")
	var begun []string
	all := make(chan struct{})
	srv := New(l, l.hub, Config{Commander: beginner(func(frame []byte) func() (any, error) {
		var f struct{ Ref string }
		if err := json.Unmarshal(frame, &f); err != nil {
			t.Error(err)
		}
		if begun = append(begun, f.Ref); len(begun) == n {
			close(all)
		}
		return func() (any, error) {
			<-all // would never come if one had to end before the next begins
			return json.RawMessage(`{"n":` + f.Ref + `}`), nil
		}
	})})
	s := newSite(t, srv).ws("/v1/ws")
	defer s.close()
	for i := range n {
		s.send(t, fmt.Sprintf(`{"type":"append","ref":"%d","session":"s","events":[]}`, i))
	}
	for i := range n {
		g, err := s.next()
		if want := fmt.Sprintf(`{"type":"ack","ref":"%d","n":%d}`, i, i); err != nil || g.body != want {
			t.Errorf("answer %d is %s, %v; want %s", i, g.body, err, want)
		}
	}
}
