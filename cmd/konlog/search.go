package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/konlog/konlog/store"
)

// searchLimitDefault is how many hits a person gets who does not say.
const searchLimitDefault = 20

// searchArgs is what a person gives konlog search.
type searchArgs struct {
	filter       store.SearchFilter
	since, until string
	limit        int
	asJSON       bool
}

func (a *app) searchCommand() *cobra.Command {
	var args searchArgs
	cmd := &cobra.Command{
		Use:   "search QUERY...",
		Short: "Find what was asked, said, called and answered in all sessions by its words",
		Long: `Find what was asked, said, called and answered in all sessions by its words,
newest first.

A text is found when it has all words, in any order; case and diacritics do not
matter. Words in double quotes must follow one another, a minus before a word
or quotes excludes, and a star at the end of a word of three characters or more
lets it go on.`,
		Example: `  konlog search login page
  konlog search '"access denied"' --session s1
  konlog search --kind error --since 24h -- timeout -retry
  konlog search 'migrat*' --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			args.filter.Query = strings.Join(words, " ")
			if err := args.resolve(time.Now()); err != nil {
				return err
			}
			return a.search(cmd, &args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&args.filter.Session, "session", "", "only in this session")
	f.StringVar(&args.filter.Kind, "kind", "", "only of this kind: "+strings.Join(store.DocKinds, ", "))
	f.StringVar(&args.since, "since", "", "only of this time or later: a time such as 2026-11-20T17:24:01Z, or how long ago, such as 24h or 7d")
	f.StringVar(&args.until, "until", "", "only from before, likewise")
	f.IntVar(&args.limit, "limit", searchLimitDefault, "at most so many; 0 lists all")
	f.BoolVar(&args.asJSON, "json", false, "one JSON object per hit")
	addFlags(f, clientSetting)
	return cmd
}

// resolve checks what was given and fills in the filter.
func (s *searchArgs) resolve(now time.Time) (err error) {
	if s.filter.Kind != "" && !slices.Contains(store.DocKinds, s.filter.Kind) {
		return usagef("--kind %q: use one of %s", s.filter.Kind, strings.Join(store.DocKinds, ", "))
	}
	if s.filter.Since, err = moment("--since", s.since, now); err != nil {
		return err
	}
	if s.filter.Until, err = moment("--until", s.until, now); err != nil {
		return err
	}
	if _, err := store.ParseSearch(s.filter.Query); err != nil {
		return usagef("%w", err)
	}
	s.filter.Limit = store.SearchPageMax
	if s.limit > 0 {
		s.filter.Limit = min(s.limit, store.SearchPageMax)
	}
	return nil
}

// search prints the hits of all pages.
func (a *app) search(cmd *cobra.Command, args *searchArgs) error {
	cl, err := a.dial(cmd)
	if err != nil {
		return err
	}
	p, n, partial := a.paint(a.stdout), 0, false
	for f := args.filter; ; {
		page, err := cl.Search(cmd.Context(), f)
		if err != nil {
			return err
		}
		partial = partial || page.Partial
		for _, hit := range page.Hits {
			if args.limit > 0 && n == args.limit {
				break
			}
			n++
			if err := a.printHit(p, hit, args.asJSON); err != nil {
				return err
			}
		}
		f.Cursor = page.Next
		if f.Cursor == "" || args.limit > 0 && n == args.limit {
			break
		}
	}
	if n == 0 {
		fmt.Fprintln(a.stderr, "nothing found")
	}
	if partial {
		a.say("the server is still indexing; there may be more later")
	}
	return nil
}

// printHit shows where a hit is, and under it the text around it.
func (a *app) printHit(p paint, h store.Hit, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, h)
	}
	where := fmt.Sprintf("%s %s", h.Session, p.dim(fmt.Sprint(h.ID)))
	if h.Turn != "" {
		where += " " + p.dim("turn "+printable(shorten(h.Turn, 40)))
	}
	var text strings.Builder
	for _, f := range h.Snippet {
		s := strings.ReplaceAll(printable(f.Text), "\n", " ")
		if f.Hit {
			s = p.bold(s)
		}
		text.WriteString(s)
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s %s\n    %s\n", p.dim(h.Time.Local().Format(time.DateTime)), where, p.cyan(h.Kind), text.String())
	return err
}
