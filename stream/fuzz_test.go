package stream

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

func TestParseRequest(t *testing.T) {
	parse := func(session, query, last string) (Request, error) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}}
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		return ParseRequest(r, session)
	}
	q, err := parse("s", "after=12&epoch=e&types=a,b&turn=t&raw=1&fold=1&until=99&speed=0.25&named=1&batch=true&wait=1.5&limit=99999", "")
	if err != nil || q.After != 12 || q.Epoch != "e" || len(q.Types) != 2 || q.Turn != "t" || !q.Raw || !q.Fold || q.Until.ID != 99 || q.Speed != 0.25 ||
		!q.Named || !q.Batch || q.Wait != 1500*time.Millisecond || q.Limit != PollEventsMax || q.Resumed {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err = parse("s", "tail=5&until=2026-01-02T03:04:05.5%2B01:00", "7"); err != nil || q.FromEnd || q.After != 7 || !q.Resumed || !q.Until.Time.Equal(time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC)) {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err = parse("", "cursor=a:1,b:c:22", ""); err != nil || len(q.Cursors) != 2 || q.Cursors[1] != (Cursor{"b:c", 22}) {
		t.Errorf("%+v, %v", q, err)
	}
	for _, bad := range []string{
		"after=x", "after=-1", "after=%2B1", "after=9223372036854775808", "after=1.0", "tail=-1", "after=1&tail=1", "raw=yes", "fold=yes", "fold=1&before=3", "until=0", "until=yesterday",
		"speed=0", "speed=0.2", "speed=101", "speed=NaN", "speed=x", "wait=-1", "wait=NaN", "limit=-1", "before=x", "types=a,,b", "types=" + strings.Repeat("a,", 65) + "a",
	} {
		if _, err := parse("s", bad, ""); store.CodeOf(err) != store.CodeInvalidQuery {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, bad := range []string{"cursor=a", "cursor=a:", "cursor=:1", "cursor=a:1,", "cursor=a:1,a:2", "cursor=a:-1", "cursor=a%20b:1", "cursor=" + strings.Repeat("a", CursorMax)} {
		if _, err := parse("", bad, ""); store.CodeOf(err) != store.CodeInvalidQuery {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
	if _, err := parse("s", "", "nonsense"); store.CodeOf(err) != store.CodeInvalidQuery {
		t.Errorf("Last-Event-ID: %v", err)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("s", "after=1&types=a,b&until=5", "")
	f.Add("", "cursor=a:1,b:c:2&wait=3", "a:1")
	f.Add("s", "tail=3&speed=1e1&until=2026-01-02T03:04:05Z", "9")
	f.Fuzz(func(t *testing.T, session, query, last string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Last-Event-Id": {last}}}
		q, err := ParseRequest(r, session)
		if err != nil {
			var refusal *store.Error
			if !errors.As(err, &refusal) || refusal.Detail == "" {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		if q.After < 0 || q.Tail < 0 || q.Before < 0 || q.Limit < 0 || q.Limit > PollEventsMax || q.Wait < 0 || q.Until.ID < 0 ||
			q.Speed != 0 && (q.Speed < SpeedMin || q.Speed > SpeedMax) || q.FromEnd && q.After != 0 && !q.Resumed {
			t.Fatalf("%+v", q)
		}
		for _, c := range q.Cursors {
			if store.ValidSessionID(c.Session) != nil || c.After < 0 {
				t.Fatalf("%+v", c)
			}
		}
	})
}

func FuzzClientFrame(f *testing.F) {
	f.Add([]byte(`{"type":"subscribe","session":"s","after":12,"types":["a"],"raw":true,"fold":true,"until":"5","speed":2,"ref":"r"}`))
	f.Add([]byte(`{"type":"unsubscribe","session":"s","ref":{"a":1}}`))
	f.Add([]byte(`{"type":"append","events":[]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		frame, members, err := parseFrame(body)
		if err == nil && frame.Type == "subscribe" {
			var q Request
			if q, err = subscribeRequest(members); err == nil && (store.ValidSessionID(q.Session) != nil || q.After < 0 || q.Tail < 0) {
				t.Fatalf("%+v", q)
			}
		}
		var refusal *store.Error
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("not a refusal: %v", err)
		}
		if answer := encode(newFailure(store.ErrNotFound, "s", frame.Ref)); !json.Valid(answer) {
			t.Fatalf("ref breaks the answer: %s", answer)
		}
	})
}
