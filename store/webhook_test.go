package store

import (
	"fmt"
	"slices"
	"testing"
)

// TestWebhookTypesAreTheFeeds holds the list of types against what the feed
// takes over: one that is missing could not be asked for, one too many would be
// waited for in vain.
func TestWebhookTypesAreTheFeeds(t *testing.T) {
	own := []string{TypeSessionCreated, TypeSessionUpdated, TypeSessionDeleted, TypeSeen} // of no event of a session
	for _, typ := range []string{
		TypePrompt, TypeTurnStart, TypeTurnEnd, TypeStopTurn, TypeSessionInit, TypeTextDelta, TypeText, TypeThinkingDelta, TypeThinking,
		TypeToolStart, TypeToolDelta, TypeToolResult, TypeTaskStart, TypeTaskUpdate, TypeTaskEnd, TypePermissionRequest, TypePermissionResponse,
		TypeKontaskCreated, TypeKontaskReady, TypeKontaskUpdated, TypeKontaskChosen, TypeUsage, TypePlan, TypeError, TypeProcessExit, TypeAgent,
		TypeRedacted, TypeSessionClosed, TypeSessionCreated, TypeSessionUpdated, TypeSessionDeleted, TypeSeen,
	} {
		_, fed := FeedDraft(&Event{ID: 1, Session: "s", Type: typ, Data: []byte("{}")})
		if want := fed || slices.Contains(own, typ); want != slices.Contains(webhookTypes, typ) {
			t.Errorf("%s: in the feed %t, in the list %t", typ, want, !want)
		}
	}
}

func TestWebhookWants(t *testing.T) {
	for _, c := range []struct {
		types, sessions []string
		typ, session    string
		want            bool
	}{
		{nil, nil, "turn_end", "s1", true},
		{nil, nil, "turn_start", "s1", false},
		{[]string{"*"}, nil, "seen", "s1", true},
		{[]string{"seen"}, []string{"build-*"}, "seen", "build-42", true},
		{[]string{"seen"}, []string{"build-*"}, "seen", "s1", false},
		{[]string{"seen"}, []string{"build-*", "s?"}, "seen", "s1", true},
		{[]string{"seen"}, []string{"s[12]"}, "seen", "s3", false},
	} {
		s, err := WebhookSpec{URL: "https://example.org", Types: c.types, Sessions: c.sessions}.Complete()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Wants(c.typ, c.session); got != c.want {
			t.Errorf("types %q sessions %q, event %s of %s: got %t", c.types, c.sessions, c.typ, c.session, got)
		}
	}
}

// FuzzWebhookSpec wants whatever passes the check to be usable, and the check
// to be stable.
func FuzzWebhookSpec(f *testing.F) {
	f.Add("https://example.org/hook?x=1", "s-*", "whsec_"+"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("http://[::1]:80/", "[a-z]?", "")
	f.Add("https://u:p@h/", "[", "whsec_")
	f.Fuzz(func(t *testing.T, url, glob, secret string) {
		s, err := WebhookSpec{URL: url, Sessions: []string{glob}, Secret: secret}.Complete()
		if err != nil {
			if CodeOf(err) != CodeInvalidWebhook && CodeOf(err) != CodeWebhookURL {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if n := len(s.Key()); n < 24 || n > 64 {
			t.Fatalf("key of %d bytes", n)
		}
		s.Wants(TypeTurnEnd, "s1")
		again, err := s.Complete()
		if err != nil || fmt.Sprint(again.Types, again.Sessions, again.URL) != fmt.Sprint(s.Types, s.Sessions, s.URL) || again.Secret != s.Secret {
			t.Fatalf("not stable: %v", err)
		}
	})
}
