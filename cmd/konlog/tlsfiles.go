package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// pemBytesMax bounds a file of a certificate or key: a long chain has some KiB.
const pemBytesMax = 1 << 20

// certFiles is a certificate in two files, which others renew.
type certFiles struct {
	cert, key string
	logger    *slog.Logger
	held      atomic.Pointer[tls.Certificate] // never nil once open

	// What was read last, taken or not, so that a broken pair is told of once.
	// Only the goroutine of keep looks at them.
	certPEM, keyPEM []byte
	unread          bool // the last reading failed, which was told
}

// openCertFiles reads both; here nothing older could stand in for them.
func openCertFiles(cert, key string, logger *slog.Logger) (*certFiles, error) {
	f := &certFiles{cert: cert, key: key, logger: logger}
	if _, err := f.read(); err != nil {
		hint := "tls.cert and tls.key name files in PEM that this user may read"
		if errors.Is(err, fs.ErrPermission) {
			hint = "let the user of the server read it: chgrp and chmod 640, or a copy of its own"
		}
		return nil, usagef("certificate: %w", err).because("%s", hint)
	}
	pair, err := f.parse()
	if err != nil {
		return nil, usagef("certificate %s with key %s: %w", cert, key, err).because("tls.cert begins with the server's own certificate, its chain behind it, and tls.key is its key; both in PEM")
	}
	f.held.Store(pair)
	f.tell(time.Now())
	if info, err := os.Stat(key); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		logger.Warn("everybody on this machine may read the key of the certificate; chmod 600 it", "key", key)
	}
	return f, nil
}

// read reads both files and reports whether they are others than before.
func (f *certFiles) read() (changed bool, err error) {
	cert, err := readBounded(f.cert, pemBytesMax)
	if err != nil {
		return false, err
	}
	key, err := readBounded(f.key, pemBytesMax)
	if err != nil {
		return false, err
	}
	changed = !bytes.Equal(cert, f.certPEM) || !bytes.Equal(key, f.keyPEM)
	f.certPEM, f.keyPEM = cert, key
	return changed, nil
}

func (f *certFiles) parse() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(f.certPEM, f.keyPEM)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// look takes a changed pair. The two files are not replaced at one moment, so
// one that does not fit is told of, and looked at again when it has changed.
func (f *certFiles) look(now time.Time) {
	changed, err := f.read()
	if err != nil {
		if !f.unread {
			f.logger.Error("the certificate could not be read; the one read before goes on", "err", err)
		}
		f.unread = true
		return
	}
	f.unread = false
	if !changed {
		return
	}
	pair, err := f.parse()
	if err != nil {
		f.logger.Error("the changed certificate cannot be used; the one before goes on", "certificate", f.cert, "key", f.key, "err", err)
		return
	}
	f.held.Store(pair)
	f.logger.Info("the changed certificate was taken", "certificate", f.cert, "end", pair.Leaf.NotAfter)
	f.tell(now)
}

func (f *certFiles) tell(now time.Time) { tellEnd(f.logger, f.cert, f.held.Load().Leaf.NotAfter, now) }

func (f *certFiles) keep(ctx context.Context) {
	look, tell := time.NewTicker(certLookEvery), time.NewTicker(certTellEvery)
	defer look.Stop()
	defer tell.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			f.look(now)
		case now := <-tell.C:
			f.tell(now)
		}
	}
}

func (f *certFiles) config() *tls.Config {
	c := baseTLS()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.held.Load(), nil }
	return c
}

func (f *certFiles) end() (time.Time, bool) { return f.held.Load().Leaf.NotAfter, true }

func (f *certFiles) names(host string) bool { return f.held.Load().Leaf.VerifyHostname(host) == nil }

func (f *certFiles) challenges(next http.Handler) http.Handler { return next }

// readBounded reads a file of at most so many bytes.
func readBounded(path string, max int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, max+1))
	if err == nil && int64(len(b)) > max {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("too large")}
	}
	return b, err
}
