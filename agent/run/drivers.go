package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/konlog/konlog/agent"
)

// kind is an agent that can be run.
type kind struct {
	new func() Driver
	// speaks reports whether a program of that name, with these arguments,
	// speaks this language.
	speaks func(p program) bool
}

// kinds are the drivers by name. Each stands in the file of its name.
var kinds = map[string]kind{
	agent.FormatACP:    acpKind,
	agent.FormatClaude: claudeKind,
	agent.FormatCodex:  codexKind,
	agent.FormatGemini: geminiKind,
	agent.FormatLines:  linesKind,
}

// Drivers lists the names that NewDriver knows.
func Drivers() []string {
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewDriver returns a driver for one process of an agent of that name, or for
// AgentSSE, which has none.
func NewDriver(name string) (Driver, error) {
	if name == AgentSSE {
		return upstreamDriver{}, nil
	}
	k, known := kinds[name]
	if !known {
		return nil, fmt.Errorf("no agent is called %q; there are %s", name, strings.Join(Drivers(), ", "))
	}
	return k.new(), nil
}

// detectOrder is in which DetectAgent asks: the one language that several
// programs speak when told to before those that they speak else.
var detectOrder = []string{agent.FormatACP, agent.FormatClaude, agent.FormatCodex, agent.FormatGemini}

// DetectAgent says which driver a command is for, by the name of its program
// and its arguments. ok is false when nothing is known of the program.
func DetectAgent(command []string) (name string, ok bool) {
	p, ok := programOf(command)
	if !ok {
		return "", false
	}
	for _, name := range detectOrder {
		if k, there := kinds[name]; there && k.speaks != nil && k.speaks(p) {
			return name, true
		}
	}
	return "", false
}
