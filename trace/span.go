package trace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// The ids of OpenTelemetry. Zero is none.
type (
	traceID [16]byte
	spanID  [8]byte
)

// attr is one attribute. The value is a string, bool, int64 or float64.
type attr struct {
	key   string
	value any
}

// spanKind is what a span is in the eyes of its trace.
type spanKind int

const (
	kindInternal spanKind = iota
	kindServer
)

// span is one finished span, before it has the form of a library.
type span struct {
	trace      traceID
	id, parent spanID
	remote     bool // parent is somebody else's
	name       string
	kind       spanKind
	start, end time.Time
	attrs      []attr
	failed     bool
	reason     string // of a failure
}

func (s *span) set(key string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case int:
		value = int64(v)
	}
	s.attrs = append(s.attrs, attr{key, value})
}

// sink takes finished spans to a collector. It may be called by several
// goroutines.
type sink interface {
	export(ctx context.Context, spans []span) error
	close(ctx context.Context) error
}

// parent is the context of a trace that a producer has brought.
type parent struct {
	trace   traceID
	span    spanID
	sampled bool
}

// parseParent reads a W3C traceparent. ok is false for what is none: the trace
// then begins here.
func parseParent(s string) (p parent, ok bool) {
	part := strings.Split(s, "-")
	if len(part) < 4 || len(part[0]) != 2 || part[0] == "ff" || part[0] == "00" && len(part) != 4 || len(part[3]) != 2 || s != strings.ToLower(s) {
		return p, false
	}
	var version, flags [1]byte
	for i, dst := range [][]byte{version[:], p.trace[:], p.span[:], flags[:]} {
		if len(part[i]) != 2*len(dst) {
			return p, false
		}
		if _, err := hex.Decode(dst, []byte(part[i])); err != nil {
			return p, false
		}
	}
	p.sampled = flags[0]&1 != 0
	return p, p.trace != traceID{} && p.span != spanID{}
}

// derive makes ids of what they stand for, so that they are the same each time.
func derive(parts ...string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

func deriveTrace(parts ...string) (id traceID) {
	sum := derive(append([]string{"trace"}, parts...)...)
	copy(id[:], sum[:])
	return id
}

func deriveSpan(parts ...string) (id spanID) {
	sum := derive(append([]string{"span"}, parts...)...)
	copy(id[:], sum[:])
	return id
}
