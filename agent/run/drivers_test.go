package run

import (
	"slices"
	"strings"
	"testing"

	"github.com/konlog/konlog/agent"
)

func TestDrivers(t *testing.T) {
	for _, name := range []string{agent.FormatACP, agent.FormatClaude, agent.FormatCodex, agent.FormatGemini, agent.FormatLines} {
		if !slices.Contains(Drivers(), name) {
			t.Errorf("%s is not listed", name)
		}
	}
	if !slices.IsSorted(Drivers()) {
		t.Errorf("%v are not in order", Drivers())
	}
	for _, name := range Drivers() {
		a, err := NewDriver(name)
		if err != nil || a == nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if _, err := NewDriver("claud"); err == nil || !strings.Contains(err.Error(), "claude, codex") {
		t.Errorf("a name that is not known: %v", err)
	}
}

// A driver belongs to one process: what one knows is not the other's.
func TestDriversAreNotShared(t *testing.T) {
	a, b := newDriver(t, agent.FormatClaude), newDriver(t, agent.FormatClaude)
	launch(t, a, Start{Command: []string{"claude"}})
	launch(t, b, Start{Command: []string{"claude"}})
	a.Heard([]byte(claudeAsksWrite), agent.Meaning{})
	if _, ok := b.Answer(Answer{RequestID: "9e68c5b6-1fb5-434f-afd0-0e9a4858d9df"}); ok {
		t.Error("one driver answered the question of another")
	}
}

func TestDetectAgent(t *testing.T) {
	for command, want := range map[string]string{
		"claude":                                   agent.FormatClaude,
		"/usr/bin/claude -p":                       agent.FormatClaude,
		`C:\Programs\claude.EXE --model opus`:      agent.FormatClaude,
		"npx @anthropic-ai/claude-code":            agent.FormatClaude,
		"npx -y @anthropic-ai/claude-code@2.1.330": agent.FormatClaude,
		"env ANTHROPIC_API_KEY=x B=c claude":       agent.FormatClaude,
		"codex exec --json":                        agent.FormatCodex,
		"bunx -- @openai/codex":                    agent.FormatCodex,
		"gemini":                                   agent.FormatGemini,
		"gemini.cmd -m flash":                      agent.FormatGemini,
		"npx --yes @google/gemini-cli":             agent.FormatGemini,
		"gemini --acp":                             agent.FormatACP,
		"gemini -m flash --experimental-acp":       agent.FormatACP,
		"opencode acp":                             agent.FormatACP,
		"npx @zed-industries/claude-code-acp":      agent.FormatACP,
		"codex-acp":                                agent.FormatACP,
		"claude -- --acp":                          agent.FormatClaude,
		"konlog fake-agent claude.jsonl":           "",
		"sh -c claude":                             "",
		"npx":                                      "",
		"npx -y":                                   "",
		"env A=b":                                  "",
		"":                                         "",
		"cat":                                      "",
		"my-claude":                                "",
		"gemini-wrapper --resume":                  "",
		"acp":                                      "",
	} {
		got, ok := DetectAgent(strings.Fields(command))
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", command, got, ok, want)
		}
	}
}
