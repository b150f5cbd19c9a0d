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
	loginFileMax   = 1 << 20          // bytes of the file: the secret, and all that signedOut may keep
	loginVersion   = 2                // of the file
	sealedAs       = "konlog login 1" // what the seal is for
)

// login is what a cookie holds, sealed. It carries the token itself, so that
// revocation, expiry and rotation end it by the one way that there is, and a
// stolen secret of the server alone lets nobody in.
type login struct {
	signIn
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
	write     func(path string, body []byte) error
	logger    *slog.Logger
	out       signedOut

	writing chan struct{} // capacity 1: whoever writes the file has a place in it
	written int64         // the last change of out that is in the file, -1 before there is one; whoever has the place may touch it
}

// loginFile is the file's content.
type loginFile struct {
	Version int               `json:"v"`
	Secret  []byte            `json:"secret"`
	Until   time.Time         `json:"until,omitzero"` // every session that began until then has ended
	Ended   map[string]*ended `json:"ended"`          // by credential
}

func openLogins(c Config) (*logins, error) {
	l := &logins{
		idle: cmp.Or(c.LoginIdle, LoginIdleDefault), max: cmp.Or(c.LoginMax, LoginMaxDefault),
		path: c.LoginFile, write: writePrivate, logger: c.Logger, writing: make(chan struct{}, 1), written: -1,
	}
	l.out.max = l.max
	l.out.restore(time.Time{}, nil)
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
		return l.save(0)
	}
	if err != nil {
		return err
	}
	var f loginFile
	if err := json.Unmarshal(body, &f); err != nil || f.Version != loginVersion || len(f.Secret) != secretBytes {
		return fmt.Errorf("%s is damaged, or of another version: remove it, and everybody signs in to the console again", l.path)
	}
	l.secret = f.Secret
	l.out.restore(f.Until, f.Ended)
	l.written = 0
	return nil
}

// save returns when the change is in the file. One writes at a time, and what
// all who wait for it have changed: so many cost two writes, and nobody who only
// shows a cookie waits for the disk.
func (l *logins) save(change int64) error {
	if l.path == "" {
		return nil
	}
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if change <= l.written {
		return nil
	}
	until, ended, last := l.out.snapshot()
	body, err := json.Marshal(loginFile{Version: loginVersion, Secret: l.secret, Until: until, Ended: ended})
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	if err := l.write(l.path, append(body, '\n')); err != nil {
		return err
	}
	l.written = last
	return nil
}

// begin makes the cookie of a session of the credential that the grant's id
// names.
func (l *logins) begin(token, grantID string, now time.Time) (string, error) {
	if len(token) > loginTokenMax {
		return "", store.Errorf(CodeUnauthorized, "a token of %d bytes does not fit a browser's cookie, which takes %d: sign in with a shorter one, such as an API key", len(token), loginTokenMax)
	}
	by := credentialName(grantID)
	return l.sealed(login{
		signIn: signIn{ID: newSecret()[:22], By: by, Begun: l.out.begin(by, now).UTC()}, Seen: now.UTC(), Token: token,
	}), nil
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
	one, ok := l.unsealed(cookie, now)
	return one, ok && !l.out.has(one.signIn)
}

// unsealed is open for who does not mind that it was signed out.
func (l *logins) unsealed(cookie string, now time.Time) (login, bool) {
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
	return one, alive
}

func (l *logins) refresh(cookie string, now time.Time) (string, bool) {
	one, ok := l.open(cookie, now)
	if !ok || now.Sub(one.Seen) < min(loginFresh, l.idle/4) {
		return "", false
	}
	one.Seen = now.UTC()
	return l.sealed(one), true
}

// end signs out, and returns when no restart undoes it. Of a session that was
// signed out before it answers the same: the disk may have refused it then.
func (l *logins) end(cookie string, now time.Time) error {
	one, ok := l.unsealed(cookie, now)
	if !ok {
		return nil // it has ended by itself
	}
	if err := l.save(l.out.add(one.signIn, now)); err != nil {
		l.logger.Error("a sign-out was not kept for the next start", "err", err)
		return err
	}
	return nil
}
