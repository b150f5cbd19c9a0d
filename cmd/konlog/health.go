package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Bounds of a look at a server's health.
const (
	healthTimeout  = 3 * time.Second
	healthBytesMax = 64 << 10
)

// healthCommand is for what starts and watches servers: it needs no shell and
// no curl, and no credential.
func (a *app) healthCommand() *cobra.Command {
	var alive bool
	timeout := healthTimeout
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server whether it takes appends",
		Long: `Ask a server whether it takes appends, and end with 0 when it does, 1 when it
does not, 5 when nobody answers. It is made for the health checks of containers
and supervisors; for what lies between, there is konlog doctor.

With --alive it is enough that the process answers: a full disk, which a restart
would not mend, is no reason to start it again.`,
		Example: "  konlog health\n  konlog health --server https://konlog.example.org --alive",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			if timeout <= 0 {
				return usagef("--timeout must be above 0")
			}
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.health(ctx, c.text("server"), path)
		},
	}
	cmd.Flags().BoolVar(&alive, "alive", false, "ask whether it answers at all")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait for the answer")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) health(ctx context.Context, server, path string) error {
	asked, base, name := httpClientOf(server)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return usagef("server address: %w", err).because("it looks like http://%s", addrDefault)
	}
	resp, err := asked.Do(req)
	if isCertificate(err) {
		return err
	}
	if err != nil {
		return &failure{code: exitUnreachable, err: fmt.Errorf("nobody answers at %s: %w", name, errors.Unwrap(err)), hint: "is konlog serve running, and is --server right?"}
	}
	defer resp.Body.Close()
	var said struct{ Status, Code, Detail, Reason string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, healthBytesMax)).Decode(&said) // the status is what counts
	if resp.StatusCode != http.StatusOK {
		return failf("the server is not well: %s", strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", cmp.Or(said.Reason, said.Code, said.Status), " ", said.Detail)))
	}
	_, err = fmt.Fprintln(a.stdout, "ok")
	return err
}
