package run

import (
	"cmp"
	"slices"
	"strings"
)

// codexCommand is a user's command line of Codex, taken apart.
type codexCommand struct {
	before  []string // options before exec
	options []string // of exec, less the one that asks for JSON
	sub     string   // resume or fork of the user's own, or ""
	id      string   // what that is for
	more    []string // its options
	words   []string // prompts, which have no place here
	other   string   // a command that does not print what codex exec does, or ""
}

// codexFlags are the options without a value. Of one that is not known it is
// assumed that it has one.
var codexFlags = []string{
	"--strict-config", "--oss", "--approve-for-me", "--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust",
	"--worktree", "--skip-git-repo-check", "--trust", "--ephemeral", "--ignore-user-config", "--ignore-rules", "--json", "--experimental-json",
	"--search", "--no-alt-screen", "--no-daemon", "--last", "--all", "--full-auto", "--yolo", "--help", "--version", "-h", "-V",
}

// parseCodex reads the arguments after the program's name.
func parseCodex(args []string) codexCommand {
	var c codexCommand
	exec, literal := false, false
	for len(args) > 0 {
		arg := args[0]
		switch {
		case !literal && arg == "--":
			literal, args = true, args[1:]
		case !literal && len(arg) > 1 && arg[0] == '-':
			n, option := codexOption(args)
			c.add(exec, option)
			args = args[n:]
		default:
			exec = c.word(exec, literal, arg) || exec
			args = args[1:]
		}
	}
	return c
}

// add puts an option where it was said.
func (c *codexCommand) add(exec bool, option []string) {
	switch {
	case option[0] == "--json" || option[0] == "--experimental-json":
	case c.sub != "":
		c.more = append(c.more, option...)
	case exec:
		c.options = append(c.options, option...)
	default:
		c.before = append(c.before, option...)
	}
}

// word takes what is no option. It reports whether it was exec.
func (c *codexCommand) word(exec, literal bool, arg string) bool {
	switch {
	case arg == "-": // the prompt on standard input, as it is anyway
	case !exec && !literal && (arg == "exec" || arg == "e"):
		return true
	case !exec:
		c.other = cmp.Or(c.other, arg)
	case !literal && c.sub == "" && (arg == "resume" || arg == "fork"):
		c.sub = arg
	case !literal && c.sub == "" && (arg == "review" || arg == "help"):
		c.other = cmp.Or(c.other, "exec "+arg)
	case c.sub != "" && c.id == "" && !slices.Contains(c.more, "--last"):
		c.id = arg
	default:
		c.words = append(c.words, arg)
	}
	return false
}

// codexOption is the first option with its value, and of how many arguments it
// is. Images are said one by one: `-i FILE…` would take what comes after it for
// another file.
func codexOption(args []string) (n int, option []string) {
	arg := args[0]
	name, value, joined := strings.Cut(arg, "=")
	long := strings.HasPrefix(arg, "--")
	if !long && len(arg) > 2 {
		name, value, joined = arg[:2], strings.TrimPrefix(arg[2:], "="), true
	}
	n = 1
	if name == "-i" || name == "--image" {
		if joined {
			option = append(option, "--image="+value)
		}
		for n < len(args) && !strings.HasPrefix(args[n], "-") && !slices.Contains([]string{"exec", "e", "resume", "fork"}, args[n]) {
			option = append(option, "--image="+args[n])
			n++
		}
		if option == nil {
			option = args[:1]
		}
		return n, option
	}
	takes := !joined && !slices.Contains(codexFlags, name)
	if takes && n < len(args) && args[n] != "exec" && args[n] != "--" {
		n++
	}
	return n, args[:n]
}

// args are the arguments that run a prompt, which is on standard input, with
// pictures in files, in a thread that is there, or in a new one.
func (c *codexCommand) args(resume string, images []string) []string {
	args := slices.Concat(c.before, []string{"exec"}, c.options, []string{"--json"})
	sub, id, more := c.sub, c.id, c.more
	if resume != "" {
		sub, id = "resume", resume
		more = slices.DeleteFunc(slices.Clone(more), func(o string) bool { return o == "--last" || o == "--all" })
	}
	if sub != "" {
		args = append(append(args, sub), more...)
	}
	for _, file := range images {
		args = append(args, "--image="+file)
	}
	if id != "" {
		args = append(args, id)
	}
	return append(args, "-")
}

func isBlank(text string) bool { return strings.TrimSpace(text) == "" }
