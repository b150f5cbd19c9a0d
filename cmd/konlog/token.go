package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/konlog/konlog/access"
	"github.com/konlog/konlog/store"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list, revoke and check the API keys of a server",
		Long: `Create, list, revoke and check the API keys of a server.

The keys are in keys.json of the data directory, as hashes: a token is shown
once. A server that runs with --auth-keys takes a change in within a second.

Give a token to a command by --token-file or the variable KONLOG_TOKEN, and to
anything else as the header "Authorization: Bearer TOKEN".`,
		Example: `  konlog token create --admin
  konlog token create --name ci --write 'build-*' --expires 90d > ci.token
  konlog token list
  konlog token revoke k3v9x2m7q4ab`,
	}
	cmd.AddCommand(a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand(), a.tokenCheckCommand())
	return cmd
}

// adminSpec adds to a key what --admin stands for: all of the server, but for
// shells, which are asked for by name.
func adminSpec(spec access.KeySpec) access.KeySpec {
	spec.Admin, spec.Metrics = true, true
	if spec.Read == nil && spec.Write == nil {
		spec.Read, spec.Write = store.AllSessions, store.AllSessions
	}
	return spec
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var spec access.KeySpec
	var read, write []string
	var expires string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an API key and show its token, once",
		Long: `Make an API key. Its token alone goes to stdout, and is never shown again.

Patterns such as 'build-*' say which sessions the key may read and which it may
append to and change: * is any run of characters, ? is one. A key without --read
may append and not look.`,
		Example: `  konlog token create --admin
  konlog token create --name ci --write 'build-*' --expires 90d > ci.token
  konlog token create --name wall --subject ops --read '*' --metrics`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec.Read, spec.Write = read, write
			if spec.Admin {
				spec = adminSpec(spec)
			}
			var err error
			if spec.Expires, err = expiry(expires, time.Now()); err != nil {
				return usagef("--expires %q: %w", expires, err).because("write it like 90d, 24h or 2027-06-30T00:00:00Z")
			}
			return a.createToken(cmd, spec)
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "what the key is for, as lists show it")
	f.StringVar(&spec.Subject, "subject", "", "who it stands for: keys of one subject share read marks (default the name)")
	f.StringArrayVar(&read, "read", nil, "a pattern of sessions it may read; may be repeated")
	f.StringArrayVar(&write, "write", nil, "a pattern of sessions it may append to and change; may be repeated")
	f.BoolVar(&spec.Admin, "admin", false, "webhooks, redaction and all that concerns the whole server, metrics, and all sessions unless --read or --write name some")
	f.BoolVar(&spec.Metrics, "metrics", false, "GET /metrics")
	f.BoolVar(&spec.Shell, "shell", false, "open shells, and type into them")
	f.StringVar(&expires, "expires", "", "how long it is good, such as 90d, or until when (default for ever)")
	addFlags(f, dataSetting)
	return cmd
}

func (a *app) createToken(cmd *cobra.Command, spec access.KeySpec) error {
	if len(spec.Read)+len(spec.Write) == 0 && !spec.Admin && !spec.Metrics && !spec.Shell {
		return usagef("the key would allow nothing").because("add --read PATTERN, --write PATTERN, --metrics, --shell or --admin")
	}
	if spec.Shell && len(spec.Write) == 0 {
		return usagef("a key for shells must name the sessions they are in").because("add --write PATTERN, and --read PATTERN to see them too")
	}
	c, err := a.config(cmd)
	if err != nil {
		return err
	}
	dir := c.text("data")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return failf("data directory: %w", err).because("--data names the directory that konlog serve is given")
		}
		a.say("made the data directory %s", dir)
	}
	key, secret, err := access.CreateKey(cmd.Context(), filepath.Join(dir, keysFile), spec)
	if err != nil {
		return tokenFailure(err)
	}
	if _, err := fmt.Fprintln(a.stdout, secret.Reveal()); err != nil {
		return failf("key %s was made, but its token could not be shown: %w", key.ID, err).because("konlog token revoke %s, and make another", key.ID)
	}
	a.say("made key %s for %s, which may %s; it is good %s", key.ID, printable(key.Subject), allows(key.Grant()), expiryText(key.Expires))
	a.say("the token is shown only now; konlog serve takes it with --auth-keys")
	return nil
}

// tokenFailure gives an error of the key file its exit code and hint.
func tokenFailure(err error) error {
	switch {
	case errors.Is(err, access.ErrNoKey):
		f := failf("%w", err).because("konlog token list shows the keys there are")
		f.code = exitNotFound
		return f
	case errors.Is(err, fs.ErrPermission):
		f := failf("%w", err).because("run it as the user that the server runs as")
		f.code = exitNotAllowed
		return f
	}
	return failf("%w", err)
}

// expiry reads a duration from now, or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := parseDuration(text); err == nil {
		if d < time.Second {
			return time.Time{}, errors.New("that is over at once")
		}
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("it is neither a duration nor a time")
	}
	if !at.After(now) {
		return time.Time{}, errors.New("that is in the past")
	}
	return at, nil
}

func expiryText(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	return "until " + t.Local().Format(time.DateTime)
}

// allows says in words what a grant allows.
func allows(g access.Grant) string {
	var parts []string
	for _, one := range []struct {
		what     string
		patterns store.Patterns
	}{{"read", g.Read}, {"write", g.Write}} {
		if len(one.patterns) > 0 {
			parts = append(parts, one.what+" "+strings.Join(one.patterns, " "))
		}
	}
	for _, one := range []struct {
		what string
		may  bool
	}{{"do what an admin does", g.Admin}, {"read metrics", g.Metrics}, {"use shells", g.Shell}} {
		if one.may {
			parts = append(parts, one.what)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "do nothing")
}

// keyObject is a key as the commands print it.
type keyObject struct {
	ID      string     `json:"id"`
	Name    string     `json:"name,omitempty"`
	Subject string     `json:"subject"`
	State   string     `json:"state"`
	Read    []string   `json:"read"`
	Write   []string   `json:"write"`
	Admin   bool       `json:"admin"`
	Metrics bool       `json:"metrics"`
	Shell   bool       `json:"shell"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

func keyObjectOf(k access.Key, now time.Time) keyObject {
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return keyObject{
		ID: k.ID, Name: k.Name, Subject: k.Subject, State: keyState(k, now), Read: append([]string{}, k.Read...), Write: append([]string{}, k.Write...),
		Admin: k.Admin, Metrics: k.Metrics, Shell: k.Shell, Created: k.Created, Expires: some(k.Expires), Revoked: some(k.Revoked),
	}
}

func keyState(k access.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Usable(now):
		return "expired"
	}
	return "in force"
}

func (a *app) tokenListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the API keys, revoked and expired ones too",
		Example: "  konlog token list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			keys, err := access.ListKeys(filepath.Join(c.text("data"), keysFile))
			if err != nil {
				return tokenFailure(err)
			}
			now := time.Now()
			rows := [][]string{{"KEY", "STATE", "NAME", "SUBJECT", "MAY", "CREATED", "EXPIRES"}}
			for _, k := range keys {
				if asJSON {
					if err := printJSON(a.stdout, keyObjectOf(k, now)); err != nil {
						return err
					}
					continue
				}
				state := keyState(k, now)
				if !k.Revoked.IsZero() {
					state += " " + k.Revoked.Local().Format(time.DateTime)
				}
				expires := "never"
				if !k.Expires.IsZero() {
					expires = k.Expires.Local().Format(time.DateTime)
				}
				rows = append(rows, []string{
					k.ID, state, printable(cmp.Or(k.Name, "-")), printable(k.Subject), shorten(allows(k.Grant()), 60), k.Created.Local().Format(time.DateTime), expires,
				})
			}
			if asJSON {
				return nil
			}
			if len(keys) == 0 {
				fmt.Fprintf(a.stderr, "no keys in %s; konlog token create makes one\n", c.text("data"))
				return nil
			}
			return printTable(a.stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per key")
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke KEY",
		Short: "Make an API key worthless at once; its row stays",
		Long: `Make an API key worthless. A server that runs refuses it within a second, and
ends the streams that were opened with it.`,
		Example: "  konlog token revoke k3v9x2m7q4ab",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if id, ok := access.KeyIDOf(args[0]); ok {
				return usagef("that is a token, which nobody should see on a command line; its id is %s", id).because("konlog token revoke %s", id)
			}
			c, err := a.config(cmd)
			if err != nil {
				return err
			}
			path := filepath.Join(c.text("data"), keysFile)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				f := failf("there are no keys in %s", c.text("data")).because("--data names the directory that konlog serve was given")
				f.code = exitNotFound
				return f
			}
			key, err := access.RevokeKey(cmd.Context(), path, args[0])
			if err != nil {
				return tokenFailure(err)
			}
			a.say("key %s is revoked since %s", key.ID, key.Revoked.Local().Format(time.DateTime))
			return nil
		},
	}
	addFlags(cmd.Flags(), dataSetting)
	return cmd
}

// tokenObject is what token check says of a token.
type tokenObject struct {
	ID      string     `json:"id"`
	Subject string     `json:"subject"`
	Read    []string   `json:"read"`
	Write   []string   `json:"write"`
	Admin   bool       `json:"admin"`
	Metrics bool       `json:"metrics"`
	Shell   bool       `json:"shell"`
	Expires *time.Time `json:"expires,omitempty"`
}

func (a *app) tokenCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read a token from stdin and say what it allows, or why it is refused",
		Long: `Read a token from stdin and say what it allows, or why it is refused. No server
is asked: it takes the key file of the data directory, and the settings for JSON
Web Tokens.`,
		Example: `  konlog token check < ci.token
  konlog token check --auth-jwks https://id.example.org/jwks.json < user.jwt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := a.checkToken(cmd)
			if err != nil {
				return err
			}
			if !asJSON {
				return printTable(a.stdout, [][]string{{"id", printable(g.ID)}, {"subject", printable(g.Subject)}, {"may", allows(g)}, {"good", expiryText(g.Expires)}})
			}
			o := tokenObject{ID: g.ID, Subject: g.Subject, Read: append([]string{}, g.Read...), Write: append([]string{}, g.Write...), Admin: g.Admin, Metrics: g.Metrics, Shell: g.Shell}
			if !g.Expires.IsZero() {
				o.Expires = &g.Expires
			}
			return printJSON(a.stdout, o)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	addFlags(cmd.Flags(), func(key string) bool { return dataSetting(key) || strings.HasPrefix(key, "auth.jw") })
	return cmd
}

func (a *app) checkToken(cmd *cobra.Command) (access.Grant, error) {
	c, err := a.config(cmd)
	if err != nil {
		return access.Grant{}, err
	}
	a.withSecrets(c)
	token, err := a.askToken()
	if err != nil {
		return access.Grant{}, usagef("the token: %w", err).because("give it on stdin: konlog token check < FILE")
	}
	c["auth.keys"] = value{"true", "token check"}
	var au auth
	defer au.close()
	if err := au.openChain(cmd.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
		return access.Grant{}, err
	}
	g, err := au.chain.Verify(cmd.Context(), token)
	if err == nil {
		return g, nil
	}
	f := failf("the token is refused: %s", a.whyRefused(c, token, err)).because("konlog token list shows the keys that are in force")
	f.code = exitNotAllowed
	return access.Grant{}, f
}

// askToken reads the token from stdin; what a person types is not shown.
func (a *app) askToken() (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return readToken(a.stdin)
	}
	fmt.Fprint(a.stderr, "token: ")
	line, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", err
	}
	return readToken(strings.NewReader(string(line)))
}

// whyRefused tells the operator, who can read the files, what a client is not
// told.
func (a *app) whyRefused(c config, token string, err error) string {
	id, ok := access.KeyIDOf(token)
	if !ok {
		if cause := errors.Unwrap(err); cause != nil {
			return cause.Error()
		}
		if strings.Count(token, ".") == 2 {
			return "it looks like a JSON Web Token, and no secret or key set is configured"
		}
		return "it is neither an API key nor a JSON Web Token"
	}
	keys, err := access.ListKeys(filepath.Join(c.text("data"), keysFile))
	if err != nil {
		return err.Error()
	}
	for _, k := range keys {
		if k.ID != id {
			continue
		}
		if state := keyState(k, time.Now()); state != "in force" {
			return fmt.Sprintf("key %s is %s", id, state)
		}
		return fmt.Sprintf("it has the id of key %s and another secret", id)
	}
	return fmt.Sprintf("there is no key %s in %s", id, c.text("data"))
}

// tokenSource is how a client gets the token of the settings, or nil: the file
// is read anew when the server refuses what was in it.
func (a *app) tokenSource(c config) func(context.Context, string) (string, error) {
	if path := c.text("token-file"); path != "" {
		return func(context.Context, string) (string, error) {
			token, err := readSecretFile(path)
			if err != nil {
				return "", usagef("token file %s: %w", path, err).because("it holds one token, as konlog token create shows it")
			}
			return token, nil
		}
	}
	if text, ok := a.env(tokenVariable); ok && text != "" {
		return func(context.Context, string) (string, error) {
			token, err := readToken(strings.NewReader(text))
			if err != nil {
				return "", usagef("the variable %s: %w", tokenVariable, err).because("it holds one token, as konlog token create shows it")
			}
			return token, nil
		}
	}
	return nil
}
