package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// answerFlags are the flags of answer.
type answerFlags struct {
	client.AnswerSpec
	input string
	json  bool
}

func (a *app) answerCommand() *cobra.Command {
	var o answerFlags
	cmd := &cobra.Command{
		Use:   "answer SESSION REQUEST-ID allow|deny",
		Short: "Answer a question of a session's agent",
		Long: `Answer a question that an agent waits with; konlog inbox shows them. The first
answer wins, wherever it is given. When somebody said the opposite before, the
exit code is 1.`,
		Example: `  konlog answer s1 req-7 allow
  konlog answer s1 req-7 deny --message "not on this branch"
  konlog answer s1 req-7 allow --updated-input '{"command":"go test ./..."}'`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: a.completeAnswer,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.RequestID = args[1]
			switch args[2] {
			case "allow":
				o.Allow = true
			case "deny":
			default:
				return usagef("%q is no answer", args[2]).because("say allow or deny")
			}
			if o.input != "" {
				if o.UpdatedInput = json.RawMessage(o.input); !json.Valid(o.UpdatedInput) {
					return usagef("--updated-input is not valid JSON")
				}
			}
			cl, err := a.dial(cmd)
			if err != nil {
				return err
			}
			done, err := cl.Answer(cmd.Context(), args[0], o.AnswerSpec)
			if err != nil {
				return err
			}
			if err := a.printCommand(done, o.json); err != nil {
				return err
			}
			return answeredBefore(o.AnswerSpec, done)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Message, "message", "m", "", "what the agent is told beside")
	f.StringVar(&o.Option, "option", "", "the option that is taken, where the question has several")
	f.StringVar(&o.input, "updated-input", "", "what the tool is to be called with instead, as JSON")
	f.StringVar(&o.By, "by", "", "who answers")
	f.StringVar(&o.Key, "key", "", "idempotency key: the same key and answer count once")
	f.BoolVar(&o.json, "json", false, "the result as a JSON object")
	addFlags(f, clientSetting)
	return cmd
}

// answeredBefore is the error when somebody said the opposite before.
func answeredBefore(a client.AnswerSpec, done client.Command) error {
	if !done.Duplicate || done.Event == nil || (string(done.Event.Field("allow")) == "true") == a.Allow {
		return nil
	}
	said, by := "deny", done.Event.Text("by")
	if !a.Allow {
		said = "allow"
	}
	if by != "" {
		said += " by " + by
	}
	return failf("question %s was answered with %s before, and the first answer counts", printable(a.RequestID), printable(said))
}

// answerLine is the command that answers a question.
func answerLine(session, requestID string) string {
	return fmt.Sprintf("konlog answer %s %s allow|deny", session, shellWord(requestID))
}

// asked is what a question is about, for a line.
func asked(tool string, input []byte) string {
	return printable(strings.TrimSpace(shorten(tool+" "+string(input), lineDataMax)))
}

// shellWord quotes what a shell would not take as one plain word: ids come
// from agents, and a person copies them.
func shellWord(s string) string {
	plain := s != "" && s[0] != '-'
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.:/@+=,", c) >= 0
	}
	if plain {
		return s
	}
	word := "'" + strings.ReplaceAll(printable(strings.Join(strings.Fields(s), " ")), "'", `'\''`) + "'"
	if strings.HasPrefix(s, "-") {
		word = "-- " + word
	}
	return word
}

// completeAnswer offers sessions, their open questions, and both answers.
func (a *app) completeAnswer(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeSessions(cmd, args, begun)
	case 1:
	case 2:
		return []string{"allow", "deny"}, cobra.ShellCompDirectiveNoFileComp
	default:
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	page, err := cl.Inbox(ctx, "", store.SessionsPageMax)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, item := range page.Items {
		for _, q := range item.Questions {
			if item.Session.ID == args[0] {
				ids = append(ids, cobra.CompletionWithDesc(q.RequestID, asked(q.Tool, q.Input)))
			}
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
