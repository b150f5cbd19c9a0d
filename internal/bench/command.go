package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Defaults and bounds of the options.
const (
	durationDefault = 5 * time.Second
	durationQuick   = 300 * time.Millisecond
	durationMax     = 10 * time.Minute
	countMax        = 10_000_000
	procsMax        = 64
	scenarioMax     = 20 * time.Minute // whatever happens
)

// options are what a run can be told.
type options struct {
	url      string
	dir      string
	program  string
	procs    int
	duration time.Duration
	count    int
	quick    bool
	full     bool
	json     bool
}

// Command is `konlog bench`.
func Command() *cobra.Command {
	var o options
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	cmd := &cobra.Command{
		Use:   "bench [SCENARIO...]",
		Short: "Measure a server",
		Long:  "Measure a server. It starts one of its own on one CPU core, in a temporary data\ndirectory, and loads it from another core. Without a scenario it runs all.\n\nScenarios:\n" + catalogue(),
		Example: `  konlog bench --quick
  konlog bench append-http append-ws --duration 10s
  konlog bench fanout-200 -n 500 --json`,
		ValidArgs: names,
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			chosen, err := choose(args)
			if err != nil {
				return err
			}
			return o.run(cmd, chosen)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "server", "", "measure the server at this loopback address instead of an own one")
	f.StringVar(&o.dir, "dir", "", "where temporary data goes (default the system's place); it should be a real disk")
	f.StringVar(&o.program, "binary", "", "the konlog program to start (default this one)")
	f.IntVar(&o.procs, "procs", 0, "GOMAXPROCS of the server, which stays on one core (0: what konlog serve sets itself)")
	f.DurationVar(&o.duration, "duration", durationDefault, "how long each figure is measured")
	f.IntVarP(&o.count, "count", "n", 0, "instead of the scenario's own number of sessions, readers or events")
	f.BoolVar(&o.quick, "quick", false, "a few seconds in all, with small numbers: to see that it works")
	f.BoolVar(&o.full, "full", false, "grow to 5 million events")
	f.BoolVar(&o.json, "json", false, "one JSON object per line")
	cmd.AddCommand(nullCommand())
	return cmd
}

func catalogue() string {
	var b strings.Builder
	for _, s := range scenarios {
		fmt.Fprintf(&b, "  %-14s %s\n", s.name, s.about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (o *options) check(cmd *cobra.Command) error {
	if o.quick && !cmd.Flags().Changed("duration") {
		o.duration = durationQuick
	}
	if o.duration <= 0 || o.duration > durationMax {
		return fmt.Errorf("--duration %v: it must be above 0 and at most %v", o.duration, durationMax)
	}
	if o.procs < 0 || o.procs > procsMax {
		return fmt.Errorf("--procs %d: it must be from 0 to %d", o.procs, procsMax)
	}
	if o.count < 0 || o.count > countMax {
		return fmt.Errorf("-n %d: it must be from 1 to %d", o.count, countMax)
	}
	return nil
}

func choose(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range names {
		found := false
		for _, s := range scenarios {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("scenario %q is not known; konlog bench --help lists them", name)
		}
	}
	return chosen, nil
}

// loopbackAddress takes host and port from a URL, which must lead to this
// machine: a benchmark loads what it is pointed at.
func loopbackAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return "", fmt.Errorf("address %q: write it like http://127.0.0.1:8787", text)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() == "localhost" {
		ip = net.IPv4(127, 0, 0, 1)
	}
	if ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("address %q is not on loopback: a benchmark measures servers of this machine only", text)
	}
	return net.JoinHostPort(ip.String(), u.Port()), nil
}

// run runs the scenarios one after the other. One that fails does not keep the
// others from running, but makes the whole fail.
func (o *options) run(cmd *cobra.Command, chosen []scenario) (err error) {
	b := &bench{options: *o, ctx: cmd.Context(), printer: printer{out: cmd.OutOrStdout(), json: o.json}}
	if b.program == "" {
		if b.program, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
	}
	if o.url != "" {
		if b.addr, err = loopbackAddress(o.url); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp(o.dir, "konlog-bench-"); err != nil {
		return fmt.Errorf("temporary data: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	c, pinErr := pinSelf()
	if pinErr != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "not pinned to CPU cores: %v\n", pinErr)
	} else {
		b.cores = &c
	}
	var errs []error
	for _, s := range chosen {
		if err := b.runOne(s); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", s.name, err)
			errs = append(errs, fmt.Errorf("scenario %s: %w", s.name, err))
		}
		if ctxErr := b.ctx.Err(); ctxErr != nil {
			return errors.Join(append(errs, context.Cause(b.ctx))...)
		}
	}
	return errors.Join(errs...)
}
