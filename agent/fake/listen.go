package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// hearUntil waits for one line of the host, or until it is due; the zero time
// never is. It reports whether it was due.
func (p *player) hearUntil(ctx context.Context, due time.Time) (bool, error) {
	h, over, err := p.next(ctx, due)
	if over && time.Since(due) > lateMax {
		p.due = time.Now()
	}
	if err != nil || h == nil {
		return over, err
	}
	return false, p.take(*h)
}

// take does what a line asks for that the recording does not wait for.
func (p *player) take(h heard) error {
	switch h.kind {
	case prompt:
		if len(p.waiting) >= waitingMax {
			return ErrWaiting
		}
		p.waiting = append(p.waiting, h)
	case answer:
		p.tongue.answered(h)
	case interrupt:
		if h.all {
			p.waiting = nil
		}
		if !p.tongue.busy() {
			return p.sayAll(p.tongue.idle(h))
		}
		return p.stop(&h)
	case control, call:
		if line := p.tongue.reply(h); line != nil {
			return p.sayLine([]byte(p.live(string(line))))
		}
	}
	return nil
}

// takeAnswer waits until the agent's question is answered, or nobody is left to
// do that, which is a no.
func (p *player) takeAnswer(ctx context.Context, s step, at int) error {
	for p.pos == at {
		id, open := p.tongue.open(p.live(s.in.id))
		if !open {
			break
		}
		if p.closed {
			p.tongue.answered(heard{id: id, deny: true})
			break
		}
		if _, err := p.hearUntil(ctx, time.Time{}); err != nil {
			return err
		}
	}
	p.due = time.Now()
	return nil
}

// takePrompt waits for a prompt and begins its turn.
func (p *player) takePrompt(ctx context.Context, s step) error {
	for len(p.waiting) == 0 {
		if p.closed {
			return io.EOF
		}
		if _, err := p.hearUntil(ctx, time.Time{}); err != nil {
			return err
		}
	}
	h := p.waiting[0]
	p.waiting = p.waiting[1:]
	if p.o.Began != nil {
		if err := p.o.Began(p.part); err != nil {
			return err
		}
	}
	p.rename(s.in, h)
	p.tongue.begin(s.in, h)
	p.part++
	p.due = time.Now()
	return nil
}

// rename chooses the ids of a turn: those of the recording, but for the
// prompt's and the session's, or new ones where those are used up.
func (p *player) rename(recorded, live heard) {
	names := p.sessionNames()
	pass := p.part / max(p.rec.parts(), 1)
	salt := fmt.Sprintf("%d %d ", p.o.Process, pass)
	if p.o.Resume != "" {
		sum := sha256.Sum256(live.line)
		salt += p.o.Resume + hex.EncodeToString(sum[:])
	}
	if pass > 0 || p.o.Process > 0 || p.o.Resume != "" {
		for _, id := range p.rec.ids {
			names[id] = renamed(salt, id)
		}
	}
	if p.tongue != nil {
		session := p.rec.session
		if name, ok := names[session]; ok {
			session = name
		}
		p.tongue.again(pass, salt, session)
	}
	if live.uuid != "" && recorded.uuid != "" {
		names[recorded.uuid] = live.uuid
	}
	p.ids = replacer(names)
}

// sessionNames are the ids that stay as long as the process.
func (p *player) sessionNames() map[string]string {
	names := map[string]string{}
	switch {
	case p.rec.session == "":
	case p.o.Resume != "":
		names[p.rec.session] = p.o.Resume
	case p.o.Process > 0:
		names[p.rec.session] = renamed(fmt.Sprint("session of ", p.o.Process), p.rec.session)
	}
	return names
}

// meet waits for a request that the recorded host made at this place. It may
// never come: then the agent goes on as if nobody had wanted it.
func (p *player) meet(ctx context.Context, s step, at int) error {
	limit := time.Now().Add(p.o.GapMax)
	if p.o.GapMax == 0 {
		limit = time.Now().Add(GapMaxDefault)
	}
	if s.in.kind == call {
		limit = time.Time{} // nothing can go on before the greeting
	}
	for {
		if p.closed || s.in.kind != interrupt && len(p.waiting) > 0 {
			return p.pass(s)
		}
		h, due, err := p.next(ctx, limit)
		switch {
		case err != nil:
			return err
		case due:
			return p.pass(s)
		case h == nil:
			continue
		case h.kind == s.in.kind && h.name == s.in.name:
			if h.all {
				p.waiting = nil
			}
			p.tongue.meet(s.in, *h)
			p.due = time.Now()
			return nil
		case h.kind == call && p.jump(*h):
			return nil
		}
		if err := p.take(*h); err != nil || p.pos != at {
			return err
		}
	}
}

// next is the next line of the host, without doing anything about it. What is
// there comes before what is due: an agent that has much to say listens too.
func (p *player) next(ctx context.Context, due time.Time) (h *heard, over bool, err error) {
	lines := p.in.lines
	if p.closed {
		lines = nil
	}
	var timer <-chan time.Time
	if !due.IsZero() {
		if wait := time.Until(due); wait > 0 {
			p.timer.Reset(wait)
			timer = p.timer.C
		} else {
			timer = past
		}
	}
	var line []byte
	ok := true
	select {
	case line, ok = <-lines:
	default:
		select {
		case line, ok = <-lines:
		case <-timer:
			return nil, true, context.Cause(ctx)
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	if !ok {
		p.closed = true
		return nil, false, nil
	}
	said := p.tongue.hear(line)
	return &said, false, nil
}

// past is a timer that has fired, for good.
var past = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// jump goes on where the recorded host made the call that this one has come to:
// greetings are shorter or longer from host to host.
func (p *player) jump(h heard) bool {
	to := p.rec.next(p.pos, func(s step) bool { return s.in.kind == call && s.in.name == h.name })
	if to >= p.rec.head {
		return false
	}
	p.tongue.meet(p.rec.steps[to].in, h)
	p.pos, p.due = to+1, time.Now()
	return true
}

// pass goes on without a request that has not come.
func (p *player) pass(s step) error {
	p.due = time.Now()
	if s.in.kind == interrupt && p.tongue.busy() {
		return p.stop(nil)
	}
	if s.in.kind == call {
		p.pos = p.rec.next(p.pos+1, func(s step) bool { return s.in.kind == call || s.in.kind == prompt })
	}
	return nil
}

// stop ends the turn here and goes on behind its recorded end: with what tasks
// still have to say, or else with the next prompt.
func (p *player) stop(h *heard) error {
	end := p.rec.next(p.pos, func(s step) bool { return s.in.kind == prompt || s.in.kind == said && p.tongue.ends(s.line) })
	var line []byte
	next := end
	if end < len(p.rec.steps) && p.rec.steps[end].in.kind == said {
		line, next = []byte(p.live(string(p.rec.steps[end].line))), end+1
	}
	if err := p.sayAll(p.tongue.stop(h, p.waiting, line)); err != nil {
		return err
	}
	for next < len(p.rec.steps) && p.rec.steps[next].in.kind == said && p.tongue.after(p.rec.steps[next].line) {
		if err := p.sayStep(p.rec.steps[next]); err != nil {
			return err
		}
		next++
	}
	if !p.tongue.tasks() {
		next = p.rec.next(next, func(s step) bool { return s.in.kind == prompt || s.in.kind == control })
	}
	p.pos, p.due = next, time.Now()
	return nil
}

// refuse answers the host until it has no more to say.
func (p *player) refuse(ctx context.Context) error {
	for !p.closed || len(p.waiting) > 0 {
		if len(p.waiting) > 0 {
			h := p.waiting[0]
			p.waiting = p.waiting[1:]
			if err := p.sayAll(p.tongue.over(h)); err != nil {
				return err
			}
			continue
		}
		if _, err := p.hearUntil(ctx, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}
