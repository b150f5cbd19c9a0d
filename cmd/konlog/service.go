package main

import (
	_ "embed" // the unit
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"
)

// Names of the platforms that the library knows and that services are made for.
const (
	platformSystemd = "linux-systemd"
	platformLaunchd = "darwin-launchd"
)

// dirs of a service's data.
const (
	systemData = "/var/lib/konlog" // systemd makes it, see StateDirectory
	userData   = ".local/share/konlog"
	macData    = "Library/Application Support/konlog"
)

//go:embed konlog.service.tmpl
var unitText string

var unitTemplate = template.Must(template.New("unit").Parse(unitText))

// serviceSpec is a service that is to be.
type serviceSpec struct {
	user    bool     // of whoever calls, started at login; else of the machine
	program string   // absolute
	home    string   // of the user
	args    []string // of serve, beside --data
}

func (a *app) serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Have the system run the server",
		Long: `Have the system start the server, watch it and start it again: systemd on Linux,
launchd on macOS. What stands after -- are settings of serve.

With --user it is your own, starts when you log in, and sees your files: that is
what agents need that the server runs. Without it the service is the machine's,
needs root, and sees nothing but its data directory.`,
		Example: `  konlog service install --user -- --agent claude=claude
  sudo konlog service install -- --addr 0.0.0.0:8787 --auth-keys
  konlog service install --print
  konlog service uninstall --user`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.serviceInstall(), a.serviceUninstall(), a.serviceStatus())
	return cmd
}

func (a *app) serviceInstall() *cobra.Command {
	var user, show bool
	cmd := &cobra.Command{
		Use:   "install [-- SETTINGS]",
		Short: "Make the service, and start it",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkServeArgs(a.configFile, args); err != nil {
				return err
			}
			spec, err := a.newServiceSpec(user, args)
			if err != nil {
				return err
			}
			if show {
				_, err := fmt.Fprint(a.stdout, spec.unit())
				return err
			}
			s, err := spec.service()
			if err != nil {
				return err
			}
			if err := spec.allowed(); err != nil {
				return err
			}
			if err := s.Install(); err != nil {
				return failf("the service was not made: %w", err).because("konlog service uninstall removes one that is there; --print shows what it would be")
			}
			if err := s.Start(); err != nil {
				return failf("the service was made and did not start: %w", err).because("%s", spec.logs())
			}
			fmt.Fprintf(a.stderr, "konlog runs as a service; its data is in %s\n%s\n", spec.data(), spec.logs())
			return nil
		},
	}
	cmd.Flags().BoolVar(&user, "user", false, "your own service instead of the machine's")
	cmd.Flags().BoolVar(&show, "print", false, "print the systemd unit and make nothing")
	return cmd
}

func (a *app) serviceUninstall() *cobra.Command {
	var user bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Stop the service and remove it; the data stays",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			spec, s, err := a.installed(user)
			if err == nil {
				err = spec.allowed()
			}
			if err != nil {
				return err
			}
			_ = s.Stop() // it may be stopped already
			if err := s.Uninstall(); err != nil {
				return failf("the service was not removed: %w", err)
			}
			fmt.Fprintf(a.stderr, "the service is removed; its data stays in %s\n", spec.data())
			return nil
		},
	}
	cmd.Flags().BoolVar(&user, "user", false, "your own service instead of the machine's")
	return cmd
}

func (a *app) serviceStatus() *cobra.Command {
	var user bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the service runs: exit code 0, 1 when it is stopped, 3 when there is none",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			spec, s, err := a.installed(user)
			if err != nil {
				return err
			}
			status, err := s.Status()
			switch {
			case errors.Is(err, service.ErrNotInstalled):
				return &failure{code: exitNotFound, err: errors.New("there is no such service"), hint: "konlog service install makes it"}
			case err != nil:
				return failf("%w", err)
			case status != service.StatusRunning:
				return failf("the service is there and does not run").because("%s", spec.logs())
			}
			_, err = fmt.Fprintln(a.stdout, "running")
			return err
		},
	}
	cmd.Flags().BoolVar(&user, "user", false, "your own service instead of the machine's")
	return cmd
}

// installed is the service that there is, or would be.
func (a *app) installed(user bool) (*serviceSpec, service.Service, error) {
	spec, err := a.newServiceSpec(user, nil)
	if err != nil {
		return nil, nil, err
	}
	s, err := spec.service()
	return spec, s, err
}

// checkServeArgs refuses what serve would refuse at every start, with these and
// what the file of settings says.
func checkServeArgs(file string, args []string) error {
	serve := (&app{env: func(string) (string, bool) { return "", false }}).serveCommand()
	if err := serve.ParseFlags(args); err != nil {
		return usagef("%w", err).because("what stands after -- are settings of konlog serve: konlog serve --help")
	}
	for _, name := range []string{"tls-cert", "tls-key", "tls-acme-ca", "auth-jwt-secret-file", "auth-jwks", "trace-headers-file"} {
		f := serve.Flags().Lookup(name)
		if f == nil || !f.Changed || name == "auth-jwks" && strings.Contains(f.Value.String(), "://") { // a key set may be a URL
			continue
		}
		if !filepath.IsAbs(f.Value.String()) {
			return usagef("--%s %s is relative, and a service runs elsewhere", name, f.Value).because("give the whole path, and let the service's user read it")
		}
	}
	switch rest := serve.Flags().Args(); {
	case len(rest) > 0:
		return usagef("%q is no setting of konlog serve", rest[0])
	case serve.Flags().Changed("data"):
		return usagef("a service has a data directory of its own").because("konlog service install --print > konlog.service, change it, and install it yourself")
	}
	c, err := resolve(serve.Flags(), func(string) (string, bool) { return "", false }, file)
	if err != nil {
		return err
	}
	if addr := c.text("addr"); !strings.HasPrefix(addr, socketPrefix) {
		_, _, err = hostAndPort(addr, asksForCredentials(c))
	}
	return err
}

func (a *app) newServiceSpec(user bool, args []string) (*serviceSpec, error) {
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return nil, failf("%w", err)
	}
	if path := a.configFile; path != "" {
		if path, err = filepath.Abs(path); err != nil {
			return nil, failf("%w", err)
		}
		args = append([]string{"--config", path}, args...)
	}
	home, _ := a.env("HOME")
	if user && home == "" {
		return nil, failf("there is no home directory: HOME is not set")
	}
	return &serviceSpec{user: user, program: program, home: home, args: args}, nil
}

// data is where the service keeps the log.
func (s *serviceSpec) data() string {
	switch {
	case !s.user:
		return systemData
	case runtime.GOOS == "darwin":
		return filepath.Join(s.home, macData)
	}
	return filepath.Join(s.home, userData)
}

// logs says where the server's own words are.
func (s *serviceSpec) logs() string {
	switch {
	case runtime.GOOS == "darwin":
		return "its words: log show --predicate 'process == \"konlog\"' --last 5m"
	case s.user:
		return "its words: journalctl --user -u konlog"
	}
	return "its words: journalctl -u konlog"
}

// allowed tells before anything is made what could not work.
func (s *serviceSpec) allowed() error {
	switch {
	case s.user:
		return nil
	case os.Geteuid() != 0:
		return &failure{code: exitNotAllowed, err: errors.New("the machine's services are root's"), hint: "sudo konlog service …, or --user for one of your own"}
	case s.home != "" && strings.HasPrefix(s.program, s.home+"/") || strings.HasPrefix(s.program, "/home/"):
		return failf("%s is in somebody's home, which the service does not see", s.program).because("install -m 755 %s /usr/local/bin/konlog && /usr/local/bin/konlog service install", s.program)
	}
	return nil
}

// unit is the service as systemd reads it.
func (s *serviceSpec) unit() string {
	words := append([]string{s.program, "serve", "--data", s.data()}, s.args...)
	for i, w := range words {
		words[i] = unitWord(w)
	}
	ports := privileged(s.args)
	var b strings.Builder
	err := unitTemplate.Execute(&b, map[string]any{
		"System": !s.user, "Exec": strings.Join(words, " "), "Note": "Made by konlog service install.",
		"Capabilities": map[bool]string{true: "CAP_NET_BIND_SERVICE"}[ports], "PrivateUsers": map[bool]string{true: "no", false: "yes"}[ports],
	})
	if err != nil {
		panic("the unit: " + err.Error()) // the template is our own
	}
	return b.String()
}

// privileged reports whether a setting names a port below 1024, for which the
// service needs a capability.
func privileged(args []string) bool {
	serve := (&app{env: func(string) (string, bool) { return "", false }}).serveCommand()
	if serve.ParseFlags(args) != nil {
		return false
	}
	for _, name := range []string{"addr", "tls-redirect-addr"} {
		f := serve.Flags().Lookup(name)
		if f == nil {
			continue
		}
		if i := strings.LastIndexByte(f.Value.String(), ':'); i >= 0 {
			switch port := f.Value.String()[i+1:]; {
			case port == "0" || port == "":
			case len(port) < 4, len(port) == 4 && port < "1024":
				return true
			}
		}
	}
	return false
}

// unitWord quotes an argument as systemd.service(5) wants it: % and $ stand for
// themselves only when doubled.
func unitWord(w string) string {
	w = strings.NewReplacer(`%`, `%%`, `$`, `$$`, `\`, `\\`, `"`, `\"`).Replace(w)
	plain := w != ""
	var b strings.Builder
	for _, c := range []byte(w) {
		switch {
		case c < 0x20 || c == 0x7f: // a line may end at any of them
			fmt.Fprintf(&b, `\x%02x`, c)
			plain = false
		default:
			b.WriteByte(c)
			plain = plain && c > ' ' && !strings.ContainsRune(`"'\;`, rune(c))
		}
	}
	if plain {
		return w
	}
	return `"` + b.String() + `"`
}

// service is the system's own.
func (s *serviceSpec) service() (service.Service, error) {
	c := &service.Config{
		Name: "konlog", DisplayName: "konlog", Description: "The durable log between AI agents and the people who watch them",
		Executable: s.program, Arguments: append([]string{"serve", "--data", s.data()}, s.args...),
		Option: service.KeyValue{"UserService": s.user, "SystemdScript": literal(s.unit()), "RunAtLoad": true, "KeepAlive": true},
	}
	want := map[string]string{"linux": platformSystemd, "darwin": platformLaunchd}[runtime.GOOS]
	if _, err := exec.LookPath("systemctl"); runtime.GOOS == "linux" && err != nil {
		want = ""
	}
	for _, system := range service.AvailableSystems() {
		if system.String() == want {
			made, err := system.New(nobody{}, c)
			if err != nil {
				return nil, failf("%w", err)
			}
			return made, nil
		}
	}
	return nil, failf("there is no systemd or launchd here that could run a service").because("let your own supervisor run %s serve; konlog health tells whether it is well", s.program)
}

// literal keeps the library's template engine from reading the text as one.
func literal(text string) string { return strings.ReplaceAll(text, "{{", "{ {") }

// nobody is what the library would run in the place of the server, which runs
// by itself.
type nobody struct{}

func (nobody) Start(service.Service) error { return nil }
func (nobody) Stop(service.Service) error  { return nil }
