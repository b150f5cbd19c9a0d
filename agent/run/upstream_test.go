package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/internal/sse"
)

// newUpstream returns one that does not wait long.
func newUpstream(t *testing.T, c UpstreamConfig) *Upstream {
	t.Helper()
	u, err := NewUpstream(c)
	if err != nil {
		t.Fatal(err)
	}
	u.waits.retryMin, u.waits.retryMax = time.Millisecond, 5*time.Millisecond
	return u
}

// follow runs a turn and keeps its lines.
func follow(ctx context.Context, u *Upstream, turn UpstreamTurn) (lines []UpstreamLine, err error) {
	err = u.Turn(ctx, turn, func(l UpstreamLine) error {
		l.Data = bytes.Clone(l.Data)
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

func datas(lines []UpstreamLine) (all []string) {
	for _, l := range lines {
		all = append(all, string(l.Data))
	}
	return all
}

func write(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", eventStream)
	_, _ = io.WriteString(w, text) // the reader may have left
	w.(http.Flusher).Flush()
}

// cut breaks the connection off.
func cut() { panic(http.ErrAbortHandler) }

// serve counts the requests by their method.
func serve(t *testing.T, h http.HandlerFunc) (at string, requests func(method string) int) {
	t.Helper()
	var mu sync.Mutex
	count := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		count[r.Method]++
		mu.Unlock()
		// What is not read hides from the server that the client has left, and
		// resets the connection at its end, with all that it holds.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(method string) int {
		mu.Lock()
		defer mu.Unlock()
		return count[method]
	}
}

func TestUpstreamPostsThePrompt(t *testing.T) {
	at, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		want := `{"prompt":"say \u003chi\u003e","requestId":"r-1","sessionId":"s1","resume":"agent-7","images":[{"contentType":"image/png","data":"AQI="}]}`
		if string(body) != want {
			t.Errorf("body %s, want %s", body, want)
		}
		for name, want := range map[string]string{
			"Accept": eventStream, "Content-Type": "application/json", "Authorization": "Bearer abcdefgh", "X-Request-Id": "r-1", "Last-Event-Id": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if r.URL.RequestURI() != "/chat?v=1" {
			t.Errorf("asked for %s", r.URL)
		}
		write(w, ": hello\n\nevent: message\ndata: {\"a\":1}\n\ndata: plain\ndata: text\n\ndata: {\"b\":\ndata: [1,\ndata: 2]}\n\ndata:\n\ndata: [DONE]\n\ndata: late\n\n")
	})
	u := newUpstream(t, UpstreamConfig{URL: at + "/chat?v=1", Header: http.Header{"Authorization": {"Bearer abcdefgh"}, "Accept": {"text/html"}}})
	turn := UpstreamTurn{ID: "r-1", Session: "s1", Text: "say <hi>", Resume: "agent-7", Images: []Image{{ContentType: "image/png", Content: []byte{1, 2}}}}
	lines, err := follow(t.Context(), u, turn)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`{"a":1}`, "plain\ntext", `{"b": [1, 2]}`, ""}; !slices.Equal(datas(lines), want) {
		t.Errorf("got %q, want %q", datas(lines), want)
	}
	if lines[0].Event != "message" || lines[0].ID != "" || lines[0].Key != "" {
		t.Errorf("got %+v", lines[0])
	}
	if requests("POST") != 1 || requests("GET") != 0 {
		t.Errorf("%d POST, %d GET", requests("POST"), requests("GET"))
	}
}

// The answer to the POST is the stream, or says where it is, or that there is none.
func TestUpstreamAnswers(t *testing.T) {
	stream := func(w http.ResponseWriter) { write(w, "id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: [DONE]\n\n") }
	cases := map[string]struct {
		post func(w http.ResponseWriter, r *http.Request)
		gets int
		want []string
		err  string
	}{
		"the stream": {post: func(w http.ResponseWriter, _ *http.Request) { stream(w) }, want: []string{"a", "b"}},
		"201 and Location": {post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "turns/7")
			w.WriteHeader(201)
		}, gets: 1, want: []string{"a", "b"}},
		"202 and Location": {post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/x/turns/7")
			w.WriteHeader(202)
		}, gets: 1, want: []string{"a", "b"}},
		"200 and url":     {post: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"url":"turns/7"}`) }, gets: 1, want: []string{"a", "b"}},
		"303":             {post: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x/turns/7", http.StatusSeeOther) }, gets: 1, want: []string{"a", "b"}},
		"204":             {post: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		"an empty stream": {post: func(w http.ResponseWriter, _ *http.Request) { write(w, "") }},
		"elsewhere": {post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/x")
			w.WriteHeader(202)
		}, err: "another origin"},
		"elsewhere by url": {post: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"url":"//example.org/x"}`) }, err: "another origin"},
		"redirected": {post: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusTemporaryRedirect)
		}, err: "another origin"},
		"round and round": {post: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) }, err: "redirects"},
		"202 and nothing": {post: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, err: "202 Accepted with what is no event stream"},
		"a page": {post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<h1>\n welcome</h1>")
		}, err: "200 OK with what is no event stream (text/html): <h1> welcome</h1>"},
		"refused":            {post: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such model", 400) }, err: "400 Bad Request: no such model"},
		"a URL that is none": {post: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"url":"http://[::1"}`) }, err: "no URL"},
		"a stream elsewhere": {post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/x")
			stream(w)
		}, err: "another origin"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			at, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					c.post(w, r)
				case r.URL.Path == "/x/turns/7" && r.Header.Get("Authorization") == "secret-token":
					stream(w)
				default:
					http.Error(w, "not here", 404)
				}
			})
			u := newUpstream(t, UpstreamConfig{URL: at + "/x/chat", Header: http.Header{"Authorization": {"secret-token"}}})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "r-1"})
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !slices.Equal(datas(lines), c.want) || requests("GET") != c.gets {
				t.Errorf("got %q after %d GET, want %q after %d", datas(lines), requests("GET"), c.want, c.gets)
			}
		})
	}
}

// source is an upstream that holds a stream and breaks it off.
type source struct {
	blocks  []string       // with their blank lines
	ids     map[string]int // how many blocks there are up to an id
	every   int            // new blocks per connection
	clean   bool           // a connection ends as if all were said
	overlap int            // blocks that are sent again
	fails   int            // answers of 500 between two connections
	forgets bool           // begins from the start each time

	mu     sync.Mutex
	failed int
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, fresh := 0, 0
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		if s.failed++; s.failed%(s.fails+1) != 0 {
			http.Error(w, "try again", 500)
			return
		}
		fresh = s.ids[id]
		from = max(0, fresh-s.overlap)
		if s.forgets {
			from = 0
		}
	}
	to := min(len(s.blocks), fresh+s.every)
	if r.Method == http.MethodGet && fresh == len(s.blocks) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write(w, "retry: 1\n\n"+strings.Join(s.blocks[from:to], ""))
	if !s.clean && to < len(s.blocks) {
		cut()
	}
}

// newSource takes a stream apart.
func newSource(stream string) *source {
	s := &source{ids: map[string]int{}}
	for _, block := range blocks(stream) {
		s.blocks = append(s.blocks, block)
		r := sse.NewReader(strings.NewReader(block), 0)
		if e, err := r.Next(); err == nil && e.HasID {
			s.ids[e.ID] = len(s.blocks)
		}
	}
	return s
}

func blocks(stream string) (all []string) {
	for block := range strings.SplitAfterSeq(stream, "\n\n") {
		if strings.TrimSpace(block) != "" {
			all = append(all, block)
		}
	}
	return all
}

// wantOf is what a stream says to one who reads it whole.
func wantOf(stream string) (want []string) {
	r := sse.NewReader(strings.NewReader(stream+"\n\n"), 0)
	for {
		e, err := r.Next()
		if err != nil {
			return want
		}
		if e.Data == nil {
			continue
		}
		data := string(e.Data)
		if json.Valid(e.Data) {
			data = strings.ReplaceAll(data, "\n", " ")
		}
		want = append(want, data)
	}
}

// holes has its ids after the data, with holes, as graphs of agents send them.
func holes(n int) string {
	var b strings.Builder
	for i := range n {
		if i%4 == 0 {
			b.WriteString(": heartbeat\n")
		}
		fmt.Fprintf(&b, "event: messages\ndata: {\"seq\":%d}\nid: %d\n\n", i, 3*i+1)
	}
	return b.String()
}

// However a stream with ids is broken off, everything comes once and in order.
func TestUpstreamGoesOn(t *testing.T) {
	t.Parallel()
	type stream struct {
		text string
		from int // fewer blocks than these may have no id to go on from
	}
	streams := map[string]stream{
		"ids after the data": {holes(20), 1},
		"ids late":           {"data: a\n\nid: 1\n\ndata: b\n\nid: 2\n\ndata: c\n\nid: 3\n\ndata: d\n\nid: 4\n\n", 2},
		"some without ids":   {"id: 1\ndata: a\n\ndata: same\n\nid: 2\ndata: b\n\ndata: same\n\nid: 3\ndata: c\n\ndata: other\n\nid: 4\ndata: d\n\n", 2},
		"CRLF, same data":    {"id: a-1\r\ndata: a\r\n\n\nid: a-2\ndata: a\r\n\n\nid: a-3\ndata: a\n\n", 1},
	}
	for name, text := range recordedStreams(t) {
		streams[name] = stream{text, 1}
	}
	ways := map[string]func(*source){
		"broken":     func(*source) {},
		"clean":      func(s *source) { s.clean = true },
		"repeating":  func(s *source) { s.overlap = 3 },
		"failing":    func(s *source) { s.fails = 2 },
		"forgetting": func(s *source) { s.forgets = true },
	}
	for name, stream := range streams {
		for how, change := range ways {
			if (how == "forgetting" || how == "repeating") && name == "ids late" {
				continue // what comes before the first id cannot be told from new
			}
			t.Run(name+", "+how, func(t *testing.T) {
				for every := stream.from; every < 8; every++ {
					s := newSource(stream.text)
					s.every = every
					change(s)
					goesOn(t, s, wantOf(stream.text))
				}
			})
		}
	}
}

func goesOn(t *testing.T, s *source, want []string) {
	t.Helper()
	at, requests := serve(t, s.ServeHTTP)
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
	if err != nil || !slices.Equal(datas(lines), want) {
		t.Errorf("every %d: %v\n got %q\nwant %q", s.every, err, datas(lines), want)
	}
	if n := (len(s.blocks) - 1) / s.every; requests("POST") != 1 || requests("GET") < n {
		t.Errorf("every %d: %d prompts and %d more connections, want 1 and at least %d", s.every, requests("POST"), requests("GET"), n)
	}
	keys := map[string]bool{}
	for _, l := range lines {
		if (l.ID == "") != (l.Key == "") || l.Key != "" && keys[l.Key] || len(l.Key) > 40 {
			t.Errorf("%+v", l)
		}
		keys[l.Key] = true
	}
}

// recordedStreams are those of the folder that KONLOG_RECORDINGS names.
func recordedStreams(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("KONLOG_RECORDINGS"), "*.sse"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = string(b)
	}
	return all
}

// mixed is what a hand-written collection of streams of agents looks like:
// headings, comments, data over several lines, what is not JSON, and no blank
// line at the end.
const mixed = `## Heartbeats
: ping

data: {"type":"RUN_STARTED"}

: keepalive

data: {"type":"TEXT_MESSAGE_CONTENT","delta":"Hé 你好 🌟 \"q\""}

## Lines
data: {"type":"STATE_SNAPSHOT",
data: "snapshot":{
data: "count":42}}

id: evt_001
event: message
retry: 5000
data: {"n":1}

id: evt_002
data: {"n":2}

data: not valid json

data: 

data: {"incomplete":


data: {"type":"RUN_FINISHED"}`

// A stream that is said once, whole, by an upstream that knows nothing of
// going on.
func TestUpstreamSaysItOnce(t *testing.T) {
	streams := map[string]string{"mixed": mixed, "holes": strings.TrimSpace(holes(5)), "cut off": "data: a\n\ndata: b"}
	if b, err := os.ReadFile(filepath.Join(os.Getenv("KONLOG_RECORDINGS"), "agui-sse-streams.txt")); err == nil {
		streams["recorded"] = string(b)
	}
	for name, stream := range streams {
		for how, get := range map[string]http.HandlerFunc{
			"405":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
			"404":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
			"a page":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>welcome</h1>") },
			"204":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
			"an empty stream": func(w http.ResponseWriter, _ *http.Request) { write(w, ": nothing\n\n") },
		} {
			at, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					get(w, r)
					return
				}
				write(w, stream)
			})
			lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
			if want := wantOf(stream); err != nil || !slices.Equal(datas(lines), want) {
				t.Errorf("%s, %s: %v\n got %q\nwant %q", name, how, err, datas(lines), want)
			}
			if requests("POST") != 1 {
				t.Errorf("%s, %s: %d prompts", name, how, requests("POST"))
			}
		}
	}
}

// An event that an orderly end cut in two comes whole, once.
func TestUpstreamCutsAnEvent(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Last-Event-ID") {
		case "":
			write(w, "id: 1\ndata: a\n\nid: 2\ndata: {\"cut")
		case "1":
			write(w, "id: 2\ndata: {\"cut\":1}\n\nid: 3\ndata: b\n\ndata: [DONE]")
		default:
			http.Error(w, "asked after what was not said", http.StatusBadRequest)
		}
	})
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
	if want := []string{"a", `{"cut":1}`, "b"}; err != nil || !slices.Equal(datas(lines), want) {
		t.Errorf("got %q, %v; want %q", datas(lines), err, want)
	}
}

// A stream that breaks off and cannot be gone on with is an error, after what
// it said.
func TestUpstreamBreaksForGood(t *testing.T) {
	cases := map[string]struct {
		post, get func(w http.ResponseWriter)
		want      []string
		err       string
		status    int
		posts     int
	}{
		"without ids": {post: func(w http.ResponseWriter) { write(w, "data: a\n\ndata: b\n\n"); cut() }, want: []string{"a", "b"}, err: "has no ids to go on from", posts: 1},
		"with ids, and forgotten": {
			post: func(w http.ResponseWriter) { write(w, "id: 1\ndata: a\n\n"); cut() },
			get:  func(w http.ResponseWriter) { http.Error(w, "unknown run", 404) },
			want: []string{"a"}, err: "has the stream no more: the upstream answered 404 Not Found: unknown run", posts: 1,
		},
		"with ids, and locked": {
			post: func(w http.ResponseWriter) { write(w, "id: 1\ndata: a\n\n"); cut() },
			get:  func(w http.ResponseWriter) { http.Error(w, "log in", http.StatusUnauthorized) },
			want: []string{"a"}, err: "401 Unauthorized: log in", posts: 1,
		},
		"with ids that were taken back": {
			post: func(w http.ResponseWriter) { write(w, "id: 1\ndata: a\n\nid:\ndata: b\n\n"); cut() },
			want: []string{"a", "b"}, err: "has no ids to go on from", posts: 1,
		},
		"before it begins": {post: func(http.ResponseWriter) { cut() }, err: "nobody knows whether it is run", posts: 1},
		"by a gateway":     {post: func(w http.ResponseWriter) { http.Error(w, "timeout", http.StatusGatewayTimeout) }, err: "504 Gateway Timeout", posts: 1},
		"by a gateway too": {post: func(w http.ResponseWriter) { http.Error(w, "bad", http.StatusBadGateway) }, err: "502 Bad Gateway", posts: 1},
		"never works":      {post: func(w http.ResponseWriter) { http.Error(w, "boom", 500) }, err: "500 Internal Server Error: boom", posts: upstreamPostsMax},
		"an error event": {post: func(w http.ResponseWriter) {
			write(w, "data: a\n\nevent: error\ndata: {\"message\":\"no money\"}\n\nevent: end\n\n")
		}, want: []string{"a", `{"message":"no money"}`}, err: `ended with an error: {"message":"no money"}`, posts: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			at, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					c.post(w)
				} else {
					c.get(w)
				}
			})
			lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !slices.Equal(datas(lines), c.want) || requests("POST") != c.posts {
				t.Errorf("got %q after %d prompts, want %q after %d", datas(lines), requests("POST"), c.want, c.posts)
			}
		})
	}
}

// An upstream that says that it does not run the prompt is asked again.
func TestUpstreamIsAskedAgain(t *testing.T) {
	for _, status := range []int{500, 503, 429} {
		var mu sync.Mutex
		n := 0
		at, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n < 4 {
				w.WriteHeader(status)
				return
			}
			if b, _ := io.ReadAll(r.Body); !strings.Contains(string(b), `"prompt":"again"`) {
				t.Errorf("the last prompt was %s", b)
			}
			write(w, "data: a\n\n")
		})
		lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t", Text: "again"})
		if err != nil || !slices.Equal(datas(lines), []string{"a"}) || requests("POST") != 4 {
			t.Errorf("%d: %q after %d prompts, %v", status, datas(lines), requests("POST"), err)
		}
	}
}

// An error that another event follows is not the end's.
func TestUpstreamRecovers(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "event: error\ndata: overloaded\n\ndata: a\n\nevent: done\ndata: {\"cost\":1}\n\ndata: late\n\n")
	})
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
	if want := []string{"overloaded", "a", `{"cost":1}`}; err != nil || !slices.Equal(datas(lines), want) {
		t.Errorf("got %q, %v; want %q", datas(lines), err, want)
	}
}

// Some upstreams give every event the id of the answer: those name nothing, and
// no event may be lost for it.
func TestUpstreamIDsThatAreNone(t *testing.T) {
	at, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "id: m\ndata: a\n\nid: m\ndata: b\n\nid: m\ndata: a\n\nid: m\ndata: b\n\n")
	})
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
	if want := []string{"a", "b", "a", "b"}; err != nil || !slices.Equal(datas(lines), want) || requests("GET") != 0 {
		t.Errorf("got %q, %v, %d GET", datas(lines), err, requests("GET"))
	}
	for i, l := range lines {
		if i > 0 && l.Key != "" {
			t.Errorf("event %d has the key of another", i)
		}
	}
	// Also when the other events come over another connection.
	at, _ = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			write(w, "id: m\ndata: a\n\n")
			cut()
		}
		write(w, "id: m\ndata: b\n\nid: m\ndata: c\n\ndata: [DONE]\n\n")
	})
	lines, err = follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t"})
	if want := []string{"a", "b", "c"}; err != nil || !slices.Equal(datas(lines), want) {
		t.Errorf("got %q, %v", datas(lines), err)
	}
}

func TestUpstreamIDsAreNamedByTurn(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "id: 1\ndata: a\n\nid: "+strings.Repeat("x", 900)+"\ndata: b\n\nevent: end\n\n")
	})
	u := newUpstream(t, UpstreamConfig{URL: at})
	keys := map[string]bool{}
	for _, turn := range []string{"t1", "t2"} {
		lines, err := follow(t.Context(), u, UpstreamTurn{ID: turn})
		if err != nil || len(lines) != 2 {
			t.Fatal(lines, err)
		}
		for _, l := range lines {
			keys[l.Key] = true
			if len(l.Key) > 40 || l.Key == "" {
				t.Errorf("key %q", l.Key)
			}
		}
		again, _ := follow(t.Context(), u, UpstreamTurn{ID: turn})
		if again[0].Key != lines[0].Key || again[1].Key != lines[1].Key {
			t.Errorf("the keys are others each time: %v, %v", again, lines)
		}
	}
	if len(keys) != 4 {
		t.Errorf("%d keys for 4 events", len(keys))
	}
}

// A turn that was posted before is gone on with, and not posted again.
func TestUpstreamGoesOnAfterAnID(t *testing.T) {
	s := newSource(holes(6))
	s.every = 2
	at, requests := serve(t, s.ServeHTTP)
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at}), UpstreamTurn{ID: "t", LastEventID: "7"})
	if want := wantOf(holes(6))[3:]; err != nil || !slices.Equal(datas(lines), want) || requests("POST") != 0 {
		t.Errorf("got %q, %v after %d prompts; want %q", datas(lines), err, requests("POST"), want)
	}
}

// A line of 10 MiB comes whole; one without end is given up at the limit.
func TestUpstreamLongLines(t *testing.T) {
	long := strings.Repeat("x", 10<<20)
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			write(w, "data: "+long+"\n\n")
			return
		}
		for range 1 << 20 {
			if _, err := io.WriteString(w, long[:1<<16]); err != nil {
				return // the reader has left
			}
		}
		t.Error("the reader read on for ever")
	})
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at + "/long"}), UpstreamTurn{ID: "t"})
	if err != nil || len(lines) != 1 || string(lines[0].Data) != long {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	at, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, "data: before\n\n")
		for {
			if _, err := io.WriteString(w, long[:1<<16]); err != nil {
				return
			}
		}
	})
	u := newUpstream(t, UpstreamConfig{URL: at})
	u.eventMax = 1 << 20
	lines, err = follow(t.Context(), u, UpstreamTurn{ID: "t"})
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") || len(lines) != 1 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

// A stop closes the stream, also of an upstream that says nothing more.
func TestUpstreamIsStopped(t *testing.T) {
	left := make(chan struct{})
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		write(w, "data: a\n\n")
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	u := newUpstream(t, UpstreamConfig{URL: at})
	err := u.Turn(ctx, UpstreamTurn{ID: "t"}, func(UpstreamLine) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-left

	// Also while it waits for another try, or for the first answer.
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		},
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		asked := make(chan struct{}, 1)
		at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { asked <- struct{}{}; h(w, r) })
		u := newUpstream(t, UpstreamConfig{URL: at})
		u.waits.retryMin, u.waits.retryMax = time.Hour, time.Hour
		u.waits.unreachable = 10 * time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		if _, err := follow(ctx, u, UpstreamTurn{ID: "t"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// An error of the caller's ends the turn and closes the stream.
func TestUpstreamCallersError(t *testing.T) {
	left := make(chan struct{})
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		write(w, "id: 1\ndata: a\n\n")
		<-r.Context().Done()
		close(left)
	})
	mine := errors.New("mine")
	if err := newUpstream(t, UpstreamConfig{URL: at}).Turn(t.Context(), UpstreamTurn{ID: "t"}, func(UpstreamLine) error { return mine }); !errors.Is(err, mine) || err != mine {
		t.Errorf("got %v", err)
	}
	<-left
}

// The format's own end closes an upstream that would hold the stream open, once
// it has said what goes with that.
func TestUpstreamEndsByFormat(t *testing.T) {
	recording, err := os.ReadFile("../../testdata/recordings/claude-code-read-file.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var stream strings.Builder
	for line := range strings.Lines(string(recording)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			want = append(want, line)
			stream.WriteString("data: " + line + "\n\n")
		}
	}
	want = append(want, `{"type":"system","subtype":"late"}`)
	left := make(chan struct{})
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		write(w, stream.String())
		write(w, "data: "+want[len(want)-1]+"\n\n")
		<-r.Context().Done()
		close(left)
	})
	lines, err := follow(t.Context(), newUpstream(t, UpstreamConfig{URL: at, Format: agent.FormatClaude}), UpstreamTurn{ID: "t"})
	if err != nil || !slices.Equal(datas(lines), want) {
		t.Errorf("%v: got %d lines, want %d", err, len(lines), len(want))
	}
	<-left
}

// transport is an upstream in the place of a network, for the virtual clock.
type transport func(r *http.Request, body *io.PipeWriter) (status int, err error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in, out := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = out.CloseWithError(r.Context().Err()) })
	status, err := f(r, out)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {eventStream}}, Body: in, Request: r}, nil
}

func timed(t *testing.T, f transport) *Upstream {
	t.Helper()
	u, err := NewUpstream(UpstreamConfig{URL: "http://upstream.test/", Client: &http.Client{Transport: f, Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func took(t *testing.T, start time.Time, from, to time.Duration) {
	t.Helper()
	if d := time.Since(start); d < from || d > to {
		t.Errorf("it took %s, want %s to %s", d, from, to)
	}
}

// dialError is that of an upstream that is not there.
var dialError = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func TestUpstreamWaits(t *testing.T) {
	w := upstreamWaitsDefault
	t.Run("an upstream that is away for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(_ *http.Request, body *io.PipeWriter) (int, error) {
				if time.Since(start) < time.Minute {
					return 0, dialError
				}
				go func() { _, _ = io.WriteString(body, "data: a\n\n"); _ = body.Close() }()
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err != nil || len(lines) != 1 {
				t.Errorf("%v, %v", lines, err)
			}
			took(t, start, time.Minute, time.Minute+w.retryMax*5/4)
		})
	})
	t.Run("an upstream that is away for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, tries := time.Now(), 0
			u := timed(t, func(*http.Request, *io.PipeWriter) (int, error) { tries++; return 0, dialError })
			_, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err == nil || !strings.Contains(err.Error(), "not to be had for 2m0s") || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "upstream.test") {
				t.Errorf("got %v", err)
			}
			took(t, start, w.unreachable/2, w.unreachable)
			if tries < 8 || tries > 30 {
				t.Errorf("%d tries", tries)
			}
		})
	})
	t.Run("an upstream that goes away in the middle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(r *http.Request, body *io.PipeWriter) (int, error) {
				if r.Method == http.MethodGet {
					return 0, dialError
				}
				go func() {
					_, _ = io.WriteString(body, "id: 1\ndata: a\n\n")
					_ = body.CloseWithError(io.ErrUnexpectedEOF)
				}()
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err == nil || !strings.Contains(err.Error(), "not to be had") || len(lines) != 1 {
				t.Errorf("%v, %v", lines, err)
			}
			took(t, start, w.unreachable/2, w.unreachable)
		})
	})
	t.Run("an upstream that accepts and says nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(r *http.Request, _ *io.PipeWriter) (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			})
			_, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "nobody knows whether it is run") {
				t.Errorf("got %v", err)
			}
			took(t, start, w.answer, w.answer)
		})
	})
	t.Run("connections that break at once, again and again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(_ *http.Request, body *io.PipeWriter) (int, error) {
				go func() {
					_, _ = io.WriteString(body, "id: 1\ndata: a\n\n")
					_ = body.CloseWithError(io.ErrUnexpectedEOF)
				}()
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err == nil || !strings.Contains(err.Error(), "broke off") || len(lines) != 1 {
				t.Errorf("%v, %v", lines, err)
			}
			took(t, start, w.unreachable/2, w.unreachable)
		})
	})
}

func TestUpstreamSilence(t *testing.T) {
	w := upstreamWaitsDefault
	t.Run("with ids it is asked for anew, and goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, asked := time.Now(), []string(nil)
			u := timed(t, func(r *http.Request, body *io.PipeWriter) (int, error) {
				asked = append(asked, r.Header.Get("Last-Event-ID"))
				n := len(asked)
				go func() {
					if n < 5 {
						_, _ = fmt.Fprintf(body, "id: %d\ndata: a\n\n", n)
						return // and holds the stream open
					}
					_, _ = io.WriteString(body, "data: [DONE]\n\n")
				}()
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err != nil || len(lines) != 4 || !slices.Equal(asked, []string{"", "1", "2", "3", "4"}) {
				t.Errorf("%v, %v, %q", lines, err, asked)
			}
			took(t, start, 4*w.quiet, 4*w.quiet+5*time.Second)
		})
	})
	t.Run("with ids it ends at last", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(_ *http.Request, body *io.PipeWriter) (int, error) {
				go func() { _, _ = io.WriteString(body, "id: 1\ndata: a\n\n") }()
				return 200, nil
			})
			_, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if !errors.Is(err, errQuiet) {
				t.Errorf("got %v", err)
			}
			took(t, start, w.silence, w.silence+2*w.quiet)
		})
	})
	t.Run("without ids it is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			u := timed(t, func(_ *http.Request, body *io.PipeWriter) (int, error) {
				go func() {
					_, _ = io.WriteString(body, "data: a\n\n")
					time.Sleep(w.silence - time.Second)
					_, _ = io.WriteString(body, ": beat\n\n")
					time.Sleep(w.silence - time.Second)
					_, _ = io.WriteString(body, "data: b\n\n")
				}()
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if !errors.Is(err, errQuiet) || len(lines) != 2 {
				t.Errorf("%v, %v", lines, err)
			}
			took(t, start, 3*w.silence-2*time.Second, 3*w.silence)
		})
	})
	t.Run("a quiet stream that is ended now and then is no empty one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			u := timed(t, func(_ *http.Request, body *io.PipeWriter) (int, error) {
				n++
				go func(n int) {
					switch n {
					case 1:
						_, _ = io.WriteString(body, "id: 1\ndata: a\n\n")
					case 5:
						_, _ = io.WriteString(body, "id: 2\ndata: b\n\ndata: [DONE]\n\n")
					default:
						time.Sleep(time.Minute)
					}
					_ = body.Close()
				}(n)
				return 200, nil
			})
			lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
			if err != nil || !slices.Equal(datas(lines), []string{"a", "b"}) {
				t.Errorf("%v, %v", lines, err)
			}
		})
	})
}

// The upstream says when it wants to be asked again.
func TestUpstreamRetryTime(t *testing.T) {
	for name, c := range map[string]struct {
		retry    string
		from, to time.Duration
	}{
		"none":     {"", 250 * time.Millisecond, 400 * time.Millisecond},
		"its own":  {"retry: 4000\n", 4 * time.Second, 5 * time.Second},
		"too long": {"retry: 4000000\n", 15 * time.Second, 19 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var start time.Time
			u := timed(t, func(r *http.Request, body *io.PipeWriter) (int, error) {
				if r.Method == http.MethodGet {
					took(t, start, c.from, c.to)
					return 204, nil
				}
				start = time.Now()
				go func() {
					_, _ = io.WriteString(body, c.retry+"id: 1\ndata: a\n\n")
					_ = body.CloseWithError(io.ErrUnexpectedEOF)
				}()
				return 200, nil
			})
			if lines, err := follow(t.Context(), u, UpstreamTurn{ID: "t"}); err != nil || len(lines) != 1 {
				t.Errorf("%s: %v, %v", name, lines, err)
			}
		})
	}
}

// What an upstream says of its headers or its URL again stays with it.
func TestUpstreamHidesSecrets(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/event" {
			write(w, "event: error\ndata: bad token abcdefgh12 \n\n")
			return
		}
		w.WriteHeader(403)
		fmt.Fprintf(w, "you said %v and %s%s", r.Header["Authorization"], r.Host, r.URL)
	})
	header := http.Header{"Authorization": {"Bearer abcdefgh12"}, "X-Api-Key": {"keykeykey"}}
	for _, to := range []string{at + "/x?key=querysecret", at + "/event", "http://user:passsecret@127.0.0.1:1/y?key=querysecret", at + "/x?key=query%20secret&querysecret"} {
		u := newUpstream(t, UpstreamConfig{URL: to, Header: header, StopURL: to})
		u.waits.unreachable = 10 * time.Millisecond
		_, err := follow(t.Context(), u, UpstreamTurn{ID: "t"})
		if err == nil {
			t.Errorf("%s: no error", to)
			continue
		}
		text := err.Error()
		if err := u.Stop(t.Context(), "t"); err != nil {
			text += err.Error()
		}
		for _, secret := range []string{"abcdefgh12", "keykeykey", "querysecret", "query%20secret", "passsecret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s tells %s: %s", to, secret, text)
			}
		}
	}
}

func TestUpstreamStop(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	status := 200
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Method+" "+r.URL.RequestURI()+" "+string(b)+" "+r.Header.Get("Authorization"))
		w.WriteHeader(status)
	})
	stop := func(c UpstreamConfig, answer int) error {
		mu.Lock()
		seen, status = nil, answer
		mu.Unlock()
		c.URL, c.Header = at+"/chat", http.Header{"Authorization": {"tok"}}
		return newUpstream(t, c).Stop(t.Context(), "a/b ?")
	}
	if err := stop(UpstreamConfig{}, 200); err != nil || len(seen) != 0 {
		t.Errorf("without a URL: %q, %v", seen, err)
	}
	if err := stop(UpstreamConfig{StopURL: at + "/abort"}, 202); err != nil || !slices.Equal(seen, []string{`POST /abort {"requestId":"a/b ?"} tok`}) {
		t.Errorf("POST: %q, %v", seen, err)
	}
	if err := stop(UpstreamConfig{StopURL: at + "/turns/{requestId}?id={requestId}", StopMethod: "DELETE"}, 404); err != nil || !slices.Equal(seen, []string{"DELETE /turns/a%2Fb%20%3F?id=a%2Fb+%3F  tok"}) {
		t.Errorf("DELETE: %q, %v", seen, err)
	}
	if err := stop(UpstreamConfig{StopURL: at + "/abort"}, 500); err == nil || !strings.Contains(err.Error(), "stop the upstream: the upstream answered 500") {
		t.Errorf("refused: %v", err)
	}
}

func TestNewUpstream(t *testing.T) {
	for name, c := range map[string]struct {
		c    UpstreamConfig
		want string
	}{
		"no URL":             {UpstreamConfig{}, "must be like https://host/path"},
		"no host":            {UpstreamConfig{URL: "http:///x"}, "must be like"},
		"a scheme":           {UpstreamConfig{URL: "file:///secret-path"}, "must be like"},
		"not parsed":         {UpstreamConfig{URL: "http://secret-host:port/\x7f"}, "must be like"},
		"format":             {UpstreamConfig{URL: "http://h/", Format: "nonsense"}, `no format is called "nonsense"`},
		"stop method":        {UpstreamConfig{URL: "http://h/", StopMethod: "PATCH"}, "POST or DELETE"},
		"stop elsewhere":     {UpstreamConfig{URL: "http://h/", StopURL: "http://h:81/"}, "another origin"},
		"stop without crypt": {UpstreamConfig{URL: "https://h/", StopURL: "http://h/"}, "another origin"},
		"stop not parsed":    {UpstreamConfig{URL: "http://h/", StopURL: "x"}, "stop: "},
	} {
		_, err := NewUpstream(c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	u, err := NewUpstream(UpstreamConfig{URL: "HTTP://H:80/", StopURL: "http://h/stop"})
	if err != nil || u.Format() != agent.FormatLines {
		t.Errorf("%v", err)
	}
	if d := newDriver(t, AgentSSE); d != nil {
		if l, err := d.Launch(Start{}); err != nil || !l.OnePrompt {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := d.Launch(Start{Command: []string{"x"}}); err == nil {
			t.Error("a command was taken")
		}
	}
}

// The names of a turn's events are bounded, the newest of them are kept.
func TestNamesAreBounded(t *testing.T) {
	var n names
	for i := range upstreamIDsMax + 50 {
		e := sse.Event{ID: strconv.Itoa(i), HasID: true, Data: []byte("a")}
		if _, known := n.take(&e); known {
			t.Fatalf("%d was never seen", i)
		}
	}
	if len(n.seen) != upstreamIDsMax || len(n.order) != upstreamIDsMax {
		t.Errorf("%d and %d names are kept", len(n.seen), len(n.order))
	}
	n.reconnected()
	if _, known := n.take(&sse.Event{ID: strconv.Itoa(upstreamIDsMax + 49), HasID: true, Data: []byte("a")}); !known {
		t.Error("the newest is forgotten")
	}
	if _, known := n.take(&sse.Event{ID: "60", HasID: true, Data: []byte("a")}); !known {
		t.Error("one that is not the oldest is forgotten")
	}
}
