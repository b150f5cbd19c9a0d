package access

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// anybody takes every token, as a credential of that name.
type anybody struct{}

func (anybody) Verify(_ context.Context, token string) (Grant, error) {
	return Grant{Subject: token, ID: token}, nil
}
func (anybody) Holds(*Grant) bool { return true }

func begin(t *testing.T, a *Access, token string) string {
	t.Helper()
	cookie, _, err := a.Login(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func taken(t *testing.T, a *Access, cookie string) bool {
	t.Helper()
	_, err := a.FromCookie(t.Context(), cookie)
	return err == nil
}

func signOut(t *testing.T, a *Access, cookie string) {
	t.Helper()
	if err := a.Logout(cookie); err != nil {
		t.Fatal(err)
	}
}

// TestSignOutsReviveNobody guards that however often somebody signs in and out,
// no session that was signed out begins again, no session of another credential
// ends, and what is kept has a bound.
func TestSignOutsReviveNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := mustAccess(t, Config{Verifier: anybody{}})
		admin, lives := begin(t, a, "admin"), begin(t, a, "admin")
		signOut(t, a, admin)
		after(time.Second)
		first := begin(t, a, "reader")
		signOut(t, a, first)
		var last string
		for range signedOutMax + 10 {
			after(time.Second)
			last = begin(t, a, "reader")
			if !taken(t, a, last) {
				t.Fatal("who signed out often cannot sign in")
			}
			signOut(t, a, last)
		}
		for name, cookie := range map[string]string{"another credential's": admin, "the first": first, "the last": last} {
			if taken(t, a, cookie) {
				t.Errorf("%s is taken again", name)
			}
		}
		if !taken(t, a, lives) {
			t.Error("a session of another credential has ended")
		}
		if n := len(a.logins.out.by[credentialName("reader")].IDs); n != signedOutEach {
			t.Errorf("%d are kept", n)
		}
		after(LoginMaxDefault)
		signOut(t, a, begin(t, a, "admin"))
		if n := len(a.logins.out.by); n != 1 {
			t.Errorf("of %d credentials something is kept after its end", n)
		}
	})
}

// TestSignInAfterManySignOuts guards that who signs in at the very moment at
// which sessions are forgotten by name, or after the clock was set back, is in.
func TestSignInAfterManySignOuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // whose clock stands still
		a := mustAccess(t, Config{Verifier: anybody{}})
		for range 3 * signedOutEach {
			signOut(t, a, begin(t, a, "x"))
		}
		cookie := begin(t, a, "x")
		if !taken(t, a, cookie) {
			t.Error("not in")
		}
		if p, err := a.FromCookie(t.Context(), cookie); err != nil || !p.InForce(time.Now()) {
			t.Errorf("its pass does not hold: %v", err)
		}
	})
}

// TestSignOutsOfMany guards the bounds over all credentials: the file fits what
// a start reads, and nobody is revived by what made room.
func TestSignOutsOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := signedOut{max: LoginMaxDefault}
		o.restore(time.Time{}, nil)
		var all []signIn
		out := func(by string) {
			after(time.Millisecond)
			s := signIn{ID: newSecret()[:22], By: credentialName(by), Begun: o.begin(credentialName(by), time.Now())}
			o.add(s, time.Now())
			all = append(all, s)
		}
		look := func() {
			until, by, _ := o.snapshot()
			sum := 0
			for _, e := range by {
				sum += len(e.IDs)
			}
			if sum > signedOutMax || len(by) > signedOutCredentials {
				t.Errorf("%d ids of %d credentials are kept", sum, len(by))
			}
			body, err := json.Marshal(loginFile{Until: until, Ended: by})
			if err != nil || len(body) > loginFileMax*3/4 {
				t.Errorf("the file has %d bytes, %v", len(body), err)
			}
			var again signedOut
			again.restore(until, by)
			for _, s := range all {
				if !o.has(s) || !again.has(s) {
					t.Fatal("one is no longer signed out")
				}
			}
		}
		for i := range 2 * signedOutMax / signedOutEach {
			for range signedOutEach {
				out(fmt.Sprint("busy", i))
			}
		}
		look()
		for i := range signedOutCredentials + 100 {
			out(fmt.Sprint("one", i))
		}
		look()
		if fresh := (signIn{ID: "new", By: credentialName("new"), Begun: o.begin(credentialName("new"), time.Now())}); o.has(fresh) {
			t.Error("nobody can sign in")
		}
	})
}

// TestSignedOutIsForEver is the property that nothing that was signed out comes
// back within its life, in whatever order it happens, and that a session which
// ended with it is older than one of the same credential that was signed out.
func TestSignedOutIsForEver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		o := signedOut{max: time.Hour}
		o.restore(time.Time{}, nil)
		var live, out []signIn
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				for range rapid.IntRange(1, signedOutEach).Draw(t, "sessions") {
					by := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by")
					live = append(live, signIn{ID: fmt.Sprint(len(live), len(out)), By: by, Begun: o.begin(by, now)})
					now = now.Add(time.Duration(rapid.IntRange(-1, 5).Draw(t, "ms")) * time.Millisecond)
				}
			},
			"end": func(t *rapid.T) {
				for range min(len(live), 50) {
					i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
					o.add(live[i], now)
					out = append(out, live[i])
					live = append(live[:i], live[i+1:]...)
				}
			},
			"": func(t *rapid.T) {
				youngest := map[string]time.Time{}
				for _, s := range out {
					if !o.has(s) {
						t.Fatalf("%+v is back", s)
					}
					if s.Begun.After(youngest[s.By]) {
						youngest[s.By] = s.Begun
					}
				}
				for _, s := range live {
					if o.has(s) && s.Begun.After(youngest[s.By]) {
						t.Fatalf("%+v has ended, and nobody ended it", s)
					}
				}
			},
		})
	})
}

// TestSignOutWaitsForTheDiskAlone guards that a disk which takes its time stops
// nobody who shows a cookie, that a sign-out answers when it is on it and not
// before, and that many who wait cost one more write.
func TestSignOutWaitsForTheDiskAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := Config{Verifier: anybody{}, LoginFile: filepath.Join(t.TempDir(), "console.json")}
		a := mustAccess(t, config)
		const many = 20
		disk, writes, free := make(chan struct{}), 0, true
		a.logins.write = func(path string, body []byte) error {
			if writes++; a.logins.out.mu.TryLock() {
				a.logins.out.mu.Unlock()
			} else {
				free = false
				return nil // or the next to look would wait for ever
			}
			<-disk
			return writePrivate(path, body)
		}
		lives := begin(t, a, "ada")
		var cookies []string
		done := make(chan error, many+2)
		out := func(cookie string) { go func() { done <- a.Logout(cookie) }() }
		for i := range many {
			cookies = append(cookies, begin(t, a, "ada"))
			out(cookies[i])
			if i == 0 {
				synctest.Wait() // it is the one that writes
			}
		}
		synctest.Wait()
		out(cookies[0]) // again, which is told no sooner than the others
		out(cookies[many-1])
		synctest.Wait()
		if !free {
			t.Fatal("the file is written while nobody can look at a cookie")
		}
		if len(done) != 0 {
			t.Errorf("%d say that they are kept, and the disk has none", len(done))
		}
		if !taken(t, a, lives) || taken(t, a, cookies[many-1]) {
			t.Error("while the disk is at work another session is not taken, or one that was signed out is")
		}
		disk <- struct{}{}
		synctest.Wait()
		if n := len(done); n != 1 {
			t.Errorf("after the first write %d are told, want the first alone", n)
		}
		close(disk)
		for range many + 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if writes != 2 {
			t.Errorf("%d writes, want 2", writes)
		}
		again := mustAccess(t, config)
		for _, cookie := range cookies {
			if taken(t, again, cookie) {
				t.Error("one is taken after a restart")
			}
		}
		if !taken(t, again, lives) {
			t.Error("one that was not signed out is not taken after a restart")
		}
	})
}

// TestSignOutFileNamesNobody guards that the file tells of no credential.
func TestSignOutFileNamesNobody(t *testing.T) {
	t.Parallel()
	config := Config{Verifier: anybody{}, LoginFile: filepath.Join(t.TempDir(), "console.json")}
	a := mustAccess(t, config)
	signOut(t, a, begin(t, a, "ada@example.com"))
	body, err := os.ReadFile(config.LoginFile)
	if err != nil || strings.Contains(string(body), "ada") || !strings.Contains(string(body), credentialName("ada@example.com")) {
		t.Errorf("got %s, %v", body, err)
	}
}
