package stream

import (
	"net/http"
	"strings"
	"testing"
)

func TestPollPageForm(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 3)
	w := newSite(t, New(l, l.hub, Config{}))
	b, res := w.body("/v1/sessions/s/events?after=1")
	if res.Header.Get(TransportHeader) != "poll" || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", res.Header)
	}
	want := `{"session":"s","epoch":"epoch-1","floor":1,"head":3,"next":3,"caughtUp":true,"status":{"type":"status","session":"s","state":"idle","turnActive":false,"elapsed":0,"queued":0,"head":3,"serverTime":"`
	if !strings.HasPrefix(b, want) || !strings.HasSuffix(b, `"},"events":[`+strings.Join(l.bodies("s", false)[1:], ",")+`]}`) {
		t.Errorf("page: %s", b)
	}
	if b, _ := w.body("/v1/sessions/s/events?after=3"); !strings.HasSuffix(b, `,"events":[]}`) {
		t.Errorf("empty page: %s", b)
	}
}

func TestPollPagesBackwards(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	l.forget("s", 2)
	w := newSite(t, New(l, l.hub, Config{}))
	steps := []struct {
		q, ids string
		next   int64
		end    bool
	}{
		{"tail=3", "8 9 10", 10, true},
		{"before=8&limit=4", "4 5 6 7", 4, false},
		{"before=4&limit=4", "2 3", 2, true},
		{"before=2&limit=4", "", 2, true},
		{"before=0&limit=2", "9 10", 9, false},
		{"before=8&limit=1&types=none", "", 2, true},
	}
	for _, s := range steps {
		p := w.poll("/v1/sessions/s/events?" + s.q)
		if p.ids() != s.ids || p.Next != s.next || p.CaughtUp != s.end {
			t.Errorf("%s: %s, next %d, end %v; want %s, %d, %v", s.q, p.ids(), p.Next, p.CaughtUp, s.ids, s.next, s.end)
		}
	}
}

func TestPollPageBelowTheHeadIsImmutable(t *testing.T) {
	l := newFakeLog("s")
	l.appendN("s", 10)
	w := newSite(t, New(l, l.hub, Config{}))
	tags := make(map[string]string)
	for _, q := range []string{"after=0&limit=4", "after=4&limit=4", "after=0&limit=5", "after=0&limit=4&raw=1", "after=0&limit=4&types=text_delta,x", "before=8&limit=4"} {
		path := "/v1/sessions/s/events?" + q
		_, res := w.body(path)
		tag := res.Header.Get("ETag")
		if tag == "" || !strings.HasPrefix(res.Header.Get("Cache-Control"), "private, immutable, max-age=") {
			t.Errorf("%s: %v", q, res.Header)
		}
		if other, ok := tags[tag]; ok {
			t.Errorf("%s and %s have the same tag", q, other)
		}
		tags[tag] = q
		l.appendN("s", 1) // the page stays what it is
		if _, res = w.body(path, "If-None-Match", `"x", `+tag); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: status %d", q, res.StatusCode)
		}
		if _, res = w.body(path, "If-None-Match", `W/"x"`); res.StatusCode != http.StatusOK {
			t.Errorf("%s with another tag: status %d", q, res.StatusCode)
		}
	}
	for _, q := range []string{"after=0", "after=0&limit=4&epoch=old", "tail=3&limit=1", "after=0&until=3", "before=0&limit=2", "after=0&limit=4&types=none"} {
		if _, res := w.body("/v1/sessions/s/events?" + q); res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may change: %v", q, res.Header)
		}
	}
}
