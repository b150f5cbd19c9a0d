package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
	"github.com/konlog/konlog/store/sqlite"
)

// followPauseDefault is how long a standby rests between two rounds. A round in
// which nothing has changed is one small request.
const followPauseDefault = 2 * time.Second

func (a *app) followCommand() *cobra.Command {
	var to string
	var every time.Duration
	var once bool
	cmd := &cobra.Command{
		Use:   "follow --to DIR",
		Short: "Keep a standby: a directory that is a copy of a server's data",
		Long: `Keep a standby: a directory that is a copy of a server's data, on this machine
or another. Every round fetches the pages of the database that have changed, and
puts them into the copy in one transaction: whatever breaks off, the copy is
whole and as of a moment that was. After a restart of either side only what
differs is sent. Appends never wait for a standby.

What is lost when the server's machine is lost is what was acknowledged after
the last round. It takes a token of an administrator (konlog token create
--admin). API keys (keys.json) are not copied.

To take over: stop this command, and konlog serve --data DIR. Every session then
has a new epoch, and readers that had seen more are told to start over. DIR is
no standby from then on.`,
		Example: `  konlog follow --server https://konlog.example.org --token-file token --to /var/lib/konlog-standby
  konlog follow --server http://10.0.0.5:8787 --to ./copy --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usagef("follow needs --to DIR").because("konlog follow --to ./konlog-standby")
			}
			if every <= 0 {
				return usagef("--every %s: want more than nothing", every).because("--every %s", followPauseDefault)
			}
			return a.follow(cmd, to, every, once)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the directory of the copy")
	cmd.Flags().DurationVar(&every, "every", followPauseDefault, "the pause between two rounds")
	cmd.Flags().BoolVar(&once, "once", false, "end after one round")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) follow(cmd *cobra.Command, to string, every time.Duration, once bool) error {
	ctx := cmd.Context()
	from, server, err := a.copier(cmd)
	if err != nil {
		return err
	}
	defer from.Close()
	s, err := sqlite.OpenStandby(to, server)
	if err != nil {
		return failf("%w", err).because("one standby per directory, and none that is served; --to names another")
	}
	defer func() { _ = s.Close() }() // every round is durable by itself
	shown := &phases{app: a}
	s.Progress, s.Checked = shown.of("copy", "pages"), shown.of("check", "events")
	troubled := false
	for told := false; ; {
		err := s.Sync(ctx, from)
		shown.end()
		switch {
		case ctx.Err() != nil && !once:
			a.say("stopped; %s", standbyText(to, s))
			return nil
		case err != nil && (once || !passes(err)):
			return err
		case err != nil && !troubled:
			troubled = true
			a.say("%v\ntrying again every %s; %s", err, every, standbyText(to, s))
		case err == nil && (!told || troubled):
			told, troubled = true, false
			a.say("%s, %s", standbyText(to, s), roughBytes(s.Bytes()))
		}
		if once {
			return nil
		}
		_ = wait(ctx, every) // the next round says that it is over
	}
}

// copier is a client that copies: a round that fails is the caller's to make
// again.
func (a *app) copier(cmd *cobra.Command) (cl *client.Client, server string, err error) {
	c, err := a.config(cmd)
	if err != nil {
		return nil, "", err
	}
	opts := []client.Option{client.WithRetry(client.RetryLimits{Attempts: 3})}
	if source := a.tokenSource(c); source != nil {
		opts = append(opts, client.WithTokenFunc(source))
	}
	cl, err = client.New(c.text("server"), opts...)
	if err != nil {
		return nil, "", usagef("server address: %w", err).because("it looks like http://%s", addrDefault)
	}
	return cl, c.text("server"), nil
}

// passes reports whether an error may be gone the next time: all but a refusal
// for what was asked or who asks.
func passes(err error) bool {
	var status *client.StatusError
	switch {
	case errors.Is(err, client.ErrUnreadable):
		return false
	case !errors.As(err, &status):
		return true
	}
	return status.Status >= http.StatusInternalServerError || status.Status == http.StatusTooManyRequests || status.Status == http.StatusRequestTimeout
}

func standbyText(dir string, s *sqlite.Standby) string {
	state := s.State()
	if state.At.IsZero() {
		return "there is no copy yet"
	}
	return dir + " is a copy of " + state.Server + " as of " + state.At.Format(time.RFC3339)
}

var _ store.Copier = (*client.Client)(nil)

// pulled makes a backup of a server's data over HTTP.
func (a *app) pulled(ctx context.Context, cmd *cobra.Command, file string, o sqlite.BackupOptions) (sqlite.Report, string, error) {
	from, server, err := a.copier(cmd)
	if err != nil {
		return sqlite.Report{}, "", err
	}
	defer from.Close()
	r, err := sqlite.BackupFrom(ctx, from, file, o)
	return r, server, err
}
