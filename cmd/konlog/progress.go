package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often progress shows where nobody watches.
const progressEvery = 10 * time.Second

// progress shows on stderr how far long work is: a bar on a terminal, else a
// line now and then. It belongs to one goroutine.
type progress struct {
	app   *app
	what  string
	unit  string
	bar   *progressbar.ProgressBar // or nil
	began time.Time
	shown time.Time
}

// progress begins; total is 0 when it is not known.
func (a *app) progress(what, unit string, total int64) *progress {
	p := &progress{app: a, what: what, unit: unit, began: time.Now(), shown: time.Now()}
	if a.quiet || !isTerminal(a.stderr) {
		return p
	}
	if total <= 0 {
		total = -1
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what), progressbar.OptionSetItsString(unit),
		progressbar.OptionShowIts(), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(true))
	return p
}

// at says that done of total is behind us; total is 0 when it is not known.
func (p *progress) at(done, total int64) {
	if p.bar != nil {
		if total > 0 && p.bar.GetMax64() != total {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
		return
	}
	if p.app.quiet || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	of, left, rate := "", "", float64(done)/time.Since(p.began).Seconds()
	if total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	if total > done && rate > 0 {
		left = fmt.Sprintf(", %s left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	fmt.Fprintf(p.app.stderr, "%s: %d%s %s, %.0f/s%s\n", p.what, done, of, p.unit, rate, left)
}

// end clears the bar and says what was done.
func (p *progress) end(format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Finish() // see at
	}
	if !p.app.quiet && format != "" {
		fmt.Fprintf(p.app.stderr, format+"\n", args...)
	}
}

// phases shows the progress of work that has parts, one after the other.
type phases struct {
	app  *app
	part *progress // or nil
}

// of returns what the part of that name tells how far it is.
func (p *phases) of(what, unit string) func(done, total int64) {
	return func(done, total int64) {
		if p.part == nil || p.part.what != what {
			p.end()
			p.part = p.app.progress(what, unit, total)
		}
		p.part.at(done, total)
	}
}

// end clears what is shown.
func (p *phases) end() {
	if p.part != nil {
		p.part.end("")
		p.part = nil
	}
}
