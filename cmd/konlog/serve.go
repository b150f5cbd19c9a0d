package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is told to stop.

The data directory is created when it is absent. Without credentials the address
must be on loopback, and who reaches it may do everything. --auth-keys asks for
an API key of konlog token, --auth-jwks and --auth-jwt-secret-file for a JSON
Web Token; then any address will do.

The first SIGINT or SIGTERM stops it in order: readers are told when to come
back, requests in flight end, the data is closed. The second ends it at once;
acknowledged events are safe either way.

When stdout is not a terminal the address is printed there.`,
		Example: `  konlog serve
  konlog serve --addr 127.0.0.1:0 --data /var/lib/konlog
  konlog serve --config konlog.toml --retention-age 30d
  konlog serve --addr 0.0.0.0:8787 --auth-keys --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd) },
	}
	addFlags(cmd.Flags(), serverSetting)
	return cmd
}

func (a *app) serve(cmd *cobra.Command) error {
	ctx := cmd.Context()
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	a.withSecrets(c)
	logger, err := a.logger(c)
	if err != nil {
		return err
	}
	if _, _, err := traceConfig(c); err != nil {
		return err
	}
	a.useProcs()
	hideProcess()
	s, err := startServer(ctx, c, logger)
	if err != nil {
		return err
	}
	a.announce(s)
	if err := a.firstKey(ctx, s, logger); err != nil {
		return errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}
	warnOfReaders(c.text("data"), logger)
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.stderr, "stopping; a second signal ends at once")
	case err = <-s.failed:
	}
	if stopErr := s.stop(context.WithoutCancel(ctx)); err == nil {
		err = stopErr
	}
	if err == nil {
		fmt.Fprintln(a.stderr, "stopped")
	}
	return err
}

// procsMin is the least number of threads that run Go code at a time. A commit
// sits in fsync most of its time; with one thread, as on a machine of one
// core, everybody else would sit there with it until the runtime notices.
const procsMin = 2

// useProcs applies procsMin unless the operator has decided.
func (a *app) useProcs() {
	if _, decided := a.env("GOMAXPROCS"); !decided && runtime.GOMAXPROCS(0) < procsMin {
		runtime.GOMAXPROCS(procsMin)
	}
}

// logger writes to stderr from the level that the settings name.
func (a *app) logger(c config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.text("log.level"))); err != nil {
		return nil, usagef("setting log.level: %w", err).because("use debug, info, warn or error")
	}
	return newLogger(a.stderr, level, c.text("log.format"))
}

// announce says where the server is, what it runs with and what to do next.
func (a *app) announce(s *server) {
	var b strings.Builder
	p := a.paint(a.stderr)
	fmt.Fprintf(&b, "listening on %s, konlog %s, data in %s\n", p.bold(s.url), thisBuild().Version, s.settings.text("data"))
	for _, line := range settingLines(s.settings) {
		fmt.Fprintln(&b, p.dim("  "+line))
	}
	url := ""
	if s.settings.text("addr") != addrDefault {
		url = " --server " + s.url
	}
	fmt.Fprintf(&b, "konlog config shows all settings\nnext:\n  konlog ingest s1 -f agent.jsonl%s\n  konlog tail s1%s\n", url, url)
	fmt.Fprint(a.stderr, b.String())
	if !isTerminal(a.stdout) {
		fmt.Fprintln(a.stdout, s.url)
	}
}

// settingLines are the settings of the server that are not the default.
func settingLines(c config) []string {
	var lines []string
	for _, s := range settings {
		if v := c[s.key]; serverSetting(s.key) && v.text != s.def && s.kind != kindCommands { // a command may hold what is nobody's business
			lines = append(lines, fmt.Sprintf("%s %s  # %s", s.key, quoteValue(s, c), v.origin))
		}
	}
	return lines
}
