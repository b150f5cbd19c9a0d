package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/konlog/konlog/store"
)

// appendInProcess posts a body without a network and returns the answer and
// how the head moved.
func appendInProcess(t *testing.T, contentType string, body []byte) (answer, int64, *rig) {
	t.Helper()
	hub := newHub()
	log := newFaultyLog(hub)
	r := &rig{t: t, log: log, api: New(log, hub, Config{Limits: Limits{EventBytes: 4096, BatchEvents: 8, StreamBatchEvents: 3}})}
	req := httptest.NewRequest("POST", eventsPath, bytes.NewReader(body))
	req.Host = "localhost"
	req.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	r.api.Handler().ServeHTTP(w, req)
	return answer{w.Code, w.Header(), w.Body.String()}, max(0, r.head("s1")), r
}

// checkStored: what got in is sound, on one line, and readable.
func checkStored(t *testing.T, r *rig) {
	t.Helper()
	for i, e := range r.events("s1") {
		if e.ID != int64(i+1) || !json.Valid(e.Data) || bytes.ContainsAny(e.AppendJSON(nil, true), "\r\n") || store.ValidType(e.Type) != nil {
			t.Errorf("stored event %d: %s", i+1, e.AppendJSON(nil, true))
		}
	}
}

func FuzzAppendBody(f *testing.F) {
	for _, s := range []string{`{"type":"text","data":{"a":1.0}}`, `[{"type":"a"},{"type":"b","raw":"x","key":"k"}]`, `[{"type":"a"},{"type":"BAD"}]`, `[]`, `{`, "\xff", `{"type":"a","raw":{"x":"\ud83d"}}`, "{\"type\"\n:\"a\",\"data\":\r\n[1,\n2]}", `[{"type":"session_closed"},{"type":"a"}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, head, r := appendInProcess(t, "application/json", body)
		if a.status == 201 {
			if head == 0 {
				t.Errorf("%q was acknowledged, but nothing is stored", body)
			}
			checkStored(t, r)
			return
		}
		if p := a.problem(t); p.Code == codeInternal || head != 0 {
			t.Errorf("%q: %s, head %d", body, a.body, head)
		}
	})
}

func FuzzNDJSON(f *testing.F) {
	for _, s := range []string{"{\"type\":\"a\"}\n{\"type\":\"b\"}", "{\"type\":\"a\"}\r\n\r\n{\"type\":\"B\"}\n{\"type\":\"c\"}", "\n\n", "{\"type\":\"a\",\"key\":\"k\"}\n{\"type\":\"a\",\"key\":\"k\"}\n{\"type\":\"b\",\"key\":\"k\"}", "{\"type\":\"session_closed\"}\n{\"type\":\"a\"}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, head, r := appendInProcess(t, "application/x-ndjson", body)
		if head > 0 {
			checkStored(t, r)
		}
		var got struct {
			Count  int64
			Stored *stored
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatalf("%q: %s: %v", body, a.body, err)
		}
		switch {
		case a.status < 300 && got.Count != head:
			t.Errorf("%q: answered %s, head %d", body, a.body, head)
		case got.Stored != nil && (got.Stored.Count != head || a.problem(t).Line == 0 || a.problem(t).Code == codeInternal):
			t.Errorf("%q: answered %s, head %d", body, a.body, head)
		case a.status >= 300 && got.Stored == nil && head != 0:
			t.Errorf("%q: answered %s, head %d", body, a.body, head)
		}
	})
}

// FuzzAppendFrame: the cheap scanner accepts nothing that is not JSON, and
// reads what encoding/json reads.
func FuzzAppendFrame(f *testing.F) {
	for _, s := range []string{
		`{"type":"append","ref":"1","session":"s1","events":[{"type":"a","data":{"x":["]","}"]}}]}`, `{"events":[}{"type":"a"}]}`, `{"session":"s\u0031","events":{"type":"a"},"expectHead":3,"create":false}`,
		`{"producer":{"id":"p","epoch":1,"seq":01},"events":[]}`, `{"session":"a"b","events":[]}`, `{}`, `{"ref":{],"events":[{"type":"a"}]}`, ` { "type" : "append" , "events" : [ {"type":"a"} ] , "session" : "s" } `, `{"events":[{"type":"a"}],}`, `{"events":[{"type":"a"}]}x`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, err := parseAppendFrame(frame)
		if err != nil {
			return
		}
		if _, err := store.ParseDrafts(bytes.Clone(got.events)); err != nil {
			return
		}
		if !json.Valid(frame) {
			t.Fatalf("accepted %q, which is not JSON", frame)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(frame, &want); err != nil {
			t.Fatalf("%q: %v", frame, err)
		}
		if !bytes.Equal(got.events, want["events"]) {
			t.Errorf("%q: events %q, want %q", frame, got.events, want["events"])
		}
		var session string
		if v := want["session"]; v != nil && json.Unmarshal(v, &session) == nil && session != got.session {
			t.Errorf("%q: session %q, want %q", frame, got.session, session)
		}
	})
}

// FuzzImportLine: what is accepted comes back as it was.
func FuzzImportLine(f *testing.F) {
	for _, s := range []string{
		`{"id":42,"session":"s1","type":"text_delta","turn":"r-7","parent":"toolu_01","time":"2026-11-20T17:24:01.123Z","data":{"text":"I'll "}}`,
		`{"id":1,"type":"a","time":"2026-11-20T17:24:01Z","data":null,"raw":"a \"line\""}`, `{"id":1,"type":"a","time":"2026-11-20T18:24:01+01:00","data":[1 , 2],"raw":{"x": 1.0}}`, `{"id":-1}`, `{"id":1,"time":3}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d, err := parseImportLine(line)
		if err != nil {
			return
		}
		log := newFaultyLog(newHub())
		if _, err := log.Append(context.Background(), "s1", store.AppendOptions{Restore: true}, d); err != nil {
			if store.CodeOf(err) == "" {
				t.Errorf("%q: %v", line, err)
			}
			return
		}
		page, err := log.Read(context.Background(), "s1", store.Query{After: d.ID - 1})
		if err != nil || len(page.Events) != 1 {
			t.Fatalf("%q: read %v, %v", line, page.Events, err)
		}
		again, err := parseImportLine(page.Events[0].AppendJSON(nil, true))
		if err != nil || again.ID != d.ID || again.Type != d.Type || again.Turn != d.Turn || again.Parent != d.Parent || !again.Time.Equal(d.Time) || !bytes.Equal(again.Raw, d.Raw) || !bytes.Equal(again.Data, page.Events[0].Data) {
			t.Errorf("%q came back as %+v, %v", line, again, err)
		}
	})
}

// FuzzLineReader: the lines do not depend on how the bytes arrive.
func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\r\n\nb"), byte(3))
	f.Fuzz(func(t *testing.T, body []byte, step byte) {
		whole, err := readLines(bytes.NewReader(body), 16)
		r := bytes.NewReader(body)
		parts, perr := readLines(readerFunc(func(p []byte) (int, error) { return r.Read(p[:min(len(p), int(step%7)+1)]) }), 16)
		if (err == io.EOF) != (perr == io.EOF) || err == io.EOF && len(whole) != len(parts) {
			t.Errorf("%q: whole %q %v, in parts %q %v", body, whole, err, parts, perr)
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
