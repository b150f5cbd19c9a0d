package access

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/store"
)

// TestKeyToGrant guards that what a key was made for is what its token gives.
func TestKeyToGrant(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	key, token := mustCreate(t, path, KeySpec{
		Name: "ci", Subject: "robot", Read: store.Patterns{"a-*", "b"}, Write: store.Patterns{"a-?"}, Metrics: true, Expires: expires,
	})
	if id, ok := KeyIDOf(token); !ok || id != key.ID || !strings.HasPrefix(token, "konlog_"+id+"_") {
		t.Errorf("token of key %s has id %q", key.ID, id)
	}
	g, err := mustOpen(t, path).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if g.Subject != "robot" || g.ID != "key:"+key.ID || !slices.Equal(g.Read, store.Patterns{"a-*", "b"}) || !slices.Equal(g.Write, store.Patterns{"a-?"}) ||
		g.Admin || !g.Metrics || g.Shell || !g.Expires.Equal(expires) {
		t.Errorf("got grant %+v", g)
	}
	for _, c := range []struct {
		session     string
		read, write bool
	}{{"a-1", true, true}, {"a-12", true, false}, {"b", true, false}, {"c", false, false}} {
		if g.MayRead(c.session) != c.read || g.MayWrite(c.session) != c.write {
			t.Errorf("session %s: read %v, write %v", c.session, g.MayRead(c.session), g.MayWrite(c.session))
		}
	}
}

// TestSubjectOfKey guards whose read marks a key has when nobody said.
func TestSubjectOfKey(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	named, _ := mustCreate(t, path, KeySpec{Name: "ci", Read: store.AllSessions})
	plain, _ := mustCreate(t, path, KeySpec{Read: store.AllSessions})
	if named.Subject != "ci" || plain.Subject != "key-"+plain.ID {
		t.Errorf("got subjects %q and %q", named.Subject, plain.Subject)
	}
}

// TestEveryCharacterOfTheToken guards that a token which differs anywhere, is
// shorter or longer, or only begins alike, is worth nothing: not one prefix of
// the secret or of its hash is enough.
func TestEveryCharacterOfTheToken(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	_, token := mustCreate(t, path, allSpec())
	keys := mustOpen(t, path)
	refuse := func(what, text string) {
		t.Helper()
		g, err := keys.Verify(t.Context(), text)
		wantRefused(t, what, g, err)
	}
	for i := range token {
		other := byte('a')
		if token[i] == 'a' {
			other = 'b'
		}
		refuse(fmt.Sprintf("character %d changed", i), token[:i]+string(other)+token[i+1:])
		refuse(fmt.Sprintf("cut after %d", i), token[:i])
		if loud := token[:i] + strings.ToUpper(token[i:]); loud != token { // its end may be digits
			refuse(fmt.Sprintf("upper case at %d", i), loud)
		}
	}
	refuse("longer", token+"a")
	refuse("twice", token+token)
	refuse("a space", token+" ")
	refuse("a line break", token+"\n")
	refuse("the id alone", token[:len(tokenPrefix)+keyIDChars])
	if _, err := keys.Verify(t.Context(), token); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

// TestFileHoldsNoSecret guards that who reads keys.json, or a backup of it,
// gets no token, and that nobody else can read it.
func TestFileHoldsNoSecret(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	_, token := mustCreate(t, path, allSpec())
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := token[len(tokenPrefix)+keyIDChars+1:]
	for _, leak := range []string{token, secret, secret[:16], hex.EncodeToString([]byte(secret))} {
		if bytes.Contains(body, []byte(leak)) {
			t.Errorf("the file holds %d characters of the secret", len(leak))
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestOpenKeyFileRefused guards that a file which others can read or change is
// not trusted.
func TestOpenKeyFileRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the mode says nothing there")
	}
	for _, mode := range []os.FileMode{0o604, 0o640, 0o602, 0o660, 0o777} {
		path := keyPath(t)
		mustCreate(t, path, allSpec())
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(path, discard()); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: got %v, want a refusal that says chmod", mode, err)
		}
		if _, _, err := CreateKey(t.Context(), path, allSpec()); err == nil {
			t.Errorf("mode %v: a key was added", mode)
		}
	}
}

// TestDamagedKeyFile guards that a damaged file is refused at the start with a
// word on what to do, and that no damage lets somebody in.
func TestDamagedKeyFile(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	key, token := mustCreate(t, path, KeySpec{Read: store.Patterns{"a"}, Expires: time.Now().Add(time.Hour)})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	row := strings.TrimSuffix(strings.SplitN(string(good), "[", 2)[1], "]\n}\n")
	for name, body := range map[string]string{
		"empty":            "",
		"no JSON":          "keys",
		"cut":              string(good[:len(good)/2]),
		"another version":  strings.Replace(string(good), `"v": 1`, `"v": 2`, 1),
		"something after":  string(good) + "{}",
		"unknown member":   strings.Replace(string(good), `"subject"`, `"bound": 1, "subject"`, 1),
		"misspelt expires": strings.Replace(string(good), `"expires"`, `"expirse"`, 1),
		"twice":            strings.Replace(string(good), row, row+","+row, 1),
		"short hash":       strings.Replace(string(good), `"sha256": "`, `"sha256": "00`, 1),
		"no hash":          strings.Replace(string(good), `"sha256"`, `"name"`, 1),
		"bad id":           strings.Replace(string(good), key.ID, "../../../etc", 1),
		"bad pattern":      strings.Replace(string(good), `"a"`, `"a b"`, 1),
		"empty pattern":    strings.Replace(string(good), `"a"`, `""`, 1),
		"no subject":       strings.Replace(string(good), key.Subject, "", 1),
		"a control":        strings.Replace(string(good), key.Subject, `\u001b[2J`, 1),
		"null":             "null",
	} {
		if body == string(good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeys(path, discard())
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "put a copy back") {
			t.Errorf("%s: got %v, want an error that names the file and says what to do", name, err)
		}
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), keyFileBytesMax+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(path, discard()); err == nil {
		t.Error("a file over the limit was read")
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mustOpen(t, path).Verify(t.Context(), token); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// TestDamageWhileRunning guards that a server goes on with the keys it knew,
// says so once, and takes the next good file in.
func TestDamageWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keyPath(t)
		_, token := mustCreate(t, path, allSpec())
		out := &logged{}
		keys, err := OpenKeys(path, out.logger())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			after(statEvery)
			if _, err := keys.Verify(t.Context(), token); err != nil {
				t.Fatalf("the key that was known: %v", err)
			}
		}
		if n := strings.Count(out.String(), "cannot be read"); n != 1 {
			t.Errorf("it was said %d times:\n%s", n, out)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		second, other := mustCreate(t, path, allSpec())
		after(statEvery)
		if g, err := keys.Verify(t.Context(), other); err != nil || g.ID != "key:"+second.ID {
			t.Errorf("the next good file: %+v, %v", g, err)
		}
		g, err := keys.Verify(t.Context(), token)
		wantRefused(t, "a key that is not in it", g, err)
		if strings.Contains(out.String(), token) {
			t.Error("the log holds a token")
		}
	})
}

// TestRemovedFile guards that who removes the file takes all keys out of force.
func TestRemovedFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keyPath(t)
		_, token := mustCreate(t, path, allSpec())
		keys := mustOpen(t, path)
		g, err := keys.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		after(statEvery)
		if keys.Holds(&g) {
			t.Error("the grant still holds")
		}
		none, err := keys.Verify(t.Context(), token)
		wantRefused(t, "removed", none, err)
	})
}

// TestRevocation guards that a revoked key is refused, and its grants stop to
// hold, within a second and without another word to the server; and that the
// others are left alone.
func TestRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keyPath(t)
		key, token := mustCreate(t, path, allSpec())
		_, stays := mustCreate(t, path, allSpec())
		keys := mustOpen(t, path)
		a := mustAccess(t, Config{Verifier: &Chain{Keys: keys}})
		pass, err := a.Authenticate(t.Context(), token)
		if err != nil || !pass.InForce(time.Now()) {
			t.Fatalf("before: %v", err)
		}
		other, err := a.Authenticate(t.Context(), stays)
		if err != nil {
			t.Fatal(err)
		}
		revoked, err := RevokeKey(t.Context(), path, key.ID)
		if err != nil || revoked.Revoked.IsZero() {
			t.Fatalf("%+v, %v", revoked, err)
		}
		after(statEvery)
		if pass.InForce(time.Now()) {
			t.Error("the pass of a revoked key is in force")
		}
		if err := pass.Renew(t.Context(), token); store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("renewed with a revoked key: %v", err)
		}
		g, err := keys.Verify(t.Context(), token)
		wantRefused(t, "revoked", g, err)
		if !other.InForce(time.Now()) {
			t.Error("another key went with it")
		}
		after(time.Hour)
		again, err := RevokeKey(t.Context(), path, key.ID)
		if err != nil || !again.Revoked.Equal(revoked.Revoked) {
			t.Errorf("revoked again: %v, %v; want %v", again.Revoked, err, revoked.Revoked)
		}
		list, err := ListKeys(path)
		if err != nil || len(list) != 2 || list[0].ID != key.ID || list[0].Revoked.IsZero() {
			t.Errorf("the row is not kept: %+v, %v", list, err)
		}
	})
}

// TestExpiry guards that a key ends at its second and not before.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keyPath(t)
		_, token := mustCreate(t, path, KeySpec{Read: store.AllSessions, Expires: time.Now().Add(10 * time.Second)})
		keys := mustOpen(t, path)
		a := mustAccess(t, Config{Verifier: &Chain{Keys: keys}})
		after(10*time.Second - time.Millisecond)
		pass, err := a.Authenticate(t.Context(), token)
		if err != nil || !pass.InForce(time.Now()) {
			t.Fatalf("a moment before: %v", err)
		}
		after(time.Millisecond)
		if pass.InForce(time.Now()) || !a.Revoked(pass.Grant()) {
			t.Error("it is still in force")
		}
		if !keys.Holds(pass.Grant()) {
			t.Error("who has expired is taken for revoked, and gets no grace")
		}
		g, err := keys.Verify(t.Context(), token)
		wantRefused(t, "expired", g, err)
		if n := keys.Usable(); n != 0 {
			t.Errorf("%d keys are usable", n)
		}
	})
}

// TestLooksOnceASecond guards what a request costs: the file is not looked at
// for each.
func TestLooksOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		w := &watched{path: path}
		reads := 0
		for range 100 {
			_ = w.refresh(time.Now(), func() error { reads++; return nil })
		}
		if reads != 1 {
			t.Fatalf("%d reads in one moment", reads)
		}
		for i, change := range []func(){
			func() { _ = os.WriteFile(path, []byte("a"), 0o600) },
			func() { _ = os.WriteFile(path, []byte("bc"), 0o600) },
			func() { _ = os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) },
			func() { _ = os.WriteFile(path+".2", []byte("de"), 0o600); _ = os.Rename(path+".2", path) },
			func() { _ = os.Chmod(path, 0o644) },
			func() { _ = os.Remove(path) },
		} {
			change()
			before := reads
			_ = w.refresh(time.Now(), func() error { reads++; return nil })
			if reads != before {
				t.Fatalf("change %d: it was looked at within a second", i)
			}
			after(statEvery)
			_ = w.refresh(time.Now(), func() error { reads++; return nil })
			if reads != before+1 && !(runtime.GOOS == "windows" && i == 4) {
				t.Errorf("change %d was not seen", i)
			}
			after(statEvery)
			_ = w.refresh(time.Now(), func() error { reads++; return nil })
			if reads != before+1 && !(runtime.GOOS == "windows" && i == 4) {
				t.Errorf("change %d was read again", i)
			}
		}
	})
}

// TestReadAgain guards that a file which could not be read is tried again, though
// it did not change, and that this is told once.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{path: filepath.Join(t.TempDir(), "f")}
		var fails error
		reads, told := 0, 0
		look := func() {
			if w.refresh(time.Now(), func() error { reads++; return fails }) != nil {
				told++
			}
			after(statEvery)
		}
		look()
		_ = os.WriteFile(w.path, []byte("a"), 0o600)
		fails = errors.New("not now")
		look()
		look()
		fails = errors.New("for another reason")
		look()
		fails = nil
		look()
		look()
		if reads != 5 || told != 2 {
			t.Errorf("it was read %d times and told %d times, want 5 and 2", reads, told)
		}
	})
}

// TestOnlyOneReads guards that an older reading cannot come after a newer one,
// and that nobody waits for one.
func TestOnlyOneReads(t *testing.T) {
	t.Parallel()
	w := &watched{path: filepath.Join(t.TempDir(), "f")}
	now := time.Now()
	_ = w.refresh(now, func() error {
		if err := os.WriteFile(w.path, []byte("newer"), 0o600); err != nil {
			t.Fatal(err)
		}
		return w.refresh(now.Add(time.Hour), func() error { t.Error("two read at a time"); return nil })
	})
}

// TestManyChange guards that keys which are made and revoked at the same time,
// by many, all end up in the file.
func TestManyChange(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	const each, many = 5, 8
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			for j := range each {
				k, _, err := CreateKey(t.Context(), path, KeySpec{Name: fmt.Sprintf("%d-%d", i, j), Read: store.AllSessions})
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if j%2 == 0 {
					if _, err := RevokeKey(t.Context(), path, k.ID); err != nil {
						t.Errorf("revoke: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	keys, err := ListKeys(path)
	revoked := 0
	for _, k := range keys {
		if !k.Revoked.IsZero() {
			revoked++
		}
	}
	if err != nil || len(keys) != each*many || revoked != 3*many {
		t.Errorf("got %d keys, %d of them revoked, %v; want %d and %d", len(keys), revoked, err, each*many, 3*many)
	}
	if left, _ := filepath.Glob(path + ".*.new"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAnotherProgramHoldsTheFile guards that the wait for it is bounded.
func TestAnotherProgramHoldsTheFile(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	unlock, err := tryLock(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, _, err := CreateKey(t.Context(), path, allSpec())
		if err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(began); waited != keyLockTimeout {
			t.Errorf("waited %v, want %v", waited, keyLockTimeout)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RevokeKey(ctx, path, "x"); err == nil {
		t.Error("a cancelled wait did not end")
	}
}

// TestFullKeyFile guards that a full file makes room by dead keys, oldest
// first, and never by one that is in force.
func TestFullKeyFile(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	now := time.Now().UTC().Truncate(time.Second)
	f := keyFile{Version: keyFileVersion}
	for i := range KeysMax {
		k := &Key{ID: randomText(keyIDChars), Subject: "s", Created: now}
		switch i {
		case 3:
			k.Revoked = now.Add(-time.Hour)
		case 7:
			k.Expires = now.Add(-2 * time.Hour)
		}
		f.Keys = append(f.Keys, rowOf(k))
	}
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := writePrivate(path, body); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{f.Keys[7].ID, f.Keys[3].ID} {
		mustCreate(t, path, allSpec())
		keys, err := ListKeys(path)
		if err != nil || len(keys) != KeysMax {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.ID == gone }) {
			t.Errorf("key %s was to make room", gone)
		}
	}
	if _, _, err := CreateKey(t.Context(), path, allSpec()); err == nil || !strings.Contains(err.Error(), "revoke some") {
		t.Errorf("one too many: %v", err)
	}
}

// TestRefusedSpecs guards the bounds of what somebody chooses for a key.
func TestRefusedSpecs(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	many := make(store.Patterns, store.PatternsMax+1)
	for i := range many {
		many[i] = "a"
	}
	for name, spec := range map[string]KeySpec{
		"long name":        {Name: strings.Repeat("n", NameBytesMax+1)},
		"long subject":     {Subject: strings.Repeat("n", SubjectBytesMax+1)},
		"line break":       {Name: "a\nb"},
		"escape":           {Subject: "\x1b[2J"},
		"line separator":   {Name: "a\u2028b"},
		"no UTF-8":         {Name: "\xff"},
		"pattern":          {Read: store.Patterns{"a/b"}},
		"write pattern":    {Write: store.Patterns{"[ab]"}},
		"many patterns":    {Read: many},
		"expired":          {Expires: time.Now().Add(-time.Second)},
		"expires just now": {Expires: time.Now()},
	} {
		if _, _, err := CreateKey(t.Context(), path, spec); err == nil {
			t.Errorf("%s: a key was made", name)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused key left a file")
	}
	if _, err := RevokeKey(t.Context(), path, "nosuchkey"); err != ErrNoKey {
		t.Errorf("revoke of none: %v", err)
	}
}

// TestLockEndsWithProcess guards that a program which died does not hold the
// file for ever.
func TestLockEndsWithProcess(t *testing.T) {
	if path := os.Getenv("KONLOG_CRASH_LOCK"); path != "" {
		if _, err := tryLock(path); err != nil {
			os.Exit(3)
		}
		_ = os.WriteFile(path+".held", nil, 0o600)
		os.Exit(9)
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "l")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLockEndsWithProcess$")
	cmd.Env = append(os.Environ(), "KONLOG_CRASH_LOCK="+path)
	_ = cmd.Run()
	if cmd.ProcessState.ExitCode() != 9 {
		t.Fatalf("the other program ended with %d", cmd.ProcessState.ExitCode())
	}
	unlock, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); err != errLocked {
		t.Errorf("it can be held twice: %v", err)
	}
	unlock()
	if unlock, err = tryLock(path); err != nil {
		t.Fatalf("it was not given back: %v", err)
	}
	unlock()
}

// TestPlacesOfSecret guards that no way to print a secret shows it.
func TestPlacesOfSecret(t *testing.T) {
	t.Parallel()
	s := Secret("hunter2")
	out := &logged{}
	out.logger().Info("x", "secret", s, "in", struct{ S Secret }{s}, "list", []Secret{s}, "map", map[string]Secret{"k": s})
	body, err := json.Marshal(map[string]any{"s": s, "c": JWTConfig{Secret: s}})
	if err != nil {
		t.Fatal(err)
	}
	text := out.String() + string(body) + fmt.Sprint(s, []Secret{s}, &s) + fmt.Sprintf("%v %s %q %#v %+v", s, s, s, s, JWTConfig{Secret: s}) + fmt.Errorf("x: %v", s).Error()
	if strings.Contains(text, "hunter2") || !strings.Contains(text, hidden) {
		t.Errorf("got %s", text)
	}
	if s.Reveal() != "hunter2" {
		t.Error("it is lost")
	}
}

// FuzzToken guards that no text but the token itself gets in, and that none
// breaks the parser.
func FuzzToken(f *testing.F) {
	path := keyPath(f)
	_, token := mustCreate(f, path, allSpec())
	keys := mustOpen(f, path)
	j := openTestJWT(f, JWTConfig{Secret: testSecret})
	chain := &Chain{Keys: keys, JWT: j}
	good := secretSigner().sign(f, nil)
	for _, seed := range []string{token, good, "", "konlog_", "konlog__", "a.b.c", token[:40], good[:60], "eyJhbGciOiJub25lIn0.e30.", strings.Repeat(".", 9000), "konlog_\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := chain.Verify(t.Context(), text)
		if err == nil && text != token && text != good {
			t.Fatalf("%q gave %+v", text, g)
		}
		if err != nil && (text == token || text == good || store.CodeOf(err) != CodeUnauthorized) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// FuzzKeyFile guards that whatever stands in the file is refused or read, and
// that what is read would be written and read the same.
func FuzzKeyFile(f *testing.F) {
	path := keyPath(f)
	mustCreate(f, path, KeySpec{Name: "n", Read: store.Patterns{"a-*"}, Expires: time.Now().Add(time.Hour)})
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1,"keys":[]}`))
	f.Add([]byte(`{"v":1,"keys":[{"id":"aaaaaaaaaaaa","subject":"s","sha256":"` + strings.Repeat("0", 64) + `","created":"2026-01-01T00:00:00Z","revoked":"2026-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := parseKeys(body)
		if err != nil {
			return
		}
		out := keyFile{Version: keyFileVersion}
		for _, row := range rows {
			out.Keys = append(out.Keys, rowOf(row))
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseKeys(text)
		if err != nil || len(again) != len(rows) {
			t.Fatalf("%s\nis not read again: %v", text, err)
		}
		for i := range rows {
			if a, b := fmt.Sprintf("%+v", *rows[i]), fmt.Sprintf("%+v", *again[i]); a != b {
				t.Fatalf("%s\nbecame %s", a, b)
			}
		}
	})
}
