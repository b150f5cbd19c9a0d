package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// recording is one turn of Claude Code; testdata/README.md says where it is from.
//
//go:embed testdata/demo.jsonl
var recording []byte

// The script of the demo.
const (
	demoSession   = "demo"
	demoPace      = 0.18 // of the recorded pace: words at reading speed
	demoCut       = 57   // the event after which the first reader is killed
	demoRestart   = 150  // the event after which the server restarts
	demoTimeout   = time.Minute
	demoTransport = "sse" // of the second reader
)

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See all of it in half a minute: streaming, a killed reader, a restart, a replay",
		Long: `Start a server on a temporary data directory, feed it the recorded turn of an
agent, and watch it: a reader is killed in mid-sentence and another goes on from
its last event over another transport, the server restarts under it, and at the
end all transports are shown to give the same bytes.`,
		Example: "  konlog demo --keep",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "konlog-demo-")
			if err != nil {
				return failf("%w", err)
			}
			defer os.RemoveAll(dir)
			d := &demo{w: a.stdout, p: a.paint(a.stdout), sum: sha256.New()}
			return d.run(cmd.Context(), filepath.Join(dir, "data"), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the server and its page up until Ctrl-C")
	return cmd
}

// demo is one run of the demo. It belongs to one goroutine; the feed and the
// restart have their own, which run waits for.
type demo struct {
	w        io.Writer
	p        paint
	step     int
	settings config
	server   *server
	client   *client.Client
	total    int64
	sum      hash.Hash  // of all event bytes that the readers got
	fed      chan error // capacity 1, then closed; nil until it is started
	restart  chan error // likewise; the restart owns server until then
}

func (d *demo) run(ctx context.Context, dir string, keep bool) error {
	scripted, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	if err := d.start(scripted, dir); err != nil {
		return err
	}
	defer func() {
		cancel()
		for _, done := range []chan error{d.fed, d.restart} {
			if done != nil {
				<-done // closed
			}
		}
		if d.server != nil {
			_ = d.server.stop(context.WithoutCancel(ctx)) // the data is thrown away
		}
	}()
	err := d.show(scripted)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if !keep {
		d.say("next: konlog serve, or konlog demo --keep to look at this session in a browser")
		return nil
	}
	d.say("the session is at %s until Ctrl-C", d.p.bold(d.server.url+"/#/s/"+demoSession))
	<-ctx.Done()
	return nil
}

// start runs the server with defaults, on a free port.
func (d *demo) start(ctx context.Context, dir string) error {
	c := config{}
	for _, s := range settings {
		c[s.key] = value{s.def, "default"}
	}
	c["addr"] = value{"127.0.0.1:0", "demo"}
	c["data"] = value{dir, "demo"}
	c["drain.spread"] = value{"500ms", "demo"}
	var err error
	if d.server, err = startServer(ctx, c, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	d.settings = maps.Clone(c) // the server that runs keeps its own
	d.settings["addr"] = value{strings.TrimPrefix(d.server.url, "http://"), "demo"}
	d.client, err = client.New(d.server.url)
	return err
}

func (d *demo) show(ctx context.Context) error {
	lines := bytes.Count(recording, []byte("\n"))
	d.total = eventsOf(recording)
	d.say("a server runs at %s (open it to watch along), its data in a temporary folder", d.p.bold(d.server.url+"/#/s/"+demoSession))
	d.say("a recorded turn of Claude Code comes in, %d lines that are %d events; a reader watches over %s", lines, d.total, d.p.bold("WebSocket"))
	if _, _, err := d.client.CreateSession(ctx, demoSession, store.SessionSpec{Title: "A recorded turn of Claude Code"}); err != nil {
		return err
	}
	d.fed = make(chan error, 1)
	go func() {
		d.fed <- d.feed(ctx)
		close(d.fed)
	}()
	last, err := d.watch(ctx, "ws", 0, demoCut)
	if err != nil {
		return err
	}
	d.say("%s after event %d, in mid-sentence; another goes on from there over %s", d.p.red("that reader is killed"), last, d.p.bold("SSE"))
	if _, err = d.watch(ctx, demoTransport, last, d.total); err != nil {
		return err
	}
	if err := errors.Join(<-d.fed, <-d.restart); err != nil {
		return err
	}
	return d.replay(ctx)
}

// feed ingests the recording at its pace, also across the restart.
func (d *demo) feed(ctx context.Context) error {
	o := agent.IngestOptions{IntakeOptions: demoIntake, Pacer: &agent.Pacer{Factor: demoPace}}
	_, err := agent.Ingest(ctx, bytes.NewReader(recording), o, agent.Sink{Append: appendTo(d.client, demoSession)})
	return err
}

// demoIntake reads the recording.
var demoIntake = agent.IntakeOptions{Format: agent.FormatClaude, Source: "demo.jsonl"}

// eventsOf counts the events that the recording stands for.
func eventsOf(recording []byte) (n int64) {
	in, lines := agent.NewIntake(demoIntake), agent.NewSplitter(bytes.NewReader(recording), agent.LineBytesDefault)
	for {
		line, err := lines.Next()
		if err != nil {
			return n
		}
		n += int64(len(in.Take(line).Drafts))
	}
}

// watch shows the text of the session from an id on, up to the event last, and
// restarts the server on its way.
func (d *demo) watch(ctx context.Context, transport string, after, last int64) (int64, error) {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	h := &humanPrinter{w: &barWriter{w: d.w, bar: d.p.dim("     │ ")}, p: d.p}
	defer h.end()
	for e, err := range d.client.Tail(ctx, demoSession, client.TailOptions{After: after, Transport: transport, Raw: true}) {
		if err != nil {
			return after, err
		}
		if e.ID != after+1 {
			return after, fmt.Errorf("event %d came after event %d", e.ID, after)
		}
		after = e.ID
		d.add(e.JSON)
		if after == demoRestart+1 && d.restart != nil {
			h.end()
			d.say("the reader is %s at event %d, and so is the agent", d.p.green("back by itself"), after)
		}
		if err := h.event(shown{id: e.ID, typ: e.Type, time: e.Time, data: e.Data, quiet: true}); err != nil {
			return after, err
		}
		if after == last {
			break
		}
		if after == demoRestart {
			h.end()
			d.say("%s after event %d, while the agent goes on", d.p.red("the server restarts"), after)
			d.restart = make(chan error, 1)
			go func() {
				d.restart <- d.restartServer(context.WithoutCancel(ctx))
				close(d.restart)
			}()
		}
	}
	return after, nil
}

func (d *demo) add(event []byte) {
	_, _ = d.sum.Write(event)        // a hash never fails
	_, _ = d.sum.Write([]byte{'\n'}) // likewise
}

// restartServer stops the server and starts another one on the same data.
func (d *demo) restartServer(ctx context.Context) error {
	err := d.server.stop(ctx)
	d.server = nil
	if err == nil {
		d.server, err = startServer(ctx, d.settings, slog.New(slog.DiscardHandler))
	}
	return err
}

// replay reads the whole session over each transport and compares.
func (d *demo) replay(ctx context.Context) error {
	d.say("the whole session again, over each transport:")
	want := hex.EncodeToString(d.sum.Sum(nil))
	fmt.Fprintf(d.w, "       %-22s %4d events  %s\n", "seen live, 2 readers", d.total, want[:16])
	same := true
	var lines bytes.Buffer
	for _, transport := range []string{"ws", "sse", "poll"} {
		began, n, sum := time.Now(), 0, sha256.New()
		lines.Reset()
		for e, err := range d.client.Tail(ctx, demoSession, client.TailOptions{Transport: transport, Raw: true, NoFollow: true}) {
			if err != nil {
				return err
			}
			if e.Raw != nil || e.Type == agent.TypeLine { // else it belongs to the line before
				line, err := agent.Line(e.Data, e.Raw)
				if err != nil {
					return err
				}
				fmt.Fprintf(&lines, "%s\n", line)
			}
			fmt.Fprintf(sum, "%s\n", e.JSON)
			n++
		}
		got := hex.EncodeToString(sum.Sum(nil))
		same = same && got == want && bytes.Equal(lines.Bytes(), recording)
		fmt.Fprintf(d.w, "       %-22s %4d events  %s  in %d ms\n", transport, n, got[:16], time.Since(began).Milliseconds())
	}
	if !same {
		return errors.New("the transports do not give the same bytes")
	}
	d.say("%s, and the agent's lines are back byte for byte", d.p.green("all the same"))
	return nil
}

// say prints the next step.
func (d *demo) say(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.w, " %s  %s\n", d.p.cyan(fmt.Sprintf("%2d", d.step)), fmt.Sprintf(format, args...))
}

// barWriter begins each line with a bar.
type barWriter struct {
	w      io.Writer
	bar    string
	inLine bool
}

func (b *barWriter) Write(text []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if !b.inLine && len(bytes.TrimRight(line, "\n")) > 0 {
			out.WriteString(b.bar)
		}
		if b.inLine || len(bytes.TrimRight(line, "\n")) > 0 {
			out.Write(line) // blank lines would tear the picture apart
		}
		b.inLine = !bytes.HasSuffix(line, []byte("\n")) && (b.inLine || len(line) > 0)
	}
	_, err := b.w.Write(out.Bytes())
	return len(text), err
}
