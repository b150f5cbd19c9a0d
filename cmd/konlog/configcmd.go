package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	var asJSON bool
	var show string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show every setting, its effective value and where it comes from",
		Long: `Show every setting, its effective value and where it comes from.

A flag wins over the environment, the environment over the file, the file over
the default. retention.age is the flag --retention-age, the variable
KONLOG_RETENTION_AGE and "age" in the table [retention] of the file. Sizes are
written like 64MiB, durations like 10s or 90d.`,
		Example: `  konlog config
  konlog config --config konlog.toml --addr 127.0.0.1:9000
  konlog config --only retention`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printConfigJSON(c)
			}
			rows := [][]string{}
			for _, s := range settings {
				if show != "" && !strings.HasPrefix(s.key, show) {
					continue
				}
				rows = append(rows, []string{s.key, quoteValue(s, c), "# " + c[s.key].origin + "; " + s.doc})
			}
			return printTable(a.stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per setting")
	cmd.Flags().StringVar(&show, "only", "", "only the settings whose name begins with this")
	addFlags(cmd.Flags(), func(string) bool { return true })
	return cmd
}

func (a *app) printConfigJSON(c config) error {
	for _, s := range settings {
		err := printJSON(a.stdout, struct {
			Key    string `json:"key"`
			Value  string `json:"value"`
			Origin string `json:"origin"`
			Kind   kind   `json:"kind"`
			Flag   string `json:"flag"`
			Env    string `json:"env"`
			Doc    string `json:"doc"`
		}{s.key, c[s.key].text, c[s.key].origin, s.kind, "--" + s.flagName(), s.envName(), s.doc})
		if err != nil {
			return err
		}
	}
	return nil
}

// quoteValue writes a value as it would stand in the file.
func quoteValue(s setting, c config) string {
	text := c[s.key].text
	if s.kind == kindInt || s.kind == kindBool {
		return "= " + text
	}
	return fmt.Sprintf("= %q", text)
}
