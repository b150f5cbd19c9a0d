package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/memory"
	"github.com/konlog/konlog/store/sqlite"
)

// TestSearchModel asks the engine and the reference the same random queries of
// the same random texts.
func TestSearchModel(t *testing.T) {
	t.Parallel()
	words := []string{"apple", "Äpfel", "app", "banana", "BANANA", "北京", "京大学", "学", "서울", "x", "x1", "it's", "foo_bar", "foo", "bar", "-", "*", `"`, "naïve"}
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 4))
		pick := func(n int) string {
			var all []string
			for range 1 + r.IntN(n) {
				all = append(all, words[r.IntN(len(words))])
			}
			return strings.Join(all, " ")
		}
		l, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		m := memory.New(memory.Options{})
		for range 150 {
			data := fmt.Appendf(nil, `{"text":%q}`, pick(8))
			session := fmt.Sprint("s", r.IntN(3))
			for _, log := range []store.Log{l, m} {
				if _, err := log.Append(t.Context(), session, store.AppendOptions{}, store.Draft{Type: "text", Data: data}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			query := []string{"", "-", `"`}[r.IntN(3)] + pick(3) + []string{"", "*", `"`}[r.IntN(3)]
			f := store.SearchFilter{Query: query, Session: []string{"", "s0"}[r.IntN(2)], Limit: 1 + r.IntN(store.SearchPageMax)}
			got, gotErr := found(t, l, f)
			want, wantErr := found(t, m, f)
			if !slices.Equal(got, want) || store.CodeOf(gotErr) != store.CodeOf(wantErr) {
				t.Fatalf("seed %d: %+v: got %v, %v\nwant %v, %v", seed, f, got, gotErr, want, wantErr)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// found names all hits of all pages with their snippets, in no order: between
// sessions there is none that two engines share.
func found(t *testing.T, s store.Searcher, f store.SearchFilter) (all []string, err error) {
	t.Helper()
	for {
		page, err := s.Search(t.Context(), f)
		if err != nil {
			return nil, err
		}
		for _, h := range page.Hits {
			all = append(all, fmt.Sprintf("%s/%d %s %v", h.Session, h.ID, h.Kind, h.Snippet))
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			slices.Sort(all)
			return all, nil
		}
	}
}
