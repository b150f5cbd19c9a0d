package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/shell"

	"github.com/konlog/konlog/agent"
	"github.com/konlog/konlog/agent/run"
	"github.com/konlog/konlog/stream"
)

// spoolFolder is where serve keeps the spools of its agents, in its data
// directory.
const spoolFolder = "spool"

// managedAgents are the agents that the settings name, as NAME=COMMAND or
// NAME:DRIVER=COMMAND.
func managedAgents(c config, logger *slog.Logger) (map[string]run.Config, error) {
	agents := map[string]run.Config{}
	for _, text := range c.commands("agent") {
		name, command, ok := strings.Cut(text, "=")
		name, driver, named := strings.Cut(strings.TrimSpace(name), ":")
		words, err := shell.Fields(command, nil)
		switch {
		case !ok || name == "":
			return nil, usagef("setting agent %q: want NAME=COMMAND", text).because(`like --agent "claude=claude --model opus", or NAME:DRIVER=COMMAND, like "gemini:acp=gemini --acp"`)
		case err != nil:
			return nil, usagef("setting agent %s: %w", name, err)
		case len(words) == 0:
			return nil, usagef("setting agent %s has no command", name)
		}
		if _, twice := agents[name]; twice {
			return nil, usagef("setting agent names %s twice", name)
		}
		if !named {
			driver = "auto"
		}
		rc, err := managedAgent(c, driver, words)
		if err != nil {
			return nil, usagef("setting agent %s: %w", name, err).because("name what it speaks: %s:DRIVER=COMMAND with one of %s", name, strings.Join(run.Drivers(), ", "))
		}
		rc.Name, rc.Logger = name, logger
		agents[name] = rc
	}
	return agents, nil
}

// managedAgent is what is the same for all sessions of an agent.
func managedAgent(c config, driver string, words []string) (run.Config, error) {
	env := os.Environ()
	driver, err := agentOf(driver, words)
	if err != nil {
		return run.Config{}, err
	}
	guard, err := guardCommand()
	if err != nil {
		return run.Config{}, err
	}
	dir, err := filepath.Abs(c.text("agents.dir"))
	if err != nil {
		return run.Config{}, failf("%w", err)
	}
	redactor, err := agent.NewRedactor(agent.RedactOptions{Secrets: agent.EnvSecrets(env)})
	if err != nil {
		return run.Config{}, err
	}
	return run.Config{
		Agent: driver, Command: words, Dir: dir, Env: withoutCredentials(env), Guard: guard, Redact: redactor.Line,
		Idle: c.duration("agents.idle"), LeaveWait: c.duration("drain.timeout") / 2, EventBytes: int(c.bytes("limits.event-bytes")),
	}, nil
}

// runAgents runs the agents of the settings until ctx ends.
func (s *server) runAgents(ctx context.Context, hub *stream.Hub, agents map[string]run.Config) {
	names := slices.Sorted(maps.Keys(agents))
	s.logger.Info("agents run for sessions whose meta says so", "agents", strings.Join(names, " "))
	m := run.NewManager(run.ManagerConfig{
		Engine: s.log, Log: run.Local(s.log, hub), Agents: agents,
		SpoolDir: filepath.Join(s.settings.text("data"), spoolFolder), Runners: s.settings.int("agents.max"), Logger: s.logger,
	})
	s.manager.Store(m)
	m.Run(ctx)
}
