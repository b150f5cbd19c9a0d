package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

const answerWithLength = "HTTP/1.1 201 Created\r\nDate: now\r\ncontent-length: 5\r\n\r\nhello"

const answerInChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"

// An answer must be read whole or not at all, wherever the network split it.
func TestParseAnswerAtEverySplit(t *testing.T) {
	for _, whole := range []string{answerWithLength, answerInChunks} {
		for i := range len(whole) {
			if _, used, err := parseAnswer([]byte(whole[:i])); used != 0 || err != nil {
				t.Fatalf("parseAnswer(%q) used %d, %v; want 0, nil", whole[:i], used, err)
			}
		}
		a, used, err := parseAnswer([]byte(whole + "HTTP/1.1"))
		if err != nil || used != len(whole) || string(a.body) != "hello" {
			t.Errorf("parseAnswer(%q) = %q, %d, %v", whole, a.body, used, err)
		}
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	for _, bad := range []string{
		"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 two\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n",
	} {
		if _, used, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("parseAnswer(%q) used %d and gave no error", bad, used)
		}
	}
}

func TestDechunkerAtEverySplit(t *testing.T) {
	body := answerInChunks[strings.Index(answerInChunks, "\r\n\r\n")+4:]
	for i := range len(body) {
		var d dechunker
		var got, left []byte
		for _, part := range []string{body[:i], body[i:]} {
			left = append(left, part...)
			for !d.over {
				data, used, err := d.next(left)
				if err != nil {
					t.Fatalf("split at %d: %v", i, err)
				}
				if used == 0 {
					break
				}
				got, left = append(got, data...), left[used:]
			}
		}
		if string(got) != "hello" || !d.over {
			t.Errorf("split at %d: got %q, over %v", i, got, d.over)
		}
	}
}

// serverText makes a frame as a server sends it.
func serverText(payload string) []byte {
	masked, start := appendClientFrame(nil, opText, []byte(payload))
	f := append([]byte(nil), masked[:start-len(maskKey)]...)
	f[1] &^= 0x80
	return append(f, payload...)
}

func TestFramesOfEveryLength(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		payload := strings.Repeat("x", n)
		whole := serverText(payload)
		for _, cut := range []int{0, 1, 2, 3, 9, len(whole) - 1} {
			if cut >= len(whole) {
				continue
			}
			if _, size, err := parseFrame(whole[:cut]); size != 0 || err != nil {
				t.Errorf("%d bytes of a frame of %d: size %d, %v", cut, n, size, err)
			}
		}
		f, size, err := parseFrame(append(whole, 0x81))
		if err != nil || size != len(whole) || string(f.payload) != payload || !f.final || f.op != opText {
			t.Errorf("frame of %d: size %d, op %d, final %v, %v", n, size, f.op, f.final, err)
		}
	}
	for _, bad := range [][]byte{{0x81, 0x81, 0, 0, 0, 0, 0}, {0xc1, 0}, {0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, err := parseFrame(bad); err == nil {
			t.Errorf("parseFrame(%x) gave no error", bad)
		}
	}
}

func unmask(frame []byte, start int) []byte {
	out := append([]byte(nil), frame[start:]...)
	for i := range out {
		out[i] ^= maskKey[i&3]
	}
	return out
}

// The send time is patched into a masked frame; it must come out as a number
// of the same JSON, in every event of it.
func TestStampedFrame(t *testing.T) {
	r := appendFrame("s1", 3)
	r.stamp(1_234_567_890_123_456_789)
	var frame struct {
		Type, Ref, Session string
		Events             []struct {
			Type string
			Data struct{ T int64 }
		}
	}
	if err := json.Unmarshal(unmask(r.bytes, r.start), &frame); err != nil {
		t.Fatal(err)
	}
	if frame.Type != "append" || frame.Session != "s1" || len(frame.Events) != 3 {
		t.Fatalf("frame = %+v", frame)
	}
	for i, e := range frame.Events {
		if e.Type != eventType || e.Data.T != 1_234_567_890_123_456_789 {
			t.Errorf("event %d = %+v", i, e)
		}
	}
}

func TestEventsAreOfTheStatedSize(t *testing.T) {
	data := eventData("bench-abcdef-000", now())
	e := store.Event{ID: 12_345, Session: "bench-abcdef-000", Type: eventType, Data: data}
	if got := len(e.JSON()); got != eventBytes {
		t.Errorf("an event has %d bytes, want %d", got, eventBytes)
	}
	if _, err := store.ParseDrafts(fmt.Appendf(nil, "[%s]", drafts("s", 2, ","))); err != nil {
		t.Errorf("drafts: %v", err)
	}
}

func TestParseEvent(t *testing.T) {
	e := store.Event{ID: 42, Session: "s1", Type: eventType, Data: eventData("s1", 1_000_000_000_000_000_007)}
	id, sent, ok := parseEvent(e.JSON())
	if id != 42 || sent != 1_000_000_000_000_000_007 || !ok {
		t.Errorf("parseEvent = %d, %d, %v", id, sent, ok)
	}
	for _, frame := range []string{"", `{"type":"ping","id":7}`, `{"id":`, `{"id":7`, `{"id":7}`} {
		if _, _, ok := parseEvent([]byte(frame)); ok {
			t.Errorf("parseEvent(%q) took it for an event", frame)
		}
	}
}

func TestParseSSE(t *testing.T) {
	for _, c := range []struct {
		in    string
		id    int64
		data  string
		named bool
	}{
		{"id: 7\ndata: {\"id\":7}\n\n", 7, `{"id":7}`, false},
		{"event: hello\ndata: {}\n\n", -1, "{}", true},
		{": beat\n\n", -1, "", false},
		{"retry: 2000\n\n", -1, "", false},
	} {
		for i := range len(c.in) {
			if _, _, _, size, err := parseSSE([]byte(c.in[:i])); size != 0 || err != nil {
				t.Errorf("parseSSE(%q) = %d, %v", c.in[:i], size, err)
			}
		}
		id, data, named, size, err := parseSSE([]byte(c.in + "id"))
		if id != c.id || string(data) != c.data || named != c.named || size != len(c.in) || err != nil {
			t.Errorf("parseSSE(%q) = %d, %q, %v, %d, %v", c.in, id, data, named, size, err)
		}
	}
	if _, _, _, _, err := parseSSE([]byte("id: x\n\n")); err == nil {
		t.Error("an id that is no number gave no error")
	}
}

// event makes the bytes of a small event.
func event(id int64) string {
	e := store.Event{ID: id, Session: "s", Type: eventType, Data: []byte(`{"t":1000000000000000000}`)}
	return string(e.JSON())
}

func sseEventOf(id int64) string { return fmt.Sprintf("id: %d\ndata: %s\n\n", id, event(id)) }

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

const caughtUp = `{"type":"caught_up","session":"s","id":2}`

// A benchmark that loses, repeats or reorders an event must fail, on every
// carrier.
func TestReaderFindsEveryFault(t *testing.T) {
	for _, c := range []struct {
		name string
		ids  []int64
		ok   bool
	}{
		{"dense", []int64{1, 2, 3}, true}, {"hole", []int64{1, 3}, false}, {"repeat", []int64{1, 1}, false},
		{"order", []int64{2, 1}, false}, {"late start", []int64{2}, false},
	} {
		var frames, batch, stream string
		for i, id := range c.ids {
			frames += string(serverText(event(id)))
			stream += chunk(sseEventOf(id))
			if batch += event(id); i < len(c.ids)-1 {
				batch += "\n"
			}
		}
		for name, err := range map[carrier]error{
			carrierWS:    second((&reader{session: "s"}).takeFrames([]byte(frames), now())),
			carrierBatch: second((&reader{session: "s"}).takeFrames(serverText(batch), now())),
			carrierSSE:   second((&reader{session: "s"}).takeSSE([]byte(stream), now())),
		} {
			if (err == nil) != c.ok {
				t.Errorf("%s over %s: %v", c.name, name, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestReaderReadsControlFrames(t *testing.T) {
	r := &reader{session: "s", stopAt: 2, delays: &histogram{}}
	whole := bytes.Join([][]byte{serverText(`{"type":"hello","head":2}`), serverText(event(1)), serverText(caughtUp), serverText(event(2))}, nil)
	used, err := r.takeFrames(whole, now())
	if used != len(whole) || !errors.Is(err, errDone) {
		t.Fatalf("takeFrames = %d, %v; want %d, %v", used, err, len(whole), errDone)
	}
	if r.level.Load() == 0 || r.first.Load() == 0 || r.last.Load() != 2 || r.delays.count() != 2 {
		t.Errorf("level %d, first %d, last %d, delays %d", r.level.Load(), r.first.Load(), r.last.Load(), r.delays.count())
	}
	for _, bad := range []string{"gap", "reset", "bye", "error"} {
		if err := (&reader{}).take([]byte(`{"type":"`+bad+`"}`), 1); err == nil {
			t.Errorf("%s was no error", bad)
		}
	}
	if err := (&reader{}).take([]byte("nonsense"), 1); err == nil {
		t.Error("nonsense was no error")
	}
}

// An event stream's id line is what a browser comes back with, so it must be
// the event's.
func TestReaderComparesTheIDLine(t *testing.T) {
	wrong := strings.Replace(sseEventOf(1), "id: 1", "id: 2", 1)
	if _, err := (&reader{}).takeSSE([]byte(chunk(wrong)), 1); err == nil {
		t.Error("a wrong id line was no error")
	}
}

func TestProducerChecksEveryAck(t *testing.T) {
	for _, c := range []struct {
		name, ack string
		shared    bool
		ok        bool
	}{
		{"next", `{"first":6,"last":7}`, false, true},
		{"hole", `{"first":7,"last":8}`, false, false},
		{"hole of others", `{"first":7,"last":8}`, true, true},
		{"old ids", `{"first":4,"last":5}`, true, false},
		{"too few", `{"first":6,"last":6}`, true, false},
		{"no ids", `{}`, true, false},
	} {
		p := &producer{session: "s", events: 2, acked: 5, shared: c.shared}
		if err := p.check([]byte(c.ack)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	p := &producer{session: "s", request: &request{}, events: 1}
	if _, _, err := p.takeAck([]byte("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"first\":1,\"last\":1}")); err == nil {
		t.Error("an answer other than 201, which a duplicate gets, was no error")
	}
}

func TestCheckPage(t *testing.T) {
	page := func(ids ...int64) []byte {
		var all []string
		for _, id := range ids {
			e := store.Event{ID: id, Session: "s", Type: eventType, Data: eventData("s", now())}
			all = append(all, string(e.JSON()))
		}
		return []byte(`{"session":"s","events":[` + strings.Join(all, ",") + `]}`)
	}
	if last, err := checkPage(page(6, 7, 8), 5); last != 8 || err != nil {
		t.Errorf("checkPage = %d, %v", last, err)
	}
	for _, ids := range [][]int64{{7}, {6, 8}, {6, 6}, {5}} {
		if _, err := checkPage(page(ids...), 5); err == nil {
			t.Errorf("a page of %v after 5 was no error", ids)
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, seed := range []string{answerWithLength, answerInChunks, string(serverText("x")), sseEventOf(1), event(1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, used, _ := parseAnswer(bytes.Clone(b)); used > len(b) {
			t.Errorf("parseAnswer used %d of %d", used, len(b))
		}
		if _, size, _ := parseFrame(b); size > len(b) {
			t.Errorf("parseFrame took %d of %d", size, len(b))
		}
		if _, _, _, size, _ := parseSSE(b); size > len(b) {
			t.Errorf("parseSSE took %d of %d", size, len(b))
		}
		parseEvent(b)
	})
}
