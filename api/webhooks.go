package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/konlog/konlog/store"
)

// Notifier is what the routes of webhooks need of the one who sends them.
type Notifier interface {
	// CheckURL refuses a URL that must not be sent to.
	CheckURL(url string) error
	// Changed tells that a webhook was made, changed or deleted.
	Changed()
	// Test sends a message now and returns what came of it.
	Test(ctx context.Context, w store.Webhook) (store.WebhookOutcome, error)
	// Counts returns attempts that were delivered and that failed, and events
	// that were given up.
	Counts() (delivered, failed, dropped int64)
}

// webhookRoutes declares the routes of webhooks.
func (s *Server) webhookRoutes(add addFunc) {
	for _, method := range []string{"GET", "HEAD"} {
		add(method, "/v1/webhooks", admins, s.listWebhooks)
		add(method, "/v1/webhooks/:id", admins, s.getWebhook)
	}
	add("POST", "/v1/webhooks", admins, aboutWebhook(s.createWebhook))
	add("PATCH", "/v1/webhooks/:id", admins, aboutWebhook(s.patchWebhook))
	add("DELETE", "/v1/webhooks/:id", admins, s.deleteWebhook)
	add("POST", "/v1/webhooks/:id/test", admins, s.testWebhook)
}

// aboutWebhook gives refusals of a webhook's body their own code.
func aboutWebhook(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := h(c)
		var refused *store.Error
		if errors.As(err, &refused) && (refused.Code == store.CodeInvalidEvent || refused.Code == store.CodeInvalidQuery) {
			return store.Because(store.CodeInvalidWebhook, err, refused.Detail)
		}
		return err
	}
}

// webhookObject is a webhook on the wire. The secret is there only in the
// answer to the request that set it.
type webhookObject struct {
	ID           string   `json:"id"`
	URL          string   `json:"url"`
	Types        []string `json:"types"`
	Sessions     []string `json:"sessions"`
	Paused       bool     `json:"paused"`
	Secret       string   `json:"secret,omitempty"`
	CreatedAt    string   `json:"createdAt"`
	UpdatedAt    string   `json:"updatedAt"`
	Cursor       int64    `json:"cursor"`
	Failures     int64    `json:"failures"`
	FailingSince string   `json:"failingSince,omitempty"`
	NextAt       string   `json:"nextAt,omitempty"`
	LastAt       string   `json:"lastAt,omitempty"`
	LastStatus   int      `json:"lastStatus,omitempty"`
	LastError    string   `json:"lastError,omitempty"`
	Dropped      int64    `json:"dropped"`
}

func newWebhookObject(w *store.Webhook) webhookObject {
	return webhookObject{
		ID: w.ID, URL: w.URL, Types: w.Types, Sessions: w.Sessions, Paused: w.Paused,
		CreatedAt: w.CreatedAt.UTC().Format(store.TimeLayout), UpdatedAt: w.UpdatedAt.UTC().Format(store.TimeLayout),
		Cursor: w.Cursor, Failures: w.Failures, FailingSince: someTime(w.FailingSince), NextAt: someTime(w.NextAt),
		LastAt: someTime(w.LastAt), LastStatus: w.LastStatus, LastError: w.LastError, Dropped: w.Dropped,
	}
}

// someTime is "" for a time that there is not.
func someTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(store.TimeLayout)
}

// webhooks returns what keeps webhooks, unless this server sends none.
func (s *Server) webhooks() (store.Webhooks, error) {
	w, ok := s.log.(store.Webhooks)
	if !ok || s.cfg.Notifier == nil {
		return nil, store.Errorf(codeNotFound, "this server sends no webhooks")
	}
	return w, nil
}

// webhookPatch reads what a body says of a webhook.
func (s *Server) webhookPatch(c echo.Context) (p store.WebhookPatch, err error) {
	err = s.sessionMembers(c, func(name string, value []byte) (err error) {
		switch name {
		case "url":
			p.URL, err = stringMember(name, value)
		case "secret":
			p.Secret, err = stringMember(name, value)
		case "types":
			p.Types, err = listMember(name, value)
		case "sessions":
			p.Sessions, err = listMember(name, value)
		case "paused":
			p.Paused = new(bool)
			if json.Unmarshal(value, p.Paused) != nil {
				err = store.Errorf(store.CodeInvalidWebhook, "paused must be true or false")
			}
		default:
			err = store.Errorf(store.CodeInvalidWebhook, "unknown member %.40q; a webhook has url, types, sessions, secret and paused", name)
		}
		return err
	})
	if err == nil && p.URL != nil {
		err = s.cfg.Notifier.CheckURL(*p.URL)
	}
	return p, err
}

func stringMember(name string, value []byte) (*string, error) {
	v, err := stringValue(name, value)
	return &v, err
}

func listMember(name string, value []byte) (*[]string, error) {
	var v []string
	if json.Unmarshal(value, &v) != nil {
		return nil, store.Errorf(store.CodeInvalidWebhook, "%s must be an array of strings", name)
	}
	return &v, nil
}

func (s *Server) listWebhooks(c echo.Context) error {
	hooks, err := s.webhooks()
	if err != nil {
		return err
	}
	if _, err := queryOf(c.Request()); err != nil {
		return err
	}
	all, err := hooks.ListWebhooks(c.Request().Context())
	if err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	out := make([]webhookObject, 0, len(all))
	for i := range all {
		out = append(out, newWebhookObject(&all[i]))
	}
	return writeJSON(c, http.StatusOK, map[string]any{"webhooks": out})
}

func (s *Server) createWebhook(c echo.Context) error {
	hooks, err := s.webhooks()
	if err != nil {
		return err
	}
	p, err := s.webhookPatch(c)
	if err != nil {
		return err
	}
	blank, err := p.Apply(store.Webhook{})
	if err != nil {
		return err
	}
	w, err := hooks.CreateWebhook(c.Request().Context(), blank.WebhookSpec)
	if err != nil {
		return fmt.Errorf("create webhook: %w", err)
	}
	s.cfg.Notifier.Changed()
	o := newWebhookObject(&w)
	o.Secret = w.Secret
	c.Response().Header().Set("Location", "/v1/webhooks/"+w.ID)
	return writeJSON(c, http.StatusCreated, o)
}

// webhook finds the one that the path names.
func (s *Server) webhook(c echo.Context) (store.Webhooks, store.Webhook, error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, store.Webhook{}, err
	}
	if _, err := queryOf(c.Request()); err != nil {
		return nil, store.Webhook{}, err
	}
	w, err := hooks.Webhook(c.Request().Context(), c.Param("id"))
	if err != nil {
		return nil, w, at("webhook", c.Param("id"), err)
	}
	return hooks, w, nil
}

func (s *Server) getWebhook(c echo.Context) error {
	_, w, err := s.webhook(c)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, newWebhookObject(&w))
}

func (s *Server) patchWebhook(c echo.Context) error {
	hooks, w, err := s.webhook(c)
	if err != nil {
		return err
	}
	p, err := s.webhookPatch(c)
	if err != nil {
		return err
	}
	w, err = hooks.UpdateWebhook(c.Request().Context(), w.ID, p)
	if err != nil {
		return at("update webhook", c.Param("id"), err)
	}
	s.cfg.Notifier.Changed()
	o := newWebhookObject(&w)
	if p.Secret != nil {
		o.Secret = w.Secret
	}
	return writeJSON(c, http.StatusOK, o)
}

func (s *Server) deleteWebhook(c echo.Context) error {
	hooks, w, err := s.webhook(c)
	if err != nil {
		return err
	}
	if err := hooks.DeleteWebhook(c.Request().Context(), w.ID); err != nil {
		return at("delete webhook", w.ID, err)
	}
	s.cfg.Notifier.Changed()
	return c.NoContent(http.StatusNoContent)
}

// testedWebhook is the answer to a test.
type testedWebhook struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (s *Server) testWebhook(c echo.Context) error {
	_, w, err := s.webhook(c)
	if err != nil {
		return err
	}
	o, err := s.cfg.Notifier.Test(c.Request().Context(), w)
	if err != nil {
		return at("test webhook", w.ID, err)
	}
	return writeJSON(c, http.StatusOK, testedWebhook{Delivered: o.Error == "", Status: o.Status, Error: o.Error})
}

// registerWebhooks shows how sending goes.
func (m *metrics) registerWebhooks(n Notifier) {
	count := func(name, help string, labels prometheus.Labels, f func() int64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "konlog", Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(f()) }))
	}
	const attempts = "Attempts to deliver a webhook's event."
	count("webhook_deliveries_total", attempts, prometheus.Labels{"result": "delivered"}, func() int64 { d, _, _ := n.Counts(); return d })
	count("webhook_deliveries_total", attempts, prometheus.Labels{"result": "failed"}, func() int64 { _, f, _ := n.Counts(); return f })
	count("webhook_dropped_total", "Events that were given up.", nil, func() int64 { _, _, d := n.Counts(); return d })
}
