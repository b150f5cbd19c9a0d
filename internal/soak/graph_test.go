package soak

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Pixels of the graph.
const (
	graphWidth  = 900
	graphHeight = 120 // of one of its rows
	graphLeft   = 90
	graphGap    = 36
)

// draw writes the graph where KONLOG_SOAK_GRAPH says: events a second, memory
// and descriptors over time, with a line for each fault.
func (l *samples) draw(t *testing.T) {
	t.Helper()
	path := os.Getenv("KONLOG_SOAK_GRAPH")
	if path == "" || len(l.rows) < 2 {
		return
	}
	if err := os.WriteFile(path, []byte(l.svg()), 0o644); err != nil {
		t.Error(err)
	}
}

func (l *samples) svg() string {
	var rates []sample
	for i := 1; i < len(l.rows); i++ {
		a, b := l.rows[i-1], l.rows[i]
		if d := b.at - a.at; d > 0 {
			rates = append(rates, sample{at: b.at, events: int64(float64(b.events-a.events) / d.Seconds())})
		}
	}
	end := l.rows[len(l.rows)-1].at
	var b strings.Builder
	rows := []struct {
		name string
		of   []sample
		y    func(sample) float64
	}{
		{"events/s", rates, func(s sample) float64 { return float64(s.events) }},
		{"memory MiB", l.rows, func(s sample) float64 { return float64(s.memory >> 20) }},
		{"open files", l.rows, func(s sample) float64 { return float64(s.files) }},
	}
	height := len(rows)*(graphHeight+graphGap) + graphGap
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", graphLeft+graphWidth+20, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	x := func(at time.Duration) float64 { return graphLeft + graphWidth*float64(at)/float64(end) }
	for _, f := range l.faults {
		if colour := colours[f.what]; colour != "" {
			fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="%s" stroke-opacity="0.35"><title>%s</title></path>`+"\n", x(f.at), graphGap/2, height-graphGap, colour, f.what)
		}
	}
	for i, row := range rows {
		bottom := float64(graphGap/2 + i*(graphHeight+graphGap) + graphHeight)
		top := 1.0
		for _, s := range row.of {
			top = max(top, row.y(s))
		}
		fmt.Fprintf(&b, `<text x="4" y="%.0f">%s</text><text x="%d" y="%.0f" text-anchor="end">%.0f</text><text x="%d" y="%.0f" text-anchor="end">0</text>`+"\n",
			bottom-graphHeight/2, row.name, graphLeft-6, bottom-graphHeight+10, top, graphLeft-6, bottom)
		fmt.Fprintf(&b, `<path fill="none" stroke="#345" d="`)
		for j, s := range row.of {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(s.at), bottom-graphHeight*row.y(s)/top)
		}
		fmt.Fprintf(&b, `"/><path d="M%d %.0fH%d" stroke="#999"/>`+"\n", graphLeft, bottom, graphLeft+graphWidth)
	}
	at := graphLeft
	for _, what := range []string{"kill", "full", "clock", "cut"} {
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">| %s</text>`+"\n", at, height-8, colours[what], what)
		at += 80
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%v</text>`+"\n</svg>\n", graphLeft+graphWidth, height-8, end.Round(time.Second))
	return b.String()
}

var colours = map[string]string{"kill": "#c00", "full": "#e70", "clock": "#07c", "cut": "#292"}
