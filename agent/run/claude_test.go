package run

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/konlog/konlog/agent"
)

const (
	conversation = "0190c4a8-0000-7000-8000-000000000001"
	another      = "0190c4a8-0000-7000-8000-000000000002"
	claudeFlags  = "-p --output-format stream-json --verbose --include-partial-messages"
	claudeTwoWay = claudeFlags + " --input-format stream-json --permission-prompt-tool stdio"
)

// The flags were each given to Claude Code 2.1.330.
func TestClaudeCommand(t *testing.T) {
	resumed := " --resume " + conversation
	cases := []struct {
		name, command, resume, want string
		once                        bool
	}{
		{"bare", "claude", "", "claude " + claudeTwoWay, false},
		{"in a conversation", "claude", conversation, "claude " + claudeTwoWay + resumed, false},
		{"complete", "claude " + claudeTwoWay, "", "claude " + claudeTwoWay, false},
		{"complete with joined values", "claude -p --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=mcp__x", "",
			"claude -p --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=mcp__x", false},
		{"the long name", "claude --print --input-format stream-json", "", "claude --output-format stream-json --verbose --include-partial-messages --permission-prompt-tool stdio --print --input-format stream-json", false},
		{"one prompt", "claude -p", "", "claude --output-format stream-json --verbose --include-partial-messages -p", true},
		{"one prompt in a conversation", "claude -p --model opus", conversation,
			"claude --output-format stream-json --verbose --include-partial-messages" + resumed + " -p --model opus", true},
		{"text is one prompt", "claude --input-format text", "", "claude " + claudeFlags + " --input-format text", true},
		{"nobody is asked", "claude --dangerously-skip-permissions", "", "claude " + claudeFlags + " --input-format stream-json --dangerously-skip-permissions", false},
		{"nobody is asked in a mode", "claude --permission-mode bypassPermissions", "", "claude " + claudeFlags + " --input-format stream-json --permission-mode bypassPermissions", false},
		{"somebody is asked in another", "claude --permission-mode plan", "", "claude " + claudeTwoWay + " --permission-mode plan", false},
		{"the tools are many", "claude --allowedTools Bash Edit", "", "claude " + claudeTwoWay + " --allowedTools Bash Edit", false},
		{"a conversation of the user's", "claude --resume " + another, "", "claude " + claudeTwoWay + " --resume " + another, false},
		{"which became this one", "claude --resume " + another + " --fork-session --model opus", conversation, "claude " + claudeTwoWay + resumed + " --model opus", false},
		{"the last one, later", "claude -c -r --model opus", conversation, "claude " + claudeTwoWay + resumed + " --model opus", false},
		{"a new one of that name, later", "claude --session-id=" + conversation + " --session-id " + conversation + " x", conversation, "claude " + claudeTwoWay + resumed + " x", false},
		{"what is no flag", "claude -- -p -c", conversation, "claude " + claudeTwoWay + resumed + " -- -p -c", false},
		{"a package", "npx -y @anthropic-ai/claude-code@2.1.330 --model opus", "", "npx -y @anthropic-ai/claude-code@2.1.330 " + claudeTwoWay + " --model opus", false},
		{"a path", "env A=b /opt/claude", "", "env A=b /opt/claude " + claudeTwoWay, false},
		{"another system", `C:\bin\Claude.exe`, "", `C:\bin\Claude.exe`, false},
		{"a script", "./agent.sh -p", conversation, "./agent.sh -p" + resumed, false},
		{"a recording", "konlog fake-agent x.jsonl", "", "konlog fake-agent x.jsonl", false},
		{"a script that knows", "./agent.sh --resume " + another, conversation, "./agent.sh --resume " + another, false},
	}
	for _, c := range cases {
		d := newDriver(t, agent.FormatClaude)
		command := strings.Fields(c.command)
		l, err := d.Launch(Start{Command: command, Resume: c.resume, Prompt: Prompt{Text: " --hi"}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Join(l.Args, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if strings.Join(command, " ") != c.command {
			t.Errorf("%s: the user's command was changed to %q", c.name, command)
		}
		if l.OnePrompt != c.once || d.Ready() == c.once {
			t.Errorf("%s: one prompt %v, ready %v", c.name, l.OnePrompt, d.Ready())
		}
		if input := string(l.Input); c.once && input != " --hi" || !c.once && input != "" {
			t.Errorf("%s: the input begins with %q", c.name, input)
		}
		if _, err := d.Prompt(Prompt{}); (err == ErrOnePrompt) != c.once {
			t.Errorf("%s: a prompt gave %v", c.name, err)
		}
		if _, ok := d.Interrupt(); ok == c.once {
			t.Errorf("%s: an interrupt can be said: %v", c.name, ok)
		}
	}
}

func TestClaudeRefusesCommand(t *testing.T) {
	for _, c := range []struct{ command, resume, want string }{
		{"claude --output-format json", "", "leave it out"},
		{"claude", "--dangerously-skip-permissions", "not the id"},
		{"./agent.sh", "--x", "not the id"},
		{"claude", "{" + conversation + "}", "not the id"},
		{"claude -p --input-format text", "", "images"},
	} {
		s := Start{Command: strings.Fields(c.command), Resume: c.resume, Prompt: Prompt{Images: []Image{{}}}}
		if _, err := newDriver(t, agent.FormatClaude).Launch(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, want %q", c.command, c.resume, err, c.want)
		}
	}
}

func TestClaudeOnePromptWithImages(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	l := launch(t, d, Start{Command: []string{"claude", "-p"}, Prompt: Prompt{Text: "see", Images: []Image{{"image/png", []byte("P")}}}})
	if got, want := strings.Join(l.Args, " "), "claude --output-format stream-json --verbose --include-partial-messages --input-format stream-json -p"; got != want || !l.OnePrompt {
		t.Errorf("got %s, one prompt %v, want %s", got, l.OnePrompt, want)
	}
	sameJSON(t, "the input", l.Input, `{"type":"user","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":[
		{"type":"image","source":{"type":"base64","media_type":"image/png","data":"UA=="}},{"type":"text","text":"see"}]}}`)
}

func TestClaudePrompt(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	launch(t, d, Start{Command: []string{"claude"}})
	for _, c := range []struct {
		p    Prompt
		want string
	}{
		{Prompt{Text: "<a & b>\n \"é\"", Key: conversation}, `{"type":"user","uuid":"` + conversation + `","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":[{"type":"text","text":"<a & b>\n \"é\""}]}}`},
		{Prompt{Key: "turn 1"}, `{"type":"user","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":[{"type":"text","text":""}]}}`},
		{Prompt{Images: []Image{{"Image/JPEG; q=1", []byte{0xff, 0xd8}}}}, `{"type":"user","session_id":"","parent_tool_use_id":null,"message":{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9g="}}]}}`},
	} {
		got, err := d.Prompt(c.p)
		if err != nil {
			t.Fatal(err)
		}
		oneLine(t, got)
		sameJSON(t, "the prompt", got, c.want)
	}
}

// The questions are as Claude Code 2.1.330 asked them.
const (
	claudeAsksBash  = `{"type":"control_request","request_id":"cd381e77-62a5-477c-96a9-53e96119bfa7","request":{"subtype":"can_use_tool","tool_name":"Bash","display_name":"Bash","input":{"command":"touch made.txt","n":1.0},"description":"make","permission_suggestions":[{"type":"addRules","rules":[{"toolName":"Bash","ruleContent":"touch made.txt"}],"behavior":"allow","destination":"localSettings"},{"type":"setMode","mode":"acceptEdits","destination":"session"}],"tool_use_id":"toolu_1"}}`
	claudeAsksWrite = `{"type":"control_request","request_id":"9e68c5b6-1fb5-434f-afd0-0e9a4858d9df","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"file_path":"/w/notes.md","content":"hi"},"tool_use_id":"toolu_2"}}`
	claudeCancels   = `{"type":"control_cancel_request","request_id":"9e68c5b6-1fb5-434f-afd0-0e9a4858d9df"}`
	claudeHook      = `{"type":"control_request","request_id":"h1","request":{"subtype":"hook_callback","callback_id":"x"}}`
)

func TestClaudeAnswers(t *testing.T) {
	const bash, write = "cd381e77-62a5-477c-96a9-53e96119bfa7", "9e68c5b6-1fb5-434f-afd0-0e9a4858d9df"
	success := func(id, response string) string {
		return `{"type":"control_response","response":{"subtype":"success","request_id":"` + id + `","response":` + response + `}}`
	}
	cases := []struct {
		name string
		a    Answer
		want string
	}{
		{"allowed as it is", Answer{RequestID: bash, Allow: true}, success(bash, `{"behavior":"allow","updatedInput":{"command":"touch made.txt","n":1.0}}`)},
		{"allowed otherwise", Answer{RequestID: bash, Allow: true, UpdatedInput: json.RawMessage(`{"command":"true"}`)}, success(bash, `{"behavior":"allow","updatedInput":{"command":"true"}}`)},
		{"with a rule", Answer{RequestID: bash, Allow: true, Option: "suggestion-1"}, success(bash, `{"behavior":"allow","updatedInput":{"command":"touch made.txt","n":1.0},"updatedPermissions":[{"type":"setMode","mode":"acceptEdits","destination":"session"}]}`)},
		{"with a rule that is not there", Answer{RequestID: bash, Allow: true, Option: "suggestion-2"}, success(bash, `{"behavior":"allow","updatedInput":{"command":"touch made.txt","n":1.0}}`)},
		{"refused with a rule", Answer{RequestID: bash, Option: "suggestion-0", Message: "no"}, success(bash, `{"behavior":"deny","message":"no"}`)},
		{"refused without a word", Answer{RequestID: write}, success(write, `{"behavior":"deny","message":"The user does not allow this."}`)},
	}
	for _, c := range cases {
		d := newDriver(t, agent.FormatClaude)
		launch(t, d, Start{Command: []string{"claude"}, Scope: "s1"})
		for _, line := range []string{claudeAsksBash, claudeAsksWrite} {
			if reply := d.Heard([]byte(line), agent.Meaning{}); reply != nil {
				t.Errorf("%s: a question was answered with %s", c.name, reply)
			}
		}
		got, ok := d.Answer(c.a)
		if !ok {
			t.Errorf("%s: not taken", c.name)
			continue
		}
		oneLine(t, got)
		sameJSON(t, c.name, got, c.want)
		if strings.Contains(c.name, "as it is") && !strings.Contains(string(got), "1.0") {
			t.Errorf("%s: the input's bytes were changed: %s", c.name, got)
		}
		if _, ok := d.Answer(c.a); ok {
			t.Errorf("%s: answered twice", c.name)
		}
	}
}

func TestClaudeTakesQuestionsBack(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	launch(t, d, Start{Command: []string{"claude"}})
	d.Heard([]byte(claudeAsksWrite), agent.Meaning{})
	d.Heard([]byte(claudeCancels), agent.Meaning{})
	if _, ok := d.Answer(Answer{RequestID: "9e68c5b6-1fb5-434f-afd0-0e9a4858d9df", Allow: true}); ok {
		t.Error("a question was answered that was taken back")
	}
	if _, ok := d.Answer(Answer{RequestID: "nobody asked"}); ok {
		t.Error("a question was answered that nobody asked")
	}
}

// What Claude Code asks of its host and is no question for a person would keep
// it waiting.
func TestClaudeRefusesOtherRequests(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	launch(t, d, Start{Command: []string{"claude"}})
	got := d.Heard([]byte(claudeHook), agent.Meaning{})
	oneLine(t, got)
	sameJSON(t, "the refusal", got, `{"type":"control_response","response":{"subtype":"error","request_id":"h1","error":"konlog does not do \"hook_callback\""}}`)
	for _, line := range []string{
		`not JSON "control_request"`, `{"type":"control_request"}`, `{"type":"assistant","message":"\"control_request\""}`,
		`{"type":"control_response","response":{"subtype":"success","request_id":"konlog-1","response":{"still_queued":[]}}}`, `{"type":7,"request_id":"control_request"}`,
	} {
		if reply := d.Heard([]byte(line), agent.Meaning{}); reply != nil {
			t.Errorf("%s was answered with %s", line, reply)
		}
	}
}

func TestClaudeQuestionsAreBounded(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	launch(t, d, Start{Command: []string{"claude"}})
	ask := func(id string) []byte {
		return d.Heard([]byte(strings.Replace(claudeAsksWrite, "9e68c5b6-1fb5-434f-afd0-0e9a4858d9df", id, 1)), agent.Meaning{})
	}
	for i := range claudeQuestionsMax {
		if reply := ask("q" + string(rune('0'+i%10)) + strings.Repeat("x", i/10)); reply != nil {
			t.Fatalf("question %d was refused: %s", i, reply)
		}
	}
	if reply := ask("one too many"); !strings.Contains(string(reply), `"subtype":"error"`) {
		t.Errorf("a question over the bound was answered with %q", reply)
	}
}

func TestClaudeInterrupt(t *testing.T) {
	d := newDriver(t, agent.FormatClaude)
	launch(t, d, Start{Command: []string{"claude"}})
	first, ok := d.Interrupt()
	if !ok {
		t.Fatal("no interrupt")
	}
	sameJSON(t, "the interrupt", first, `{"type":"control_request","request_id":"konlog-1","request":{"subtype":"interrupt","cancel_queued":true}}`)
	if second, _ := d.Interrupt(); string(first) == string(second) {
		t.Error("two interrupts have one id")
	}
}

// launch starts a driver.
func launch(t *testing.T, d Driver, s Start) Launch {
	t.Helper()
	l, err := d.Launch(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// oneLine requires that what is written is whole lines: one.
func oneLine(t *testing.T, line []byte) {
	t.Helper()
	if strings.Count(string(line), "\n") != 1 || !strings.HasSuffix(string(line), "\n") {
		t.Errorf("not one line: %q", line)
	}
}

func sameJSON(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Errorf("%s: %v in %q", what, err, got)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}
