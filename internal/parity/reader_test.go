package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// errBroken marks what no network can do: only the server.
var errBroken = errors.New("broken promise")

// watchdog is how long a follower waits for anything at all.
const watchdog = 1500 * time.Millisecond

// follower reads sessions over bare wires and reconnects with its cursors. It
// takes nothing but cursor+1, cursor+2 …
type follower struct {
	transport string
	at        []place
	got       map[string][][]byte
	open      int // sessions that have not ended
	http      *http.Client
}

func newFollower(h *http.Client, transport string, sessions ...string) *follower {
	f := &follower{transport: transport, got: map[string][][]byte{}, open: len(sessions), http: h}
	for _, s := range sessions {
		f.at = append(f.at, place{session: s})
	}
	return f
}

func (f *follower) name() string { return fmt.Sprintf("bare %s of %d", f.transport, len(f.at)) }

func (f *follower) run(ctx context.Context, base string) error {
	for ctx.Err() == nil {
		err := f.connection(ctx, base)
		if f.open == 0 || errors.Is(err, errBroken) {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
	return fmt.Errorf("stopped at %+v: %w", f.at, ctx.Err())
}

func (f *follower) connection(ctx context.Context, base string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(watchdog, cancel)
	defer watch.Stop()
	w, err := open(ctx, f.http, base, f.transport, f.at)
	if err != nil {
		return err
	}
	defer w.close()
	for f.open > 0 {
		fr, err := w.next()
		if err != nil {
			return err
		}
		watch.Reset(watchdog)
		if err := f.take(&fr); err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	return nil
}

func (f *follower) take(fr *frame) error {
	switch fr.kind {
	case "":
	case "reset", "gap", "error":
		return fmt.Errorf("%s of %s at %+v", fr.kind, fr.session, f.at)
	default:
		return nil
	}
	for i := range f.at {
		p := &f.at[i]
		if p.session != fr.session {
			continue
		}
		if p.after++; fr.id != p.after {
			return fmt.Errorf("%s: got event %d, want %d", p.session, fr.id, p.after)
		}
		f.got[p.session] = append(f.got[p.session], bytes.Clone(fr.body))
		if last(fr.body) {
			f.open--
		}
		return nil
	}
	return fmt.Errorf("got an event of %q, which was not asked for", fr.session)
}

// last reports whether an event ends its session.
func last(body []byte) bool {
	_, rest, _ := bytes.Cut(body, []byte(`"type":"`))
	return bytes.HasPrefix(rest, []byte(store.TypeSessionClosed+`"`))
}

// tailer reads one session with the Go client, and with several transports
// changes over between them in mid-stream.
type tailer struct {
	session    string
	transports []string
	raw        bool
	random     *rand.Rand
	got        [][]byte
	switches   int
	last       store.Event
}

// stintMax is the most events that a tailer takes before it changes over.
const stintMax = 80

func (r *tailer) name() string {
	return fmt.Sprintf("client %v of %s raw=%v", r.transports, r.session, r.raw)
}

func (r *tailer) run(ctx context.Context, clients map[string]*client.Client) error {
	epoch, transport := "", r.transports[0]
	for {
		stint := -1
		if n := len(r.transports); n > 1 {
			stint = 1 + r.random.IntN(stintMax)
		}
		o := client.TailOptions{After: r.last.ID, Epoch: epoch, Transport: transport, Raw: r.raw}
		var told error
		o.OnState = func(s client.State) {
			epoch = s.Epoch
			if s.Kind == client.StateGap || s.Kind == client.StateReset {
				told = fmt.Errorf("%s %d to %d, %s", s.Kind, s.From, s.To, s.Reason)
			}
		}
		for e, err := range clients[transport].Tail(ctx, r.session, o) {
			if err = errors.Join(err, told); err != nil {
				return err
			}
			if e.ID != r.last.ID+1 {
				return fmt.Errorf("got event %d after %d on %s", e.ID, r.last.ID, transport)
			}
			r.got, r.last = append(r.got, e.JSON), e.Event
			if stint--; stint == 0 || e.Type == store.TypeSessionClosed {
				break
			}
		}
		if r.last.Type == store.TypeSessionClosed {
			return nil
		}
		if err := ctx.Err(); err != nil || stint != 0 {
			return fmt.Errorf("the tail ended after %d: %w", r.last.ID, err)
		}
		r.switches++
		transport = other(r.random, r.transports, transport)
	}
}

// other draws a transport that is not the one in use.
func other(random *rand.Rand, all []string, not string) string {
	for {
		if t := all[random.IntN(len(all))]; t != not {
			return t
		}
	}
}
