package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/konlog/konlog/store"
)

// quotaTests are about what a log may hold, and what of it is kept.
var quotaTests = []contractTest{
	{"QuotaOfASession", testQuotaSession},
	{"P7_QuotaLetsTurnsEnd", testQuotaEnds},
	{"QuotaOfAScope", testQuotaScope},
	{"QuotaInAll", testQuotaAll},
	{"QuotaOfBlobs", testQuotaBlobs},
	{"QuotaOfForksAndImports", testQuotaForks},
	{"UsageFollowsTheLog", testUsage},
	{"RetentionOfScopesAndSessions", testOwnRetention},
}

// drawQuotas draws none, or some that the model's few events come up against.
func drawQuotas(t *rapid.T) store.Quotas {
	if chance(t, "no quotas", 2) {
		return store.Quotas{}
	}
	return store.Quotas{
		Sessions: pick(t, "sessions", int64(0), 2), Bytes: pick(t, "bytes", int64(0), 3000),
		SessionEvents: pick(t, "session events", int64(0), 6), SessionBytes: pick(t, "session bytes", int64(0), 1200),
		Scopes: pick(t, "scopes", nil, []store.ScopeQuota{{Pattern: "a", Sessions: 1, Bytes: 1500, SessionEvents: 9}}, []store.ScopeQuota{{Pattern: "*", Bytes: 2000}}),
	}
}

// keep makes a Keep; what is negative it does not name.
func keep(ageMs, events, bytes int64) *store.Keep {
	k := &store.Keep{}
	for to, v := range map[**int64]int64{&k.AgeMs: ageMs, &k.Events: events, &k.Bytes: bytes} {
		if v >= 0 {
			*to = &v
		}
	}
	return k
}

// limit opens the engine again, empty, with quotas.
func (r *rig) limit(q store.Quotas) {
	r.Helper()
	if err := r.Log.Close(); err != nil {
		r.Fatal(err)
	}
	r.o.Quotas, r.o.Dir = q, r.TempDir()
	r.open()
}

func (r *rig) used(scope string) store.Used {
	r.Helper()
	l, ok := r.Log.(store.UsageReporter)
	if !ok {
		r.Skip("the engine does not count")
	}
	used, err := l.Used(ctx, scope)
	if err != nil {
		r.Fatal(err)
	}
	return used
}

// wantUsed adds up what quotas are held against, from what can be read.
func (r *rig) wantUsed(when string, scopes ...string) {
	r.Helper()
	all := r.list(store.SessionFilter{})
	for _, scope := range scopes {
		var want store.Used
		for _, s := range all {
			want.All.Sessions++
			want.All.Bytes += s.Bytes
			if s.Scope == scope {
				want.Scope.Sessions++
				want.Scope.Bytes += s.Bytes
			}
			size := int64(0)
			for _, e := range r.events(s.ID) {
				size += int64(e.Size())
			}
			if size != s.Bytes {
				r.Errorf("%s: session %s says %d bytes and holds %d", when, s.ID, s.Bytes, size)
			}
		}
		got := r.used(scope)
		if want.BlobBytes = got.BlobBytes; got != want {
			r.Errorf("%s: scope %q: used %+v, want %+v", when, scope, got, want)
		}
	}
}

// says wants a refusal to name the quota and how much is used of it.
func (r *rig) says(err *store.Error, parts ...string) {
	r.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Detail, part) {
			r.Errorf("the refusal does not say %q: %s", part, err.Detail)
		}
	}
}

func sizeOf(d store.Draft) int64 { return int64(d.Size()) }

// begins is a draft that begins a turn.
func begins(turn string) store.Draft {
	return store.Draft{Type: store.TypeTurnStart, Turn: turn, Data: []byte("{}")}
}

// ends is a draft that ends one, of about n bytes more.
func ends(turn string, n int) store.Draft {
	return store.Draft{Type: store.TypeTurnEnd, Turn: turn, Data: fmt.Appendf(nil, `{"success":true,"result":%q}`, strings.Repeat("x", n))}
}

func testQuotaSession(r *rig) {
	r.used("")
	r.limit(store.Quotas{SessionEvents: 5})
	r.append("s", plain, keyed("k", "a"), text("b"), text("c"))
	err := r.refused(store.CodeQuota, "s", plain, text("d"), text("e"), text("f"))
	r.says(err, "quota.session-events", "3 of 5 events", "add 3")
	r.append("s", plain, text("d"), text("e"))
	r.refused(store.CodeQuota, "s", plain, text("f"))
	r.refused(store.CodeQuota, "t", plain, text("1"), text("2"), text("3"), text("4"), text("5"), text("6"))
	r.wantAppended("what the log has", r.append("s", plain, keyed("k", "a")), store.Appended{First: 1, Last: 1, Duplicate: true})
	r.append("other", plain, text("x"))
	r.retain(store.Retention{Events: 3})
	r.append("s", plain, text("f"), text("g"))
	r.delete("s")
	r.append("s", plain, text("1"), text("2"), text("3"), text("4"), text("5")) // ids go on, the count begins anew
	r.wantUsed("at the end", "")

	size := sizeOf(text("x"))
	r.limit(store.Quotas{SessionBytes: 3 * size})
	r.append("s", plain, text("a"), text("b"))
	r.says(r.refused(store.CodeQuota, "s", plain, text("c"), text("d")), "quota.session-bytes", fmt.Sprintf("%d of %d bytes", 2*size, 3*size))
	r.append("s", plain, text("c"))
	r.redact("s", store.RedactSpec{From: 1, To: 3})
	if left := 3*size - r.session("s").Bytes; left < size { // what is left of them and what says so
		r.refused(store.CodeQuota, "s", plain, text("d"))
	} else {
		r.append("s", plain, text("d"))
	}
}

// testQuotaEnds fills a session to the brim: what was begun ends all the same,
// and nothing else gets in by that.
func testQuotaEnds(r *rig) {
	r.used("")
	r.limit(store.Quotas{SessionEvents: 3, Bytes: 1 << 20})
	r.append("s", plain, begins("t1"), text("a"), store.Draft{Type: store.TypePrompt, Turn: "t2", Data: []byte(`{"text":"p"}`)})
	r.refused(store.CodeQuota, "s", plain, text("b"))
	r.refused(store.CodeQuota, "s", plain, ends("t1", 0), text("b"))
	exit := store.Draft{Type: store.TypeProcessExit, Data: []byte(`{"exitCode":1}`)}
	for range store.QuotaReserveEvents {
		r.append("s", plain, exit)
	}
	r.refused(store.CodeQuota, "s", plain, exit)
	r.refused(store.CodeQuota, "s", plain, ends("t1", store.QuotaEndBytes))
	r.append("s", plain, ends("t1", 0))
	r.append("s", plain, ends("t2", 0), closing())
	if s := r.session("s"); !s.Closed || s.Turn != "" || len(s.Queue()) > 0 {
		r.Errorf("the session is %+v", s)
	}
	r.append("other", plain, begins("t"), text("a")) // its quota is its own
	r.append("other", plain, ends("t", store.QuotaEndBytes))

	r.limit(store.Quotas{Bytes: 100})
	r.append("s", plain, begins("t1"))
	r.append("s", plain, store.Draft{Type: store.TypeProcessExit, Data: []byte(`{}`), Raw: bytes.Repeat([]byte("x"), store.QuotaReserveBytes/2)})
	r.refused(store.CodeQuota, "s", plain, ends("t1", store.QuotaReserveBytes/4*3))
	r.append("s", plain, ends("t1", store.QuotaReserveBytes/4))
	r.wantUsed("at the end", "")
}

func testQuotaScope(r *rig) {
	r.used("")
	size := sizeOf(text("x"))
	r.limit(store.Quotas{SessionEvents: 2, Scopes: []store.ScopeQuota{{Pattern: "team-*", Sessions: 2, Bytes: 4 * size}}})
	create := func(id, scope string) error {
		_, _, err := r.CreateSession(ctx, id, store.SessionSpec{Scope: scope})
		return err
	}
	for _, s := range []string{"a1", "a2"} {
		if err := create(s, "team-a"); err != nil {
			r.Fatal(err)
		}
	}
	err := create("a3", "team-a")
	if store.CodeOf(err) != store.CodeQuota {
		r.Fatalf("the third session of the scope: %v", err)
	}
	r.says(refusal(err), "quota.scopes", `scope "team-a"`, "2 of 2 sessions")
	if err := errors.Join(create("b1", "team-b"), create("c1", "other"), create("a1", "team-a")); err != nil {
		r.Error(err) // each scope has its own, and one that is there is no new one
	}
	r.append("a1", plain, text("1"), text("2"), text("3")) // the scope's rule replaces the default of its sessions
	r.refused(store.CodeQuota, "c1", plain, text("1"), text("2"), text("3"))
	r.says(r.refused(store.CodeQuota, "a2", plain, text("1"), text("2")), `scope "team-a"`, "bytes")
	r.append("a2", plain, text("1"))
	r.append("b1", plain, text("1"), text("2"), text("3"))

	move := func(id, scope string) error {
		_, err := r.UpdateSession(ctx, id, store.SessionPatch{Scope: &scope})
		return err
	}
	if err := move("c1", "team-a"); store.CodeOf(err) != store.CodeQuota {
		r.Errorf("a third session moved into the scope: %v", err)
	}
	if err := move("a1", "team-b"); store.CodeOf(err) != store.CodeQuota {
		r.Errorf("more bytes moved into the scope than it may have: %v", err)
	}
	if err := errors.Join(move("a1", "team-a"), move("a1", "else"), create("a3", "team-a")); err != nil {
		r.Errorf("what makes no difference, and what makes room: %v", err)
	}
	r.append("a2", plain, text("2"), text("3"), text("4"))
	r.wantUsed("after the moves", "team-a", "team-b", "else", "other", "")
	r.delete("a2")
	r.append("a3", plain, text("1"), text("2"), text("3"), text("4"))
	if r.engine.Reopen {
		r.reopen()
		r.refused(store.CodeQuota, "a3", plain, text("5"))
	}
	r.wantUsed("at the end", "team-a", "team-b", "else", "other", "")
}

func testQuotaAll(r *rig) {
	r.used("")
	size := sizeOf(text("x"))
	r.limit(store.Quotas{Sessions: 2, Bytes: 3 * size})
	r.append("a", plain, text("1"))
	r.append("b", plain, text("1"))
	r.says(r.refused(store.CodeQuota, "c", plain, text("1")), "quota.sessions", "2 of 2 sessions")
	if _, _, err := r.CreateSession(ctx, "c", store.SessionSpec{}); store.CodeOf(err) != store.CodeQuota {
		r.Errorf("a third session: %v", err)
	}
	r.says(r.refused(store.CodeQuota, "a", plain, text("2"), text("3")), "quota.bytes")
	r.delete("b")
	r.append("c", plain, text("1"), text("2"))
	r.refused(store.CodeQuota, "a", plain, text("2"))
	r.wantUsed("at the end", "")
}

func testQuotaBlobs(r *rig) {
	r.used("")
	r.blobs()
	r.limit(store.Quotas{BlobBytes: 1000 << 10})
	first := bytes.Repeat([]byte("a"), 600<<10)
	r.put("", first)
	_, _, err := r.blobs().PutBlob(ctx, "", bytes.NewReader(bytes.Repeat([]byte("b"), 401<<10)), 0)
	if store.CodeOf(err) != store.CodeQuota {
		r.Fatalf("one blob too many: %v", err)
	}
	r.says(refusal(err), "quota.blob-bytes", fmt.Sprint(600<<10), fmt.Sprint(1000<<10))
	r.put("", first) // it is there
	r.put("", bytes.Repeat([]byte("b"), 400<<10))
	if got := r.used("").BlobBytes; got != 1000<<10 {
		r.Errorf("%d bytes of blobs are counted", got)
	}
	r.append("s", plain, text("quotas of blobs are not those of events"))
	r.clock.move(time.Hour)
	r.sweepBlobs(time.Minute, 2)
	if got := r.used("").BlobBytes; got != 0 {
		r.Errorf("%d bytes of blobs are counted after the sweep", got)
	}
	r.put("", bytes.Repeat([]byte("c"), 1000<<10))
	if r.engine.Reopen {
		r.reopen()
		if got := r.used("").BlobBytes; got != 1000<<10 {
			r.Errorf("%d bytes of blobs are counted after a restart", got)
		}
	}
}

func testQuotaForks(r *rig) {
	r.used("")
	size := sizeOf(text("x"))
	r.limit(store.Quotas{Sessions: 3, Bytes: 5 * size, SessionEvents: 4})
	r.append("s", plain, text("1"), text("2"), text("3"))
	r.fork("s", store.ForkSpec{After: 2, Session: "f1"})
	_, err := r.Log.(store.Forker).Fork(ctx, "s", store.ForkSpec{After: 1, Session: "f2"})
	if store.CodeOf(err) != store.CodeQuota {
		r.Errorf("a fork beyond the bytes: %v", err)
	}
	if _, err := r.Session(ctx, "f2"); !errors.Is(err, store.ErrNotFound) {
		r.Errorf("something is left of it: %v", err)
	}
	r.refused(store.CodeQuota, "i", store.AppendOptions{Restore: true}, restored(1))
	r.delete("f1")
	r.append("i", store.AppendOptions{Restore: true}, restored(7), restored(8))
	r.refused(store.CodeQuota, "i", store.AppendOptions{Restore: true}, restored(9))
	r.wantUsed("at the end", "")
}

// testUsage does all that changes what is used.
func testUsage(r *rig) {
	r.used("")
	if n := r.used(""); n != (store.Used{}) {
		r.Errorf("an empty log uses %+v", n)
	}
	step := func(what string) {
		r.Helper()
		r.wantUsed(what, "", "a", "b")
	}
	if _, _, err := r.CreateSession(ctx, "s", store.SessionSpec{Scope: "a"}); err != nil {
		r.Fatal(err)
	}
	step("created")
	r.append("s", plain, keyed("k", "one"), secretive(2), text("three"), text("four"))
	r.append("s", plain, keyed("k", "one"), text("five"))
	step("appended")
	r.redact("s", store.RedactSpec{From: 2, To: 3})
	step("redacted")
	r.fork("s", store.ForkSpec{After: 3, Session: "f"})
	step("forked")
	r.retain(store.Retention{Events: 2})
	step("retained")
	scope := "b"
	if _, err := r.UpdateSession(ctx, "f", store.SessionPatch{Scope: &scope}); err != nil {
		r.Fatal(err)
	}
	step("moved")
	r.append("i", store.AppendOptions{Restore: true}, restored(5), restored(6))
	step("imported")
	if r.engine.Reopen {
		r.reopen()
		step("reopened")
	}
	r.delete("s")
	step("deleted")
	r.append("s", plain, text("again"))
	step("made again")
	r.delete("s")
	r.delete("f")
	r.delete("i")
	if n := r.used("a"); n != (store.Used{}) {
		r.Errorf("when all is gone %+v is used", n)
	}
}

func testOwnRetention(r *rig) {
	keeper, ok := r.Log.(store.Retainer)
	if !ok {
		r.Skip("the engine does not forget")
	}
	none := int64(0)
	for id, spec := range map[string]store.SessionSpec{
		"plain": {}, "scoped": {Scope: "ci-1"}, "less": {Retention: keep(-1, 2, -1)}, "more": {Scope: "ci-1", Retention: keep(-1, 9, -1)},
		"all": {Retention: &store.Keep{AgeMs: &none, Events: &none, Bytes: &none}}, "aged": {Retention: keep(5000, 0, -1)},
	} {
		if _, _, err := r.CreateSession(ctx, id, spec); err != nil {
			r.Fatal(err)
		}
		for range 12 {
			r.append(id, plain, text("x"))
		}
	}
	if r.engine.Reopen {
		r.reopen()
		keeper = r.Log.(store.Retainer)
	}
	check := func(want map[string]int64) {
		r.Helper()
		_, err := keeper.Retain(ctx, store.Retention{Events: 6}, store.ScopeRetention{Pattern: "ci-*", Retention: store.Retention{Events: 3}})
		if err != nil {
			r.Fatal(err)
		}
		for id, n := range want {
			if s := r.session(id); s.Head-s.Floor+1 != n {
				r.Errorf("%s keeps %d events, want %d", id, s.Head-s.Floor+1, n)
			}
		}
		r.wantUsed("after retention", "", "ci-1")
	}
	check(map[string]int64{"plain": 6, "scoped": 3, "less": 2, "more": 9, "all": 12, "aged": 12})
	r.clock.move(6 * time.Second)
	check(map[string]int64{"plain": 6, "all": 12, "aged": 0})
	if _, err := r.UpdateSession(ctx, "all", store.SessionPatch{Retention: &store.Keep{}}); err != nil {
		r.Fatal(err)
	}
	if s := r.session("all"); s.Retention != nil {
		r.Errorf("a retention that says nothing stands as %+v", s.Retention)
	}
	check(map[string]int64{"all": 6, "more": 9})
	negative := int64(-1)
	if _, err := r.UpdateSession(ctx, "all", store.SessionPatch{Retention: &store.Keep{Events: &negative}}); store.CodeOf(err) != store.CodeInvalidQuery {
		r.Errorf("a retention of -1 events: %v", err)
	}
}
