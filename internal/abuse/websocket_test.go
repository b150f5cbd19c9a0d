package abuse

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/konlog/konlog/api"
)

// flood upgrades n connections and writes what make gives on each, again and
// again, as fast as the server takes it.
func (tg *target) flood(ctx context.Context, n int, path string, piece []byte) (sent int64) {
	var total atomic.Int64
	crowd(ctx, n, func(ctx context.Context, _ int) {
		c, r, _, err := tg.webSocket(path)
		if err != nil {
			pause(ctx, 10*time.Millisecond)
			return
		}
		defer until(ctx, c)()
		go func() { _, _ = io.Copy(io.Discard, r) }()
		for ctx.Err() == nil {
			n, err := c.Write(piece)
			total.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	return total.Load()
}

// Frames of every kind are slowed down to limits.frames: messages, commands,
// pings, pongs, fragments of messages that never end. That each kind counts is
// held by stream.TestFrameCounter.
func TestFrameFloods(t *testing.T) {
	const frames = 3000
	ping := frame(0x89, "")
	kinds := []struct{ first, again []byte }{
		{again: frame(0x81, `{"type":"ping"}`)},
		{again: frame(0x81, `{"type":"append","events":[]}`)},
		{again: ping},
		{again: frame(0x8a, "")},
		{first: frame(0x01, "{"), again: frame(0x00, "")},
		{first: frame(0x01, "{"), again: append(frame(0x00, " "), ping...)},
	}
	tg := newTarget(t, func(c *api.Config) { c.Rates.Frames, c.Rates.FramesBurst = frames, 4*frames })
	tg.seed("s", 1, 100)
	taken := make([]atomic.Int64, len(kinds))
	begun := time.Now()
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, len(kinds), func(ctx context.Context, i int) {
			c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			go func() { // what the server has answered it has read
				answers := bufio.NewReader(r)
				for {
					b, err := answers.ReadByte()
					if err != nil {
						return
					}
					if b == 0x8a { // a pong of the protocol
						taken[i].Add(1)
					}
				}
			}()
			_, _ = c.Write(kinds[i].first)
			piece := []byte(strings.Repeat(string(kinds[i].again), 500))
			for ctx.Err() == nil {
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		})
	})
	if tg.limited(t, "frames") == 0 {
		t.Error("nothing was slowed down")
	}
	pongs := taken[2].Load() + taken[5].Load()
	if most := frames*(time.Since(begun).Seconds()+1) + 4*frames; float64(pongs) > most {
		t.Errorf("%d pings were answered; the limit lets through %.0f frames", pongs, most)
	}
}

// A message of fragments is as long as all of them: over limits.frame-bytes the
// connection is closed with 4413, and what is held is bounded meanwhile.
func TestFragmentsThatNeverEnd(t *testing.T) {
	tg := newTarget(t, func(c *api.Config) { c.Limits.FrameBytes = 1 << 20 })
	tg.seed("s", 1, 100)
	piece := strings.Repeat("x", 32<<10)
	c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(frame(0x01, "{"))
	go func() {
		for {
			if _, err := c.Write(frame(0x00, piece)); err != nil {
				return
			}
		}
	}()
	if code := closeCode(c, r); code != 4413 && code != 0 {
		t.Errorf("closed with %d, want 4413", code)
	}
	_ = c.Close()
	s := settings()
	tg.under(measured{heap: 2*int64(s.Rates.IntakeBytes) + connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		tg.flood(ctx, 60, "/v1/sessions/s/ws", frame(0x01, piece)[:8+20<<10])
	})
}

// A frame that claims to be huge makes the server hold no more than it has
// sent, and no more than limits.frame-bytes.
func TestHugeFrames(t *testing.T) {
	tg := newTarget(t, nil)
	tg.seed("s", 1, 100)
	claim := []byte{0x81, 0xff, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0} // a TiB
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 50, func(ctx context.Context, _ int) {
			c, _, _, err := tg.webSocket("/v1/sessions/s/ws")
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			_, _ = c.Write(append(claim, "{"...))
			pause(ctx, time.Second)
		})
	})
	c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(claim)
	go func() {
		for {
			if _, err := io.WriteString(c, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	}()
	if code := closeCode(c, r); code != 4413 && code != 0 {
		t.Errorf("closed with %d, want 4413", code)
	}
}

// Large frames that are begun and never ended hold no more memory together than
// limits.intake-bytes.
func TestUnfinishedFrames(t *testing.T) {
	const intake = 4 << 20
	tg := newTarget(t, func(c *api.Config) {
		c.Rates.IntakeBytes = intake
		c.Rates.Bytes = 0
	})
	tg.seed("s", 1, 100)
	most := frame(0x81, strings.Repeat("x", 3<<20))[:2<<20]
	const several = 4 // more than there is room for
	codes := make(chan int, several)
	for range several {
		c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() { _, _ = c.Write(most) }() // the rest never comes
		go func() { codes <- closeCode(c, r) }()
	}
	if code := <-codes; code != 1013 {
		t.Errorf("the frame that there was no room for: closed with %d, want 1013", code)
	}
	tg.under(measured{heap: 2*intake + connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 16, func(ctx context.Context, _ int) {
			c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			_, _ = c.Write(most)
			closeCode(c, r)
			pause(ctx, 100*time.Millisecond)
		})
	})
}

// What no WebSocket may send ends the connection that sent it, with a code, and
// nothing else.
func TestFramesAgainstTheProtocol(t *testing.T) {
	tg := newTarget(t, nil)
	tg.seed("s", 1, 100)
	compressed := frame(0xc1, "\xaa\x56\x2a\xa9\x2c\x48\x55\xb2\x52\x2a\xc8\xcc\x4b\x57\xaa\x05\x00")
	for name, try := range map[string]struct {
		sends []byte
		code  int
	}{
		"unmasked":                     {[]byte{0x81, 2, '{', '}'}, 1002},
		"invalid UTF-8":                {frame(0x81, "{\"type\":\"\xff\"}"), 4400},
		"binary":                       {frame(0x82, "{}"), 4400},
		"a control frame of 126":       {frame(0x89, strings.Repeat("x", 126)), 1002},
		"a control frame in fragments": {frame(0x09, "x"), 1002},
		"an opcode that is none":       {frame(0x83, "x"), 1002},
		"a continuation of nothing":    {frame(0x80, "x"), 1002},
		"compressed without consent":   {compressed, 1002},
		"a close frame of one byte":    {frame(0x88, "x"), 1002},
		"no JSON":                      {frame(0x81, "hello"), 4400},
		"ten bad frames":               {[]byte(strings.Repeat(string(frame(0x81, `{"type":"subscribe","session":"?"}`)), 20)), 0},
	} {
		c, r, res, err := tg.webSocket("/v1/sessions/s/ws", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := res.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("the server agrees to %s", got)
		}
		_, _ = c.Write(try.sends)
		if name == "ten bad frames" { // refused one by one; the connection may go on or end
			_ = c.Close()
			continue
		}
		if code := closeCode(c, r); code != try.code && code != 0 {
			t.Errorf("%s: closed with %d, want %d", name, code, try.code)
		}
		_ = c.Close()
	}
	garbage := []byte(strings.Repeat("\x00\xff\x83\x7f", 100))
	tg.under(measured{heap: connectionsHeap(), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 8, func(ctx context.Context, i int) {
			c, r, _, err := tg.webSocket("/v1/sessions/s/ws")
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			_, _ = c.Write(append([]byte{byte(i * 31)}, garbage...))
			closeCode(c, r)
		})
	})
}

// Subscriptions that come and go cost a read of the log each, and so count as
// requests; over all connections a credential has so many at a time.
func TestSubscribeChurn(t *testing.T) {
	const requests, follows = 600, 30
	tg := newTarget(t, func(c *api.Config) {
		c.Rates.Requests, c.Rates.RequestsBurst = requests, 2*requests
		c.Rates.SubscriptionsPerCredential = follows
	})
	var cursor []string
	for i := range 40 {
		session := "s" + strconv.Itoa(i)
		tg.seed(session, 20, 2000)
		cursor = append(cursor, session+":0")
	}
	var acks atomic.Int64
	var full atomic.Bool
	begun := time.Now()
	tg.under(measured{heap: connectionsHeap() + follows*(256<<10), sockets: socketsMax()}, func(ctx context.Context) {
		crowd(ctx, 4, func(ctx context.Context, _ int) {
			c, r, _, err := tg.webSocket("/v1/ws")
			if err != nil {
				pause(ctx, 10*time.Millisecond)
				return
			}
			defer until(ctx, c)()
			go func() {
				lines := bufio.NewReader(r)
				for {
					line, err := lines.ReadString('}')
					if strings.Contains(line, `"ack"`) {
						acks.Add(1)
					}
					if strings.Contains(line, "too_many_subscriptions") {
						full.Store(true)
					}
					if err != nil {
						return
					}
				}
			}()
			for i := 0; ctx.Err() == nil; i++ {
				session := "s" + strconv.Itoa(i%40)
				if _, err := c.Write(frame(0x81, `{"type":"subscribe","session":"`+session+`","after":0,"ref":"r"}`)); err != nil {
					return
				}
				if i%40 > 20 {
					if _, err := c.Write(frame(0x81, `{"type":"unsubscribe","session":"`+session+`","ref":"r"}`)); err != nil {
						return
					}
				}
			}
		})
	})
	if most := requests*(time.Since(begun).Seconds()+2) + 10; float64(acks.Load()) > most || acks.Load() == 0 {
		t.Errorf("%d changes were carried out; the limit lets through %.0f", acks.Load(), most)
	}
	if !full.Load() {
		t.Error("no subscription was one too many")
	}
	if status, body := tg.ask("GET", "/v1/sse?cursor="+strings.Join(cursor, ","), ""); status != 429 {
		t.Errorf("40 sessions at once: %d %.200s", status, body)
	}
}
