package main

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestHumanForm(t *testing.T) {
	at := time.Date(2026, 11, 21, 1, 2, 3, 4e6, time.Local)
	events := []shown{
		{id: 1, typ: "turn_start", time: at, data: []byte(`{"requestId":"r"}`)},
		{id: 2, typ: "thinking_delta", time: at, data: []byte(`{"text":"Hm."}`)},
		{id: 3, typ: "text_delta", time: at, data: []byte(`{"text":"I'll "}`)},
		{id: 4, typ: "agent", time: at, data: []byte(`{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"list "}}}`)},
		{id: 5, typ: "agent", time: at, data: []byte(`{"type":"message","role":"assistant","content":"the ","delta":true}`)},
		{id: 6, typ: "agent", time: at, data: []byte(`{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"folder."}}}}`)},
		{id: 7, typ: "tool_start", time: at, data: []byte(`{"name":"Bash\u001b"}`)},
		{id: 8, typ: "agent", time: at, data: []byte(`"plain line"`)},
		{id: 9, typ: "text", time: at, data: []byte(`{"text":"\u001b[2J\nnext"}`)},
		{id: 10, typ: "text_delta", time: at, data: []byte(`{"text":"one "}`)},
		{id: 11, typ: "thinking_delta", time: at, data: []byte(`{"text":"and"}`)},
		{id: 12, typ: "text_delta", time: at, data: []byte(`{"text":"two"}`)},
		{id: 13, typ: "text", time: at, data: []byte(`{"text":"one two"}`)},
		{id: 14, typ: "thinking", time: at, data: []byte(`{"text":"another"}`)},
		{id: 15, typ: "prompt", time: at, data: []byte(`{"text":"Who?"}`)},
		{id: 16, typ: "text", time: at, data: []byte(`"no text"`)},
	}
	var out strings.Builder
	h := &humanPrinter{w: &out}
	for _, e := range events {
		if err := h.event(e); err != nil {
			t.Fatal(err)
		}
	}
	h.end()
	want := `     1 01:02:03.004 turn_start {"requestId":"r"}
Hm.
I'll list the folder.
     7 01:02:03.004 tool_start {"name":"Bash\u001b"}
     8 01:02:03.004 agent "plain line"
` + "\uFFFD" + `[2J
next
one 
and
two
another
> Who?
    16 01:02:03.004 text "no text"
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

// TestHumanFormOfADemo: the text that streams, and each tool once.
func TestHumanFormOfADemo(t *testing.T) {
	var out strings.Builder
	h := &humanPrinter{w: &out}
	for _, e := range []shown{
		{typ: "turn_start", data: []byte(`{"agent":"claude"}`)},
		{typ: "text_delta", data: []byte(`{"text":"I'll "}`)},
		{typ: "text_delta", data: []byte(`{"text":"look."}`)},
		{typ: "text", data: []byte(`{"text":"I'll look."}`)},
		{typ: "tool_start", data: []byte(`{"id":"1","name":"Bash"}`)},
		{typ: "tool_delta", data: []byte(`{"id":"1","text":"{}"}`)},
		{typ: "tool_start", data: []byte(`{"id":"1","name":"Bash","input":{}}`)},
		{typ: "text_delta", data: []byte(`{"text":"Done."}`)},
		{typ: "agent", data: []byte(`{"type":"stream_event","event":{"type":"content_block_stop"}}`)},
	} {
		e.quiet = true
		if err := h.event(e); err != nil {
			t.Fatal(err)
		}
	}
	h.end()
	if want := "I'll look.\n[tool Bash]\nDone.\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// FuzzHumanForm guards that nothing an agent writes reaches the terminal as a
// control character.
func FuzzHumanForm(f *testing.F) {
	f.Add([]byte(`{"text":"\u001b[2J"}`), false)
	f.Add([]byte(`{"msg":{"event":{"type":"content_block_start","content_block":{"name":"\u009b"}}}}`), true)
	f.Add([]byte(`{"params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"text":"\u0007"}}}}`), false)
	f.Fuzz(func(t *testing.T, data []byte, quiet bool) {
		var out strings.Builder
		h := &humanPrinter{w: &out}
		for range 2 {
			if err := h.event(shown{id: 1, typ: "agent", data: data, quiet: quiet}); err != nil {
				t.Fatal(err)
			}
		}
		h.end()
		for _, r := range out.String() {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("control character %U in %q", r, &out)
			}
		}
	})
}
