package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
)

// notifier notes what the routes ask of it.
type notifier struct {
	changes int
	tested  store.Webhook
	outcome store.WebhookOutcome
	err     error
}

func (n *notifier) CheckURL(url string) error {
	if strings.Contains(url, "private") {
		return store.Errorf(store.CodeWebhookURL, "private is not a public address")
	}
	return nil
}
func (n *notifier) Changed() { n.changes++ }
func (n *notifier) Test(_ context.Context, w store.Webhook) (store.WebhookOutcome, error) {
	n.tested = w
	return n.outcome, n.err
}
func (n *notifier) Counts() (delivered, failed, dropped int64) { return 1, 2, 3 }

const hooksPath = "/v1/webhooks"

func webhook(t *testing.T, a answer) (o webhookObject) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return o
}

func TestWebhookLife(t *testing.T) {
	n := new(notifier)
	r := newRig(t, Config{Notifier: n})
	a := r.get(hooksPath)
	wantStatus(t, a, 200)
	if a.body != `{"webhooks":[]}`+"\n" {
		t.Errorf("empty list %s", a.body)
	}
	a = r.post(hooksPath, `{"url":"https://example.org/hook","sessions":["build-*"]}`)
	wantStatus(t, a, 201)
	made := webhook(t, a)
	if len(made.Types) != 3 || made.Sessions[0] != "build-*" || !strings.HasPrefix(made.Secret, "whsec_") || a.header.Get("Location") != hooksPath+"/"+made.ID || n.changes != 1 {
		t.Errorf("created %s, %d changes", a.body, n.changes)
	}
	path := hooksPath + "/" + made.ID
	for _, p := range []string{hooksPath, path} {
		if a := r.get(p); a.status != 200 || strings.Contains(a.body, "secret") || !strings.Contains(a.body, made.ID) {
			t.Errorf("%s: %s", p, a.body)
		}
	}
	a = r.send("PATCH", path, `{"paused":true,"types":null}`)
	wantStatus(t, a, 200)
	if o := webhook(t, a); !o.Paused || len(o.Types) != 3 || o.Secret != "" || o.Sessions[0] != "build-*" {
		t.Errorf("patched %s", a.body)
	}
	if o := webhook(t, r.send("PATCH", path, `{"secret":null}`)); !strings.HasPrefix(o.Secret, "whsec_") || o.Secret == made.Secret {
		t.Errorf("a new secret: %q", o.Secret)
	}
	wantStatus(t, r.do("DELETE", path, nil), 204)
	if n.changes != 4 {
		t.Errorf("%d changes were told, want 4", n.changes)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		wantCode(t, r.send(method, path, "{}"), 404, store.CodeNoWebhook)
	}
	wantCode(t, r.post(path+"/test", ""), 404, store.CodeNoWebhook)
	if strings.Contains(r.text.String(), made.Secret) || strings.Contains(r.text.String(), "example.org") {
		t.Errorf("the log tells too much:\n%s", r.text)
	}
}

func TestWebhookTest(t *testing.T) {
	n := new(notifier)
	r := newRig(t, Config{Notifier: n})
	made := webhook(t, r.post(hooksPath, `{"url":"https://example.org/hook"}`))
	for want, o := range map[string]store.WebhookOutcome{
		`{"delivered":true,"status":204}`:                     {Status: 204},
		`{"delivered":false,"error":"connection refused"}`:    {Error: "connection refused"},
		`{"delivered":false,"status":500,"error":"status 5"}`: {Status: 500, Error: "status 5"},
	} {
		n.outcome = o
		a := r.post(hooksPath+"/"+made.ID+"/test", "")
		wantStatus(t, a, 200)
		if strings.TrimSpace(a.body) != want || n.tested.ID != made.ID || n.tested.Secret != made.Secret {
			t.Errorf("got %s, want %s", a.body, want)
		}
	}
	n.err = store.ErrShutdown
	wantCode(t, r.post(hooksPath+"/"+made.ID+"/test", ""), 503, store.CodeShutdown)
	if n.changes != 1 {
		t.Errorf("a test changed something")
	}
	if a := r.get("/metrics"); !strings.Contains(a.body, `konlog_webhook_deliveries_total{result="failed"} 2`) || !strings.Contains(a.body, "konlog_webhook_dropped_total 3") {
		t.Error("the metrics have no webhooks")
	}
}

func TestWebhookRefusals(t *testing.T) {
	n := new(notifier)
	r := newRig(t, Config{Notifier: n})
	made := webhook(t, r.post(hooksPath, `{"url":"https://example.org/hook"}`))
	for body, want := range map[string]store.Code{
		`{"url":"https://private.example.org"}`:           store.CodeWebhookURL,
		`{"url":"ftp://example.org"}`:                     store.CodeWebhookURL,
		`{"url":"https://u:p@example.org"}`:               store.CodeWebhookURL,
		`{"url":7}`:                                       store.CodeInvalidWebhook,
		`{"url":null}`:                                    store.CodeInvalidWebhook,
		`{"url":"https://example.org","types":["done"]}`:  store.CodeInvalidWebhook,
		`{"url":"https://example.org","types":"seen"}`:    store.CodeInvalidWebhook,
		`{"url":"https://example.org","sessions":["["]}`:  store.CodeInvalidWebhook,
		`{"url":"https://example.org","secret":"simple"}`: store.CodeInvalidWebhook,
		`{"url":"https://example.org","paused":"yes"}`:    store.CodeInvalidWebhook,
		`{"url":"https://example.org","cursor":1}`:        store.CodeInvalidWebhook,
		`[]`: store.CodeInvalidJSON,
		`{`:  store.CodeInvalidJSON,
	} {
		status := map[store.Code]int{store.CodeWebhookURL: 422}[want]
		if status == 0 {
			status = 400
		}
		wantCode(t, r.post(hooksPath, body), status, want)
		wantCode(t, r.send("PATCH", hooksPath+"/"+made.ID, body), status, want)
	}
	wantCode(t, r.post(hooksPath, ""), 400, store.CodeInvalidWebhook)
	wantCode(t, r.get(hooksPath+"?x=1"), 400, store.CodeInvalidQuery)
	for i := range store.WebhooksMax - 1 {
		wantStatus(t, r.post(hooksPath, fmt.Sprintf(`{"url":"https://example.org/%d"}`, i)), 201)
	}
	wantCode(t, r.post(hooksPath, `{"url":"https://example.org/"}`), 409, store.CodeWebhooksFull)

	off := newRig(t, Config{})
	wantCode(t, off.get(hooksPath), 404, codeNotFound)
	wantCode(t, off.post(hooksPath, `{"url":"https://example.org/"}`), 404, codeNotFound)
}
