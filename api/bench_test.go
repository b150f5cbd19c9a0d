package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

const benchEvent = `{"type":"text_delta","turn":"0196a4f0-7b1c-7000-8000-000000000001","data":{"text":"` // padded to 300 bytes

func benchBody() string {
	return benchEvent + strings.Repeat("x", 300-len(benchEvent)-3) + `"}}`
}

// BenchmarkAppendHTTP measures single-event appends over kept-alive loopback
// connections with the memory engine: what a request costs beside the disk.
// The client's side is a loop over raw bytes, so that the server dominates.
func BenchmarkAppendHTTP(b *testing.B) {
	r := newRig(b, Config{})
	body := benchBody()
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", eventsPath, len(body), body)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if _, err := io.WriteString(conn, request); err != nil {
				b.Error(err)
				return
			}
			if err := skipAnswer(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// skipAnswer reads an answer with a Content-Length.
func skipAnswer(in *bufio.Reader) error {
	size := 0
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if n == 0 && !strings.Contains(string(line), " 201 ") {
			return fmt.Errorf("answer %s", line)
		}
		if len(line) == 2 {
			_, err := in.Discard(size)
			return err
		}
		if rest, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if _, err := fmt.Sscan(rest, &size); err != nil {
				return err
			}
		}
	}
}

// BenchmarkAppendHandler is the same without a network.
func BenchmarkAppendHandler(b *testing.B) {
	r := newRig(b, Config{})
	body := benchBody()
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("POST", eventsPath, strings.NewReader(body))
		req.Host = "localhost"
		w := httptest.NewRecorder()
		r.api.Handler().ServeHTTP(w, req)
		if w.Code != 201 {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkAppendFrame is what the WebSocket face adds to the log.
func BenchmarkAppendFrame(b *testing.B) {
	r := newRig(b, Config{})
	frame := []byte(`{"type":"append","ref":"1","session":"s1","events":[` + benchBody() + `]}`)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (commands{r.api}).Begin(ctx, "", "append", frame)(); err != nil {
			b.Fatal(err)
		}
	}
}
