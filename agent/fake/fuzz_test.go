package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// standstill is far more than any of the inputs takes.
const standstill = 20 * time.Second

// FuzzPlay_Input says anything to a player: it comes to its end, says nothing
// but lines of JSON, and no turn more than was asked for.
func FuzzPlay_Input(f *testing.F) {
	recs := []*Recording{readRecording(f, duplexFile), readRecording(f, acpFile)}
	for i, rec := range recs {
		var all []byte
		for _, s := range rec.steps {
			if s.in.kind != said {
				all = append(append(all, s.line...), '\n')
			}
		}
		f.Add(i == 1, all)
		f.Add(i == 0, all)
	}
	f.Add(false, []byte(`{"type":"user","uuid":1,"message":null}`+"\r\n\n"+`{"type":"control_request","request_id":"`+"\u2028"+`","request":{"subtype":"interrupt","cancel_queued":true}}`))
	f.Add(true, []byte(`{"jsonrpc":"2.0","id":null,"method":"session/prompt"}`+"\n"+`{"id":{},"method":"session/load","params":{"sessionId":[]}}`))
	f.Fuzz(func(t *testing.T, acp bool, input []byte) {
		rec := recs[0]
		if acp {
			rec = recs[1]
		}
		ctx, cancel := context.WithTimeout(t.Context(), standstill)
		defer cancel()
		var out bytes.Buffer
		err := rec.Play(ctx, bytes.NewReader(input), &out, Options{Speed: 1e9, GapMax: time.Microsecond, Repeat: true})
		if err != nil && !errors.Is(err, ErrWaiting) {
			t.Fatal(err)
		}
		for line := range bytes.Lines(out.Bytes()) {
			if !bytes.HasSuffix(line, []byte("\n")) || !json.Valid(line) {
				t.Errorf("it says %q", line)
			}
		}
	})
}

// FuzzRead reads anything as a recording, and plays it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"t_ms":0,"dir":"in","msg":{"type":"user"}}`+"\n"+`{"t_ms":9e99,"dir":"out","msg":{"type":"result"}}`), true)
	f.Add([]byte(`{"t_ms":0,"dir":"client->agent","msg":{"jsonrpc":"2.0","id":4,"method":"session/prompt"}}`+"\n"+`{"t_ms":-1,"dir":"agent->client","msg":{"id":4}}`), false)
	f.Add([]byte("a\r\n\xff"), false)
	f.Fuzz(func(t *testing.T, text []byte, input bool) {
		rec, err := Read(bytes.NewReader(text), input)
		if err != nil {
			return
		}
		in := bytes.NewReader([]byte(`{"type":"user"}` + "\n" + `{"jsonrpc":"2.0","id":"a","method":"session/prompt"}` + "\n"))
		var out bytes.Buffer
		if err := rec.Play(t.Context(), in, &out, Options{Speed: 1e9, GapMax: time.Microsecond}); err != nil {
			t.Fatal(err)
		}
		if rec.tongue == nil && !bytes.Equal(out.Bytes(), text) {
			t.Errorf("%q is played as %q", text, out.Bytes())
		}
	})
}

// FuzzSet changes a member and leaves the rest of the object as it was.
func FuzzSet(f *testing.F) {
	f.Add([]byte(`{"a": 1, "b" : {"c":"d"}}`), "c")
	f.Add([]byte(`{}`), "b")
	f.Add([]byte(`{"\u0062":[1],"b":2}`), "b")
	f.Fuzz(func(t *testing.T, object []byte, name string) {
		var before map[string]json.RawMessage
		if json.Unmarshal(object, &before) != nil || before == nil {
			return
		}
		got := set(object, "42", name)
		var after map[string]json.RawMessage
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q becomes %q: %v", object, got, err)
		}
		dropped := drop(got, name)
		if !json.Valid(dropped) {
			t.Errorf("without %q %q becomes %q", name, got, dropped)
		}
		if _, _, ok := member(object, name); len(after) > len(before)+1 || len(after) < len(before) || !ok && len(after) == 0 {
			t.Errorf("%q with %q becomes %q", object, name, got)
		}
	})
}
