package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/konlog/konlog/store"
)

// Widths of a terminal that nobody could ask, and the least one drawn for.
const (
	topWidth    = 80
	topHeight   = 24
	topWidthMin = 20
)

// unknown stands for a number that is not known, or not yet.
const unknown = "–"

// topView draws snapshots as lines that fit.
type topView struct {
	paint  paint
	width  int
	height int  // 0 is any
	keys   bool // somebody can press them
}

// lines draws s. No line is wider than the view, and there are no more of them
// than it is high.
func (v topView) lines(s *topSnapshot) []string {
	width := max(v.width, topWidthMin)
	var b topLines
	b.width, b.paint = width, v.paint
	head := []string{v.paint.bold("konlog top"), printable(s.Server)}
	if s.Version != "" {
		head = append(head, s.Version)
	}
	b.row("", append(head, s.Time.Local().Format(time.TimeOnly))...)
	if s.Error != "" {
		b.add(v.paint.red(fit(trouble(s), width)))
	}
	v.numbers(&b, s)
	if s.Log != nil || len(s.Turns) > 0 {
		v.turns(&b, s)
	}
	lines := b.lines
	if v.height > 0 {
		foot := 0
		if v.keys {
			foot = 1
		}
		lines = lines[:min(len(lines), max(v.height-foot, 1))]
		if v.keys && v.height > 1 {
			lines = append(lines, v.paint.dim(fit("q quits · every "+formatDuration(s.interval), width)))
		}
	}
	return lines
}

// trouble says what is not there, and since when.
func trouble(s *topSnapshot) string {
	since := ""
	if d := s.Time.Sub(s.Since.Time).Round(time.Second); d > 0 {
		since = " for " + roughTime(d)
	}
	if s.Log == nil && len(s.Turns) == 0 {
		return "no answer" + since + "; trying again: " + printable(strings.ReplaceAll(s.Error, "\n", " "))
	}
	return "in part" + since + ": " + printable(strings.ReplaceAll(s.Error, "\n", " "))
}

// numbers are the rows of what the server counts.
func (v topView) numbers(b *topLines, s *topSnapshot) {
	if s.Log == nil {
		return
	}
	l, r, d, a := s.Log, s.Readers, s.Disk, s.Agents
	b.row("append", perSecond(l.Events, "events"), bytesPerSecond(l.Bytes), perSecond(l.Commits, "commits"), "p50 "+latency(l.P50), "p99 "+latency(l.P99), "sync "+latency(l.Sync))
	b.row("queue", of(l.Queue, l.QueueMax), ofBytes(l.QueueBytes, l.QueueBytMax), "wait "+latency(l.Wait), v.alarm(l.Refused, "refused"))
	b.row("readers", "ws "+number(r.Connections["websocket"]), "sse "+number(r.Connections["sse"]), "poll "+number(r.Connections["poll"]), "follow "+number(r.Subscriptions),
		perSecond(r.Events, "events"), "lag "+latency(r.Lag), v.alarm(r.Cut, "cut"))
	state := "writable"
	if !d.Writable {
		state = v.paint.red("NOT WRITABLE")
	}
	disk := []string{state, "db " + roughBytes(d.Database), "wal " + roughBytes(d.WAL), "blobs " + roughBytes(d.Blobs)}
	if d.Free > 0 {
		free := "free " + roughBytes(d.Free)
		if d.Low {
			free = v.paint.red(free + " LOW")
		}
		disk = append(disk, free)
	}
	b.row("disk", disk...)
	b.row("agents", of(a.Running, a.Max)+" running", number(a.Waiting)+" waiting")
}

// alarm is a rate that ought to be 0.
func (v topView) alarm(rate *float64, what string) string {
	text := perSecond(rate, what)
	if rate != nil && *rate > 0 {
		return v.paint.red(text)
	}
	return text
}

// topColumn is a column of the table of turns.
type topColumn struct {
	title string
	width int // 0 is what is left
	from  int // the narrowest view that has it
	text  func(t *topTurn, now time.Time) string
}

var topColumns = []topColumn{
	{"SESSION", 20, 0, func(t *topTurn, _ time.Time) string { return t.Session }},
	{"AGE", 7, 0, func(t *topTurn, now time.Time) string { return age(t.StartedAt, now) }},
	{"TOOL", 12, 0, func(t *topTurn, _ time.Time) string {
		if t.Questions > 0 {
			return "? asks"
		}
		return t.Tool
	}},
	{"AGENT", 10, 70, func(t *topTurn, _ time.Time) string { return t.Agent }},
	{"TITLE", 0, 60, func(t *topTurn, _ time.Time) string { return t.Title }},
}

func (v topView) turns(b *topLines, s *topSnapshot) {
	more := ""
	if s.More {
		more = "+"
	}
	b.row("turns", fmt.Sprintf("%d%s open", len(s.Turns), more))
	if len(s.Turns) == 0 {
		return
	}
	b.add(v.paint.dim(tableLine(b.width, func(c *topColumn) string { return c.title })))
	for i := range s.Turns {
		t := &s.Turns[i]
		b.add(tableLine(b.width, func(c *topColumn) string { return printable(strings.ReplaceAll(c.text(t, s.Time.Time), "\n", " ")) }))
	}
}

func tableLine(width int, text func(*topColumn) string) string {
	var b strings.Builder
	used := 0
	for i := range topColumns {
		c := &topColumns[i]
		if width < c.from || used >= width {
			continue
		}
		w := c.width
		if left := width - used; w == 0 || w > left {
			w = left
		}
		cell := fit(strings.ReplaceAll(text(c), "\t", " "), w)
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", w-uniseg.StringWidth(cell)))
		if used += w; used < width {
			b.WriteByte(' ')
			used++
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// topLines collects rows. What does not fit into a line goes to the next one.
type topLines struct {
	width int
	paint paint
	lines []string
}

const topLabel = 8 // columns of a row's name

func (b *topLines) add(line string) { b.lines = append(b.lines, line) }

func (b *topLines) row(name string, cells ...string) {
	indent := 0
	line := ""
	if name != "" {
		indent = topLabel
		line = b.paint.cyan(fmt.Sprintf("%-*s", topLabel, name))
	}
	used, first := indent, true
	for _, cell := range cells {
		w := visible(cell)
		gap := 2
		if first {
			gap = 0
		}
		if !first && used+gap+w > b.width {
			b.add(line)
			line, used, gap = strings.Repeat(" ", indent), indent, 0
		}
		if left := b.width - used - gap; w > left {
			cell = fit(plain(cell), left)
			w = visible(cell)
		}
		line += strings.Repeat(" ", gap) + cell
		used, first = used+gap+w, false
	}
	b.add(line)
}

// plain is a text without its colours.
func plain(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}

func visible(s string) int { return uniseg.StringWidth(plain(s)) }

// fit cuts a text to a number of columns.
func fit(s string, width int) string {
	if uniseg.StringWidth(s) <= width {
		return s
	}
	var b strings.Builder
	used := 0
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if used+g.Width() > width-1 {
			break
		}
		b.WriteString(g.Str())
		used += g.Width()
	}
	if width < 1 {
		return ""
	}
	return b.String() + "…"
}

func perSecond(rate *float64, what string) string {
	if rate == nil {
		return unknown + " " + what + "/s"
	}
	return rough(*rate) + " " + what + "/s"
}

func bytesPerSecond(rate *float64) string {
	if rate == nil {
		return unknown + " B/s"
	}
	return roughBytes(int64(*rate)) + "/s"
}

// rough writes a rate for people, with three digits.
func rough(n float64) string {
	for _, u := range []struct {
		least float64
		name  string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.least*.9995 {
			return fmt.Sprintf("%.3g%s", n/u.least, u.name)
		}
	}
	if n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.2g", n)
}

func number(n int64) string { return fmt.Sprint(n) }

func of(n, limit int64) string {
	if limit == 0 {
		return number(n)
	}
	return number(n) + "/" + number(limit)
}

func ofBytes(n, limit int64) string {
	if limit == 0 {
		return roughBytes(n)
	}
	return roughBytes(n) + "/" + roughBytes(limit)
}

// latency writes a short time with three digits.
func latency(s *float64) string {
	switch {
	case s == nil:
		return unknown
	case *s >= 100:
		return fmt.Sprintf("%.0fs", *s)
	case *s >= .9995:
		return fmt.Sprintf("%.3gs", *s)
	case *s >= .0009995:
		return fmt.Sprintf("%.3gms", *s*1e3)
	}
	return fmt.Sprintf("%.0fµs", *s*1e6)
}

// age is how long something has lasted.
func age(since store.Stamp, now time.Time) string {
	if since.IsZero() {
		return unknown
	}
	return roughTime(max(now.Sub(since.Time), 0))
}

// roughTime writes a time in two units.
func roughTime(d time.Duration) string {
	switch d = d.Truncate(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
