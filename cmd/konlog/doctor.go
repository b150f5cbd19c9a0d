package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/access"
)

func (a *app) doctorCommand() *cobra.Command {
	var idle int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [URL]",
		Short: "Find out what gets through to a server, over each transport",
		Long: `Walk a server's health pages and its three transports, through whatever proxies
lie between, and say in one line each what was found and what to do about it.

For each transport the server plays five frames, half a second apart. When they
come all at once something on the way buffers; when an upgrade is refused or the
stream ends early, something cuts. With --idle the server is then silent for so
many seconds before a last frame, which shows proxies that cut idle connections.

The exit code is 0 when all is well, 1 when not, 5 when nobody answers.`,
		Example: `  konlog doctor
  konlog doctor https://konlog.example.org --idle 60`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			url := c.text("server")
			if len(args) == 1 {
				url = args[0]
			}
			if idle < 0 || idle > doctorIdleMax {
				return usagef("--idle must be from 0 to %d seconds", doctorIdleMax)
			}
			if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
				return usagef("server address %q has no http:// or https://", url)
			}
			header := http.Header{}
			if source := a.tokenSource(c); source != nil {
				token, err := source(cmd.Context(), "")
				if err != nil {
					return err
				}
				header.Set("Authorization", "Bearer "+token)
			}
			return a.doctor(cmd.Context(), strings.TrimRight(url, "/"), header, idle, asJSON)
		},
	}
	cmd.Flags().IntVar(&idle, "idle", 0, "seconds of silence to test")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// doctorIdleMax is the longest silence that the server offers.
const doctorIdleMax = 120

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn, fail or off
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
	statusOff  = "off"
)

func (a *app) doctor(ctx context.Context, url string, header http.Header, idle int, asJSON bool) error {
	d := &walker{url: url, header: header, idle: idle, http: &http.Client{Timeout: walkTimeout(idle)}}
	first := d.health(ctx)
	if first.Status == statusFail && d.silent != nil {
		return explain(d.silent)
	}
	worst := statusOK
	show := func(f finding) error {
		if f.Status == statusWarn && worst == statusOK || f.Status == statusFail {
			worst = f.Status
		}
		return a.printFinding(f, asJSON)
	}
	if err := show(first); err != nil {
		return err
	}
	for _, check := range []func(context.Context) finding{d.ready, d.realtime, d.webSocket, d.sse, d.poll} {
		if err := show(check(ctx)); err != nil {
			return err
		}
		if d.stranger {
			return &failure{code: exitNotAllowed, err: errSilent}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if worst != statusOK {
		return &failure{code: exitFailure, err: errSilent}
	}
	return nil
}

func (a *app) printFinding(f finding, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, f)
	}
	p := a.paint(a.stdout)
	mark := fmt.Sprintf("%-4s", f.Status)
	switch f.Status {
	case statusOK:
		mark = p.green(mark)
	case statusOff:
		mark = p.dim(mark)
	default:
		mark = p.red(mark)
	}
	text := fmt.Sprintf("%s  %-9s  %s", mark, f.Check, printable(f.Detail))
	if f.Hint != "" {
		text += "\n                 hint: " + f.Hint
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// health asks whether anybody is there.
func (d *walker) health(ctx context.Context) finding {
	began := time.Now()
	status, body, err := d.get(ctx, "/healthz")
	if err != nil {
		d.silent = err
		return finding{"healthz", statusFail, err.Error(), ""}
	}
	var answer struct{ Status string }
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Status != "ok" {
		return finding{"healthz", statusFail, fmt.Sprintf("the answer is not that of a konlog server (HTTP %d)", status), "is the address right, and does the proxy pass all paths on?"}
	}
	return finding{"healthz", statusOK, fmt.Sprintf("the server answers in %d ms", time.Since(began).Milliseconds()), ""}
}

// ready asks whether appends are taken.
func (d *walker) ready(ctx context.Context) finding {
	status, body, err := d.get(ctx, "/readyz")
	var answer struct{ Status, Reason string }
	switch {
	case err != nil:
		return finding{"readyz", statusFail, err.Error(), ""}
	case json.Unmarshal(body, &answer) != nil || answer.Status == "":
		return finding{"readyz", statusFail, fmt.Sprintf("no sense in the answer (HTTP %d)", status), "does the proxy pass all paths on?"}
	case answer.Reason == "shutting_down":
		return finding{"readyz", statusWarn, "the server is stopping", "try again in a moment"}
	case status != http.StatusOK:
		return finding{"readyz", statusFail, "appends are not taken: " + answer.Reason, "reads go on; look at the server's disk and log"}
	}
	return finding{"readyz", statusOK, "appends are taken", ""}
}

// skewMax is the difference of clocks that is worth a word.
const skewMax = 2 * time.Second

// realtime asks what the server offers, and compares the clocks.
func (d *walker) realtime(ctx context.Context) finding {
	began := time.Now()
	status, body, err := d.get(ctx, "/health/realtime")
	took := time.Since(began)
	var answer struct {
		Version     string          `json:"version"`
		ServerTime  time.Time       `json:"serverTime"`
		Credentials bool            `json:"credentials"`
		Transports  map[string]bool `json:"transports"`
		HeartbeatMs int64           `json:"heartbeatMs"`
	}
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("HTTP %d", status)
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if d.stranger = status == http.StatusUnauthorized || err == nil && answer.Credentials && answer.ServerTime.IsZero(); d.stranger {
		return finding{"realtime", statusFail, "the server asks for a credential, and did not get one that is in force", hints[access.CodeUnauthorized]}
	}
	if err != nil {
		return finding{"realtime", statusFail, err.Error(), "does the proxy pass all paths on?"}
	}
	d.off = map[string]bool{}
	offered := []string{}
	for _, name := range []string{"websocket", "sse", "poll"} {
		d.off[name] = !answer.Transports[name]
		if answer.Transports[name] {
			offered = append(offered, name)
		}
	}
	skew := answer.ServerTime.Sub(began.Add(took / 2)).Round(time.Millisecond)
	f := finding{"realtime", statusOK, fmt.Sprintf("konlog %s offers %s, heartbeat %s, clocks differ by %s", answer.Version, strings.Join(offered, ", "),
		formatDuration(time.Duration(answer.HeartbeatMs)*time.Millisecond), skew.Abs()), ""}
	if skew.Abs() > skewMax {
		f.Status, f.Hint = statusWarn, "set the clocks by NTP; ids are right all the same, times shown are not"
	}
	return f
}

// judge says what the frames of a script tell.
func judge(check string, w walk) finding {
	n := len(w.frames)
	switch {
	case w.off:
		return finding{check, statusOff, "switched off at the server", ""}
	case n == 0:
		return finding{check, statusFail, "nothing came: " + reason(w.err), w.blocked}
	case n < w.frames[0].Of:
		last := w.frames[n-1]
		return finding{check, statusFail, fmt.Sprintf("cut after %d of %d frames, %s after the start: %s", n, last.Of, w.frames[n-1].at.Round(time.Millisecond), reason(w.err)),
			"something on the way ends the stream early: raise its read or idle timeout above the heartbeat"}
	}
	first, last := w.frames[0], w.frames[n-1]
	sent := time.Duration(last.AtMs-first.AtMs) * time.Millisecond
	lag := time.Duration(0)
	for _, f := range w.frames {
		lag = max(lag, f.at-first.at-time.Duration(f.AtMs-first.AtMs)*time.Millisecond)
	}
	if last.at-first.at < sent/2 {
		return finding{check, statusFail, fmt.Sprintf("all %d frames came at once after %s: something on the way buffers", n, last.at.Round(time.Millisecond)),
			"switch response buffering off for /v1/ (nginx: proxy_buffering off) and do not compress streams"}
	}
	f := finding{check, statusOK, fmt.Sprintf("%d of %d frames as they were sent, the first after %d ms, at most %d ms late", n, n, first.at.Milliseconds(), lag.Milliseconds()), ""}
	if lag > lagMax {
		f.Status, f.Hint = statusWarn, "the way is slow or gathers packets; text will come in lumps"
	}
	return f
}

// lagMax is the delay of a frame from which streamed text looks broken.
const lagMax = 400 * time.Millisecond

func reason(err error) string {
	switch {
	case err == nil:
		return "the stream ended"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return err.Error()
}
