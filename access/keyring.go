package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/konlog/konlog/store"
)

// ErrNoKey is the error of a key that is not in the file.
var ErrNoKey = errors.New("there is no such key")

// keyLockTimeout bounds the wait for another program that changes the file.
const keyLockTimeout = 5 * time.Second

// keyLockPause is between attempts to get at it.
const keyLockPause = 20 * time.Millisecond

// KeySpec says what a new key is to allow.
type KeySpec struct {
	Name    string
	Subject string // "": the name, or what the id makes
	Read    store.Patterns
	Write   store.Patterns
	Admin   bool
	Metrics bool
	Shell   bool
	Expires time.Time // zero: never
}

// CreateKey adds a key to the file, which it makes when it is absent, and
// returns its token: the only time that it is known. It is on disk when the
// error is nil. A full file makes room by the keys that have been revoked or
// expired the longest.
func CreateKey(ctx context.Context, path string, spec KeySpec) (Key, Secret, error) {
	id, secret := randomText(keyIDChars), randomText(keySecretChars)
	token := tokenPrefix + id + "_" + secret
	now := time.Now().UTC().Truncate(time.Second)
	k := &Key{
		ID: id, Name: spec.Name, Subject: cmp.Or(spec.Subject, spec.Name, "key-"+id), Read: spec.Read, Write: spec.Write,
		Admin: spec.Admin, Metrics: spec.Metrics, Shell: spec.Shell, Created: now, Expires: spec.Expires.UTC().Truncate(time.Second),
		hash: sha256.Sum256([]byte(token)),
	}
	if spec.Expires.IsZero() {
		k.Expires = time.Time{}
	}
	if err := k.check(); err != nil {
		return Key{}, "", fmt.Errorf("the key is refused: %w", err)
	}
	if !k.Usable(now) {
		return Key{}, "", fmt.Errorf("the key would have expired at %s", k.Expires.Format(time.RFC3339))
	}
	err := changeKeys(ctx, path, func(rows []*Key) ([]*Key, error) {
		if len(rows) >= KeysMax {
			rows = withoutDead(rows, len(rows)-KeysMax+1, now)
		}
		if len(rows) >= KeysMax {
			return nil, fmt.Errorf("the file holds %d keys that are in force, and no more fit: revoke some", len(rows))
		}
		return append(rows, k), nil
	})
	if err != nil {
		return Key{}, "", err
	}
	return *k, Secret(token), nil
}

// ListKeys returns the keys of the file, oldest first.
func ListKeys(path string) ([]Key, error) {
	rows, err := readKeys(path)
	keys := make([]Key, len(rows))
	for i, row := range rows {
		keys[i] = *row
	}
	return keys, err
}

// RevokeKey makes the key worthless from now on, and keeps its row. A key that
// was revoked before stays as it is.
func RevokeKey(ctx context.Context, path, id string) (Key, error) {
	var revoked Key
	err := changeKeys(ctx, path, func(rows []*Key) ([]*Key, error) {
		i := slices.IndexFunc(rows, func(k *Key) bool { return k.ID == id })
		if i < 0 {
			return nil, ErrNoKey
		}
		if rows[i].Revoked.IsZero() {
			rows[i].Revoked = time.Now().UTC().Truncate(time.Second)
		}
		revoked = *rows[i]
		return rows, nil
	})
	return revoked, err
}

// changeKeys reads, changes and writes the file while no other program does.
func changeKeys(ctx context.Context, path string, change func([]*Key) ([]*Key, error)) error {
	unlock, err := lockKeys(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	rows, err := readKeys(path)
	if err != nil {
		return err
	}
	if rows, err = change(rows); err != nil {
		return err
	}
	f := keyFile{Version: keyFileVersion, Keys: []keyRow{}}
	for _, row := range rows {
		f.Keys = append(f.Keys, rowOf(row))
	}
	body, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if len(body) >= keyFileBytesMax {
		return fmt.Errorf("key file %s: %d bytes would be over the limit of %d; use fewer patterns", path, len(body), keyFileBytesMax)
	}
	return writePrivate(path, append(body, '\n'))
}

// lockKeys waits for the lock, within a bound.
func lockKeys(ctx context.Context, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, keyLockTimeout)
	defer cancel()
	for {
		unlock, err = tryLock(path)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another program has held %s for %s", path, keyLockTimeout)
		case <-time.After(keyLockPause):
		}
	}
}

var errLocked = errors.New("locked")

// withoutDead leaves out up to n keys that let nobody in, those that have been
// so the longest first.
func withoutDead(rows []*Key, n int, now time.Time) []*Key {
	ended := func(k *Key) time.Time {
		if k.Revoked.IsZero() || !k.Expires.IsZero() && k.Expires.Before(k.Revoked) {
			return k.Expires
		}
		return k.Revoked
	}
	var dead []*Key
	for _, k := range rows {
		if !k.Usable(now) {
			dead = append(dead, k)
		}
	}
	slices.SortStableFunc(dead, func(a, b *Key) int { return ended(a).Compare(ended(b)) })
	dead = dead[:min(n, len(dead))]
	return slices.DeleteFunc(rows, func(k *Key) bool { return slices.Contains(dead, k) })
}

// randomText makes so many characters of five random bits each.
func randomText(chars int) string {
	b := make([]byte, (chars*5+7)/8)
	_, _ = rand.Read(b) // it never fails
	return base32.NewEncoding(tokenCharacters).WithPadding(base32.NoPadding).EncodeToString(b)[:chars]
}
