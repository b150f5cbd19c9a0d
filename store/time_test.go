package store_test

import (
	"testing"
	"time"

	"github.com/konlog/konlog/store"
)

// The hand-written form must be what the layout says, for every kind of date.
func TestAppendTimeIsTimeLayout(t *testing.T) {
	zone := time.FixedZone("east", 10*3600)
	for _, at := range []time.Time{
		{}, time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(-1), time.UnixMilli(1790000000999),
		time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, zone), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		got, want := string(store.AppendTime(nil, at)), at.UTC().Format(store.TimeLayout)
		if got != want {
			t.Errorf("AppendTime(%v) = %q, want %q", at, got, want)
		}
	}
}
