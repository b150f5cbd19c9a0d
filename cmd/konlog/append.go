package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/client"
	"github.com/konlog/konlog/store"
)

// appendOptions are the flags of append.
type appendOptions struct {
	draft      store.Draft
	data       string
	raw        string
	file       string
	expectHead int64
	noCreate   bool
	json       bool
}

func (a *app) appendCommand() *cobra.Command {
	var o appendOptions
	cmd := &cobra.Command{
		Use:   "append SESSION",
		Short: "Append one event, or a file of them",
		Long: `Append one event made from the flags, or with -f one event per line of NDJSON:
{"type":"text_delta","turn":"r-7","data":{"text":"I'll "}}

The ids are printed when the events are on disk. The session is made when it
does not exist.`,
		Example: `  konlog append s1 --type prompt --data '{"text":"hello"}'
  konlog append s1 --type tool_result --turn r-7 --key call-9 --data '{"id":"t1","output":"ok"}'
  konlog append s1 -f events.jsonl`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.append(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.draft.Type, "type", "t", "", "the event's type, such as text_delta")
	f.StringVarP(&o.data, "data", "d", "null", "the event's data, a JSON value")
	f.StringVar(&o.draft.Turn, "turn", "", "the turn it belongs to")
	f.StringVar(&o.draft.Parent, "parent", "", "the tool call, task or event it belongs to")
	f.StringVar(&o.draft.Key, "key", "", "idempotency key: the same key and content append once")
	f.StringVar(&o.raw, "raw", "", "the agent's own line, kept beside the data")
	f.StringVarP(&o.file, "file", "f", "", "NDJSON of events to append; - is standard input")
	f.Int64Var(&o.expectHead, "expect-head", 0, "append only if this is the session's last id")
	f.BoolVar(&o.noCreate, "no-create", false, "fail when the session does not exist")
	f.BoolVar(&o.json, "json", false, "the result as JSON objects")
	addFlags(f, clientSetting)
	return cmd
}

func (a *app) append(cmd *cobra.Command, session string, o appendOptions) error {
	if (o.file == "") == (o.draft.Type == "") {
		return usagef("append needs either --type or --file").because(`konlog append %s --type prompt --data '{"text":"hello"}'`, session)
	}
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	opts := client.AppendOptions{NoCreate: o.noCreate}
	if cmd.Flags().Changed("expect-head") {
		opts.ExpectHead = &o.expectHead
	}
	if o.file != "" {
		return a.appendFile(cmd, cl, session, opts, o)
	}
	o.draft.Data = []byte(o.data)
	if cmd.Flags().Changed("raw") {
		o.draft.Raw = []byte(o.raw)
	}
	if err := o.draft.Check(0); err != nil {
		return usagef("%w", err)
	}
	done, err := cl.Append(cmd.Context(), session, opts, o.draft)
	if err != nil {
		return err
	}
	return a.printAppended(session, done, o.json)
}

// appendFile appends lines as they arrive. A line that is refused ends it; the
// lines before it stay.
func (a *app) appendFile(cmd *cobra.Command, cl *client.Client, session string, opts client.AppendOptions, o appendOptions) error {
	in, size, err := a.open(cmd.Context(), o.file)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := a.progress("append", "bytes", size)
	defer bar.end("")
	f := &feed{
		append: func(ctx context.Context, drafts []store.Draft) error {
			done, err := cl.Append(ctx, session, opts, drafts...)
			if err != nil {
				return err
			}
			if opts.ExpectHead != nil {
				opts.ExpectHead = &done.Last
			}
			return a.printAppended(session, done, o.json)
		},
		moved: func(read int64) { bar.at(read, size) },
	}
	return f.run(cmd.Context(), in, feedBytesMax)
}

func (a *app) printAppended(session string, done store.Appended, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, struct {
			Session   string  `json:"session"`
			First     int64   `json:"first"`
			Last      int64   `json:"last"`
			Duplicate bool    `json:"duplicate"`
			IDs       []int64 `json:"ids,omitempty"`
		}{session, done.First, done.Last, done.Duplicate, done.IDs})
	}
	note := ""
	if done.Duplicate {
		note = " (was there already)"
	}
	_, err := fmt.Fprintf(a.stdout, "%s %d-%d%s\n", session, done.First, done.Last, note)
	return err
}
