package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a key set by URL.
const (
	keySetEvery     = 15 * time.Minute // between two looks: so long a key that was taken out may still be taken
	keySetAgain     = 30 * time.Second // after a look that failed, and at least between two for a key that is not known
	keySetTimeout   = 5 * time.Second  // of one look
	keySetRedirects = 3
)

// openKeySet opens a key set by file or URL.
func openKeySet(ctx context.Context, where string, logger *slog.Logger) (keySource, error) {
	if !strings.Contains(where, "://") {
		return openKeySetFile(where, logger)
	}
	u, err := url.Parse(where)
	if err == nil {
		err = checkKeySetURL(u)
	}
	if err != nil {
		return nil, fmt.Errorf("key set: %w", bareURL(err))
	}
	return openKeySetURL(ctx, u, logger), nil
}

// checkKeySetURL refuses an address that somebody on the way could answer for.
func checkKeySetURL(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	near := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.User != nil:
		return errors.New("its address holds a password, which would show in settings and logs")
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("its address must look like https://example.org/jwks.json")
	case u.Scheme == "http" && !near:
		return fmt.Errorf("its address must be https: whoever is on the way to %s could put in keys", u.Host)
	}
	return nil
}

// bareURL leaves the address out of an error: its query may be secret.
func bareURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// keySetFile is a key set in a file, which may be replaced at any time.
type keySetFile struct {
	file   watched
	logger *slog.Logger
	keys   atomic.Pointer[keySet]
}

func openKeySetFile(path string, logger *slog.Logger) (keySource, error) {
	f := &keySetFile{file: watched{path: path}, logger: logger}
	if err := f.file.refresh(time.Now(), f.read); err != nil {
		return nil, fmt.Errorf("key set %s: %w", path, err)
	}
	return f, nil
}

func (f *keySetFile) read() error {
	body, info, err := readBounded(f.file.path, keySetBytesMax)
	if err != nil {
		return err
	}
	if writableByOthers(info) {
		return fmt.Errorf("others could put in keys (mode %s): chmod o-w %s", info.Mode().Perm(), f.file.path)
	}
	keys, err := parseKeySet(body)
	if err != nil {
		return err
	}
	f.keys.Store(keys)
	return nil
}

func (f *keySetFile) set() *keySet {
	if err := f.file.refresh(time.Now(), f.read); err != nil {
		f.logger.Error("the key set cannot be read; the last one stays in force", "file", f.file.path, "err", err)
	}
	return f.keys.Load()
}

func (f *keySetFile) renewed(context.Context) {} // set has looked
func (f *keySetFile) close()                  {}

// keySetURL is a key set that is fetched, by one goroutine of its own.
type keySetURL struct {
	address *url.URL
	http    *http.Client
	logger  *slog.Logger
	keys    atomic.Pointer[keySet]
	want    chan struct{} // capacity 1: a look is asked for
	stop    context.CancelFunc
	stopped chan struct{}

	mu     sync.Mutex // guards what follows
	tried  time.Time  // end of the last look
	round  chan struct{}
	failed bool // the last look, which was logged
}

func openKeySetURL(ctx context.Context, address *url.URL, logger *slog.Logger) *keySetURL {
	s := &keySetURL{address: address, logger: logger, want: make(chan struct{}, 1), stopped: make(chan struct{})}
	s.keys.Store(&keySet{})
	s.http = &http.Client{
		Timeout: keySetTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout: keySetTimeout, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > keySetRedirects {
				return errors.New("too many redirects")
			}
			return checkKeySetURL(r.URL)
		},
	}
	ok := s.look(ctx)
	loop, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.run(loop, ok)
	return s
}

func (s *keySetURL) set() *keySet { return s.keys.Load() }

func (s *keySetURL) close() {
	s.stop()
	<-s.stopped
}

func (s *keySetURL) run(ctx context.Context, ok bool) {
	defer close(s.stopped)
	for {
		pause := keySetEvery
		if !ok {
			pause = keySetAgain
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.want:
			timer.Stop()
		}
		ok = s.look(ctx)
	}
}

// renewed has the set fetched for a key that is not in it, unless that was
// tried just now: tokens with invented ids must not make a flood of it.
func (s *keySetURL) renewed(ctx context.Context) {
	s.mu.Lock()
	if s.round == nil {
		if since := time.Since(s.tried); since >= 0 && since < keySetAgain {
			s.mu.Unlock()
			return
		}
		s.round = make(chan struct{})
		select {
		case s.want <- struct{}{}:
		default: // one is asked for
		}
	}
	round := s.round
	s.mu.Unlock()
	select {
	case <-round:
	case <-ctx.Done():
	case <-s.stopped:
	}
}

// look fetches the set once. What was known stays in force when that fails.
func (s *keySetURL) look(ctx context.Context) bool {
	keys, err := s.fetch(ctx)
	if err == nil {
		s.keys.Store(keys)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = time.Now()
	if s.round != nil {
		close(s.round)
		s.round = nil
	}
	if err != nil && !s.failed && ctx.Err() == nil {
		s.logger.Error("the key set cannot be fetched; the keys that were known stay in force", "host", s.address.Host, "keys", len(s.keys.Load().keys), "err", err)
	}
	if err == nil && s.failed {
		s.logger.Info("the key set was fetched again", "host", s.address.Host, "keys", len(keys.keys))
	}
	s.failed = err != nil
	return err == nil
}

func (s *keySetURL) fetch(ctx context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, keySetTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address.String(), nil)
	if err != nil {
		return nil, bareURL(err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.http.Do(r)
	if err != nil {
		return nil, bareURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer was %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keySetBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > keySetBytesMax {
		return nil, fmt.Errorf("it is over the limit of %d bytes", keySetBytesMax)
	}
	return parseKeySet(body)
}
