package main

import (
	"github.com/spf13/cobra"

	"github.com/konlog/konlog/agent/run"
)

// guardCommandName is what the runner calls this program by to guard an agent.
const guardCommandName = "guard"

// guardMain runs the guard when the arguments ask for it, before anything else
// is set up: there is one beside each agent, and it is to be small.
func guardMain(args []string) (code int, ok bool) {
	if len(args) < 2 || args[1] != guardCommandName {
		return 0, false
	}
	return run.GuardMain(args[2:]), true
}

// guardCommand keeps the name from being taken for another command.
func (a *app) guardCommand() *cobra.Command {
	return &cobra.Command{
		Use:                guardCommandName,
		Short:              "Run an agent for konlog run, and end it when that is gone",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return usagef("only konlog run starts a guard").because("konlog run --help")
		},
	}
}
