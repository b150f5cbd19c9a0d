package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
)

func (a *app) sessionsKeepCommand() *cobra.Command {
	var age, events, bytes string
	var byDefault, asJSON bool
	cmd := &cobra.Command{
		Use:   "keep SESSION",
		Short: "Say what a session keeps, in place of the server's retention",
		Long: `Say what a session keeps, in place of the server's retention. What is not said
comes from the rule of its scope or from the server's settings; 0 keeps all. To
keep more than those takes an admin's credential.`,
		Example: "  konlog sessions keep build-42 --age 7d --events 10000\n  konlog sessions keep build-42 --default",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			keep, err := keepOf(age, events, bytes)
			if err != nil {
				return err
			}
			if byDefault != keep.Empty() {
				return usagef("say --age, --events or --bytes, or --default alone")
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			s, err := cl.UpdateSession(cmd.Context(), args[0], store.SessionPatch{Retention: keep})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, s)
			}
			a.say("session %s keeps %s", s.ID, keepText(s.Retention))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&age, "age", "", "older events go, like 7d; 0 keeps all")
	f.StringVar(&events, "events", "", "as many events stay; 0 keeps all")
	f.StringVar(&bytes, "bytes", "", "so many bytes of events stay, like 1GiB; 0 keeps all")
	f.BoolVar(&byDefault, "default", false, "what its scope or the server keeps")
	f.BoolVar(&asJSON, "json", false, "the session as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}

// keepOf reads the flags; "" says nothing.
func keepOf(age, events, bytes string) (*store.Keep, error) {
	keep := &store.Keep{}
	for _, one := range []struct {
		flag, text string
		kind       kind
		to         **int64
	}{{"age", age, kindDuration, &keep.AgeMs}, {"events", events, kindInt, &keep.Events}, {"bytes", bytes, kindBytes, &keep.Bytes}} {
		if one.text == "" {
			continue
		}
		n, err := setting{kind: one.kind, min: "0"}.number(one.text)
		if err != nil {
			return nil, usagef("--%s: %w", one.flag, err)
		}
		if one.kind == kindDuration {
			n /= int64(time.Millisecond)
		}
		if n < 0 {
			return nil, usagef("--%s must not be negative", one.flag)
		}
		*one.to = &n
	}
	return keep, nil
}

// keepText says what a session keeps of its own account.
func keepText(k *store.Keep) string {
	if k.Empty() {
		return "what the server's settings say"
	}
	var parts []string
	add := func(v *int64, of, all string, text func(int64) string) {
		switch {
		case v == nil:
		case *v == 0:
			parts = append(parts, all)
		default:
			parts = append(parts, fmt.Sprintf(of, text(*v)))
		}
	}
	add(k.AgeMs, "events for %s", "events of any age", func(ms int64) string { return formatDuration(time.Duration(ms) * time.Millisecond) })
	add(k.Events, "%s", "any number of events", func(n int64) string { return count(n, "event") })
	add(k.Bytes, "%s", "any number of bytes", roughBytes)
	return strings.Join(parts, ", ")
}

// quotaRows are the quotas of a session for people.
func quotaRows(q *store.QuotaObject) (rows [][]string) {
	if q == nil {
		return nil
	}
	add := func(name string, u *store.QuotaUse, text func(int64) string) {
		if u != nil {
			rows = append(rows, []string{name, text(u.Used) + " of " + text(u.Max)})
		}
	}
	number := func(n int64) string { return fmt.Sprint(n) }
	add("quota, events", q.Events, number)
	add("quota, size", q.Bytes, roughBytes)
	add("scope, sessions", q.ScopeSessions, number)
	add("scope, size", q.ScopeBytes, roughBytes)
	return rows
}
