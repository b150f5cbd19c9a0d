package main

import (
	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
)

func (a *app) stopCommand() *cobra.Command {
	var o client.StopSpec
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stop SESSION [TURN]",
		Short: "Stop the open turn of a session, or one that waits",
		Long: `Ask whoever runs the session's open turn to stop it; the turn ends when they
have. A turn that waits, named by its id, ends at once: nobody runs it.`,
		Example: `  konlog stop s1
  konlog stop s1 r-7 --reason "asked for the wrong thing"`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeTurns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				o.Turn = args[1]
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			done, err := cl.Stop(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			return a.printCommand(done, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why, for whoever runs the turn")
	f.StringVar(&o.Key, "key", "", "idempotency key: the same key and stop count once")
	f.BoolVar(&asJSON, "json", false, "the result as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}
