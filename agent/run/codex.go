package run

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// codexKind runs Codex by `codex exec --json`: one process per prompt, which
// goes on with the thread of the one before.
var codexKind = kind{
	new:    func() Driver { return codexDriver{} },
	speaks: func(p program) bool { return p.name == codexProgram },
}

const codexProgram = "codex"

// codexDriver is the Driver of Codex. What it may do, and where, is for the
// user's command and Codex's own settings to say: nothing of that is added,
// and so Codex refuses a folder that it is not told to trust.
//
// Measured with codex-cli 0.169.0: SIGINT ends it within 40 ms with exit code 1
// and without a line that says so, and the thread can be gone on with.
type codexDriver struct{ onePrompt }

var _ Driver = codexDriver{}

// errNoWords is for a prompt of pictures alone, which Codex refuses.
var errNoWords = errors.New("codex takes no pictures without words: say what to do with them")

// Launch implements Driver. A program that is not Codex itself is started as it
// is.
func (codexDriver) Launch(s Start) (Launch, error) {
	p, ok := programOf(s.Command)
	if !ok || p.name != codexProgram {
		return plainLaunch(s)
	}
	c := parseCodex(p.args)
	if err := c.check(s); err != nil {
		return Launch{}, err
	}
	temp, files, err := writeImages(s.Temp, s.Prompt.Images)
	if err != nil {
		return Launch{}, err
	}
	return Launch{
		Args:  slices.Concat(s.Command[:p.at], c.args(s.Resume, files)),
		Input: []byte(s.Prompt.Text), OnePrompt: true, Temp: temp,
	}, nil
}

// check refuses what Codex would take for something else.
func (c *codexCommand) check(s Start) error {
	switch {
	case c.other != "":
		return fmt.Errorf("codex %s is not for this: let the command be codex, or codex exec with its options", c.other)
	case len(c.words) > 0:
		return fmt.Errorf("codex: the command has the prompt %q: leave it out, prompts come from the session", c.words[0])
	case isBlank(s.Prompt.Text) && len(s.Prompt.Images) > 0:
		return errNoWords
	case s.Resume == "":
		return nil
	}
	// For a name that it does not know Codex begins another thread, as if the
	// conversation had never been.
	if _, err := uuid.Parse(s.Resume); err != nil || len(s.Resume) != len(uuid.Nil.String()) {
		return fmt.Errorf("codex: %q is not the id of a thread, which is a UUID: start without it", s.Resume)
	}
	return nil
}
