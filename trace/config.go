package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/stream"
)

// ErrNotBuilt is the error of Start in a program without the tag otel.
var ErrNotBuilt = errors.New("this program was built without OpenTelemetry")

// Limits of what is held and sent.
const (
	queueSpans     = 4096             // spans of appends that wait for the collector
	batchSpans     = 512              // of one request
	batchWait      = time.Second      // for a request to fill up
	exportTimeout  = 10 * time.Second // of one request
	pendingAppends = 1024             // traced appends that wait for their first reader
	pendingMax     = 30 * time.Second // for so long
	retryMin       = time.Second      // between two attempts to export a turn
	retryMax       = time.Minute
	toolSpansMax   = 1000      // of one turn; those beyond are counted
	contentBytes   = 32 << 10  // of one text that is exported
	turnBytes      = 512 << 10 // of all texts of a turn
	scanEvents     = 20_000    // of a turn that are looked through
	headerBytesMax = 64 << 10  // the file of headers
	closeTimeout   = 5 * time.Second
)

// Config says where spans go and which.
type Config struct {
	Endpoint    string  // of the collector: http://host:4318, or with a path
	HeadersFile string  // lines NAME: VALUE that go with each request, or ""
	GenAI       bool    // export turns
	Content     bool    // with prompts, texts, arguments and results
	Sample      float64 // of appends that bring no decision of their own: 0 to 1
	Dir         string  // where the cursor is kept
	Version     string  // of the program
	Logger      *slog.Logger

	Log   Log
	Hub   *stream.Hub
	Turns store.Turns
}

// Log is what turns are read from.
type Log interface {
	stream.Log
	Session(ctx context.Context, id string) (store.Session, error)
}

// Check reports what is wrong with the settings, or nil.
func (c *Config) Check() error {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("trace.endpoint: want a URL like http://127.0.0.1:4318")
	case u.User != nil:
		return errors.New("trace.endpoint: a password in a URL is seen by everybody; put it into trace.headers-file")
	case c.Sample < 0 || c.Sample > 1:
		return fmt.Errorf("trace.sample: %v is not between 0 and 1", c.Sample)
	}
	_, err = c.headers()
	return err
}

// target is the URL that spans are posted to.
func (c *Config) target() string {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return c.Endpoint // Check has refused it
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String()
}

// headers reads the file of headers. What is in it is never told.
func (c *Config) headers() (map[string]string, error) {
	if c.HeadersFile == "" {
		return nil, nil
	}
	info, err := os.Stat(c.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("trace.headers-file: %w", err)
	}
	if info.Size() > headerBytesMax {
		return nil, fmt.Errorf("trace.headers-file: %s has %d bytes; at most %d", filepath.Base(c.HeadersFile), info.Size(), headerBytesMax)
	}
	text, err := os.ReadFile(c.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("trace.headers-file: %w", err)
	}
	headers := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("trace.headers-file: line %d is not NAME: VALUE", n)
		}
		headers[name] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("trace.headers-file: %w", err)
	}
	return headers, nil
}
