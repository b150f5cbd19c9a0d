package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of webhooks.
const (
	WebhooksMax          = 100               // every event of the feed is held against all of them
	WebhookURLBytesMax   = 2048              // what common servers take
	WebhookTypesMax      = 32                // twice as many as there are
	WebhookSessionsMax   = 32                // patterns; each is tried for each event
	WebhookGlobBytesMax  = SessionIDBytesMax // a longer one without a wildcard matches nothing
	WebhookErrorBytesMax = 256               // of what is kept of a failure, for people
)

// The bounds of a webhook's key that the Standard Webhooks specification sets,
// and the length of one that is made here, in bytes.
const (
	webhookKeyMin  = 24
	webhookKeyMax  = 64
	webhookKeyMade = 32
)

const webhookSecretPrefix = "whsec_"

// WebhookAny among the types of a webhook stands for all of them.
const WebhookAny = "*"

// webhookTypes are what the feed has. Another type would be waited for in
// vain, and a misspelt one would never be noticed.
var webhookTypes = []string{
	TypePrompt, TypeTurnStart, TypeTurnEnd, TypePermissionRequest, TypePermissionResponse,
	TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen,
	TypeSessionCreated, TypeSessionUpdated, TypeSessionDeleted, TypeSessionClosed, TypeSeen,
}

// Webhook is a reader of the feed that the server itself runs: it posts what
// it reads to a URL, and its cursor is durable.
type Webhook struct {
	ID string // a UUID
	WebhookSpec
	WebhookState
	CreatedAt time.Time
	UpdatedAt time.Time // of the last change of what a client sets
}

// String hides the secret, and the URL, which may hold one too.
func (w Webhook) String() string { return "webhook " + w.ID }

// WebhookSpec is what a client says of a webhook.
type WebhookSpec struct {
	URL      string
	Types    []string // of the feed's events; WebhookAny for all
	Sessions []string // patterns as path.Match has them
	Secret   string   // whsec_ and the key in base64
	Paused   bool     // nothing is sent; events wait. The receiver may say so too, with 410
}

// String hides the secret and the URL.
func (s WebhookSpec) String() string { return "webhook" }

// Complete fills in what is not set, makes a secret when there is none, and
// checks the result.
func (s WebhookSpec) Complete() (WebhookSpec, error) {
	if len(s.Types) == 0 {
		s.Types = []string{TypeTurnEnd, TypePermissionRequest, TypeKontaskReady}
	}
	if len(s.Sessions) == 0 {
		s.Sessions = []string{"*"}
	}
	if s.Secret == "" {
		key := make([]byte, webhookKeyMade)
		_, _ = rand.Read(key) // it cannot fail
		s.Secret = webhookSecretPrefix + base64.StdEncoding.EncodeToString(key)
	}
	s.Types, s.Sessions = slices.Clone(s.Types), slices.Clone(s.Sessions)
	return s, s.check()
}

func (s *WebhookSpec) check() error {
	if err := checkWebhookURL(s.URL); err != nil {
		return err
	}
	if len(s.Types) > WebhookTypesMax || len(s.Sessions) > WebhookSessionsMax {
		return Errorf(CodeInvalidWebhook, "at most %d types and %d patterns of sessions; * stands for all", WebhookTypesMax, WebhookSessionsMax)
	}
	for _, t := range s.Types {
		if t != WebhookAny && !slices.Contains(webhookTypes, t) {
			return Errorf(CodeInvalidWebhook, "type %.80q is not in the feed; use %s or *", t, strings.Join(webhookTypes, ", "))
		}
	}
	for _, glob := range s.Sessions {
		if _, err := path.Match(glob, ""); glob == "" || len(glob) > WebhookGlobBytesMax || !utf8.ValidString(glob) || err != nil {
			return Errorf(CodeInvalidWebhook, "pattern of sessions %.160q: write it like build-*, at most %d bytes", glob, WebhookGlobBytesMax)
		}
	}
	key, err := s.key()
	if err != nil || len(key) < webhookKeyMin || len(key) > webhookKeyMax {
		return Errorf(CodeInvalidWebhook, "the secret must be %s and %d to %d bytes in base64; leave it out and one is made", webhookSecretPrefix, webhookKeyMin, webhookKeyMax)
	}
	return nil
}

// checkWebhookURL checks the form. It repeats nothing of the URL: passwords
// stand in them.
func checkWebhookURL(raw string) error {
	if len(raw) > WebhookURLBytesMax {
		return Errorf(CodeInvalidWebhook, "url of %d bytes is over the limit of %d", len(raw), WebhookURLBytesMax)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || !utf8.ValidString(raw):
		return Errorf(CodeInvalidWebhook, "the url must be absolute, like https://example.org/hook")
	case u.Scheme != "http" && u.Scheme != "https":
		return Errorf(CodeWebhookURL, "the url's scheme is %.40q; use https or http", u.Scheme)
	case u.User != nil:
		return Errorf(CodeWebhookURL, "the url holds a user; leave it out, the receiver knows us by the signature")
	}
	return nil
}

func (s *WebhookSpec) key() ([]byte, error) {
	text, ok := strings.CutPrefix(s.Secret, webhookSecretPrefix)
	if !ok {
		return nil, Errorf(CodeInvalidWebhook, "the secret does not begin with %s", webhookSecretPrefix)
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// Key returns the key that signs, which the secret encodes.
func (s *WebhookSpec) Key() []byte {
	key, _ := s.key() // checked when the webhook was made
	return key
}

// Wants reports whether the webhook is told of an event of the type in the
// session.
func (s *WebhookSpec) Wants(typ, session string) bool {
	if !slices.Contains(s.Types, typ) && !slices.Contains(s.Types, WebhookAny) {
		return false
	}
	return slices.ContainsFunc(s.Sessions, func(glob string) bool {
		ok, _ := path.Match(glob, session) // checked when the webhook was made
		return ok
	})
}

// WebhookPatch changes what is not nil. Empty lists mean their default, and an
// empty secret a new one.
type WebhookPatch struct {
	URL      *string
	Types    *[]string
	Sessions *[]string
	Secret   *string
	Paused   *bool
}

// Apply lays the patch over a webhook and checks the result. A new URL, and
// the end of a pause, begin without the failures of before.
func (p WebhookPatch) Apply(w Webhook) (Webhook, error) {
	spec := w.WebhookSpec
	if p.URL != nil {
		spec.URL = *p.URL
	}
	if p.Types != nil {
		spec.Types = *p.Types
	}
	if p.Sessions != nil {
		spec.Sessions = *p.Sessions
	}
	if p.Secret != nil {
		spec.Secret = *p.Secret
	}
	if p.Paused != nil {
		spec.Paused = *p.Paused
	}
	spec, err := spec.Complete()
	if err != nil {
		return w, err
	}
	if spec.URL != w.URL || w.Paused && !spec.Paused {
		w.Failures, w.FailingSince, w.NextAt = 0, time.Time{}, time.Time{}
	}
	w.WebhookSpec = spec
	return w, nil
}

// WebhookState is how far a webhook is and how it fares.
type WebhookState struct {
	Cursor       int64     // id of the last event of the feed that it is done with
	Failures     int64     // attempts in a row that failed
	FailingSince time.Time // the first of those, or zero
	NextAt       time.Time // not to be tried again before, or zero
	LastAt       time.Time // the last attempt, or zero
	LastStatus   int       // its answer; 0 when there was none
	LastError    string    // why it failed; "" when it was delivered
	Dropped      int64     // events that were given up
}

// WebhookOutcome is what came of an attempt to deliver an event.
type WebhookOutcome struct {
	URL     string    // that was tried
	At      time.Time // zero when nothing was tried and only the cursor moves
	Status  int       // 0 when there was no answer
	Error   string    // "" when it was delivered
	NextAt  time.Time // when it is tried again
	Gone    bool      // the receiver wants no more: the webhook pauses
	Dropped int64     // events that were given up by it
}

// Settle applies an outcome. The cursor never falls. What another URL than the
// webhook's said, which a patch has replaced meanwhile, counts no more.
func (w *Webhook) Settle(cursor int64, o WebhookOutcome) {
	w.Cursor = max(w.Cursor, cursor)
	w.Dropped += o.Dropped
	if o.At.IsZero() || o.URL != w.URL {
		return
	}
	w.LastAt, w.LastStatus, w.LastError = milli(o.At), o.Status, cutText(strings.ToValidUTF8(o.Error, "?"), WebhookErrorBytesMax)
	if o.Error == "" {
		w.Failures, w.FailingSince, w.NextAt = 0, time.Time{}, time.Time{}
		return
	}
	if w.Failures++; w.FailingSince.IsZero() {
		w.FailingSince = milli(o.At)
	}
	w.NextAt, w.Paused = milli(o.NextAt), w.Paused || o.Gone
}

// milli is the time as engines keep it.
func milli(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Webhooks is the ability to keep webhooks. Its methods may be called by any
// number of goroutines; what they return is on disk when they do.
type Webhooks interface {
	// CreateWebhook completes the spec and keeps a webhook that stands at the
	// feed's head: it is told of what comes.
	CreateWebhook(ctx context.Context, spec WebhookSpec) (Webhook, error)
	// Webhook returns one, or ErrNoWebhook.
	Webhook(ctx context.Context, id string) (Webhook, error)
	// ListWebhooks returns all of them, the oldest first.
	ListWebhooks(ctx context.Context) ([]Webhook, error)
	// UpdateWebhook changes what the patch names, or returns ErrNoWebhook.
	UpdateWebhook(ctx context.Context, id string, patch WebhookPatch) (Webhook, error)
	// DeleteWebhook forgets one, or returns ErrNoWebhook.
	DeleteWebhook(ctx context.Context, id string) error
	// AdvanceWebhook settles what came of an attempt (Webhook.Settle) and
	// returns the webhook as it then is, or ErrNoWebhook.
	AdvanceWebhook(ctx context.Context, id string, cursor int64, o WebhookOutcome) (Webhook, error)
}
