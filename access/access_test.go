package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/konlog/konlog/store"
)

// TestNoCredentials guards that a server without credentials asks nobody for
// one, and that a nil Access is one.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	if (*Access)(nil).Required() {
		t.Error("a nil Access asks for credentials")
	}
	a := mustAccess(t, Config{})
	g, err := a.Verify(t.Context(), "anything")
	if err != nil || g.ID != Local.ID || a.Required() || !a.Holds(&g) {
		t.Errorf("got %+v, %v", g, err)
	}
	ticket, err := a.Ticket(t.Context(), LocalPass(), []string{"s1"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.UseTicket(ticket.Value)
	if err != nil || !p.Grant().MayRead("s1") || p.Grant().MayRead("s2") || !p.InForce(time.Now()) {
		t.Errorf("ticket: %v", err)
	}
	if a.Grace != GraceDefault {
		t.Errorf("grace %v", a.Grace)
	}
}

// TestChain guards that each token is asked of the verifier that it is for,
// and that a grant is held by the one that gave it.
func TestChain(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	_, key := mustCreate(t, path, allSpec())
	keys := mustOpen(t, path)
	j := openTestJWT(t, JWTConfig{Secret: testSecret})
	token := secretSigner().sign(t, nil)
	for _, c := range []struct {
		name     string
		chain    *Chain
		key, jwt bool
	}{{"both", &Chain{Keys: keys, JWT: j}, true, true}, {"keys", &Chain{Keys: keys}, true, false}, {"jwt", &Chain{JWT: j}, false, true}, {"none", &Chain{}, false, false}} {
		for text, ok := range map[string]bool{key: c.key, token: c.jwt, "": false, "x": false} {
			g, err := c.chain.Verify(t.Context(), text)
			if !ok {
				wantRefused(t, c.name, g, err)
			} else if err != nil || !c.chain.Holds(&g) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if (&Chain{Keys: keys}).Holds(&Grant{ID: "key:x", Read: store.AllSessions}) {
		t.Error("a grant that nobody gave holds")
	}
	both := &Chain{Keys: keys, JWT: j}
	g, _ := both.Verify(t.Context(), token)
	if keys.Holds(&g) {
		t.Error("the keys hold the grant of a token")
	}
}

// TestTicketOnce guards that a ticket is good once, also when many try it at
// the same moment.
func TestTicketOnce(t *testing.T) {
	t.Parallel()
	a, pass, _ := withKey(t, allSpec())
	ticket, err := a.Ticket(t.Context(), pass, nil)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	const many = 20
	for range many {
		go func() { _, err := a.UseTicket(ticket.Value); results <- err }()
	}
	in := 0
	for range many {
		if err := <-results; err == nil {
			in++
		} else if store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("got %v", err)
		}
	}
	if in != 1 {
		t.Errorf("%d came in with one ticket", in)
	}
	for _, text := range []string{"", "x", ticket.Value[:42], ticket.Value + "A", strings.Repeat("A", ticketChars)} {
		if _, err := a.UseTicket(text); store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// withKey makes an Access over a key file with one key, and its pass.
func withKey(t *testing.T, spec KeySpec) (*Access, *Pass, Key) {
	t.Helper()
	path := keyPath(t)
	key, token := mustCreate(t, path, spec)
	a := mustAccess(t, Config{Verifier: &Chain{Keys: mustOpen(t, path)}})
	pass, err := a.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return a, pass, key
}

// TestTicketEnds guards the life of a ticket, and that what becomes of its
// parent becomes of it.
func TestTicketEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keyPath(t)
		key, token := mustCreate(t, path, KeySpec{Read: store.AllSessions, Expires: time.Now().Add(time.Hour)})
		a := mustAccess(t, Config{Verifier: &Chain{Keys: mustOpen(t, path)}})
		pass, err := a.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		make := func() Ticket {
			ticket, err := a.Ticket(t.Context(), pass, nil)
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		late, used, held := make(), make(), make()
		if time.Until(late.Expires) != TicketLife {
			t.Errorf("it ends at %v", late.Expires)
		}
		after(TicketLife - time.Millisecond)
		first, err := a.UseTicket(used.Value)
		if err != nil {
			t.Fatal(err)
		}
		after(time.Millisecond)
		if _, err := a.UseTicket(late.Value); store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("after its life: %v", err)
		}
		if !first.Grant().Expires.Equal(key.Expires) {
			t.Errorf("the pass of a ticket ends at %v, its parent at %v", first.Grant().Expires, key.Expires)
		}
		held = make()
		if _, err := RevokeKey(t.Context(), path, key.ID); err != nil {
			t.Fatal(err)
		}
		after(statEvery)
		if first.InForce(time.Now()) {
			t.Error("the pass of a ticket outlives its parent")
		}
		if _, err := a.UseTicket(held.Value); store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("a ticket of a revoked key: %v", err)
		}
		if _, err := a.Ticket(t.Context(), pass, nil); store.CodeOf(err) != CodeUnauthorized {
			t.Errorf("a ticket for a revoked key: %v", err)
		}
	})
}

// TestTicketNarrows guards what is left in a ticket.
func TestTicketNarrows(t *testing.T) {
	t.Parallel()
	a, pass, _ := withKey(t, KeySpec{
		Subject: "ada", Read: store.Patterns{"team-*", "x"}, Write: store.Patterns{"team-ada", "secret"}, Admin: true, Metrics: true, Shell: true,
	})
	use := func(sessions ...string) *Grant {
		t.Helper()
		ticket, err := a.Ticket(t.Context(), pass, sessions)
		if err != nil {
			t.Fatal(err)
		}
		p, err := a.UseTicket(ticket.Value)
		if err != nil {
			t.Fatal(err)
		}
		return p.Grant()
	}
	g := use("team-ada", "team-bob")
	if g.Admin || g.Metrics || g.Subject != "ada" || g.ID != pass.Grant().ID {
		t.Errorf("got %+v", g)
	}
	for s, want := range map[string][2]bool{"team-ada": {true, true}, "team-bob": {true, false}, "team-eve": {}, "x": {}, "secret": {}} {
		if g.MayRead(s) != want[0] || g.MayWrite(s) != want[1] {
			t.Errorf("%s: read %v, write %v", s, g.MayRead(s), g.MayWrite(s))
		}
	}
	all := use()
	if !all.MayRead("team-eve") || !all.MayWrite("secret") || all.MayRead("y") || all.Admin || all.Metrics {
		t.Errorf("without sessions: %+v", all)
	}
	if g.Shell || all.Shell {
		t.Error("a ticket types into shells")
	}
	for _, c := range []struct {
		sessions      []string
		reads, inFeed string
	}{
		{[]string{store.FeedSession}, "", "team-ada team-eve x"},
		{[]string{store.FeedSession, "x"}, "x", "team-ada team-eve x"},
		{[]string{"x"}, "x", "x"},
		{nil, "team-ada team-eve x", "team-ada team-eve x"},
	} {
		g := use(c.sessions...)
		if !g.MayRead(store.FeedSession) || g.MayWrite(store.FeedSession) {
			t.Errorf("%q: the feed is not to be read, or to be written", c.sessions)
		}
		for _, s := range []string{"team-ada", "team-eve", "x", "y", "secret"} {
			if want := strings.Contains(c.reads, s); g.MayRead(s) != want || c.sessions != nil && g.MayWrite(s) {
				t.Errorf("%q: %s is read: %v; written: %v", c.sessions, s, !want, g.MayWrite(s))
			}
			if want := strings.Contains(c.inFeed, s); g.InFeed(s) != want {
				t.Errorf("%q: the feed tells of %s: %v", c.sessions, s, !want)
			}
		}
	}
	for what, c := range map[string]struct {
		sessions []string
		code     store.Code
	}{
		"not readable":     {[]string{"team-ada", "y"}, store.CodeNotFound},
		"writable only":    {[]string{"secret"}, store.CodeNotFound},
		"a pattern":        {[]string{"team-*"}, store.CodeInvalidSession},
		"every session":    {[]string{"*"}, store.CodeInvalidSession},
		"nothing":          {[]string{""}, store.CodeInvalidSession},
		"too many of them": {slices.Repeat([]string{"x"}, store.PatternsMax+1), store.CodeInvalidQuery},
	} {
		if _, err := a.Ticket(t.Context(), pass, c.sessions); store.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %s", what, err, c.code)
		}
	}
}

// TestNarrowedNeverMore is the property that no choice of sessions gives a
// ticket more than its pass.
func TestNarrowedNeverMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?]{1,4}`)
		id := rapid.OneOf(rapid.StringMatching(`[ab]{1,4}`), rapid.Just(store.FeedSession), rapid.StringMatching(`_[ab]{1,3}`))
		g := Grant{
			Subject: "s", ID: "i", Read: rapid.SliceOfN(pattern, 0, 3).Draw(t, "read"), Write: rapid.SliceOfN(pattern, 0, 3).Draw(t, "write"),
			Admin: rapid.Bool().Draw(t, "admin"), Metrics: rapid.Bool().Draw(t, "metrics"), Shell: rapid.Bool().Draw(t, "shell"),
			Expires: time.Unix(5, 0), key: "k",
		}
		before := fmt.Sprintf("%+v", g)
		sessions := rapid.SliceOfN(id, 0, 4).Draw(t, "sessions")
		n, err := narrowed(&g, sessions)
		if fmt.Sprintf("%+v", g) != before {
			t.Fatal("the pass's own grant was changed")
		}
		if err != nil {
			return
		}
		if n.Admin || n.Metrics || n.Shell || n.key != g.key || n.Subject != g.Subject || !n.Expires.Equal(g.Expires) {
			t.Fatalf("%+v became %+v", g, n)
		}
		for range 20 {
			s := id.Draw(t, "session")
			if n.MayRead(s) && !g.MayRead(s) || n.MayWrite(s) && !g.MayWrite(s) {
				t.Fatalf("%+v for %q is more than %+v at %s", n, sessions, g, s)
			}
			if n.InFeed(s) && !g.MayRead(s) && !g.InFeed(s) {
				t.Fatalf("%+v for %q hears more than %+v of %s", n, sessions, g, s)
			}
			if len(sessions) > 0 && !slices.Contains(sessions, s) && (n.MayRead(s) && s != store.FeedSession || n.MayWrite(s)) {
				t.Fatalf("%q reach %s, which is not among them", sessions, s)
			}
		}
	})
}

// TestTicketsBounded guards the memory of unused tickets, and that one subject
// cannot take all of it.
func TestTicketsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := mustAccess(t, Config{TicketsMax: 5, TicketsEach: 3})
		issue := func(subject string) error {
			g := Local
			g.Subject = subject
			_, err := a.Ticket(t.Context(), NewPass(g, nil), nil)
			return err
		}
		for range 3 {
			if err := issue("ada"); err != nil {
				t.Fatal(err)
			}
		}
		if err := issue("ada"); store.CodeOf(err) != CodeTicketsFull {
			t.Errorf("one subject took more than its part: %v", err)
		}
		after(time.Second)
		for range 2 {
			if err := issue("bob"); err != nil {
				t.Fatal(err)
			}
		}
		if err := issue("cid"); store.CodeOf(err) != CodeTicketsFull {
			t.Errorf("more than there may be: %v", err)
		}
		after(TicketLife - time.Second)
		for range 3 {
			if err := issue("ada"); err != nil {
				t.Errorf("expired ones made no room: %v", err)
			}
		}
		if n := len(a.tickets.unused); n != 5 {
			t.Errorf("%d are kept", n)
		}
		after(TicketLife)
		for range 3 {
			if err := issue("cid"); err != nil {
				t.Error(err)
			}
		}
		for range 3 { // what was used makes room at once
			g := Local
			g.Subject = "dan"
			ticket, err := a.Ticket(t.Context(), NewPass(g, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.UseTicket(ticket.Value); err != nil {
				t.Fatal(err)
			}
		}
		if len(a.tickets.count) > 2 || a.tickets.count["dan"] != 0 {
			t.Errorf("counts: %v", a.tickets.count)
		}
	})
}

// TestTicketsAreHashed guards that the server's memory does not hold what could
// be used.
func TestTicketsAreHashed(t *testing.T) {
	t.Parallel()
	a := mustAccess(t, Config{})
	ticket, err := a.Ticket(t.Context(), LocalPass(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(ticket.Value); err != nil || len(raw) != secretBytes {
		t.Errorf("a ticket of %d bytes, %v", len(raw), err)
	}
	if text := fmt.Sprintf("%#v", a.tickets.unused); strings.Contains(text, ticket.Value) {
		t.Error("it is kept as it is")
	}
}

// TestRenew guards that a connection takes a new token of its subject, and no
// other one.
func TestRenew(t *testing.T) {
	t.Parallel()
	path := keyPath(t)
	_, first := mustCreate(t, path, KeySpec{Subject: "ada", Read: store.Patterns{"a"}})
	_, wider := mustCreate(t, path, KeySpec{Subject: "ada", Read: store.Patterns{"b"}})
	_, other := mustCreate(t, path, KeySpec{Subject: "eve", Read: store.AllSessions, Admin: true})
	a := mustAccess(t, Config{Verifier: &Chain{Keys: mustOpen(t, path)}})
	p, err := a.Authenticate(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for token, code := range map[string]store.Code{other: CodeForbidden, "x": CodeUnauthorized, "": CodeUnauthorized, strings.Repeat("x", TokenBytesMax+1): CodeUnauthorized} {
		if err := p.Renew(t.Context(), token); store.CodeOf(err) != code {
			t.Errorf("%.20q: got %v, want %s", token, err, code)
		}
	}
	if !p.Grant().MayRead("a") || p.Grant().Admin {
		t.Errorf("a refusal changed the grant: %+v", p.Grant())
	}
	if err := p.Renew(t.Context(), wider); err != nil || p.Grant().MayRead("a") || !p.Grant().MayRead("b") {
		t.Errorf("renewed: %+v, %v", p.Grant(), err)
	}
}

// TestPassOfContext guards how a request's pass is found.
func TestPassOfContext(t *testing.T) {
	t.Parallel()
	_, pass, _ := withKey(t, allSpec())
	if got := Of(With(t.Context(), pass)); got != pass {
		t.Error("another pass came back")
	}
	if got := Of(t.Context()).Grant(); got.ID != "local" {
		t.Errorf("without one: %+v", got)
	}
}

// loginRig is a console at which somebody signs in with a key.
type loginRig struct {
	t      *testing.T
	dir    string
	config Config
	*Access
	key    Key
	token  string
	cookie string
}

func newLoginRig(t *testing.T, spec KeySpec) *loginRig {
	r := &loginRig{t: t, dir: t.TempDir()}
	r.key, r.token = mustCreate(t, r.keys(), spec)
	r.config = Config{LoginFile: filepath.Join(r.dir, "console.json")}
	r.restart()
	var err error
	if r.cookie, _, err = r.Login(t.Context(), r.token); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *loginRig) keys() string { return filepath.Join(r.dir, "keys.json") }

// restart is what a new process knows.
func (r *loginRig) restart() {
	r.t.Helper()
	r.config.Verifier = &Chain{Keys: mustOpen(r.t, r.keys())}
	r.Access = mustAccess(r.t, r.config)
}

// in reports whether the cookie lets somebody in.
func (r *loginRig) in(cookie string) (*Pass, bool) {
	r.t.Helper()
	p, err := r.FromCookie(r.t.Context(), cookie)
	if err != nil && store.CodeOf(err) != CodeUnauthorized {
		r.t.Errorf("got %v", err)
	}
	return p, err == nil
}

// TestLogin guards that a browser session allows what its key does, and lives
// on over a restart.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := newLoginRig(t, allSpec())
	for range 2 {
		p, ok := r.in(r.cookie)
		if !ok || p.Grant().ID != "key:"+r.key.ID || !p.Grant().Admin || !p.InForce(time.Now()) {
			t.Fatalf("got %+v", p)
		}
		if end := p.Grant().Expires; time.Until(end) > LoginMaxDefault || time.Until(end) < LoginMaxDefault-time.Hour {
			t.Errorf("it ends at %v", end)
		}
		r.restart()
	}
	if _, _, err := r.Login(t.Context(), "x"); store.CodeOf(err) != CodeUnauthorized {
		t.Errorf("signed in with nothing: %v", err)
	}
	if again, _, _ := r.Login(t.Context(), r.token); again == r.cookie {
		t.Error("two sessions are one")
	}
	if len(r.cookie) > cookieBytesMax || strings.ContainsAny(r.cookie, `;,"\ =`) {
		t.Errorf("no cookie: %q", r.cookie)
	}
}

// TestForgedCookies guards that nothing but what the server sealed is taken.
func TestForgedCookies(t *testing.T) {
	t.Parallel()
	r := newLoginRig(t, allSpec())
	stranger := newLoginRig(t, allSpec())
	raw, err := base64.RawURLEncoding.DecodeString(r.cookie)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(raw) + r.cookie; strings.Contains(text, r.token) || strings.Contains(text, r.key.ID) {
		t.Error("the cookie shows what it holds")
	}
	for i := range raw {
		raw[i] ^= 1
		if _, ok := r.in(base64.RawURLEncoding.EncodeToString(raw)); ok {
			t.Errorf("byte %d changed: it is taken", i)
		}
		raw[i] ^= 1
	}
	for name, cookie := range map[string]string{
		"empty": "", "another server's": stranger.cookie, "cut": r.cookie[:len(r.cookie)-4], "the token": r.token,
		"plain": base64.RawURLEncoding.EncodeToString([]byte(`{"id":"a","token":"` + r.token + `"}`)), "long": strings.Repeat("A", cookieBytesMax+1),
	} {
		if _, ok := r.in(cookie); ok {
			t.Errorf("%s: it is taken", name)
		}
	}
	if err := os.Remove(r.config.LoginFile); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if _, ok := r.in(r.cookie); ok {
		t.Error("a cookie of another secret is taken")
	}
}

// TestCookieEnds guards that revocation and expiry of the key end a session,
// and the streams that it opened.
func TestCookieEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t, allSpec())
		p, ok := r.in(r.cookie)
		if !ok {
			t.Fatal("not in")
		}
		if _, err := RevokeKey(t.Context(), r.keys(), r.key.ID); err != nil {
			t.Fatal(err)
		}
		after(statEvery)
		if _, ok := r.in(r.cookie); ok || p.InForce(time.Now()) {
			t.Error("it outlives its key")
		}
		if _, fresh := r.RefreshCookie(r.cookie); fresh {
			if _, ok := r.in(r.cookie); ok {
				t.Error("it is made anew")
			}
		}

		spec := allSpec()
		spec.Expires = time.Now().Add(time.Minute)
		short := newLoginRig(t, spec)
		p, _ = short.in(short.cookie)
		after(time.Minute)
		if _, ok := short.in(short.cookie); ok || p.InForce(time.Now()) {
			t.Error("it outlives the expiry of its key")
		}
	})
}

// TestCookieLife guards the idle end and the absolute one.
func TestCookieLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t, allSpec())
		begun := time.Now()
		if _, fresh := r.RefreshCookie(r.cookie); fresh {
			t.Error("a new cookie is made anew")
		}
		after(LoginIdleDefault - time.Second)
		if _, ok := r.in(r.cookie); !ok {
			t.Fatal("it ended too soon")
		}
		next, fresh := r.RefreshCookie(r.cookie)
		if !fresh {
			t.Fatal("it was not made anew")
		}
		after(time.Second)
		if _, ok := r.in(r.cookie); ok {
			t.Error("an idle cookie is taken")
		}
		if _, fresh := r.RefreshCookie(r.cookie); fresh {
			t.Error("an idle cookie is made anew")
		}
		for time.Since(begun) < LoginMaxDefault-LoginIdleDefault/2 {
			if _, ok := r.in(next); !ok {
				t.Fatalf("it ended after %v", time.Since(begun))
			}
			after(LoginIdleDefault / 2)
			if next, fresh = r.RefreshCookie(next); !fresh {
				t.Fatalf("not made anew after %v", time.Since(begun))
			}
		}
		p, ok := r.in(next)
		if !ok || !p.Grant().Expires.Equal(begun.Add(LoginMaxDefault)) {
			t.Errorf("it ends at %v, want %v", p.Grant().Expires, begun.Add(LoginMaxDefault))
		}
		after(time.Until(begun.Add(LoginMaxDefault)))
		if _, ok := r.in(next); ok || p.InForce(time.Now()) {
			t.Error("it is taken after its end")
		}
		if _, fresh := r.RefreshCookie(next); fresh {
			t.Error("it is made anew after its end")
		}
	})
}

// TestLogout guards that a signed-out session is over, in all its copies and
// streams, and stays so over a restart; and that others go on.
func TestLogout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newLoginRig(t, allSpec())
		other, _, err := r.Login(t.Context(), r.token)
		if err != nil {
			t.Fatal(err)
		}
		after(2 * time.Hour)
		copied, fresh := r.RefreshCookie(r.cookie)
		if !fresh {
			t.Fatal("not made anew")
		}
		p, _ := r.in(r.cookie)
		ticket, err := r.Ticket(t.Context(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Logout(r.cookie); err != nil {
			t.Fatal(err)
		}
		if p.InForce(time.Now()) {
			t.Error("a stream goes on")
		}
		if _, err := r.UseTicket(ticket.Value); err == nil {
			t.Error("a ticket goes on")
		}
		for range 2 {
			for name, cookie := range map[string]string{"itself": r.cookie, "its copy": copied} {
				if _, ok := r.in(cookie); ok {
					t.Errorf("%s is taken", name)
				}
				if _, fresh := r.RefreshCookie(cookie); fresh {
					t.Errorf("%s is made anew", name)
				}
			}
			if _, ok := r.in(other); !ok {
				t.Error("another session went with it")
			}
			r.restart()
		}
		if err := r.Logout("x"); err != nil {
			t.Errorf("of nothing: %v", err)
		}
	})
}

// TestLoginFile guards the file with the secret.
func TestLoginFile(t *testing.T) {
	t.Parallel()
	r := newLoginRig(t, allSpec())
	path := r.config.LoginFile
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "cut": string(body[:len(body)/2]), "no secret": `{"v":2}`, "short secret": `{"v":2,"secret":"AAAA"}`, "older": strings.Replace(string(body), `"v":2`, `"v":1`, 1), "newer": strings.Replace(string(body), `"v":2`, `"v":3`, 1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(r.config); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := New(r.config); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("open to others: %v", err)
		}
	}
	r.config.LoginFile = filepath.Join(r.dir, "none", "console.json")
	if _, err := New(r.config); err == nil {
		t.Error("a file that cannot be made was taken")
	}
}

// TestLogoutThatIsNotKept guards that a sign-out counts at once, and that a disk
// which does not take it is told of.
func TestLogoutThatIsNotKept(t *testing.T) {
	t.Parallel()
	r := newLoginRig(t, allSpec())
	r.logins.path = filepath.Join(r.dir, "none", "console.json")
	if err := r.Logout(r.cookie); err == nil {
		t.Error("no word of it")
	}
	if _, ok := r.in(r.cookie); ok {
		t.Error("it is taken")
	}
	if err := r.Logout(r.cookie); err == nil {
		t.Error("signing out again says that it is kept")
	}
	r.logins.path = r.config.LoginFile
	if err := r.Logout(r.cookie); err != nil {
		t.Errorf("signing out again, on a disk that takes it: %v", err)
	}
	r.restart()
	if _, ok := r.in(r.cookie); ok {
		t.Error("it is taken after a restart")
	}
}

// TestLongTokens guards that a token which does not fit a cookie is refused
// with a word on what to do, and the longest that does fits.
func TestLongTokens(t *testing.T) {
	t.Parallel()
	a := mustAccess(t, Config{})
	cookie, _, err := a.Login(t.Context(), strings.Repeat("x", loginTokenMax))
	if err != nil || len("__Host-"+CookieName)+1+len(cookie) > cookieBytesMax {
		t.Errorf("%d bytes of cookie, %v", len(cookie), err)
	}
	var refused *store.Error
	_, _, err = a.Login(t.Context(), strings.Repeat("x", loginTokenMax+1))
	if !errors.As(err, &refused) || !strings.Contains(refused.Detail, "API key") {
		t.Errorf("got %v", err)
	}
}

// TestLoginByToken guards that a session which began with a JSON Web Token ends
// with it.
func TestLoginByToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := openTestJWT(t, JWTConfig{Secret: testSecret})
		a := mustAccess(t, Config{Verifier: &Chain{JWT: j}})
		cookie, g, err := a.Login(t.Context(), secretSigner().sign(t, map[string]any{"exp": time.Now().Add(time.Minute).Unix()}))
		if err != nil || g.Subject != "ada" {
			t.Fatalf("%+v, %v", g, err)
		}
		p, err := a.FromCookie(t.Context(), cookie)
		if err != nil || !p.Grant().Expires.Equal(g.Expires) {
			t.Fatalf("%v", err)
		}
		after(time.Minute + jwtLeeway)
		if _, err := a.FromCookie(t.Context(), cookie); err == nil || p.InForce(time.Now()) {
			t.Error("it outlives its token")
		}
	})
}

// expiredVerifier forgets to look at the clock.
type expiredVerifier struct{}

func (expiredVerifier) Verify(context.Context, string) (Grant, error) {
	return Grant{Subject: "s", Expires: time.Now()}, nil
}
func (expiredVerifier) Holds(*Grant) bool { return true }

// TestAccessLooksAtTheClock guards that no verifier can give what has expired.
func TestAccessLooksAtTheClock(t *testing.T) {
	t.Parallel()
	a := mustAccess(t, Config{Verifier: expiredVerifier{}})
	if _, err := a.Verify(t.Context(), "x"); store.CodeOf(err) != CodeUnauthorized {
		t.Errorf("got %v", err)
	}
}

// FuzzCookie guards that no cookie but the sealed one is taken.
func FuzzCookie(f *testing.F) {
	a, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	cookie, _, err := a.Login(f.Context(), "x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cookie)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := a.FromCookie(t.Context(), text); (err == nil) != (text == cookie) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
