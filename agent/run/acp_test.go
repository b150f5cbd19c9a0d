package run

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/konlog/konlog/agent"
)

// What Gemini CLI 0.61.0 answered, shortened.
const (
	acpCan      = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"authMethods":[{"id":"oauth-personal","name":"Log in with Google"},{"id":"gemini-api-key"}],"agentInfo":{"name":"gemini-cli"},"agentCapabilities":{"loadSession":true,"promptCapabilities":{"image":true},"mcpCapabilities":{"http":true}}}}`
	acpCannot   = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"agentCapabilities":{}}}`
	acpResumes  = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true,"sessionCapabilities":{"resume":{}}}}}`
	acpGave     = `{"jsonrpc":"2.0","id":2,"result":{"sessionId":"ed370352","modes":{"currentModeId":"default"}}}`
	acpLoaded   = `{"jsonrpc":"2.0","id":2,"result":{"modes":{"currentModeId":"default"}}}`
	acpUnknown  = `{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"Internal error","data":{"details":"Invalid session identifier"}}}`
	acpLogin    = `{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"Authentication required"}}`
	acpAsks     = `{"jsonrpc":"2.0","id":0,"method":"session/request_permission","params":{"sessionId":"ed370352","options":[{"optionId":"proceed_always","name":"Allow for this session","kind":"allow_always"},{"optionId":"proceed_once","name":"Allow","kind":"allow_once"},{"optionId":"cancel","name":"Reject","kind":"reject_once"}],"toolCall":{"toolCallId":"w_0","status":"pending"}}}`
	acpEnds     = `{"jsonrpc":"2.0","id":3,"result":{"stopReason":"end_turn"}}`
	acpReads    = `{"jsonrpc":"2.0","id":"r1","method":"fs/read_text_file","params":{"path":"/etc/passwd"}}`
	acpUpdate   = `{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ed370352","update":{"sessionUpdate":"agent_message_chunk"}}}`
	acpAskBegin = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{"fs":{"readTextFile":false,"writeTextFile":false},"terminal":false},"clientInfo":{"name":"konlog","title":"konlog","version":"1"}}}`
)

func acpAskSession(id int, method, more string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"cwd":"/w","mcpServers":[]%s}}`, id, method, more)
}

// acpWith is a driver that has heard the lines.
func acpWith(t *testing.T, s Start, lines ...string) Driver {
	t.Helper()
	d := newDriver(t, agent.FormatACP)
	s.Dir = "/w"
	if len(s.Command) == 0 {
		s.Command = []string{"agent"}
	}
	l := launch(t, d, s)
	oneLine(t, l.Input)
	sameJSON(t, "the handshake", l.Input, acpAskBegin)
	for _, line := range lines {
		d.Heard([]byte(line), agent.Meaning{})
	}
	return d
}

func TestACPCommand(t *testing.T) {
	for command, want := range map[string]string{
		"gemini":                    "gemini --acp",
		"gemini -m x":               "gemini --acp -m x",
		"gemini --acp":              "gemini --acp",
		"gemini --experimental-acp": "gemini --experimental-acp",
		"opencode acp":              "opencode acp",
		"konlog fake-agent x.jsonl": "konlog fake-agent x.jsonl",
	} {
		l := launch(t, newDriver(t, agent.FormatACP), Start{Command: strings.Fields(command), Dir: "/w"})
		if got := strings.Join(l.Args, " "); got != want || l.OnePrompt {
			t.Errorf("%s: got %s, one prompt %v, want %s", command, got, l.OnePrompt, want)
		}
	}
}

func TestACPBegins(t *testing.T) {
	old := `,"sessionId":"` + conversation + `"`
	cases := []struct{ name, resume, can, ask, answer, again, session string }{
		{"new", "", acpCan, acpAskSession(2, "session/new", ""), acpGave, "", "ed370352"},
		{"goes on", conversation, acpResumes, acpAskSession(2, "session/resume", old), acpLoaded, "", conversation},
		{"is loaded", conversation, acpCan, acpAskSession(2, "session/load", old), `{"id":2,"result":{}}`, "", conversation},
		{"is loaded under another name", conversation, acpCan, acpAskSession(2, "session/load", old), `{"id":2,"result":{"sessionId":"ed370352"}}`, "", "ed370352"},
		{"cannot go on", conversation, acpCannot, acpAskSession(2, "session/new", ""), acpGave, "", "ed370352"},
		{"is gone", conversation, acpCan, acpAskSession(2, "session/load", old), acpUnknown, acpAskSession(3, "session/new", ""), "ed370352"},
	}
	for _, c := range cases {
		d := acpWith(t, Start{Resume: c.resume})
		if d.Ready() {
			t.Errorf("%s: ready before the handshake", c.name)
		}
		ask := d.Heard([]byte(c.can), agent.Meaning{})
		oneLine(t, ask)
		sameJSON(t, c.name, ask, c.ask)
		if d.Ready() {
			t.Errorf("%s: ready before there is a session", c.name)
		}
		again := d.Heard([]byte(c.answer), agent.Meaning{})
		if c.again != "" {
			sameJSON(t, c.name, again, c.again)
			again = d.Heard([]byte(strings.Replace(acpGave, `"id":2`, `"id":3`, 1)), agent.Meaning{})
		}
		if !d.Ready() || again != nil {
			t.Errorf("%s: ready %v after the session, and wrote %q", c.name, d.Ready(), again)
		}
		prompt, err := d.Prompt(Prompt{Text: "hi"})
		if err != nil || !strings.Contains(string(prompt), `"sessionId":"`+c.session+`"`) {
			t.Errorf("%s: the prompt is %s, %v", c.name, prompt, err)
		}
	}
}

// What an old session holds may come after the answer to session/load. No
// prompt is given before it is over, or it would be taken for the answer.
func TestACPHistory(t *testing.T) {
	d := acpWith(t, Start{Resume: conversation}, acpCan)
	history := []byte(acpUpdate)
	quiet := []byte(`{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"ed370352","update":{"sessionUpdate":"available_commands_update"}}}`)
	repeats := func(line []byte) bool {
		is := d.(Repeater).Repeats(line)
		if reply := d.Heard(line, agent.Meaning{}); reply != nil {
			t.Errorf("%s was answered with %s", line, reply)
		}
		return is
	}
	round := func(n int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"session/set_mode","params":{"sessionId":%q,"modeId":"default"}}`, n, conversation)
	}
	if !repeats(history) || repeats(quiet) {
		t.Error("before the answer: the history is no repetition, or something else is")
	}
	sameJSON(t, "the first round", d.Heard([]byte(acpLoaded), agent.Meaning{}), round(3))
	if !repeats(history) || d.Ready() {
		t.Error("after the answer: the history is no repetition, or a prompt may be given in it")
	}
	sameJSON(t, "the second round", d.Heard([]byte(`{"jsonrpc":"2.0","id":3,"result":{}}`), agent.Meaning{}), round(4))
	repeats(quiet)
	if reply := d.Heard([]byte(`{"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"no"}}`), agent.Meaning{}); reply != nil || !d.Ready() {
		t.Errorf("after a quiet round: ready %v, and wrote %s", d.Ready(), reply)
	}
	if repeats(history) {
		t.Error("what comes after the history is a repetition")
	}
	d = acpWith(t, Start{Resume: conversation}, acpCan, acpUnknown)
	if repeats(history) {
		t.Error("a new session has a history")
	}
	d = acpWith(t, Start{}, acpCan, acpGave)
	if repeats(history) || !d.Ready() {
		t.Error("a new session has a history, or is not ready")
	}
}

// An agent that gives no session does not keep anybody waiting: the prompt
// says why.
func TestACPGivesNoSession(t *testing.T) {
	cases := []struct {
		name, resume, want string
		lines              []string
	}{
		{"login", "", "log in there", []string{acpCan, acpLogin}},
		{"login for an old session", conversation, "Log in with Google, gemini-api-key", []string{acpCan, acpLogin}},
		{"refused", "", "Internal error: Invalid session identifier", []string{acpCan, acpUnknown}},
		{"no handshake", "", "refused initialize: no", []string{`{"id":1,"error":{"code":1,"message":"no"}}`}},
		{"another version", "", "version 2", []string{`{"id":1,"result":{"protocolVersion":2}}`}},
		{"another form", "", "cannot be read", []string{`{"id":1,"result":{"protocolVersion":"1"}}`}},
		{"no id", "", "without an id", []string{acpCan, `{"id":2,"result":{}}`}},
		{"a code alone", "", "error -5", []string{acpCan, `{"id":2,"error":{"code":-5}}`}},
	}
	for _, c := range cases {
		d := acpWith(t, Start{Resume: c.resume}, c.lines...)
		if !d.Ready() {
			t.Errorf("%s: a prompt would wait for ever", c.name)
		}
		if _, err := d.Prompt(Prompt{Text: "hi"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if _, ok := d.Interrupt(); ok {
			t.Errorf("%s: there is a turn to stop", c.name)
		}
	}
}

func TestACPPrompt(t *testing.T) {
	d := acpWith(t, Start{}, acpCan, acpGave)
	got, err := d.Prompt(Prompt{Text: "see <this>", Images: []Image{{"image/PNG; x=y", []byte("P")}}})
	if err != nil {
		t.Fatal(err)
	}
	oneLine(t, got)
	sameJSON(t, "the prompt", got, `{"jsonrpc":"2.0","id":3,"method":"session/prompt","params":{"sessionId":"ed370352","prompt":[{"type":"text","text":"see <this>"},{"type":"image","mimeType":"image/png","data":"UA=="}]}}`)
	if d.Ready() {
		t.Error("ready within a turn")
	}
	if _, err := d.Prompt(Prompt{Text: "and"}); !errors.Is(err, ErrOnePrompt) {
		t.Errorf("further words: %v", err)
	}
	d.Heard([]byte(acpUpdate), agent.Meaning{})
	d.Heard([]byte(`{"jsonrpc":"2.0","id":9,"result":{}}`), agent.Meaning{}) // nobody asked
	if d.Ready() {
		t.Error("an answer that nobody asked for ended the turn")
	}
	d.Heard([]byte(acpEnds), agent.Meaning{})
	if !d.Ready() {
		t.Error("not ready after the turn")
	}
	got, err = d.Prompt(Prompt{})
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "an empty prompt", got, `{"jsonrpc":"2.0","id":4,"method":"session/prompt","params":{"sessionId":"ed370352","prompt":[{"type":"text","text":""}]}}`)

	d = acpWith(t, Start{}, acpCannot, acpGave)
	if _, err := d.Prompt(Prompt{Images: []Image{{}}}); err == nil || !strings.Contains(err.Error(), "no images") {
		t.Errorf("a picture for an agent that takes none: %v", err)
	}
	if !d.Ready() {
		t.Error("not ready after a prompt that was not given")
	}
}

func TestACPAnswers(t *testing.T) {
	outcome := func(id, option string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"outcome":{"outcome":"selected","optionId":"` + option + `"}}}`
	}
	only := func(kind string) string {
		return `{"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{"options":[{"optionId":"it","kind":"` + kind + `"}]}}`
	}
	cases := []struct {
		name, asks string
		a          Answer
		want       string
	}{
		{"allowed", acpAsks, Answer{RequestID: "s1:0", Allow: true}, outcome("0", "proceed_once")},
		{"refused", acpAsks, Answer{RequestID: "s1:0"}, outcome("0", "cancel")},
		{"an option", acpAsks, Answer{RequestID: "s1:0", Allow: true, Option: "proceed_always"}, outcome("0", "proceed_always")},
		{"an option that refuses", acpAsks, Answer{RequestID: "s1:0", Allow: true, Option: "cancel"}, outcome("0", "cancel")},
		{"an option that would allow what is refused", acpAsks, Answer{RequestID: "s1:0", Option: "proceed_always"}, outcome("0", "cancel")},
		{"no such option", acpAsks, Answer{RequestID: "s1:0", Allow: true, Option: "x"}, outcome("0", "proceed_once")},
		{"the only way to allow", only("allow_always"), Answer{RequestID: "s1:q", Allow: true}, outcome(`"q"`, "it")},
		{"the only way to refuse", only("reject_always"), Answer{RequestID: "s1:q"}, outcome(`"q"`, "it")},
		{"no way to refuse", only("allow_once"), Answer{RequestID: "s1:q"}, `{"jsonrpc":"2.0","id":"q","result":{"outcome":{"outcome":"cancelled"}}}`},
		{"an option without a kind", only(""), Answer{RequestID: "s1:q", Allow: true, Option: "it"}, outcome(`"q"`, "it")},
	}
	for _, c := range cases {
		d := acpWith(t, Start{Scope: "s1"}, acpCan, acpGave)
		if reply := d.Heard([]byte(c.asks), agent.Meaning{}); reply != nil {
			t.Errorf("%s: answered by itself: %s", c.name, reply)
		}
		for _, id := range []string{strings.TrimPrefix(c.a.RequestID, "s1:"), "s2" + c.a.RequestID[2:]} {
			if _, ok := d.Answer(Answer{RequestID: id, Allow: true}); ok {
				t.Errorf("%s: the question of another process, %s, was answered", c.name, id)
			}
		}
		got, ok := d.Answer(c.a)
		if !ok {
			t.Errorf("%s: not taken", c.name)
			continue
		}
		oneLine(t, got)
		sameJSON(t, c.name, got, c.want)
		if _, ok := d.Answer(c.a); ok {
			t.Errorf("%s: answered twice", c.name)
		}
	}
	if _, ok := acpWith(t, Start{}, acpCan, acpGave, acpAsks).Answer(Answer{RequestID: "0"}); !ok {
		t.Error("without a scope: not taken")
	}
}

func TestACPQuestionIsTakenBack(t *testing.T) {
	d := acpWith(t, Start{}, acpCan, acpGave, acpAsks)
	cancel := []byte(`{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":0}}`)
	sameJSON(t, "the answer", d.Heard(cancel, agent.Meaning{}), `{"jsonrpc":"2.0","id":0,"error":{"code":-32800,"message":"taken back"}}`)
	if _, ok := d.Answer(Answer{RequestID: "0", Allow: true}); ok {
		t.Error("a question was answered that was taken back")
	}
	if reply := d.Heard(cancel, agent.Meaning{}); reply != nil {
		t.Errorf("taken back twice: %s", reply)
	}
}

func TestACPInterrupt(t *testing.T) {
	d := acpWith(t, Start{}, acpCan, acpGave)
	if _, ok := d.Interrupt(); ok {
		t.Error("there was a turn to stop before one was asked for")
	}
	if _, err := d.Prompt(Prompt{Text: "hi"}); err != nil {
		t.Fatal(err)
	}
	d.Heard([]byte(acpAsks), agent.Meaning{})
	got, ok := d.Interrupt()
	if !ok {
		t.Fatal("no way to stop the turn")
	}
	lines := bytes.SplitAfter(got, []byte("\n"))
	if len(lines) != 3 || len(lines[2]) > 0 {
		t.Fatalf("wrote %q", got)
	}
	cancelled := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"outcome":{"outcome":"cancelled"}}}`
	}
	sameJSON(t, "the notification", lines[0], `{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"ed370352"}}`)
	sameJSON(t, "the open question", lines[1], cancelled("0"))
	if _, ok := d.Answer(Answer{RequestID: "0", Allow: true}); ok {
		t.Error("a question of the stopped turn was answered again")
	}
	late := d.Heard([]byte(strings.Replace(acpAsks, `"id":0`, `"id":1`, 1)), agent.Meaning{})
	sameJSON(t, "a question after the stop", late, cancelled("1"))
	d.Heard([]byte(strings.Replace(acpEnds, "end_turn", "cancelled", 1)), agent.Meaning{})
	if !d.Ready() {
		t.Error("not ready after the stopped turn")
	}
	if _, err := d.Prompt(Prompt{Text: "next"}); err != nil {
		t.Fatal(err)
	}
	if reply := d.Heard([]byte(acpAsks), agent.Meaning{}); reply != nil {
		t.Errorf("a question of the next turn was answered by itself: %s", reply)
	}
	ended := d.Heard([]byte(strings.Replace(acpEnds, `"id":3`, `"id":4`, 1)), agent.Meaning{})
	sameJSON(t, "a question that outlives its turn", ended, cancelled("0"))
}

// What is not offered is refused at once, so that no agent waits for it.
func TestACPRefusesOtherRequests(t *testing.T) {
	d := acpWith(t, Start{}, acpCan, acpGave)
	sameJSON(t, "the refusal", d.Heard([]byte(acpReads), agent.Meaning{}), `{"jsonrpc":"2.0","id":"r1","error":{"code":-32601,"message":"konlog has no fs/read_text_file"}}`)
	for _, line := range []string{"noise", acpUpdate, `{"jsonrpc":"2.0","method":"x/y"}`, `{"jsonrpc":"2.0","id":null,"method":"x/y"}`, `{"jsonrpc":"2.0","id":7,"result":{}}`, `[]`} {
		if reply := d.Heard([]byte(line), agent.Meaning{}); reply != nil {
			t.Errorf("%s was answered with %s", line, reply)
		}
	}
	for i := range acpQuestionsMax {
		d.Heard([]byte(strings.Replace(acpAsks, `"id":0`, fmt.Sprintf(`"id":%d`, i), 1)), agent.Meaning{})
	}
	if reply := d.Heard([]byte(strings.Replace(acpAsks, `"id":0`, `"id":-1`, 1)), agent.Meaning{}); !strings.Contains(string(reply), "error") {
		t.Errorf("a question over the bound was answered with %q", reply)
	}
}
