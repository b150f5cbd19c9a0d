package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
)

func (a *app) webhooksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhooks",
		Short: "Have events posted to a URL, and see how that goes",
		Long: `Have events posted to a URL, and see how that goes.

The server posts what its feed says of the sessions, signed as the Standard
Webhooks specification says, at least once and in order, and tries again until
it is taken. docs/PROTOCOL.md 7.8 says what a receiver gets.`,
		Example: `  konlog webhooks add https://example.org/hook --type turn_end --session 'build-*'
  konlog webhooks list
  konlog webhooks test 6f1d2b0e-8f0e-4a39-9a0c-0b7f3f2b8f11`,
	}
	cmd.AddCommand(a.webhooksAddCommand(), a.webhooksListCommand(), a.webhooksRemoveCommand(), a.webhooksTestCommand(),
		a.webhooksPauseCommand("pause", "Send nothing until it is resumed; events wait", true),
		a.webhooksPauseCommand("resume", "Send again, beginning with what has waited", false))
	return cmd
}

// webhookObject is a webhook as the commands print it.
type webhookObject struct {
	ID           string     `json:"id"`
	URL          string     `json:"url"`
	Types        []string   `json:"types"`
	Sessions     []string   `json:"sessions"`
	Paused       bool       `json:"paused"`
	Secret       string     `json:"secret,omitempty"`
	Cursor       int64      `json:"cursor"`
	Failures     int64      `json:"failures"`
	FailingSince *time.Time `json:"failingSince,omitempty"`
	NextAt       *time.Time `json:"nextAt,omitempty"`
	LastAt       *time.Time `json:"lastAt,omitempty"`
	LastStatus   int        `json:"lastStatus,omitempty"`
	LastError    string     `json:"lastError,omitempty"`
	Dropped      int64      `json:"dropped"`
}

func webhookObjectOf(w store.Webhook) webhookObject {
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return webhookObject{
		ID: w.ID, URL: w.URL, Types: w.Types, Sessions: w.Sessions, Paused: w.Paused, Secret: w.Secret, Cursor: w.Cursor, Failures: w.Failures,
		FailingSince: some(w.FailingSince), NextAt: some(w.NextAt), LastAt: some(w.LastAt), LastStatus: w.LastStatus, LastError: w.LastError, Dropped: w.Dropped,
	}
}

func (a *app) webhooksAddCommand() *cobra.Command {
	var spec store.WebhookSpec
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Post events to a URL from now on; shows the secret, once",
		Example: `  konlog webhooks add https://example.org/hook
  konlog webhooks add https://example.org/hook --type turn_end --type kontask_ready --session 'build-*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			spec.URL = args[0]
			w, err := cl.CreateWebhook(cmd.Context(), spec)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, webhookObjectOf(w))
			}
			a.say("added webhook %s; the secret is shown only now", w.ID)
			return printTable(a.stdout, [][]string{{"webhook", w.ID}, {"secret", w.Secret}})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&spec.Types, "type", nil, "a type of the feed's events, or *; may be repeated (default turn_end, permission_request and kontask_ready)")
	f.StringArrayVar(&spec.Sessions, "session", nil, "a pattern of session ids such as 'build-*'; may be repeated (default all)")
	f.BoolVar(&asJSON, "json", false, "as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) webhooksListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List webhooks and how they fare",
		Example: "  konlog webhooks list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			all, err := cl.Webhooks(cmd.Context())
			if err != nil {
				return err
			}
			rows := [][]string{{"WEBHOOK", "STATE", "TYPES", "SESSIONS", "URL", "LAST ERROR"}}
			for _, w := range all {
				if asJSON {
					if err := printJSON(a.stdout, webhookObjectOf(w)); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{w.ID, webhookState(w), strings.Join(w.Types, ","), printable(strings.Join(w.Sessions, ",")),
					printable(shorten(w.URL, 60)), printable(w.LastError)})
			}
			switch {
			case asJSON:
				return nil
			case len(all) == 0:
				fmt.Fprintln(a.stderr, "no webhooks")
				return nil
			}
			return printTable(a.stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per webhook")
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

// webhookState is how a webhook fares, in a word or two.
func webhookState(w store.Webhook) string {
	switch {
	case w.Paused:
		return "paused"
	case w.Failures > 0:
		return "failing since " + w.FailingSince.Local().Format(time.DateTime)
	case w.LastAt.IsZero():
		return "new"
	}
	return "ok"
}

func (a *app) webhooksRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove ID",
		Aliases: []string{"rm"},
		Short:   "Remove a webhook: nothing more is posted",
		Example: "  konlog webhooks remove 6f1d2b0e-8f0e-4a39-9a0c-0b7f3f2b8f11",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if err := cl.DeleteWebhook(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.say("removed webhook %s", args[0])
			return nil
		},
	}
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) webhooksTestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "test ID",
		Short:   "Post a message of type test now and show what came of it",
		Example: "  konlog webhooks test 6f1d2b0e-8f0e-4a39-9a0c-0b7f3f2b8f11",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			t, err := cl.TestWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !t.Delivered {
				return failf("the receiver did not take it: %s", printable(t.Error)).because("it must answer with 2xx within 15 s, at a public address unless the server allows others (webhooks.allow-private)")
			}
			a.say("delivered: status %d", t.Status)
			return nil
		},
	}
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}

func (a *app) webhooksPauseCommand(name, short string, paused bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Example: "  konlog webhooks " + name + " 6f1d2b0e-8f0e-4a39-9a0c-0b7f3f2b8f11",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			if _, err := cl.UpdateWebhook(cmd.Context(), args[0], store.WebhookPatch{Paused: &paused}); err != nil {
				return err
			}
			a.say("%sd webhook %s", name, args[0])
			return nil
		},
	}
	addFlags(cmd.Flags(), clientSetting)
	return cmd
}
