package sqlite_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/konlog/konlog/internal/long"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
	"github.com/konlog/konlog/store/storetest"
)

// engine opens the log with a cache of that size. It does not sync: what fsync
// is for is the affair of the power-loss tests, and these are faster without.
func engine(cacheBytes int64) storetest.Engine {
	return storetest.Engine{Reopen: true, Open: func(t *testing.T, o storetest.Options) store.Log {
		t.Helper()
		l, err := sqlite.Open(context.Background(), o.Dir, sqlite.Options{Committed: o.Committed, Now: o.Now, EventBytesMax: o.EventBytesMax, Quotas: o.Quotas, CacheBytes: cacheBytes, NoSync: true, LeasesByHand: true})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}}
}

func TestMain(m *testing.M) {
	long.Waits()
	os.Exit(m.Run())
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("small cache", func(t *testing.T) { storetest.Run(t, engine(4000)) }) // which it is read with and past
	t.Run("cached", func(t *testing.T) { long.Only(t); storetest.Run(t, engine(0)) })
	t.Run("no cache", func(t *testing.T) { long.Only(t); storetest.Run(t, engine(-1)) })
}

// TestI8_Model holds the engine against the reference over random operations:
// the same log gives the same sessions, pages and refusals.
func TestI8_Model(t *testing.T) {
	if long.Race || !long.Wanted() { // the detector is an order of magnitude slower, and looks for something else
		checks := flag.Lookup("rapid.checks")
		usual := checks.Value.String()
		_ = checks.Value.Set("20")
		defer func() { _ = checks.Value.Set(usual) }()
	}
	t.Run("cached", func(t *testing.T) { storetest.Model(t, engine(0)) })
	t.Run("small cache", func(t *testing.T) { storetest.Model(t, engine(4000)) })
}
