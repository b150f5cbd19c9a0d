package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/konlog/konlog/agent"
)

// RecordingBytesMax is the largest recording: all of it is kept in memory,
// because an interrupted turn has to know how it would have ended.
const RecordingBytesMax = 256 << 20

// Recording is what an agent said, and what it was told if that was recorded
// too. It is not changed by players and may have several at a time.
type Recording struct {
	tongue  func() tongue // of a conversation; nil when only the agent's side is there
	steps   []step
	head    int      // the steps before the first prompt
	ids     []string // that may be there only once in a session
	session string   // its id, or ""
}

// step is one line of a recording.
type step struct {
	line []byte // without its line break; of one side alone: with it
	in   heard  // of a line to the agent; of others kind is said
	pace []byte // in what form the pacer reads its time
}

// kind is what a line to the agent does.
type kind int

const (
	said      kind = iota // by the agent
	prompt                // asks for a turn
	answer                // to a question that the agent asked
	interrupt             // stops the turn
	control               // another request that the agent answers, and the turn does not need
	call                  // a request before the first prompt
	noise                 // nothing that needs an answer
)

// heard is a line to the agent as it is understood.
type heard struct {
	kind kind
	id   string // of the request, or of the question that it answers: as JSON
	name string // of the request
	uuid string // of a prompt, or ""
	deny bool   // the answer is no
	all  bool   // the interrupt also takes back the prompts that wait
	line []byte
}

// Read reads a recording. input says that the agent is to take prompts as lines
// also when the recording has the agent's side only.
func Read(r io.Reader, input bool) (*Recording, error) {
	b, err := io.ReadAll(io.LimitReader(r, RecordingBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	if len(b) > RecordingBytesMax {
		return nil, fmt.Errorf("the recording is over %d bytes: cut it into several", RecordingBytesMax)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return nil, errors.New("the recording is empty")
	}
	rec := &Recording{}
	if _, _, ok := unwrap(lines[0]); ok {
		err = rec.readBoth(lines)
	} else {
		rec.readOne(lines, input)
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// unwrap takes a line out of the envelope of a recording of both sides.
func unwrap(line []byte) (msg []byte, in, ok bool) {
	var w struct {
		TMs *json.Number    `json:"t_ms"`
		Dir string          `json:"dir"`
		Msg json.RawMessage `json:"msg"`
	}
	if json.Unmarshal(line, &w) != nil || w.TMs == nil || w.Msg == nil {
		return nil, false, false
	}
	switch w.Dir {
	case "in", "client->agent":
		return w.Msg, true, true
	case "out", "agent->client":
		return w.Msg, false, true
	}
	return nil, false, false
}

// readBoth takes a conversation apart.
func (rec *Recording) readBoth(lines [][]byte) error {
	for i, line := range lines {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		msg, in, ok := unwrap(line)
		if !ok {
			return fmt.Errorf("line %d of the recording: not of the form {\"t_ms\":…,\"dir\":\"in\" or \"out\",\"msg\":…} as the first one", i+1)
		}
		if rec.tongue == nil {
			rec.tongue = tongueOf(msg)
		}
		s := step{line: msg, pace: line}
		if in {
			s.in = rec.tongue().hear(msg)
		}
		rec.steps = append(rec.steps, s)
	}
	for rec.head < len(rec.steps) && rec.steps[rec.head].in.kind != prompt {
		rec.head++
	}
	if rec.head == len(rec.steps) {
		return errors.New("the recording has lines to the agent, but no prompt among them: play the agent's lines alone")
	}
	rec.ids, rec.session = rec.tongue().names(rec.steps)
	return nil
}

// tongueOf tells the language by a first line: JSON-RPC is the one that says
// what it is.
func tongueOf(msg []byte) func() tongue {
	if _, _, ok := member(msg, "jsonrpc"); ok {
		return func() tongue { return newACP() }
	}
	return func() tongue { return newClaude() }
}

// readOne takes the lines of an agent alone as they are, breaks and all.
func (rec *Recording) readOne(lines [][]byte, input bool) {
	if !input {
		for _, line := range lines {
			rec.steps = append(rec.steps, step{line: line, pace: line})
		}
		rec.ids, rec.session = namesOfOne(rec.steps)
		return
	}
	rec.tongue = func() tongue { return newClaude() }
	rec.steps = []step{{in: heard{kind: prompt}, pace: []byte("{}")}}
	for _, line := range lines {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			rec.steps = append(rec.steps, step{line: line, pace: line})
		}
	}
	rec.ids, rec.session = rec.tongue().names(rec.steps)
}

// namesOfOne are the ids in the lines of one side, whatever agent it is.
func namesOfOne(steps []step) (ids []string, session string) {
	ids, session = newClaude().names(steps)
	for _, s := range steps {
		var l struct {
			ID     string `json:"id"`
			Tool   string `json:"tool_id"`
			Thread string `json:"thread_id"`
		}
		if json.Unmarshal(s.line, &l) != nil {
			continue
		}
		ids = append(ids, l.ID, l.Tool)
		if session == "" {
			session = l.Thread
		}
	}
	return distinct(ids), session
}

// distinct sorts names and leaves out those that are there already, and "".
func distinct(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// gaps are the waits before the lines.
func (rec *Recording) gaps(speed float64, gapMax time.Duration) []time.Duration {
	p := agent.Pacer{Factor: speed, GapMax: gapMax}
	gaps := make([]time.Duration, len(rec.steps))
	for i, s := range rec.steps {
		gaps[i] = p.Gap(s.pace)
	}
	return gaps
}

// next is the first step from i on for which ok holds, or their number.
func (rec *Recording) next(i int, ok func(step) bool) int {
	for i < len(rec.steps) && !ok(rec.steps[i]) {
		i++
	}
	return i
}

// part is the step of the nth prompt, or of the first again.
func (rec *Recording) part(n int) int {
	var prompts []int
	for i, s := range rec.steps {
		if s.in.kind == prompt {
			prompts = append(prompts, i)
		}
	}
	return prompts[n%len(prompts)]
}

// parts counts the prompts.
func (rec *Recording) parts() (n int) {
	for _, s := range rec.steps {
		if s.in.kind == prompt {
			n++
		}
	}
	return n
}

// Lines are the lines that the agent says in one pass, with their line breaks:
// what a host that does as the recorded one gets.
func (rec *Recording) Lines() [][]byte {
	var lines [][]byte
	for _, s := range rec.steps {
		switch {
		case s.in.kind != said:
		case rec.tongue == nil:
			lines = append(lines, s.line)
		default:
			lines = append(lines, append(bytes.Clone(s.line), '\n'))
		}
	}
	return lines
}

// reader hands over the lines of an input as they come.
type reader struct {
	lines chan []byte // unbuffered; closed at the end
	done  chan struct{}
}

// LineBytesMax bounds a line of the input; longer ones are passed over.
const LineBytesMax = 64 << 20

func newReader(in io.Reader) *reader {
	r := &reader{lines: make(chan []byte), done: make(chan struct{})}
	go r.run(in)
	return r
}

func (r *reader) run(in io.Reader) {
	defer close(r.lines)
	s := agent.NewSplitter(in, LineBytesMax)
	for {
		line, err := s.Next()
		var long *agent.TooLongError
		if errors.As(err, &long) {
			continue
		}
		if err != nil {
			return // an input that cannot be read is over
		}
		select {
		case r.lines <- bytes.Clone(line.Text):
		case <-r.done:
			return
		}
	}
}
