package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// reachTimeout bounds the first contact with a server.
const reachTimeout = 5 * time.Second

// dial makes a client for the server that the settings name, and makes sure
// that somebody answers there: a command says within a moment that nobody does
// instead of trying for a minute. What fails later, and is tried again, is told.
func (a *app) dial(cmd *cobra.Command) (*client.Client, error) {
	return a.dialWithin(cmd, 0, client.WithLogger(slog.New(&outage{w: a.stderr})))
}

// dialEvery is the pause between attempts to reach a server that is not up.
const dialEvery = 500 * time.Millisecond

// dialWithin is dial for a server that may come up within the patience.
func (a *app) dialWithin(cmd *cobra.Command, patience time.Duration, opts ...client.Option) (*client.Client, error) {
	c, err := a.config(cmd)
	if err != nil {
		return nil, err
	}
	if source := a.tokenSource(c); source != nil {
		opts = append(opts, client.WithTokenFunc(source))
	}
	probe, err := client.New(c.text("server"), append(opts, client.WithRetry(client.RetryLimits{Attempts: 1}))...)
	if err != nil {
		return nil, usagef("server address: %w", err).because("it looks like http://%s", addrDefault)
	}
	defer probe.Close()
	for began, said := time.Now(), false; ; said = true {
		err := a.reach(cmd.Context(), probe)
		if err == nil {
			return client.New(c.text("server"), opts...)
		}
		if !unreachable(err) || time.Since(began)+dialEvery > patience {
			return nil, err
		}
		if !said {
			a.say("waiting up to %s for the server at %s (%v)", patience, c.text("server"), err)
		}
		if err := wait(cmd.Context(), dialEvery); err != nil {
			return nil, err
		}
	}
}

func (a *app) reach(ctx context.Context, probe *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	_, err := probe.Health(ctx)
	return err
}

// eachSession calls f once for each session that matches, newest activity
// first. A session that becomes active moves to the front of the list, past the
// page being read, so the list is read until it brings nothing new.
func eachSession(ctx context.Context, cl *client.Client, filter store.SessionFilter, f func(store.SessionObject) error) error {
	seen := map[string]bool{}
	for fresh := false; ; {
		page, err := cl.Sessions(ctx, filter)
		if err != nil {
			return err
		}
		for _, s := range page.Sessions {
			if seen[s.ID] {
				continue
			}
			seen[s.ID], fresh = true, true
			if err := f(s); err != nil {
				return err
			}
		}
		if filter.Cursor = page.Next; filter.Cursor == "" {
			if !fresh {
				return nil
			}
			fresh = false
		}
	}
}

// completeSessions offers the server's session ids to the shell.
func (a *app) completeSessions(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	page, err := cl.Sessions(ctx, store.SessionFilter{Search: begun, Limit: store.SessionsPageDefault})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ids := make([]string, len(page.Sessions))
	for i, s := range page.Sessions {
		ids[i] = cobra.CompletionWithDesc(s.ID, s.Title)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
