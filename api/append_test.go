package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/konlog/konlog/store"
)

const eventsPath = "/v1/sessions/s1/events"

// TestP16_Refusals: what is refused is refused whole, with its code.
func TestP16_Refusals(t *testing.T) {
	type refusal struct {
		name   string
		body   string
		header []string
		status int
		code   store.Code
	}
	big := `{"type":"text","data":"` + strings.Repeat("x", 2048) + `"}`
	cases := []refusal{
		{"InvalidJSON", `{"type":"text",`, nil, 400, store.CodeInvalidJSON},
		{"EmptyBody", ``, nil, 400, store.CodeInvalidJSON},
		{"TrailingGarbage", `{"type":"text"} x`, nil, 400, store.CodeInvalidJSON},
		{"InvalidUTF8", "{\"type\":\"text\",\"data\":\"\xff\"}", nil, 400, store.CodeInvalidUTF8},
		{"MissingType", `{"data":1}`, nil, 400, store.CodeInvalidType},
		{"MalformedType", `{"type":"Text"}`, nil, 400, store.CodeInvalidType},
		{"ReservedType", `{"type":"hello"}`, nil, 400, store.CodeReservedType},
		{"UnknownMember", `{"type":"text","dat":1}`, nil, 400, store.CodeInvalidEvent},
		{"NotAnObject", `7`, nil, 400, store.CodeInvalidEvent},
		{"EmptyArray", `[]`, nil, 400, store.CodeInvalidEvent},
		{"KeyTooLong", `{"type":"text","key":"` + strings.Repeat("k", 129) + `"}`, nil, 400, store.CodeInvalidEvent},
		{"SecondOfBatch", `[{"type":"text"},{"type":"BAD"},{"type":"text"}]`, nil, 400, store.CodeInvalidType},
		{"EventTooLarge", big, nil, 413, store.CodeEventTooLarge},
		{"BatchTooLarge", `[{"type":"a"},{"type":"a"},{"type":"a"},{"type":"a"}]`, nil, 413, store.CodeBatchTooLarge},
		{"RequestTooLarge", `[` + strings.Repeat(" ", 5000) + `]`, nil, 413, codeRequestTooLarge},
		{"Compressed", "\x1f\x8b\x08", []string{"Content-Encoding", "gzip"}, 415, codeUnsupportedCoding},
		{"UnknownMediaType", `{"type":"text"}`, []string{"Content-Type", "application/xml"}, 415, codeUnsupportedMedia},
		{"ExpectHeadMalformed", `{"type":"text"}`, []string{"Expect-Head", "-1"}, 400, store.CodeInvalidQuery},
		{"ExpectHeadEmpty", `{"type":"text"}`, []string{"Expect-Head", ""}, 400, store.CodeInvalidQuery},
		{"ProducerIncomplete", `{"type":"text"}`, []string{"Producer-Id", "p"}, 400, store.CodeInvalidQuery},
		{"ProducerSeqMalformed", `{"type":"text"}`, []string{"Producer-Id", "p", "Producer-Epoch", "0", "Producer-Seq", "x"}, 400, store.CodeInvalidQuery},
		{"ProducerIdTooLong", `{"type":"text"}`, []string{"Producer-Id", strings.Repeat("p", 129), "Producer-Epoch", "0", "Producer-Seq", "0"}, 400, store.CodeInvalidEvent},
		{"LinesWithExpectHead", `{"type":"text"}`, []string{"Content-Type", "application/x-ndjson", "Expect-Head", "1"}, 400, store.CodeInvalidQuery},
		{"LinesWithProducer", `{"type":"text"}`, []string{"Content-Type", "application/x-ndjson", "Producer-Id", "p", "Producer-Epoch", "0", "Producer-Seq", "0"}, 400, store.CodeInvalidQuery},
		{"NoLines", "\n\r\n", []string{"Content-Type", "application/x-ndjson"}, 400, store.CodeInvalidEvent},
	}
	r := newRig(t, Config{Limits: Limits{EventBytes: 1024, BatchEvents: 3, BodyBytes: 4096}})
	wantStatus(t, r.post(eventsPath, `{"type":"first"}`), 201)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wantCode(t, r.post(eventsPath, c.body, c.header...), c.status, c.code)
			if got := r.head("s1"); got != 1 {
				t.Errorf("head is %d after a refusal, want 1", got)
			}
			wantCode(t, r.post("/v1/sessions/fresh/events", c.body, c.header...), c.status, c.code)
			if got := r.head("fresh"); got != -1 {
				t.Errorf("a refused append made the session (head %d)", got)
			}
		})
	}
}

// onlyReader hides a body's length, so that it is sent chunked.
type onlyReader struct{ io.Reader }

func TestP16_RequestTooLargeWithoutLength(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{BodyBytes: 4096}})
	body := onlyReader{strings.NewReader(`{"type":"text","data":"` + strings.Repeat("x", 8000) + `"}`)}
	wantCode(t, r.do("POST", eventsPath, body), 413, codeRequestTooLarge)
	if got := r.head("s1"); got != -1 {
		t.Errorf("head is %d, want no session", got)
	}
}

func TestP16_ClosedSession(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
	a := r.post("/v1/sessions/s1/close", "")
	wantStatus(t, a, 200)
	if a.body != "{\"first\":2,\"last\":2}\n" {
		t.Errorf("close answered %s", a.body)
	}
	wantCode(t, r.post(eventsPath, `{"type":"text"}`), 409, store.CodeSessionClosed)
	wantCode(t, r.post("/v1/sessions/s1/close", ""), 409, store.CodeSessionClosed)
	if got := r.head("s1"); got != 2 {
		t.Errorf("head is %d, want 2", got)
	}
}

// TestP16_EngineRefusals: what the engine says reaches the client as its code,
// with Retry-After where trying again helps, and without the cause.
func TestP16_EngineRefusals(t *testing.T) {
	secret := errors.New("secret path /var/lib/x")
	cases := []struct {
		name       string
		err        error
		status     int
		code       store.Code
		retryAfter string
	}{
		{"QueueFull", store.ErrQueueFull, 429, store.CodeQueueFull, "1"},
		{"StorageFull", store.Because(store.CodeStorageFull, secret, "the disk is full"), 507, store.CodeStorageFull, "5"},
		{"StorageFailed", store.Because(store.CodeStorageFailed, secret, "the disk reported an error"), 503, store.CodeStorageFailed, "1"},
		{"Shutdown", store.ErrShutdown, 503, store.CodeShutdown, "1"},
		{"Unknown", fmt.Errorf("append: %w", secret), 500, codeInternal, ""},
		{"UnknownCode", store.Errorf("surprise", "%w", secret), 500, codeInternal, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			wantStatus(t, r.post(eventsPath, `{"type":"text"}`), 201)
			r.log.fail = c.err
			a := r.post(eventsPath, `{"type":"text"}`)
			p := wantCode(t, a, c.status, c.code)
			if got := a.header.Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, c.retryAfter)
			}
			if strings.Contains(a.body, "secret") {
				t.Errorf("internal text reached the client: %s", a.body)
			}
			if errors.Is(c.err, secret) && (!strings.Contains(r.text.String(), "secret") || !strings.Contains(r.text.String(), p.RequestID)) {
				t.Errorf("the log lacks the cause or the request id %s: %s", p.RequestID, r.text)
			}
			if got := r.head("s1"); got != 1 {
				t.Errorf("head is %d, want 1", got)
			}
			wantStatus(t, r.get(eventsPath), 200) // reads go on
		})
	}
}

func TestP16_SessionID(t *testing.T) {
	r := newRig(t, Config{})
	for _, path := range []string{"/v1/sessions/-x/events", "/v1/sessions/a%20b/events", "/v1/sessions/_feed/events", "/v1/sessions/" + strings.Repeat("a", 129) + "/events", "/v1/sessions//events"} {
		wantCode(t, r.post(path, `{"type":"text"}`), 400, store.CodeInvalidSession)
	}
	wantStatus(t, r.post("/v1/sessions/a%3Ab/events", `{"type":"text"}`), 201)
	if got := r.head("a:b"); got != 1 {
		t.Errorf("an escaped colon named another session: head %d", got)
	}
}

func TestAppendCreate(t *testing.T) {
	r := newRig(t, Config{})
	wantCode(t, r.post(eventsPath+"?create=0", `{"type":"text"}`), 404, store.CodeNotFound)
	wantCode(t, r.post(eventsPath+"?creat=0", `{"type":"text"}`), 400, store.CodeInvalidQuery)
	wantCode(t, r.post(eventsPath+"?create=maybe", `{"type":"text"}`), 400, store.CodeInvalidQuery)
	if got := r.head("s1"); got != -1 {
		t.Fatalf("head is %d, want no session", got)
	}
	a := r.post(eventsPath, `[{"type":"text"},{"type":"text"}]`)
	wantStatus(t, a, 201)
	if want := `{"session":"s1","first":1,"last":2,"duplicate":false}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	wantStatus(t, r.post(eventsPath+"?create=0", `{"type":"text"}`), 201)
}

// TestP8_DataBytes: data comes back as it was sent, line breaks between tokens
// excepted.
func TestP8_DataBytes(t *testing.T) {
	r := newRig(t, Config{})
	cases := []struct{ sent, want string }{
		{`{"n":1.0,"b":1e3, "a":"\u0041\/<&>","a":2}`, ""},
		{`12345678901234567890.10`, ""},
		{`"Ünïcode \ud83d\ude00"`, ""},
		{"{\r\n\"a\": [1,\n2]\n}", `{  "a": [1, 2] }`},
		{`null`, ""},
	}
	for i, c := range cases {
		if c.want == "" {
			c.want = c.sent
		}
		typ := "application/json"
		if i%2 == 1 && !strings.Contains(c.sent, "\n") {
			typ = "application/x-ndjson"
		}
		wantStatus(t, r.post(eventsPath, `{"type":"text","data":`+c.sent+`}`, "Content-Type", typ), 201)
		if got := string(r.events("s1")[i].Data); got != c.want {
			t.Errorf("data %q, want %q", got, c.want)
		}
		if a := r.get(eventsPath + fmt.Sprintf("?after=%d", i)); !strings.Contains(a.body, `"data":`+c.want+`}`) {
			t.Errorf("page %s lacks %s", a.body, c.want)
		}
	}
}

func TestP13_Keys(t *testing.T) {
	r := newRig(t, Config{})
	one := `{"type":"text","key":"k1","data":1}`
	wantStatus(t, r.post(eventsPath, one), 201)
	a := r.post(eventsPath, one)
	wantStatus(t, a, 200)
	if want := `{"session":"s1","first":1,"last":1,"duplicate":true}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	wantCode(t, r.post(eventsPath, `{"type":"text","key":"k1","data":2}`), 409, store.CodeKeyConflict)
	a = r.post(eventsPath, `[`+one+`,{"type":"text","key":"k2","data":2}]`)
	wantStatus(t, a, 201)
	if want := `{"session":"s1","first":2,"last":2,"duplicate":false,"ids":[1,2]}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	a = r.post(eventsPath, one+"\n"+`{"type":"text","key":"k3","data":3}`, "Content-Type", "application/x-ndjson")
	wantStatus(t, a, 201)
	if want := `{"session":"s1","first":3,"last":3,"duplicate":false,"count":1,"duplicates":1}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	a = r.post(eventsPath, one, "Content-Type", "application/x-ndjson")
	wantStatus(t, a, 200)
	if want := `{"session":"s1","first":1,"last":1,"duplicate":true,"count":0,"duplicates":1}`; a.body != want {
		t.Errorf("answer %s, want %s", a.body, want)
	}
	if got := r.head("s1"); got != 3 {
		t.Errorf("head is %d, want 3", got)
	}
}

func TestP14_Producer(t *testing.T) {
	r := newRig(t, Config{})
	send := func(epoch, seq string) answer {
		return r.post(eventsPath, `{"type":"text"}`, "Producer-Id", "p", "Producer-Epoch", epoch, "Producer-Seq", seq)
	}
	wantStatus(t, send("1", "0"), 201)
	wantStatus(t, send("1", "0"), 200)
	p := wantCode(t, send("1", "2"), 409, store.CodeProducerGap)
	if p.Expected == nil || *p.Expected != 1 {
		t.Errorf("expected is %v, want 1", p.Expected)
	}
	wantStatus(t, send("2", "0"), 201)
	p = wantCode(t, send("1", "1"), 403, store.CodeProducerFenced)
	if p.Epoch == nil || *p.Epoch != 2 {
		t.Errorf("epoch is %v, want 2", p.Epoch)
	}
	if got := r.head("s1"); got != 2 {
		t.Errorf("head is %d, want 2", got)
	}
}

func TestP15_ExpectHead(t *testing.T) {
	r := newRig(t, Config{})
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`, "Expect-Head", "0"), 201)
	p := wantCode(t, r.post(eventsPath, `{"type":"text"}`, "Expect-Head", "0"), 409, store.CodeHeadMoved)
	if p.Head == nil || *p.Head != 1 {
		t.Errorf("head in the problem is %v, want 1", p.Head)
	}
	wantStatus(t, r.post(eventsPath, `{"type":"text"}`, "Expect-Head", "1"), 201)
	if got := r.head("s1"); got != 2 {
		t.Errorf("head is %d, want 2", got)
	}
}

// TestAppendFrame: the WebSocket face does what the REST face does.
func TestAppendFrame(t *testing.T) {
	r := newRig(t, Config{})
	ctx := context.Background()
	ws, _, err := websocket.Dial(ctx, r.http.URL+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	exchange := func(frame string) string {
		t.Helper()
		if err := ws.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
		_, got, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	cases := []struct {
		frame string
		want  []string
		head  int64
	}{
		{`{"type":"append","ref":"1","session":"s1","events":[{"type":"text","data":1.0},{"type":"text"}]}`, []string{`"ack"`, `"ref":"1"`, `"first":1`, `"last":2`, `"duplicate":false`}, 2},
		{`{"type":"append","ref":"2","session":"s1","events":[{"type":"hello"}]}`, []string{`"error"`, `"ref":"2"`, `"reserved_type"`}, 2},
		{`{"type":"append","ref":3,"session":"s1","expectHead":1,"events":[{"type":"text"}]}`, []string{`"error"`, `"ref":3`, `"head_moved"`}, 2},
		{`{"type":"append","session":"s2","create":false,"events":[{"type":"text"}]}`, []string{`"error"`, `"session_not_found"`}, 2},
		{`{"type":"append","session":"s1","producer":{"id":"p","epoch":0,"seq":0},"events":[{"type":"text"}]}`, []string{`"ack"`, `"first":3`}, 3},
		{`{"type":"append","session":"s1","producer":{"id":"p","epoch":0,"seq":0},"events":[{"type":"text"}]}`, []string{`"ack"`, `"duplicate":true`}, 3},
		{`{"type":"append","session":"s1","producer":{"id":"p"},"events":[{"type":"text"}]}`, []string{`"error"`, `"invalid_query"`}, 3},
		{`{"type":"append","session":"s1","event":[{"type":"text"}]}`, []string{`"error"`, `"invalid_event"`, "unknown member"}, 3},
		{`{"type":"append","session":"_feed","events":[{"type":"text"}]}`, []string{`"error"`, `"invalid_session"`}, 3},
		{`{"type":"launch","ref":"9"}`, []string{`"error"`, `"ref":"9"`, `"unknown_command"`}, 3},
	}
	for _, c := range cases {
		got := exchange(c.frame)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s\nanswered %s\nwithout  %s", c.frame, got, want)
			}
		}
		if head := r.head("s1"); head != c.head {
			t.Errorf("%s: head is %d, want %d", c.frame, head, c.head)
		}
	}
	if got := string(r.events("s1")[0].Data); got != "1.0" {
		t.Errorf("data %s, want 1.0", got)
	}
}

// TestAppendFrameFailure: a frame's refusal hides its cause from the client, not
// from the log.
func TestAppendFrameFailure(t *testing.T) {
	r := newRig(t, Config{})
	r.log.fail = fmt.Errorf("append: %w", errors.New("secret path"))
	_, err := commands{r.api}.Begin(context.Background(), "", "append", []byte(`{"session":"s1","events":[{"type":"a"}]}`))()
	var refused *store.Error
	if !errors.As(err, &refused) || refused.Code != codeInternal || strings.Contains(refused.Detail, "secret") {
		t.Errorf("refused with %v", err)
	}
	if !strings.Contains(r.text.String(), "secret path") {
		t.Errorf("the log lacks the cause: %s", r.text)
	}
}

// TestPollOutlastsDeadlines: a poll may wait longer than a request may take.
func TestPollOutlastsDeadlines(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{BodyTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond}})
	wantStatus(t, r.post(eventsPath, `{"type":"a"}`), 201)
	a := r.get(eventsPath + "?after=1&wait=1.5")
	if wantStatus(t, a, 200); !strings.Contains(a.body, `"caughtUp":true`) {
		t.Errorf("poll answered %s", a.body)
	}
}
