package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// Defaults of the watermarks: the lesser of bytes and share counts, so that
// neither a disk of terabytes nor one of a gigabyte wastes much.
const (
	diskWarnDefault           = 2 << 30
	diskWarnPercentDefault    = 10
	diskReserveDefault        = 512 << 20
	diskReservePercentDefault = 2
)

// The keys of the settings whose value is a list of rules.
const (
	keyRetentionScopes = "retention.scopes"
	keyQuotaScopes     = "quota.scopes"
)

// ruleNames are what a rule of a setting can say, and the kind of its value.
var ruleNames = map[string]map[string]kind{
	keyRetentionScopes: {"age": kindDuration, "events": kindInt, "bytes": kindBytes},
	keyQuotaScopes:     {"sessions": kindInt, "bytes": kindBytes, "session-events": kindInt, "session-bytes": kindBytes},
}

// rule is what holds for the scopes that match a pattern.
type rule struct {
	pattern string
	values  map[string]int64 // by name; what is not said is not in it
}

// or returns the value of a name, or what holds otherwise.
func (r rule) or(name string, otherwise int64) int64 {
	if v, ok := r.values[name]; ok {
		return v
	}
	return otherwise
}

// parseRules reads the rules of a setting: PATTERN=name:value name:value, one a
// line. The last = ends the pattern, for a scope may hold one.
func parseRules(key, text string) (rules []rule, err error) {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		r, err := parseRule(key, line)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(key, line string) (rule, error) {
	at := strings.LastIndexByte(line, '=')
	if at < 0 {
		return rule{}, fmt.Errorf("%q: write it like 'team-*=%s'", line, ruleExample(key))
	}
	r := rule{pattern: strings.TrimSpace(line[:at]), values: map[string]int64{}}
	if len(r.pattern) > store.ScopeBytesMax {
		return rule{}, fmt.Errorf("the pattern of %d bytes is over the limit of %d", len(r.pattern), store.ScopeBytesMax)
	}
	for _, word := range strings.Fields(line[at+1:]) {
		name, value, _ := strings.Cut(word, ":")
		k, known := ruleNames[key][name]
		if !known {
			return rule{}, fmt.Errorf("%q: write it like 'team-*=%s'", word, ruleExample(key))
		}
		n, err := setting{kind: k}.number(value)
		if err == nil && n < 0 {
			err = errors.New("it must not be negative")
		}
		if err != nil {
			return rule{}, fmt.Errorf("%q: %w", word, err)
		}
		r.values[name] = n
	}
	if len(r.values) == 0 {
		return rule{}, fmt.Errorf("%q says nothing of the scopes: write it like 'team-*=%s'", line, ruleExample(key))
	}
	return r, nil
}

// ruleExample names all that a rule can say.
func ruleExample(key string) string {
	var words []string
	for name, k := range ruleNames[key] {
		words = append(words, name+":"+map[kind]string{kindDuration: "7d", kindInt: strconv.Itoa(1000), kindBytes: "1GiB"}[k])
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// rules returns the rules of a setting, which resolve has checked.
func (c config) rules(key string) []rule {
	rules, _ := parseRules(key, c.get(key, kindRules))
	return rules
}

// retentionScopes are what the scopes keep that have a rule of their own. What
// a rule does not say comes from the default.
func retentionScopes(c config) (scopes []store.ScopeRetention) {
	base := retention(c)
	for _, r := range c.rules(keyRetentionScopes) {
		s := store.ScopeRetention{Pattern: r.pattern, Retention: base}
		s.Age = time.Duration(r.or("age", int64(base.Age)))
		s.Events, s.Bytes = r.or("events", base.Events), r.or("bytes", base.Bytes)
		scopes = append(scopes, s)
	}
	return scopes
}

func quotas(c config) store.Quotas {
	q := store.Quotas{
		Sessions: int64(c.int("quota.sessions")), Bytes: c.bytes("quota.bytes"), BlobBytes: c.bytes("quota.blob-bytes"),
		SessionEvents: int64(c.int("quota.session-events")), SessionBytes: c.bytes("quota.session-bytes"),
	}
	for _, r := range c.rules(keyQuotaScopes) {
		q.Scopes = append(q.Scopes, store.ScopeQuota{
			Pattern: r.pattern, Sessions: r.or("sessions", 0), Bytes: r.or("bytes", 0),
			SessionEvents: r.or("session-events", q.SessionEvents), SessionBytes: r.or("session-bytes", q.SessionBytes),
		})
	}
	return q
}

// disk is how much of the disk the engine leaves alone. It pokes full when that
// changes.
func disk(c config, full chan struct{}) sqlite.Disk {
	mark := func(key string) sqlite.Watermark {
		return sqlite.Watermark{Bytes: c.bytes(key), Percent: c.int(key + "-percent")}
	}
	return sqlite.Disk{Warn: mark("disk.warn"), Reserve: mark("disk.reserve"), Changed: func(d store.Disk) {
		if !d.Warned && !d.Low {
			return
		}
		select {
		case full <- struct{}{}:
		default:
		}
	}}
}
