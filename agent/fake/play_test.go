package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/konlog/konlog/internal/long"
)

const recordings = "../../testdata/recordings"

const (
	duplexFile = "claude-code-duplex-4turns.jsonl"
	acpFile    = "acp-v1-gemini-permissions.jsonl"
)

func readRecording(t testing.TB, name string) *Recording {
	t.Helper()
	f, err := os.Open(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := Read(f, false)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// host talks with a player. It sees every line before the next one is printed,
// and says what it says before the player goes on, so that a test decides what
// happens when.
type host struct {
	t     testing.TB
	in    chan string
	lines [][]byte
	times []time.Duration // since the beginning
	over  chan error
	out   chan []byte
	began time.Time
}

// play starts a player in the bubble of a synctest.
func play(t testing.TB, rec *Recording, o Options) *host {
	inR, inW := io.Pipe()
	h := &host{t: t, in: make(chan string, 1000), over: make(chan error, 1), out: make(chan []byte), began: time.Now()}
	go func() {
		for line := range h.in {
			_, _ = io.WriteString(inW, line) // a player that has ended is seen by what it said
		}
		_ = inW.Close()
	}()
	go func() {
		err := rec.Play(t.Context(), inR, lineWriter(h.out), o)
		_ = inR.CloseWithError(io.ErrClosedPipe) // so that nobody says more
		close(h.out)
		h.over <- err
	}()
	return h
}

type lineWriter chan []byte

func (w lineWriter) Write(line []byte) (int, error) {
	w <- bytes.Clone(line)
	return len(line), nil
}

// next is the next line, or nil at the end.
func (h *host) next() []byte {
	line, ok := <-h.out
	if !ok {
		return nil
	}
	h.lines, h.times = append(h.lines, line), append(h.times, time.Since(h.began))
	return line
}

// say writes a line when the player has gone as far as it can, and waits until
// it is there for the player to hear.
func (h *host) say(line string) {
	synctest.Wait()
	h.in <- line + "\n"
	synctest.Wait()
}

// rest closes the input and reads what is still said.
func (h *host) rest() error {
	close(h.in)
	for h.next() != nil {
	}
	return <-h.over
}

// recordedHost says what the recorded host said, when it said it.
func recordedHost(h *host, rec *Recording) {
	for i, s := range rec.steps {
		if s.in.kind != said {
			<-time.After(time.Until(h.began.Add(recordedAt(h.t, s))))
			h.say(string(s.line))
			continue
		}
		if line := h.next(); string(line) != string(s.line)+"\n" {
			h.t.Fatalf("step %d is %q, want %q", i+1, line, s.line)
		}
	}
}

// TestPlay_TheRecordedBytes: a host that does as the recorded one gets the
// agent's lines byte for byte, each when it was said.
func TestPlay_TheRecordedBytes(t *testing.T) {
	for _, name := range []string{duplexFile, acpFile} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := readRecording(t, name)
				h := play(t, rec, Options{GapMax: GapMaxDefault})
				recordedHost(h, rec)
				if err := h.rest(); err != nil {
					t.Fatal(err)
				}
				want := rec.Lines()
				if len(h.lines) != len(want) {
					t.Errorf("%d lines, want %d", len(h.lines), len(want))
				}
				checkPace(t, rec, h)
			})
		})
	}
}

// recordedAt is when a step was, after the beginning.
func recordedAt(t testing.TB, s step) time.Duration {
	var at struct {
		TMs int64 `json:"t_ms"`
	}
	if err := json.Unmarshal(s.pace, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.TMs) * time.Millisecond
}

// checkPace wants every line as far behind what came before as recorded.
func checkPace(t *testing.T, rec *Recording, h *host) {
	t.Helper()
	n := 0
	for _, s := range rec.steps {
		if s.in.kind != said {
			continue
		}
		if got, want := h.times[n], recordedAt(t, s); got != want {
			t.Fatalf("line %d came after %v, want %v", n+1, got, want)
		}
		n++
	}
}

// TestPlay_OneSide: every recording of one side, whatever is in it, is printed
// as it is when the input is over, and not before.
func TestPlay_OneSide(t *testing.T) {
	files, err := filepath.Glob(recordings + "/*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := Read(bytes.NewReader(want), false)
		if err != nil || rec.tongue != nil {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := play(t, rec, Options{})
				h.say("a prompt")
				h.say("of two lines")
				synctest.Wait()
				select {
				case line := <-h.out:
					t.Errorf("before the prompt was over it said %q", line)
				default:
				}
				if err := h.rest(); err != nil {
					t.Fatal(err)
				}
				if got := bytes.Join(h.lines, nil); !bytes.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
	if seen < 7 {
		t.Errorf("%d recordings of one side were found", seen)
	}
}

func TestPlay_OneSidePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, err := Read(strings.NewReader(`{"timestamp":1000}`+"\n"+`{"timestamp":3000}`+"\n{}\n"+`{"timestamp":13000}`+"\n"), false)
		if err != nil {
			t.Fatal(err)
		}
		h := play(t, rec, Options{Speed: 2, GapMax: 4 * time.Second})
		if err := h.rest(); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(h.times), "[0s 1s 1s 3s]"; got != want {
			t.Errorf("the lines came after %v, want %v", got, want)
		}
	})
}

// claudeHost does what a host of Claude Code does: it answers every question,
// and prompts when a turn that it asked for has ended.
type claudeHost struct {
	*host
	prompts int
	asked   int
	ended   int // turns that were asked for
	own     int // turns that nobody asked for, which ended
	deny    bool
}

func (c *claudeHost) prompt() {
	if c.asked < c.prompts {
		c.asked++
		c.say(fmt.Sprintf(`{"type":"user","uuid":%q,"message":{"role":"user","content":[{"type":"text","text":"prompt %d"}]}}`, hostPrompt(c.asked), c.asked))
	}
}

func hostPrompt(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// hear does what a line asks for.
func (c *claudeHost) hear(line []byte) {
	c.t.Helper()
	var l struct {
		claudeLine
		Origin *struct{ Kind string } `json:"origin"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		c.t.Fatalf("%q: %v", line, err)
	}
	switch l.Type {
	case "control_request":
		behavior := `{"behavior":"allow","updatedInput":{}}`
		if c.deny {
			behavior = `{"behavior":"deny","message":"not today"}`
		}
		c.say(fmt.Sprintf(`{"type":"control_response","response":{"subtype":"success","request_id":%q,"response":%s}}`, l.RequestID, behavior))
	case "result":
		if l.Origin != nil {
			c.own++
			return
		}
		if c.ended >= c.asked {
			c.t.Errorf("a turn ended that was not asked for: %s", line)
		}
		if c.ended++; c.ended == c.asked {
			c.prompt()
		}
	}
}

// TestStop_AtEveryPoint interrupts after every line that there is: every turn
// ends once, the prompts go on, and the interrupt is answered once.
// stride is how far apart the lines are of which each is tried.
func stride() int {
	if long.Wanted() {
		return 1
	}
	return 7
}

func TestStop_AtEveryPoint(t *testing.T) {
	rec := readRecording(t, duplexFile)
	for at := 0; at < len(rec.Lines()); at += stride() {
		synctest.Test(t, func(t *testing.T) {
			h := &claudeHost{host: play(t, rec, Options{GapMax: GapMaxDefault}), prompts: 3}
			h.prompt()
			want := 0
			for n := 0; h.ended < 3; n++ {
				if n == at {
					want = 1
					h.say(`{"type":"control_request","request_id":"stop here","request":{"subtype":"interrupt"}}`)
				}
				line := h.next()
				if line == nil {
					t.Fatalf("it ended after %d lines and %d turns", n, h.ended)
				}
				h.hear(line)
			}
			if err := h.rest(); err != nil {
				t.Fatal(err)
			}
			all := string(bytes.Join(h.lines, nil))
			if got := strings.Count(all, `"request_id":"stop here"`); got != want {
				t.Errorf("interrupted after line %d: it is answered %d times, want %d", at, got, want)
			}
			if got := strings.Count(all, `"origin":{"kind":"task-notification"`); got != h.own || got > 1 {
				t.Errorf("interrupted after line %d: %d turns of its own, %d ended", at, got, h.own)
			}
			starts, ends := strings.Count(all, `"type":"task_started"`)+strings.Count(all, `"subtype":"task_started"`), strings.Count(all, `"subtype":"task_notification"`)
			if starts != ends {
				t.Errorf("interrupted after line %d: %d tasks began, %d ended", at, starts, ends)
			}
			checkOnce(t, h.lines, at)
		})
	}
}

// checkOnce wants every line to have a uuid of its own, which an answer in the
// log is told by.
func checkOnce(t *testing.T, lines [][]byte, at int) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range lines {
		l := readClaude(line)
		if l.UUID == "" || l.Replay {
			continue
		}
		if seen[l.UUID] {
			t.Errorf("case %d: two lines have the uuid %s", at, l.UUID)
		}
		seen[l.UUID] = true
	}
}

// TestStop_KeepsTheText: the text so far is said again, as aborted, with the
// id of the message that it is of; then the turn ends as one that was stopped.
func TestStop_KeepsTheText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault}), prompts: 3}
		h.prompt()
		for {
			line := h.next()
			h.hear(line)
			if strings.Contains(string(line), "Sentence 3 of a long answer") {
				h.say(`{"type":"control_request","request_id":"r9","request":{"subtype":"interrupt"}}`)
				break
			}
		}
		after := len(h.lines)
		for range 10 {
			h.hear(h.next())
		}
		var kinds []string
		for _, line := range h.lines[after:] {
			l := readClaude(line)
			kinds = append(kinds, l.Type+l.Event.Type)
		}
		want := []string{
			"control_response", "assistant", "user", "stream_eventcontent_block_stop", "stream_eventmessage_delta",
			"stream_eventmessage_stop", "result", "system", "system", "command_lifecycle",
		}
		// set_permission_mode does not come, as a prompt does, so its answer is left out.
		if got := strings.Join(kinds[:7], " "); got != strings.Join(want[:7], " ") {
			t.Errorf("after an interrupt came %s, want %s", got, want)
		}
		aborted := string(h.lines[after+1])
		for _, part := range []string{
			`"text":"Sentence 0 of a long answer. Sentence 1 of a long answer. Sentence 2 of a long answer. Sentence 3 of a long answer. "`,
			`"id":"msg_0007"`, `"aborted":true`,
		} {
			if !strings.Contains(aborted, part) {
				t.Errorf("the aborted text is %s, without %s", aborted, part)
			}
		}
		for _, part := range []string{`"subtype":"error_during_execution"`, `"terminal_reason":"aborted_streaming"`, `"is_error":true`} {
			if !strings.Contains(string(h.lines[after+6]), part) {
				t.Errorf("the end is %s, without %s", h.lines[after+6], part)
			}
		}
		for h.ended < 3 {
			h.hear(h.next())
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
	})
}

// TestStop_InATool: a tool that runs gets a result, and the end says that it
// was one.
func TestStop_InATool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault}), prompts: 1}
		h.prompt()
		for !strings.Contains(string(h.next()), `"can_use_tool"`) {
		}
		h.say(`{"type":"control_request","request_id":"r9","request":{"subtype":"interrupt"}}`)
		from := len(h.lines)
		for h.ended < 1 {
			h.hear(h.next())
		}
		all := string(bytes.Join(h.lines[from:], nil))
		for _, part := range []string{
			`{"type":"control_cancel_request","request_id":"23f536bf-60f1-437d-a06e-70c1fef786f7"}`,
			`"is_error":true,"tool_use_id":"toolu_03_1"`, `"terminal_reason":"aborted_tools"`,
		} {
			if strings.Count(all, part) != 1 {
				t.Errorf("%s is not there once in %s", part, all)
			}
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
	})
}

// TestMeet_NeverCame: without the recorded interrupt the text so far is the
// answer, and the turn ends well.
func TestMeet_NeverCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault}), prompts: 3}
		h.prompt()
		for h.ended < 3 {
			line := h.next()
			h.hear(line)
			if h.ended == 2 && readClaude(line).Type == "result" {
				for _, part := range []string{`"subtype":"success"`, `"is_error":false`, `"terminal_reason":"completed"`, `Sentence 59 of a long answer. "`} {
					if !strings.Contains(string(line), part) {
						t.Errorf("the end is %s, without %s", line, part)
					}
				}
				if wait := h.times[len(h.times)-1] - h.times[len(h.times)-6]; wait != GapMaxDefault {
					t.Errorf("it waited %v for the interrupt, want %v", wait, GapMaxDefault)
				}
			}
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		all := string(bytes.Join(h.lines, nil))
		for _, part := range []string{"req_2", "req_3", `"aborted"`, `"cancelled"`, "errors"} {
			if strings.Contains(all, part) {
				t.Errorf("%s is said, though nobody interrupted", part)
			}
		}
	})
}

// TestDeny: a tool that is forbidden fails.
func TestDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault}), prompts: 1, deny: true}
		h.prompt()
		for h.ended < 1 {
			h.hear(h.next())
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		all := string(bytes.Join(h.lines, nil))
		if !strings.Contains(all, `"content":"not today","is_error":true,"tool_use_id":"toolu_03_1"`) || strings.Contains(all, "File created successfully") {
			t.Errorf("the tool did what it was forbidden: %s", all)
		}
	})
}

// TestTake_Answers: what the recorded host did not ask for is answered at once.
func TestTake_Answers(t *testing.T) {
	for _, c := range []struct{ say, want string }{
		{`{"type":"control_request","request_id":"i","request":{"subtype":"initialize","hooks":null}}`, `{"type":"control_response","response":{"subtype":"success","request_id":"i","response":{"commands":[]`},
		{`{"type":"control_request","request_id":"m","request":{"subtype":"set_permission_mode","mode":"plan"}}`, `{"type":"control_response","response":{"subtype":"success","request_id":"m","response":{"mode":"plan"}}}`},
		{`{"type":"control_request","request_id":"s","request":{"subtype":"set_model"}}`, `{"type":"control_response","response":{"subtype":"success","request_id":"s","response":{}}}`},
		{`{"type":"control_request","request_id":"u","request":{"subtype":"fly"}}`, `{"type":"control_response","response":{"subtype":"error","request_id":"u","error":"Unsupported control request subtype: fly"}}`},
		{`{"type":"control_request","request_id":"x","request":{"subtype":"interrupt"}}`, `{"type":"control_response","response":{"subtype":"success","request_id":"x","response":{"still_queued":[]}}}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := play(t, readRecording(t, duplexFile), Options{})
			h.say("no JSON")
			h.say(`{"type":"keep_alive"}`)
			h.say(c.say)
			if line := string(h.next()); !strings.HasPrefix(line, c.want) {
				t.Errorf("%s is answered by %s, want %s", c.say, line, c.want)
			}
			if err := h.rest(); err != nil || len(h.lines) != 1 {
				t.Errorf("it ended with %v after %d lines", err, len(h.lines))
			}
		})
	}
}

// TestPlay_Prompts: prompts that come early wait, and are told to who
// interrupts; the live prompt's id and words are in what the agent says.
func TestPlay_Prompts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault}), prompts: 2}
		h.prompt()
		h.prompt()
		h.next()
		h.say(`{"type":"control_request","request_id":"r","request":{"subtype":"interrupt"}}`)
		h.next() // it was on its way
		if line := string(h.next()); !strings.Contains(line, `"still_queued":["`+hostPrompt(2)+`"]`) {
			t.Errorf("the interrupt is answered by %s", line)
		}
		for h.ended < 2 {
			h.hear(h.next())
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		all := string(bytes.Join(h.lines, nil))
		if n := strings.Count(all, hostPrompt(2)); n < 5 || !strings.Contains(all, `"text":"prompt 2"}]}`) || strings.Contains(all, "d085a2d2-1fa9-43ab-9f27-fa529b8abc71") {
			t.Errorf("the second prompt's id is there %d times: %s", n, all)
		}
	})
}

// TestPlay_CancelQueued: an interrupt can take back what waits.
func TestPlay_CancelQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{}), prompts: 2}
		h.prompt()
		h.prompt()
		h.next()
		h.say(`{"type":"control_request","request_id":"r","request":{"subtype":"interrupt","cancel_queued":true}}`)
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		all := string(bytes.Join(h.lines, nil))
		if strings.Contains(all, hostPrompt(2)) || !strings.Contains(all, `"still_queued":[]`) {
			t.Errorf("the second prompt is not taken back: %s", all)
		}
	})
}

// TestPlay_Over: prompts beyond the recording are refused, or played anew with
// ids of their own.
func TestPlay_Over(t *testing.T) {
	for _, repeat := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{GapMax: GapMaxDefault, Repeat: repeat}), prompts: 10}
			h.prompt()
			for h.ended < 10 {
				h.hear(h.next())
			}
			if err := h.rest(); err != nil {
				t.Error(err)
			}
			all := string(bytes.Join(h.lines, nil))
			if got := strings.Contains(all, overText); got == repeat {
				t.Errorf("with --repeat %v the end of the recording is told: %v", repeat, got)
			}
			if own := strings.Count(all, `"origin":{"kind":"task-notification"`); repeat && (own != 4 || strings.Count(all, `"session_id":"c787fc3b-d515-49f7-a522-5caf7d3a6a27"`) < 900) {
				t.Errorf("%d turns of its own, want 4, and one session", own)
			}
			checkOnce(t, h.lines, 0)
			checkTools(t, h.lines)
		})
	}
}

// checkTools wants the tools and questions to be told apart, and each result
// to be of a tool that was begun.
func checkTools(t *testing.T, lines [][]byte) {
	t.Helper()
	tools, asks := map[string]int{}, map[string]bool{}
	for _, line := range lines {
		l := readClaude(line)
		if l.Type == "control_request" {
			if asks[l.RequestID] || tools[l.Request.Tool] != 1 {
				t.Errorf("question %s of %s is asked twice, or of no tool", l.RequestID, l.Request.Tool)
			}
			asks[l.RequestID] = true
		}
		for _, b := range l.content() {
			switch {
			case b.Type == "tool_use" && tools[b.ID] != 0, b.Type == "tool_result" && tools[b.Tool] != 1:
				t.Errorf("tool %s%s is begun twice, or ends without a beginning", b.ID, b.Tool)
			case b.Type == "tool_use":
				tools[b.ID] = 1
			case b.Type == "tool_result":
				tools[b.Tool] = 2
			}
		}
	}
}

// TestPlay_Processes: further processes, and those that resume, say nothing
// under the ids of the first.
func TestPlay_Processes(t *testing.T) {
	seen := map[string]int{}
	for i, o := range []Options{{}, {Process: 1}, {Process: 2}, {Resume: "s-1"}, {Resume: "s-2"}} {
		synctest.Test(t, func(t *testing.T) {
			o.GapMax = GapMaxDefault
			h := &claudeHost{host: play(t, readRecording(t, duplexFile), o), prompts: 3}
			h.prompt()
			for h.ended < 3 {
				h.hear(h.next())
			}
			if err := h.rest(); err != nil {
				t.Error(err)
			}
			for _, line := range h.lines {
				l := readClaude(line)
				if other, ok := seen[l.UUID]; ok && l.UUID != "" && !l.Replay && other != i {
					t.Fatalf("process %d says %s under an id of process %d", i, line, other)
				}
				seen[l.UUID] = i
				if o.Resume != "" && l.Session != "" && l.Session != o.Resume {
					t.Fatalf("%s is not of session %s", line, o.Resume)
				}
			}
		})
	}
}

// TestPlay_Part: a process begins where the one before was.
func TestPlay_Part(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{Part: 2}), prompts: 1}
		h.prompt()
		for h.ended < 1 {
			h.hear(h.next())
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		if got := len(h.lines); got != 42 {
			t.Errorf("%d lines, want the 42 of the last turn", got)
		}
	})
}

// TestPlay_EndOfInput: wherever the input ends, the turn that runs is finished,
// and the process ends by itself.
func TestPlay_EndOfInput(t *testing.T) {
	rec := readRecording(t, duplexFile)
	for at := range 170 {
		synctest.Test(t, func(t *testing.T) {
			h := &claudeHost{host: play(t, rec, Options{GapMax: GapMaxDefault}), prompts: 1}
			h.prompt()
			for range at {
				h.hear(h.next())
			}
			close(h.in)
			for {
				line := h.next()
				if line == nil {
					break
				}
				if readClaude(line).Type == "result" {
					h.hear(line)
				}
			}
			if err := <-h.over; err != nil || h.ended != 1 || h.own != 1 {
				t.Errorf("input over after %d lines: %v, %d turns ended, %d of its own", at, err, h.ended, h.own)
			}
		})
	}
}

// TestPlay_Bounds: a host that only prompts is told to end that.
func TestPlay_Bounds(t *testing.T) {
	for n, want := range map[int]error{waitingMax: nil, waitingMax + 1: ErrWaiting} {
		synctest.Test(t, func(t *testing.T) {
			h := play(t, readRecording(t, duplexFile), Options{})
			for range n + 1 { // the first one does not wait
				h.in <- `{"type":"user"}` + "\n"
			}
			synctest.Wait()
			h.next()
			synctest.Wait()
			if err := h.rest(); !errors.Is(err, want) {
				t.Errorf("%d prompts: %v, want %v", n, err, want)
			}
		})
	}
}

func TestPlay_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, readRecording(t, duplexFile), Options{Lines: 7}), prompts: 1}
		h.prompt()
		if err := h.rest(); !errors.Is(err, ErrLineLimit) || len(h.lines) != 7 {
			t.Errorf("it ended with %v after %d lines, want %v after 7", err, len(h.lines), ErrLineLimit)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- readRecording(t, duplexFile).Play(ctx, r, io.Discard, Options{}) }()
		synctest.Wait()
		why := errors.New("why")
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("it ended with %v, want %v", err, why)
		}
		_ = w.Close()
	})
}

func TestRead_Refused(t *testing.T) {
	for _, text := range []string{"", `{"t_ms":0,"dir":"out","msg":{}}`, `{"t_ms":0,"dir":"in","msg":{"type":"user"}}` + "\nnoise"} {
		if _, err := Read(strings.NewReader(text), false); err == nil {
			t.Errorf("%q is a recording", text)
		}
	}
	rec, err := Read(strings.NewReader(`{"type":"result","uuid":"u"}`+"\n"), true)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := &claudeHost{host: play(t, rec, Options{Repeat: true}), prompts: 2}
		h.prompt()
		h.hear(h.next())
		h.hear(h.next())
		if err := h.rest(); err != nil || h.ended != 2 {
			t.Errorf("%d turns, %v", h.ended, err)
		}
	})
}
