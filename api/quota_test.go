package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
)

// limited is a rig whose engine and server have the quotas.
func limited(t *testing.T, cfg Config) *rig {
	r := newRig(t, cfg)
	r.log.Log = memory.New(memory.Options{Quotas: cfg.Quotas})
	return r
}

// P16: what goes beyond a quota is refused whole, by a code of its own that is
// not to be retried; what ends a turn is taken.
func TestP16_QuotaExceeded(t *testing.T) {
	r := limited(t, Config{Quotas: store.Quotas{SessionEvents: 2, Scopes: []store.ScopeQuota{{Pattern: "team", Bytes: 1000, Sessions: 1}}}})
	wantStatus(t, r.post("/v1/sessions/s/events", `[{"type":"turn_start","turn":"t"},{"type":"text","turn":"t"}]`), http.StatusCreated)
	a := r.post("/v1/sessions/s/events", `[{"type":"text"},{"type":"text"}]`)
	p := wantCode(t, a, http.StatusInsufficientStorage, store.CodeQuota)
	if p.Retryable || a.header.Get("Retry-After") != "" {
		t.Errorf("nobody makes room by waiting: %s", a.body)
	}
	if !strings.Contains(p.Detail, "2 of 2 events") || !strings.Contains(p.Detail, "quota.session-events") {
		t.Errorf("the detail does not say what is used of which quota: %s", p.Detail)
	}
	if r.head("s") != 2 {
		t.Errorf("head %d: something of it was stored", r.head("s"))
	}
	wantCode(t, r.do("POST", "/v1/sessions/s/events", strings.NewReader("{\"type\":\"text\"}\n"), "Content-Type", "application/x-ndjson"), http.StatusInsufficientStorage, store.CodeQuota)
	wantStatus(t, r.post("/v1/sessions/s/stop", `{}`), http.StatusCreated)
	wantStatus(t, r.post("/v1/sessions/s/close", ""), http.StatusOK)

	wantStatus(t, r.do("PUT", "/v1/sessions/one", strings.NewReader(`{"scope":"team"}`)), http.StatusCreated)
	wantCode(t, r.do("PUT", "/v1/sessions/two", strings.NewReader(`{"scope":"team"}`)), http.StatusInsufficientStorage, store.CodeQuota)
	var o store.SessionObject
	if err := json.Unmarshal([]byte(r.get("/v1/sessions/one").body), &o); err != nil {
		t.Fatal(err)
	}
	want := store.QuotaObject{ScopeSessions: &store.QuotaUse{Used: 1, Max: 1}, ScopeBytes: &store.QuotaUse{Max: 1000}}
	if got, _ := json.Marshal(o.Quota); string(got) != string(encoded(want)) {
		t.Errorf("quota of the session: %s, want %s", got, encoded(want))
	}
	if list := r.get("/v1/sessions").body; strings.Contains(list, `"quota"`) {
		t.Errorf("a list asks for each session: %s", list)
	}
}

func encoded(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// P16: a disk that is nearly full is told apart from a full one.
func TestP16_DiskLow(t *testing.T) {
	r := newRig(t, Config{})
	r.log.fail = store.Errorf(store.CodeDiskLow, "the disk is nearly full")
	r.log.health = &store.Health{Disk: store.Disk{Free: 5, Total: 100, Warn: 20, Reserve: 10, Warned: true, Low: true}, Used: store.Used{All: store.Usage{Sessions: 3, Bytes: 4}, BlobBytes: 7}}
	a := r.post("/v1/sessions/s/events", `{"type":"text"}`)
	if p := wantCode(t, a, http.StatusInsufficientStorage, store.CodeDiskLow); !p.Retryable || a.header.Get("Retry-After") == "" {
		t.Errorf("it goes on by itself: %s", a.body)
	}
	wantStatus(t, r.get("/readyz"), http.StatusServiceUnavailable)
	body := r.get("/health/realtime").body
	for _, want := range []string{`"low":true`, `"freeBytes":5`, `"reserveBytes":10`, `"sessions":{"used":3,"max":0}`, `"blobBytes":{"used":7,"max":0}`} {
		if !strings.Contains(body, want) {
			t.Errorf("/health/realtime does not say %s: %s", want, body)
		}
	}
	for _, want := range []string{"konlog_disk_low 1", "konlog_disk_free_bytes 5", "konlog_sessions 3", "konlog_session_bytes 4"} {
		if body := r.get("/metrics").body; !strings.Contains(body, want) {
			t.Errorf("/metrics does not say %s", want)
		}
	}
}

func TestRetentionOfASession(t *testing.T) {
	r := newRig(t, Config{Retention: store.Retention{Age: time.Hour, Events: 100}})
	a := r.do("PUT", "/v1/sessions/s", strings.NewReader(`{"retention":{"ageMs":60000,"bytes":0}}`))
	wantStatus(t, a, http.StatusCreated)
	if !strings.Contains(a.body, `"retention":{"ageMs":60000,"bytes":0}`) {
		t.Errorf("the session is %s", a.body)
	}
	for _, bad := range []string{`{"retention":5}`, `{"retention":{"days":1}}`, `{"retention":{"events":-1}}`, `{"retention":{"ageMs":9223372036854775807}}`, `{"retention":{"events":1.5}}`, `{"retention":[]}`} {
		wantStatus(t, r.do("PATCH", "/v1/sessions/s", strings.NewReader(bad)), http.StatusBadRequest)
	}
	a = r.do("PATCH", "/v1/sessions/s", strings.NewReader(`{"retention":null}`))
	wantStatus(t, a, http.StatusOK)
	if strings.Contains(a.body, "retention") {
		t.Errorf("a retention that was taken away: %s", a.body)
	}
}

// Who may write a session lets it keep less. To let it keep more, in whatever
// way, is the operator's.
func TestRetentionBeyondTheServers(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	hour := time.Hour.Milliseconds()
	r := newRig(t, Config{
		Retention:       store.Retention{Age: time.Hour, Events: 100},
		RetentionScopes: []store.ScopeRetention{{Pattern: "long*", Retention: store.Retention{Age: 10 * time.Hour}}},
	})
	wantStatus(t, r.do("PUT", "/v1/sessions/s", strings.NewReader(`{"scope":"long-a","retention":{"ageMs":36000000}}`)), http.StatusCreated)
	with := func(admin bool) context.Context {
		return access.With(t.Context(), access.NewPass(access.Grant{Read: store.AllSessions, Write: store.AllSessions, Admin: admin}, nil))
	}
	for _, c := range []struct {
		name   string
		scope  string
		keep   *store.Keep
		beyond bool
	}{
		{"nothing", "", nil, false},
		{"less", "", &store.Keep{AgeMs: n(hour - 1), Events: n(100), Bytes: n(5)}, false},
		{"older", "", &store.Keep{AgeMs: n(hour + 1)}, true},
		{"of any age", "", &store.Keep{AgeMs: n(0)}, true},
		{"more", "", &store.Keep{Events: n(101)}, true},
		{"any number", "", &store.Keep{Events: n(0)}, true},
		{"any bytes, of which there is no bound", "", &store.Keep{Bytes: n(0)}, false},
		{"what the scope keeps", "long-a", &store.Keep{AgeMs: n(10 * hour), Events: n(0)}, false},
		{"more than the scope", "long-a", &store.Keep{AgeMs: n(11 * hour)}, true},
	} {
		for _, admin := range []bool{true, false} {
			err := r.api.mayKeep(with(admin), &store.SessionSpec{Scope: c.scope, Retention: c.keep})
			if refused := store.CodeOf(err) == access.CodeForbidden; refused != (c.beyond && !admin) {
				t.Errorf("%s, admin %t: %v", c.name, admin, err)
			}
		}
	}
	other := ""
	if err := r.api.mayPatch(with(false), "s", &store.SessionPatch{Scope: &other}); store.CodeOf(err) != access.CodeForbidden {
		t.Errorf("a session that keeps much moved into a scope that does not: %v", err)
	}
	title := "t"
	if err := r.api.mayPatch(with(false), "s", &store.SessionPatch{Title: &title}); err != nil {
		t.Errorf("what has nothing to do with it: %v", err)
	}
}
