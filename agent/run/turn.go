package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/store"
)

// Bounds of a prompt's images: what an agent takes in one message is far less.
const (
	imagesMax     = 20
	imageBytesMax = 32 << 20 // of all together
)

// wordsMax bounds the further words of a turn that are on their way to the agent.
const wordsMax = 100

// beginAgain is the wait before a turn that could not begin, because another
// was open, is tried again.
const beginAgain = time.Second

// turn is a turn that somebody asked for and this runner runs.
type turn struct {
	queued
	images   []Image
	began    bool     // its turn_start is in the log
	prompted bool     // the agent has the prompt
	halted   bool     // stopped before it began
	giveUp   func()   // begins it no longer
	words    []func() // that were said before the agent had the prompt
	said     int      // words on their way to the agent, these among them
}

// is reports whether this is the turn of that id.
func (t *turn) is(id string) bool { return t != nil && t.queued.turn == id }

// act does what can be done now.
func (r *Runner) act(ctx context.Context) {
	if r.stop != nil || !r.caught {
		if r.closing {
			r.end(nil)
		}
		return
	}
	switch {
	case r.turn != nil && r.turn.began && !r.turn.prompted:
		r.prompt(ctx)
	case r.turn == nil && !r.closing && r.mapper.Turn() == "" && r.takes() && !time.Now().Before(r.refused):
		if a, ok := r.board.next(); ok {
			r.begin(ctx, a)
		} else if r.rests() {
			r.shutdown()
		}
	}
	r.close()
}

// rests reports whether the runner has done what it was for: no prompt waits
// and no turn is open. Rest does not wait for somebody else's turn.
func (r *Runner) rests() bool {
	switch open := r.board.open != ""; {
	case len(r.board.queue) > 0 || open && r.board.openRun != "":
		return false
	case r.c.Rest && r.child == nil:
		return true
	default:
		return r.c.Once && r.ran > 0 && !open
	}
}

// takes reports whether there is a process that takes a prompt, or room for one.
func (r *Runner) takes() bool {
	return r.child == nil || !r.child.onePrompt && !r.child.quits
}

// begin opens a turn in the log. The agent gets the prompt when that is durable.
func (r *Runner) begin(ctx context.Context, a queued) {
	ctx, cancel := context.WithCancel(ctx)
	t := &turn{queued: a, giveUp: cancel}
	r.turn = t
	d := r.draft(store.TypeTurnStart, a.turn, map[string]any{"agent": r.c.Name, "run": r.run, "leaseMs": r.c.Lease.Milliseconds()}, r.key())
	r.background(func() error {
		var err error
		if t.images, err = readImages(ctx, r.log, a.images); err != nil {
			return err
		}
		_, err = r.sender.Ask(ctx, d)
		return err
	}, func(err error) {
		cancel()
		r.began(err)
	})
}

// began is told what became of turn_start.
func (r *Runner) began(err error) {
	t := r.turn
	switch store.CodeOf(err) {
	case "":
	case store.CodeTurnEnded: // it was stopped while it waited, or somebody else ran it
		if r.board.take(t.queued.turn) {
			r.withdrawn(t.queued.turn)
		}
		r.turn = nil
		return
	case store.CodeTurnOpen: // by somebody else
		r.turn, r.refused = nil, time.Now().Add(beginAgain)
		return
	}
	if err != nil {
		r.turn, r.refused = nil, time.Now().Add(beginAgain)
		if v := judge(err); v == refused || v == fatal || errors.Is(err, ErrFenced) {
			r.end(fmt.Errorf("begin turn %s: %w", t.queued.turn, err))
		}
		return
	}
	r.board.take(t.queued.turn)
	t.began = true
	r.output = nil
	r.mapper.Begin(t.queued.turn)
	r.touchAt = time.Now().Add(r.c.Lease / 3)
	if t.halted || r.closing {
		r.mapper.Stop()
		r.finish(agent.End{Error: "stopped before the agent had the prompt"})
	}
}

// withdrawn is told that a prompt was stopped while it waited.
func (r *Runner) withdrawn(turn string) {
	r.ran++
	if r.c.Ended != nil {
		r.c.Ended(Ending{Turn: turn, Reason: "stopped", Error: "stopped before it began"})
	}
}

// prompt gives the agent the prompt, once there is a process that takes it.
func (r *Runner) prompt(ctx context.Context) {
	t := r.turn
	p := Prompt{Text: t.text, Images: t.images, Key: promptKey(t.queued.turn)}
	if r.child == nil {
		if err := r.launch(ctx, p); err != nil {
			r.finish(agent.End{Reason: "error", Error: err.Error()})
			return
		}
		if r.child.onePrompt {
			r.prompted()
			return
		}
	}
	if !r.child.driver.Ready() {
		if r.child.readyAt.IsZero() {
			r.child.readyAt = time.Now().Add(r.c.ReadyWait)
		}
		return
	}
	input, err := r.child.driver.Prompt(p)
	if err == nil {
		err = r.child.write(input)
	}
	if err != nil {
		r.finish(agent.End{Reason: "error", Error: "the prompt could not be given to the agent: " + err.Error()})
		r.dismiss() // the next prompt gets a fresh one
		return
	}
	r.prompted()
}

// prompted is told that the agent has the prompt.
func (r *Runner) prompted() {
	t := r.turn
	words := t.words
	t.prompted, t.images, t.words = true, nil, nil
	r.child.readyAt = time.Time{}
	for _, say := range words {
		say()
	}
}

// promptNames is the name space of prompts whose turn is no UUID.
var promptNames = uuid.MustParse("b8a3f3c0-42a6-4f8e-8f0a-2f9d6b6f6a11")

// promptKey is the name of a turn's prompt as a UUID.
func promptKey(turn string) string {
	if id, err := uuid.Parse(turn); err == nil {
		return id.String()
	}
	return uuid.NewSHA1(promptNames, []byte(turn)).String()
}

// steer gives the agent further words within its turn.
func (r *Runner) steer(ctx context.Context, e *store.Event) {
	p := Prompt{Text: e.Text("text"), Key: promptKey(e.Turn + "/" + r.key())}
	t := r.turn
	if t.said >= wordsMax {
		r.pass(t, p, fmt.Errorf("%d others of this turn wait already", wordsMax))
		return
	}
	t.said++
	value := e.Field("images")
	r.background(func() (err error) {
		p.Images, err = readImages(ctx, r.log, value)
		return err
	}, func(err error) {
		say := func() {
			t.said--
			r.pass(t, p, err)
		}
		if r.turn == t && !t.prompted {
			t.words = append(t.words, say)
			return
		}
		say()
	})
}

// pass gives the agent words within the turn, or says in the log that it has not
// got them.
func (r *Runner) pass(t *turn, p Prompt, err error) {
	var input []byte
	switch {
	case err != nil:
	case r.turn != t || r.child == nil:
		err = errors.New("its turn is over")
	default:
		if input, err = r.child.driver.Prompt(p); err == nil {
			err = r.child.write(input)
		}
	}
	if err == nil {
		return
	}
	text := "these words did not reach the agent: " + err.Error()
	if errors.Is(err, ErrOnePrompt) {
		text = "this agent takes no further words within a turn: send them as a prompt of their own"
	}
	r.put(r.draft(store.TypeError, t.queued.turn, map[string]any{"error": text, "code": "not_delivered", "fatal": false}, r.key()))
}

// answer passes on the answer to a question.
func (r *Runner) answer(e *store.Event) {
	if r.child == nil {
		return
	}
	input, ok := r.child.driver.Answer(Answer{
		RequestID: e.Text("requestId"), Allow: string(e.Field("allow")) == "true", UpdatedInput: objectOrNil(e.Field("updatedInput")),
		Option: e.Text("option"), Message: e.Text("message"),
	})
	if ok {
		if err := r.child.write(input); err != nil {
			r.c.Logger.Error("an answer did not reach the agent", "err", err)
		}
	}
}

// objectOrNil is an object as it is; other values, also null, are none.
func objectOrNil(value json.RawMessage) json.RawMessage {
	if len(value) == 0 || value[0] != '{' {
		return nil
	}
	return value
}

// finish ends the open turn when the agent does not.
func (r *Runner) finish(e agent.End) {
	if d, ok := r.mapper.Exit(e); ok {
		d.Key = "run:" + r.run + ":" + r.key()
		r.put(d)
	}
	r.finished()
}

// finished is told that the turn is over.
func (r *Runner) finished() {
	if t := r.turn; t != nil && t.began {
		r.turn = nil
		r.ran++
		for _, say := range t.words {
			say() // too late
		}
	}
	r.moves, r.output = nil, nil
	if r.halt != nil && !r.halt.process {
		r.halt = nil
	}
	if r.child != nil {
		r.child.idleSince, r.child.readyAt = time.Now(), time.Time{}
		if r.child.onePrompt && r.child.exitAt.IsZero() {
			r.child.exitAt = time.Now().Add(r.c.ExitWait)
		}
	}
}

// ended is told of the end of a turn. When that is still open here, somebody
// else has ended it, and the agent is stopped. A turn that the server took for
// abandoned goes on, also when the agent is silent: only then can it be stopped.
func (r *Runner) ended(e *store.Event) {
	if !r.current(e.Turn) || r.halt != nil {
		return
	}
	if e.Text("reason") != store.ReasonAbandoned || r.turn != nil && !r.turn.began {
		r.halted()
		return
	}
	r.put(r.draft(store.TypeError, r.mapper.Turn(), map[string]any{
		"error": "the server heard nothing for longer than the lease and ended the turn; it goes on here", "code": store.ReasonAbandoned, "fatal": false,
	}, r.key()))
}

// moved is told that the log has the turn under another name from now on: the
// server had given it up.
func (r *Runner) moved(from, to string) {
	if from == "" || from != r.mapper.Turn() && r.moves[from] == "" || r.moves[to] != "" {
		return
	}
	if r.moves == nil {
		r.moves = map[string]string{}
	}
	r.moves[to] = r.mapper.Turn()
	r.named = to
}

// current reports whether id names the turn that is open here.
func (r *Runner) current(id string) bool {
	open := r.mapper.Turn()
	return id != "" && (r.turn.is(id) || id == open || open != "" && r.moves[id] == open)
}

// readImages fetches the images of a prompt that are blobs. Others, such as
// addresses, are not for an agent's input.
func readImages(ctx context.Context, blobs Blobs, value json.RawMessage) (images []Image, err error) {
	var refs []struct {
		SHA256      string `json:"sha256"`
		ContentType string `json:"contentType"`
	}
	if len(value) == 0 || json.Unmarshal(value, &refs) != nil {
		return nil, nil
	}
	total := 0
	for _, ref := range refs {
		if ref.SHA256 == "" || len(images) >= imagesMax {
			continue
		}
		content, err := blobs.ReadBlob(ctx, ref.SHA256)
		if store.CodeOf(err) == store.CodeBlobNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if total += len(content); total > imageBytesMax {
			return images, nil
		}
		images = append(images, Image{ContentType: ref.ContentType, Content: content})
	}
	return images, nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("run: an event did not encode: " + err.Error()) // maps of strings, numbers and truths
	}
	return b
}
