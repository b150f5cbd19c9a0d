package access

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/konlog/konlog/store"
)

// Bounds of browser sessions.
const (
	CookieName       = "konlog_session"
	LoginIdleDefault = 3 * 24 * time.Hour  // over a weekend
	LoginMaxDefault  = 30 * 24 * time.Hour // then one signs in again

	loginTokenMax  = 2800             // bytes of a token: sealed and in base64 it must fit what browsers keep, 4096
	cookieBytesMax = 4096             // longer values are no cookie of ours
	loginFresh     = time.Hour        // a cookie is set anew at most so often
	loginSkew      = time.Minute      // a cookie from a clock that was set back since
	loginsEndedMax = 4096             // sessions that were signed out and would still run
	loginFileMax   = 1 << 20          // bytes of the file: the secret, and as many as that
	loginVersion   = 1                // of the file and of what is sealed
	sealedAs       = "konlog login 1" // what the seal is for
)

// login is what a cookie holds, sealed. It carries the token itself, so that
// revocation, expiry and rotation end it by the one way that there is, and a
// stolen secret of the server alone lets nobody in.
type login struct {
	ID    string    `json:"id"`
	Begun time.Time `json:"begun"`
	Seen  time.Time `json:"seen"`
	Token string    `json:"token"`
}

// logins seals and opens cookies. The server keeps nothing of a session but
// which ones were signed out before their time.
type logins struct {
	idle, max time.Duration
	path      string // or ""
	secret    []byte
	seal      cipher.AEAD
	logger    *slog.Logger

	mu  sync.Mutex // guards out
	out map[string]time.Time
}

// loginFile is the file's content.
type loginFile struct {
	Version int                  `json:"v"`
	Secret  []byte               `json:"secret"`
	Ended   map[string]time.Time `json:"ended"` // id: when it would have ended by itself
}

func openLogins(c Config) (*logins, error) {
	l := &logins{
		idle: cmp.Or(c.LoginIdle, LoginIdleDefault), max: cmp.Or(c.LoginMax, LoginMaxDefault),
		path: c.LoginFile, logger: c.Logger, out: map[string]time.Time{},
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(l.secret)
	if err != nil {
		return nil, fmt.Errorf("seal of browser sessions: %w", err)
	}
	if l.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("seal of browser sessions: %w", err)
	}
	return l, nil
}

// load reads the file, or makes it.
func (l *logins) load() error {
	l.secret = make([]byte, secretBytes)
	_, _ = rand.Read(l.secret) // it never fails
	if l.path == "" {
		return nil
	}
	body, err := readPrivate(l.path, loginFileMax)
	if errors.Is(err, fs.ErrNotExist) {
		return l.save()
	}
	if err != nil {
		return err
	}
	var f loginFile
	if err := json.Unmarshal(body, &f); err != nil || f.Version != loginVersion || len(f.Secret) != secretBytes {
		return fmt.Errorf("%s is damaged, or of a newer version: remove it, and everybody signs in to the console again", l.path)
	}
	l.secret = f.Secret
	if f.Ended != nil {
		l.out = f.Ended
	}
	return nil
}

// save writes the file. The caller holds mu, or is the only one.
func (l *logins) save() error {
	if l.path == "" {
		return nil
	}
	body, err := json.Marshal(loginFile{Version: loginVersion, Secret: l.secret, Ended: l.out})
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	return writePrivate(l.path, append(body, '\n'))
}

func (l *logins) begin(token string, now time.Time) (string, error) {
	if len(token) > loginTokenMax {
		return "", store.Errorf(CodeUnauthorized, "a token of %d bytes does not fit a browser's cookie, which takes %d: sign in with a shorter one, such as an API key", len(token), loginTokenMax)
	}
	return l.sealed(login{ID: newSecret()[:22], Begun: now.UTC(), Seen: now.UTC(), Token: token}), nil
}

func (l *logins) sealed(one login) string {
	body, err := json.Marshal(one)
	if err != nil {
		panic("login: " + err.Error()) // strings and times of this century
	}
	return base64.RawURLEncoding.EncodeToString(l.seal.Seal(nil, nil, body, []byte(sealedAs)))
}

// open returns what the cookie holds, unless it is none of ours or has ended.
func (l *logins) open(cookie string, now time.Time) (login, bool) {
	if len(cookie) > cookieBytesMax {
		return login{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != cookie { // it has one spelling
		return login{}, false
	}
	body, err := l.seal.Open(nil, nil, sealed, []byte(sealedAs))
	if err != nil {
		return login{}, false
	}
	var one login
	if err := json.Unmarshal(body, &one); err != nil || one.ID == "" {
		return login{}, false
	}
	alive := now.Before(one.Begun.Add(l.max)) && now.Before(one.Seen.Add(l.idle)) && !one.Seen.After(now.Add(loginSkew))
	return one, alive && !l.ended(one.ID)
}

func (l *logins) refresh(cookie string, now time.Time) (string, bool) {
	one, ok := l.open(cookie, now)
	if !ok || now.Sub(one.Seen) < min(loginFresh, l.idle/4) {
		return "", false
	}
	one.Seen = now.UTC()
	return l.sealed(one), true
}

// ended reports whether the session was signed out; "" is none.
func (l *logins) ended(id string) bool {
	if id == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, out := l.out[id]
	return out
}

func (l *logins) end(cookie string, now time.Time) error {
	one, ok := l.open(cookie, now)
	if !ok {
		return nil // it has ended
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.out, func(_ string, until time.Time) bool { return !now.Before(until) })
	for len(l.out) >= loginsEndedMax { // who would have ended first makes room
		first, at := "", time.Time{}
		for id, until := range l.out {
			if first == "" || until.Before(at) {
				first, at = id, until
			}
		}
		delete(l.out, first)
	}
	l.out[one.ID] = one.Begun.Add(l.max)
	if err := l.save(); err != nil {
		l.logger.Error("a sign-out was not kept for the next start", "err", err)
		return err
	}
	return nil
}
