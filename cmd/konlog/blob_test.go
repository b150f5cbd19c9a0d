package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/store"
)

// The server sweeps blobs on the round of the retention, and also when there
// is no other retention.
func TestServerSweepsBlobs(t *testing.T) {
	vars := map[string]string{
		"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_DRAIN_SPREAD": "0s",
		"KONLOG_RETENTION_AGE": "0", "KONLOG_RETENTION_EVENTS": "0", "KONLOG_RETENTION_BYTES": "0",
		"KONLOG_RETENTION_INTERVAL": "2ms", "KONLOG_RETENTION_BLOB_GRACE": "1ms",
	}
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(vars), "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.log.PutBlob(t.Context(), "", strings.NewReader("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); err == nil; {
		_, err = s.log.Blob(t.Context(), b.SHA256)
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the blob is still there")
		}
	}
	if !errors.Is(err, store.ErrBlobNotFound) {
		t.Error(err)
	}
	if err := s.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoGraceKeepsBlobs(t *testing.T) {
	vars := map[string]string{"KONLOG_ADDR": "127.0.0.1:0", "KONLOG_DATA": t.TempDir(), "KONLOG_DRAIN_SPREAD": "0s", "KONLOG_RETENTION_BLOB_GRACE": "0"}
	c, err := resolve(pflag.NewFlagSet("", pflag.ContinueOnError), lookup(vars), "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.log.PutBlob(t.Context(), "", strings.NewReader("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Millisecond) // an age over 0, by which a sweep would take it
	s.sweepBlobs(t.Context(), s.settings.duration("retention.blob-grace"))
	if _, err := s.log.Blob(t.Context(), b.SHA256); err != nil {
		t.Error(err)
	}
	if err := s.stop(t.Context()); err != nil {
		t.Error(err)
	}
}
