package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// picture is content of several pieces.
func picture() []byte { return bytes.Repeat([]byte("0123456789abcdefg"), 40_000) }

func (r *rig) blob(hash string) (store.Blob, error) { return r.log.Blob(context.Background(), hash) }

func (r *rig) putBlob(content []byte, header ...string) blobObject {
	r.t.Helper()
	a := r.do("POST", "/v1/blobs", bytes.NewReader(content), header...)
	if a.status != 200 && a.status != 201 {
		r.t.Fatalf("status %d: %s", a.status, a.body)
	}
	var o blobObject
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		r.t.Fatal(err)
	}
	return o
}

func TestBlobUpload(t *testing.T) {
	r := newRig(t, Config{})
	for _, content := range [][]byte{{}, []byte("small"), picture()} {
		hash := hashOf(content)
		a := r.do("POST", "/v1/blobs", bytes.NewReader(content), "Content-Type", "Image/PNG", "Content-Digest", digestOf(content))
		wantStatus(t, a, 201)
		want := fmt.Sprintf(`{"sha256":"%s","bytes":%d,"contentType":"image/png","url":"/v1/blobs/%s"}`+"\n", hash, len(content), hash)
		if a.body != want || a.header.Get("Location") != "/v1/blobs/"+hash || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d bytes: %s %v", len(content), a.body, a.header)
		}
		again := r.do("POST", "/v1/blobs", iotest.HalfReader(bytes.NewReader(content)), "Content-Type", "text/plain")
		wantStatus(t, again, 200)
		if again.body != want {
			t.Errorf("sent again: %s, want %s", again.body, want)
		}
		got := r.get("/v1/blobs/" + hash)
		wantStatus(t, got, 200)
		if got.body != string(content) {
			t.Errorf("got %d bytes, want %d", len(got.body), len(content))
		}
	}
	if o := r.putBlob([]byte("typeless")); o.ContentType != store.BlobTypeDefault {
		t.Errorf("without a type it is %q", o.ContentType)
	}
}

func TestBlobUploadRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{BlobBytes: 300_000}})
	small, large := []byte("small"), picture()
	wantCode(t, r.post("/v1/blobs", string(large)), 413, store.CodeBlobTooLarge)
	wantCode(t, r.do("POST", "/v1/blobs", struct{ io.Reader }{bytes.NewReader(large)}), 413, store.CodeBlobTooLarge) // of no stated length
	wantCode(t, r.post("/v1/blobs", "small", "Content-Digest", digestOf(large)), 400, store.CodeDigestMismatch)
	wantCode(t, r.post("/v1/blobs", "small", "Content-Digest", "sha-256=:AAAA:"), 400, store.CodeInvalidQuery)
	wantCode(t, r.post("/v1/blobs", "small", "Content-Encoding", "gzip"), 415, codeUnsupportedCoding)
	wantCode(t, r.post("/v1/blobs?x=1", "small"), 400, store.CodeInvalidQuery)
	wantCode(t, r.post("/v1/blobs", "small", "Origin", "https://evil.example"), 403, codeOriginNotAllowed)
	wantCode(t, r.post("/v1/blobs", "small", "Host", "evil.example"), 421, codeHostNotAllowed)
	wantCode(t, r.do("PUT", "/v1/blobs", nil), 405, codeMethodNotAllowed)
	for _, content := range [][]byte{small, large} {
		if b, err := r.blob(hashOf(content)); err == nil {
			t.Errorf("a refused upload left %+v", b)
		}
	}
	if a := r.get("/health/realtime"); !strings.Contains(a.body, `"blobBytes":300000`) {
		t.Errorf("the limit is not told: %s", a.body)
	}
}

// TestBlobOverTheLimitIsRefusedUnread sends a header only: the answer comes
// although the body never does.
func TestBlobOverTheLimitIsRefusedUnread(t *testing.T) {
	r := newRig(t, Config{})
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST /v1/blobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", BlobBytesDefault+1)
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 413" {
		t.Errorf("got %q, %v", head, err)
	}
}

// TestBlobUploadMayTakeLong has a body that takes longer than the bound of one
// that is not streamed, and one that is silent for longer than it may be.
func TestBlobUploadMayTakeLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Limits: Limits{BodyTimeout: 200 * time.Millisecond, WriteTimeout: 200 * time.Millisecond, LineTimeout: 20 * time.Second}})
	body, in := io.Pipe()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 5 {
			<-tick.C
			if _, err := in.Write([]byte("x")); err != nil {
				t.Error(err)
			}
		}
		_ = in.Close()
	}()
	wantStatus(t, r.do("POST", "/v1/blobs", body), 201)

	quiet := newRig(t, Config{Limits: Limits{LineTimeout: 50 * time.Millisecond}})
	body, in = io.Pipe()
	defer in.Close()
	go func() { _, _ = in.Write([]byte("x")) }() // and then nothing
	wantCode(t, quiet.do("POST", "/v1/blobs", body), 408, codeRequestTimeout)
}

func TestBlobUploadEndsWithTheServer(t *testing.T) {
	r := newRig(t, Config{})
	body, in := io.Pipe()
	defer in.Close()
	go func() {
		_, _ = in.Write([]byte("x"))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r.api.Drain(ctx, 0)
	}()
	wantCode(t, r.do("POST", "/v1/blobs", body), 503, store.CodeShutdown)
}

func TestBlobHeaders(t *testing.T) {
	r := newRig(t, Config{})
	content := []byte("<script>alert(1)</script>")
	o := r.putBlob(content, "Content-Type", "text/html; charset=utf-8")
	for _, method := range []string{"GET", "HEAD"} {
		a := r.do(method, o.URL, nil)
		wantStatus(t, a, 200)
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Length": fmt.Sprint(len(content)), "Etag": `"` + o.SHA256 + `"`,
			"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
			"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'self'", "Last-Modified": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
		if want := map[string]string{"GET": string(content)}[method]; a.body != want {
			t.Errorf("%s: body %q, want %q", method, a.body, want)
		}
		for _, match := range []string{`"` + o.SHA256 + `"`, `"x", W/"` + o.SHA256 + `"`, "*"} {
			if a := r.do(method, o.URL, nil, "If-None-Match", match); a.status != 304 || a.body != "" || a.header.Get("Etag") == "" {
				t.Errorf("%s if none matches %s: %d %q", method, match, a.status, a.body)
			}
		}
	}
	wantStatus(t, r.do("GET", o.URL, nil, "If-None-Match", `"other"`), 200)
}

func TestBlobRanges(t *testing.T) {
	r := newRig(t, Config{})
	content := picture()
	n := len(content)
	o := r.putBlob(content, "Content-Type", "video/mp4")
	const c = store.BlobChunkBytes
	for header, want := range map[string][2]int{
		"bytes=0-0":                          {0, 1},
		"bytes=5-":                           {5, n},
		"bytes=-7":                           {n - 7, n},
		fmt.Sprintf("bytes=%d-%d", c-1, c):   {c - 1, c + 1},
		fmt.Sprintf("bytes=%d-%d", n-1, 2*n): {n - 1, n},
		"bytes=0-":                           {0, n},
	} {
		a := r.do("GET", o.URL, nil, "Range", header)
		if got := fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, n); a.status != 206 || a.header.Get("Content-Range") != got || a.body != string(content[want[0]:want[1]]) {
			t.Errorf("%s: %d, %s, %d bytes", header, a.status, a.header.Get("Content-Range"), len(a.body))
		}
	}
	for _, header := range []string{fmt.Sprintf("bytes=%d-", n), "bytes=9-1", "bytes=x"} {
		a := r.do("GET", o.URL, nil, "Range", header)
		wantCode(t, a, 416, codeRangeRefused)
		if a.header.Get("Etag") != "" || strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: a refusal with the headers of the content: %v", header, a.header)
		}
	}
	if a := r.do("GET", o.URL, nil, "Range", fmt.Sprintf("bytes=%d-", n)); a.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", n) {
		t.Errorf("the size is not told: %v", a.header)
	}
	several := r.do("GET", o.URL, nil, "Range", "bytes=0-1,600000-600001")
	if several.status != 206 || !strings.HasPrefix(several.header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("two ranges: %d %v", several.status, several.header)
	}
	many := "bytes=0-0"
	for i := range blobRangesMax {
		many += fmt.Sprintf(",%d-%d", 2*i+2, 2*i+2)
	}
	if a := r.do("GET", o.URL, nil, "Range", many); a.status != 200 || len(a.body) != n {
		t.Errorf("too many ranges: %d, %d bytes; want the whole", a.status, len(a.body))
	}
	if a := r.do("GET", o.URL, nil, "Range", "bytes=0-0", "If-Range", `"other"`); a.status != 200 {
		t.Errorf("a range of other content: %d, want the whole", a.status)
	}
}

func TestBlobNotFound(t *testing.T) {
	r := newRig(t, Config{})
	o := r.putBlob([]byte("x"))
	for _, name := range []string{strings.Repeat("0", 64), strings.ToUpper(o.SHA256), "x", o.SHA256 + "0", "..%2fx"} {
		wantCode(t, r.get("/v1/blobs/"+name), 404, store.CodeBlobNotFound)
	}
	if a := r.do("HEAD", "/v1/blobs/x", nil); a.status != 404 {
		t.Errorf("HEAD: %d", a.status)
	}
	wantCode(t, r.get(o.URL+"?download=1"), 400, store.CodeInvalidQuery)
}

// sweptLog loses its blobs between the first and the second piece.
type sweptLog struct{ *memory.Log }

func (l sweptLog) ReadBlob(ctx context.Context, sha256 string, p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, store.ErrBlobNotFound
	}
	return l.Log.ReadBlob(ctx, sha256, p, off)
}

// TestBlobSweptWhileRead cuts the connection: a body that is not whole must
// not look as if it were.
func TestBlobSweptWhileRead(t *testing.T) {
	log := sweptLog{memory.New(memory.Options{})}
	defer log.Close()
	b, _, err := log.PutBlob(t.Context(), "", bytes.NewReader(picture()), 0)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(New(log, newHub(), Config{}).Handler())
	defer ts.Close()
	res, err := http.Get(ts.URL + "/v1/blobs/" + b.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != io.ErrUnexpectedEOF || len(got) != store.BlobChunkBytes {
		t.Errorf("got %d bytes, %v; want a cut after the first piece", len(got), err)
	}
}

// bareLog is an engine that keeps no blobs.
type bareLog struct{ store.Log }

func TestEngineWithoutBlobs(t *testing.T) {
	log := memory.New(memory.Options{})
	defer log.Close()
	ts := httptest.NewServer(New(bareLog{log}, newHub(), Config{}).Handler())
	defer ts.Close()
	r := &rig{t: t, http: ts}
	wantCode(t, r.post("/v1/blobs", "x"), 404, codeNotFound)
	wantCode(t, r.get("/v1/blobs/"+hashOf(nil)), 404, codeNotFound)
}

func TestBlobsTakeAPlace(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Connections: 1}})
	o := r.putBlob([]byte("x"))
	wantStatus(t, r.get(o.URL), 200) // the place was given back
	leave, err := r.api.conns.enter(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	wantCode(t, r.post("/v1/blobs", "y"), 429, codeTooManyConnections)
	wantCode(t, r.get(o.URL), 429, codeTooManyConnections)
}

func TestContentDigest(t *testing.T) {
	good := digestOf([]byte("x"))
	other := digestOf([]byte("y"))
	for name, test := range map[string]struct {
		values []string
		want   string // of which content, "" when none
		bad    bool
	}{
		"none":               {nil, "", false},
		"one":                {[]string{good}, "x", false},
		"of several":         {[]string{"sha-512=:AA==:, " + good + ",unixsum=3"}, "x", false},
		"in several headers": {[]string{"md5=:AA==:", good}, "x", false},
		"the last counts":    {[]string{other + "," + good}, "x", false},
		"with parameters":    {[]string{good + ";a=1;b"}, "x", false},
		"others only":        {[]string{"sha-512=:AA==:"}, "", false},
		"empty":              {[]string{""}, "", false},
		"no value":           {[]string{"sha-256"}, "", true},
		"no bytes":           {[]string{"sha-256=::"}, "", true},
		"one colon":          {[]string{"sha-256=:"}, "", true},
		"hex":                {[]string{"sha-256=" + hashOf([]byte("x"))}, "", true},
		"too short":          {[]string{"sha-256=:AAAA:"}, "", true},
		"no base64":          {[]string{"sha-256=:!!!!:"}, "", true},
	} {
		got, err := contentDigest(test.values)
		if (err != nil) != test.bad {
			t.Errorf("%s: %v", name, err)
		}
		want := ""
		if test.want != "" {
			want = hashOf([]byte(test.want))
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, want %s", name, got, want)
		}
	}
}

func FuzzContentDigest(f *testing.F) {
	for _, s := range []string{digestOf([]byte("x")), "sha-256=::", "sha-256=:AA==:;q=1, sha-512=:x:", ",,=,;:", "sha-256"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sum, err := contentDigest([]string{s})
		if err != nil && (store.CodeOf(err) != store.CodeInvalidQuery || sum != nil) || err == nil && sum != nil && len(sum) != sha256.Size {
			t.Errorf("%q: %x, %v", s, sum, err)
		}
	})
}

// A page of an allowed origin may send any content type and its digest.
func TestBlobPreflight(t *testing.T) {
	r := newRig(t, Config{})
	a := r.do("OPTIONS", "/v1/blobs", nil, "Origin", "http://localhost:5173", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-digest,content-type")
	wantStatus(t, a, 204)
	allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
	if !strings.Contains(allowed, "content-digest") || !strings.Contains(allowed, "content-type") {
		t.Errorf("allowed are %q", allowed)
	}
}
