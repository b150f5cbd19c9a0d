package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/konlog/konlog/agent"
)

// redactFlags say which secrets are taken out of an agent's lines before they
// are appended.
type redactFlags struct {
	off      bool
	patterns []string
}

func (r *redactFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&r.off, "no-redact", false, "keep secrets in what the agent prints; else keys and tokens of known forms, and values of variables such as API_KEY, become [redacted:NAME]")
	f.StringArrayVar(&r.patterns, "redact", nil, "take out what this matches too: NAME=REGEXP; may be repeated")
}

// redactor is nil when nothing is to be taken out.
func (r *redactFlags) redactor(env []string) (func([]byte) ([]byte, map[string]int), error) {
	if r.off {
		if len(r.patterns) > 0 {
			return nil, usagef("--no-redact and --redact contradict each other")
		}
		return nil, nil
	}
	o := agent.RedactOptions{Secrets: agent.EnvSecrets(env)}
	for _, p := range r.patterns {
		name, pattern, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usagef("--redact %q: want NAME=REGEXP", p)
		}
		o.Patterns = append(o.Patterns, agent.RedactPattern{Name: name, Pattern: pattern})
	}
	redactor, err := agent.NewRedactor(o)
	if err != nil {
		return nil, usagef("--redact: %w", err)
	}
	return redactor.Line, nil
}
