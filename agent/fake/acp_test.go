package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/konlog/konlog/agent"
)

// acpHost does what a client of the Agent Client Protocol does. Its ids are
// strings, unlike the recorded ones.
type acpHost struct {
	*host
	session string
	ended   int
	reasons []string
	option  string
}

func (c *acpHost) call(id, method, params string) {
	c.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":%q,"params":%s}`, id, method, params))
}

// greet makes a session, in fewer steps than the recorded client.
func (c *acpHost) greet() {
	c.t.Helper()
	c.call("hello", "initialize", `{"protocolVersion":1}`)
	if line := string(c.next()); !strings.Contains(line, `"id": "hello"`) || !strings.Contains(line, `"protocolVersion": 1`) {
		c.t.Errorf("initialize is answered by %s", line)
	}
	c.call("new", "session/new", `{"cwd":"/","mcpServers":[]}`)
	var answer struct {
		ID     string
		Result struct{ SessionID string }
	}
	if line := c.next(); json.Unmarshal(line, &answer) != nil || answer.ID != "new" || answer.Result.SessionID == "" {
		c.t.Errorf("session/new is answered by %s", line)
	}
	c.session = answer.Result.SessionID
}

func (c *acpHost) prompt(n int) {
	c.call(fmt.Sprintf("prompt %d", n), "session/prompt", fmt.Sprintf(`{"sessionId":%q,"prompt":[{"type":"text","text":"go"}]}`, c.session))
}

func (c *acpHost) hear(line []byte) {
	c.t.Helper()
	var l struct {
		ID     json.RawMessage
		Method string
		Result struct{ StopReason string }
		Params struct{ SessionID string }
	}
	if err := json.Unmarshal(line, &l); err != nil {
		c.t.Fatalf("%q: %v", line, err)
	}
	if l.Params.SessionID != "" && l.Params.SessionID != c.session {
		c.t.Errorf("%s is not of session %s", line, c.session)
	}
	switch {
	case l.Method == acpPermission:
		c.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"outcome":{"outcome":"selected","optionId":%q}}}`, l.ID, c.option))
	case l.Method == "" && strings.HasPrefix(string(l.ID), `"prompt`):
		if want := fmt.Sprintf("%q", fmt.Sprintf("prompt %d", c.ended)); string(l.ID) != want {
			c.t.Errorf("%s ends %s, want %s", line, l.ID, want)
		}
		c.ended++
		c.reasons = append(c.reasons, l.Result.StopReason)
	}
}

func newACPHost(t *testing.T, o Options) *acpHost {
	o.GapMax = GapMaxDefault
	return &acpHost{host: play(t, readRecording(t, acpFile), o), option: "proceed_once"}
}

// TestACP_StopAtEveryPoint: every prompt is answered once, as cancelled when it
// was.
func TestACP_StopAtEveryPoint(t *testing.T) {
	lines := len(readRecording(t, acpFile).Lines()) - 3 // without the greeting
	for at := range lines {
		synctest.Test(t, func(t *testing.T) {
			h := newACPHost(t, Options{Repeat: true})
			h.greet()
			for prompt := range 2 {
				h.prompt(prompt)
				for n := 0; h.ended == prompt; n++ {
					if n == at && prompt == 0 {
						h.say(fmt.Sprintf(`{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":%q}}`, h.session))
					}
					h.hear(h.next())
				}
			}
			if err := h.rest(); err != nil {
				t.Error(err)
			}
			want := "cancelled end_turn"
			if at == lines-1 { // the answer was on its way
				want = "end_turn end_turn"
			}
			if got := strings.Join(h.reasons, " "); got != want {
				t.Errorf("cancelled after line %d: the turns ended as %s, want %s", at, got, want)
			}
			checkACPTools(t, h.lines)
		})
	}
}

// checkACPTools wants every tool to end, and questions and tools to be told
// apart.
func checkACPTools(t *testing.T, lines [][]byte) {
	t.Helper()
	open, asked := map[string]bool{}, map[string]bool{}
	for _, line := range lines {
		l := readACP(line)
		u := l.Params.Update
		if l.Method == acpPermission {
			if asked[string(l.ID)] {
				t.Errorf("question %s is asked twice", l.ID)
			}
			asked[string(l.ID)] = true
		}
		if u.Kind == "tool_call" {
			if _, there := open[u.Tool]; there {
				t.Errorf("tool %s is called twice", u.Tool)
			}
		}
		if u.Tool != "" {
			open[u.Tool] = u.Status != "completed" && u.Status != "failed"
		}
	}
	for tool, is := range open {
		if is {
			t.Errorf("tool %s never ends", tool)
		}
	}
}

// TestACP_Deny: a tool that the user has rejected fails.
func TestACP_Deny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newACPHost(t, Options{})
		h.option = "cancel"
		h.greet()
		h.prompt(0)
		for h.ended == 0 {
			h.hear(h.next())
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
		failed := 0
		for _, line := range h.lines {
			if u := readACP(line).Params.Update; u.Status == "failed" && strings.Contains(string(line), "doesn't want to proceed") {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d tools were rejected, want 2", failed)
		}
	})
}

// TestACP_Calls: a client may greet more and otherwise than the recorded one.
func TestACP_Calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newACPHost(t, Options{Process: 1})
		for _, c := range [][3]string{
			{"session/load", `{"sessionId":"old","cwd":"/","mcpServers":[]}`, `"result":{"modes"`},
			{"session/fly", `{}`, `"error":{"code":-32601`},
			{"authenticate", `{}`, `"result": {}`},
			{"initialize", `{}`, `"protocolVersion"`},
			{"session/set_mode", `{}`, `"result":{}`},
		} {
			h.call("x", c[0], c[1])
			if line := string(h.next()); !strings.Contains(line, c[2]) || !strings.Contains(line, `"x"`) {
				t.Errorf("%s is answered by %s, want %s", c[0], line, c[2])
			}
		}
		h.session = "old"
		h.prompt(0)
		for h.ended == 0 {
			h.hear(h.next())
		}
		h.prompt(1)
		h.hear(h.next())
		if line := string(h.lines[len(h.lines)-1]); !strings.Contains(line, overText) {
			t.Errorf("a prompt too many is answered by %s", line)
		}
		if err := h.rest(); err != nil {
			t.Error(err)
		}
	})
}

// TestACP_Processes: each process makes a session of its own.
func TestACP_Processes(t *testing.T) {
	seen := map[string]bool{}
	for process := range 3 {
		synctest.Test(t, func(t *testing.T) {
			h := newACPHost(t, Options{Process: process})
			h.greet()
			if seen[h.session] {
				t.Errorf("process %d makes session %s again", process, h.session)
			}
			seen[h.session] = true
			h.prompt(0)
			for h.ended == 0 {
				h.hear(h.next())
			}
			if err := h.rest(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMapper_OneEnd: what is played after an interrupt at any point is, to who
// reads agents' lines, one turn for each prompt, each with one end.
func TestMapper_OneEnd(t *testing.T) {
	rec := readRecording(t, duplexFile)
	for at := 0; at < len(rec.Lines()); at += stride() {
		synctest.Test(t, func(t *testing.T) {
			h := &claudeHost{host: play(t, rec, Options{GapMax: GapMaxDefault}), prompts: 3}
			m := agent.NewMapper(agent.MapperOptions{Format: agent.FormatClaude})
			begins, ends := map[string]int{}, map[string]int{}
			begin := func() {
				turn := fmt.Sprint("asked ", h.asked)
				m.Begin(turn)
				begins[turn]++
			}
			h.prompt()
			begin()
			closed := false
			for n := 0; ; n++ {
				if n == at && !closed {
					h.say(`{"type":"control_request","request_id":"stop here","request":{"subtype":"interrupt"}}`)
				}
				if h.ended == 3 && !closed {
					close(h.in)
					closed = true
				}
				line := h.next()
				if line == nil {
					break
				}
				asked := h.asked
				drafts, _ := m.Map(bytes.TrimSuffix(line, []byte("\n")), fmt.Sprint("line ", n))
				for _, d := range drafts {
					switch d.Type {
					case "turn_start":
						begins[d.Turn]++
					case "turn_end":
						ends[d.Turn]++
					}
				}
				h.hear(line)
				if h.asked != asked {
					begin()
				}
			}
			if len(begins) < 3 || len(begins) > 4 {
				t.Errorf("interrupted after line %d: the turns are %v", at, begins)
			}
			for turn, n := range begins {
				if n != 1 || ends[turn] != 1 {
					t.Errorf("interrupted after line %d: turn %q begins %d times and ends %d times", at, turn, n, ends[turn])
				}
			}
			if len(m.Unknown()) > 0 {
				t.Errorf("interrupted after line %d: the agent says what nobody knows: %v", at, m.Unknown())
			}
		})
	}
}
