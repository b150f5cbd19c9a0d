package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/konlog/konlog/store"
)

// Bounds of tokens and of the key file.
const (
	TokenBytesMax   = 8 << 10 // of any kind
	KeysMax         = 1024    // in one file, revoked and expired ones included
	NameBytesMax    = 128     // of a key's name
	SubjectBytesMax = 128     // of a key's or a token's subject
	keyFileBytesMax = 8 << 20
	keyFileVersion  = 1
)

// A token looks like konlog_ID_SECRET. The prefix lets people and scanners see
// what leaked; the id finds the row.
const (
	tokenPrefix     = "konlog_"
	keyIDChars      = 12
	keySecretChars  = 52 // of 256 bits in base32
	keyTokenChars   = len(tokenPrefix) + keyIDChars + 1 + keySecretChars
	tokenCharacters = "abcdefghijklmnopqrstuvwxyz234567"
)

// Key is an API key as it is kept. What it is recognised by is a hash of a
// secret of 256 random bits, which needs no salt and no slow hash: there is
// nothing to guess.
type Key struct {
	ID      string
	Name    string // for people
	Subject string
	Read    store.Patterns
	Write   store.Patterns
	Admin   bool
	Metrics bool
	Shell   bool
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: it is not

	hash [sha256.Size]byte
}

// Usable reports whether the key lets anybody in.
func (k *Key) Usable(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Grant is what the key allows.
func (k *Key) Grant() Grant {
	return Grant{
		Subject: k.Subject, ID: "key:" + k.ID, Read: k.Read, Write: k.Write, Admin: k.Admin, Metrics: k.Metrics, Shell: k.Shell,
		Expires: k.Expires, ends: k.Expires, key: k.ID,
	}
}

// Keys knows the API keys of a file, which others may change at any time. A
// change is seen within a second.
type Keys struct {
	file   watched
	logger *slog.Logger
	rows   atomic.Pointer[map[string]*Key] // replaced as a whole
}

var _ Verifier = (*Keys)(nil)

// OpenKeys reads the key file. One that is absent holds no keys; one that is
// damaged, or open to others, is refused.
func OpenKeys(path string, logger *slog.Logger) (*Keys, error) {
	k := &Keys{file: watched{path: path}, logger: logger}
	var rows []*Key
	err := k.file.refresh(time.Now(), func() (err error) {
		rows, err = readKeys(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.install(rows)
	return k, nil
}

func (k *Keys) install(rows []*Key) {
	byID := make(map[string]*Key, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	k.rows.Store(&byID)
}

// fresh takes in a change of the file. One that cannot be read leaves what was
// known in force; one that is gone takes all keys with it.
func (k *Keys) fresh() map[string]*Key {
	err := k.file.refresh(time.Now(), func() error {
		rows, err := readKeys(k.file.path)
		if err != nil {
			return err
		}
		k.install(rows)
		k.logger.Info("the key file was read again", "file", k.file.path, "keys", len(rows))
		return nil
	})
	if err != nil {
		k.logger.Error("the key file cannot be read; the keys that were known stay in force", "err", err)
	}
	return *k.rows.Load()
}

// Verify returns the grant of the key whose token this is.
func (k *Keys) Verify(_ context.Context, token string) (Grant, error) {
	id, ok := KeyIDOf(token)
	if !ok {
		return Grant{}, ErrUnauthorized
	}
	row, known := k.fresh()[id]
	if !known {
		row = &Key{} // compared all the same: the id, which is no secret, decides in the same time
	}
	got := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(got[:], row.hash[:]) == 1
	if !known || !same || !row.Usable(time.Now()) {
		return Grant{}, ErrUnauthorized
	}
	g := row.Grant()
	g.given = k
	return g, nil
}

// Holds reports whether the key of the grant was not revoked. That it expires
// is the Pass's business: its readers have a grace.
func (k *Keys) Holds(g *Grant) bool {
	row, ok := k.fresh()[g.key]
	return ok && row.Revoked.IsZero()
}

// Usable counts the keys that let somebody in.
func (k *Keys) Usable() (n int) {
	now := time.Now()
	for _, row := range k.fresh() {
		if row.Usable(now) {
			n++
		}
	}
	return n
}

// KeyIDOf takes the id, which is no secret, out of a token of an API key.
func KeyIDOf(token string) (string, bool) {
	rest, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(token) != keyTokenChars || rest[keyIDChars] != '_' {
		return "", false
	}
	if strings.Trim(rest[:keyIDChars], tokenCharacters) != "" || strings.Trim(rest[keyIDChars+1:], tokenCharacters) != "" {
		return "", false
	}
	return rest[:keyIDChars], true
}

// keyFile and keyRow are the file as it is written.
type keyFile struct {
	Version int      `json:"v"`
	Keys    []keyRow `json:"keys"`
}

type keyRow struct {
	ID      string         `json:"id"`
	Name    string         `json:"name,omitempty"`
	Subject string         `json:"subject"`
	SHA256  string         `json:"sha256"`
	Read    store.Patterns `json:"read,omitempty"`
	Write   store.Patterns `json:"write,omitempty"`
	Admin   bool           `json:"admin,omitempty"`
	Metrics bool           `json:"metrics,omitempty"`
	Shell   bool           `json:"shell,omitempty"`
	Created time.Time      `json:"created"`
	Expires *time.Time     `json:"expires,omitempty"`
	Revoked *time.Time     `json:"revoked,omitempty"`
}

// readKeys reads the file; an absent one holds none.
func readKeys(path string) ([]*Key, error) {
	body, err := readPrivate(path, keyFileBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	rows, err := parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w; put a copy back, or remove it and make the keys anew with konlog token create", path, err)
	}
	return rows, nil
}

// parseKeys is strict: a member it does not know may be a bound it would not
// keep.
func parseKeys(body []byte) ([]*Key, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var f keyFile
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is damaged: something follows its end")
	}
	if f.Version != keyFileVersion {
		return nil, fmt.Errorf("its version is %d, and this konlog knows %d", f.Version, keyFileVersion)
	}
	if len(f.Keys) > KeysMax {
		return nil, fmt.Errorf("%d keys are more than %d", len(f.Keys), KeysMax)
	}
	rows := make([]*Key, len(f.Keys))
	seen := map[string]bool{}
	for i := range f.Keys {
		row, err := f.Keys[i].key()
		if err != nil {
			return nil, fmt.Errorf("key %d (%.32q): %w", i+1, f.Keys[i].ID, err)
		}
		if seen[row.ID] {
			return nil, fmt.Errorf("key %s is there twice", row.ID)
		}
		seen[row.ID], rows[i] = true, row
	}
	return rows, nil
}

func (r *keyRow) key() (*Key, error) {
	k := &Key{
		ID: r.ID, Name: r.Name, Subject: r.Subject, Read: r.Read, Write: r.Write,
		Admin: r.Admin, Metrics: r.Metrics, Shell: r.Shell, Created: r.Created,
	}
	if r.Expires != nil {
		k.Expires = *r.Expires
	}
	if r.Revoked != nil {
		k.Revoked = *r.Revoked
	}
	if len(r.ID) != keyIDChars || strings.Trim(r.ID, tokenCharacters) != "" {
		return nil, errors.New("its id is malformed")
	}
	if len(r.SHA256) != hex.EncodedLen(sha256.Size) {
		return nil, errors.New("its sha256 is malformed")
	}
	if _, err := hex.Decode(k.hash[:], []byte(r.SHA256)); err != nil {
		return nil, errors.New("its sha256 is malformed")
	}
	if r.Expires != nil && r.Expires.IsZero() || r.Revoked != nil && r.Revoked.IsZero() {
		return nil, errors.New("a time of it is malformed")
	}
	return k, k.check()
}

// check validates what somebody chose.
func (k *Key) check() error {
	if err := checkName("name", k.Name, NameBytesMax); err != nil {
		return err
	}
	if k.Subject == "" {
		return errors.New("its subject is empty")
	}
	if err := checkName("subject", k.Subject, SubjectBytesMax); err != nil {
		return err
	}
	for _, patterns := range []store.Patterns{k.Read, k.Write} {
		if err := checkPatterns(patterns); err != nil {
			return err
		}
	}
	return nil
}

func checkPatterns(p store.Patterns) error {
	var refused *store.Error
	if err := p.Check(); errors.As(err, &refused) {
		return errors.New(refused.Detail)
	}
	return nil
}

// checkName refuses what would not print as one line.
func checkName(what, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("its %s of %d bytes is over the limit of %d", what, len(text), most)
	}
	control := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, control) {
		return fmt.Errorf("its %s holds characters that do not print", what)
	}
	return nil
}

func rowOf(k *Key) keyRow {
	r := keyRow{
		ID: k.ID, Name: k.Name, Subject: k.Subject, SHA256: hex.EncodeToString(k.hash[:]), Read: k.Read, Write: k.Write,
		Admin: k.Admin, Metrics: k.Metrics, Shell: k.Shell, Created: k.Created,
	}
	if !k.Expires.IsZero() {
		r.Expires = &k.Expires
	}
	if !k.Revoked.IsZero() {
		r.Revoked = &k.Revoked
	}
	return r
}
