package run

import (
	"os"
	"slices"
	"strings"

	"github.com/konlog/konlog/agent"
)

// linesKind runs any program: one process per prompt, which reads the prompt
// to the end of its input and whose output is the answer.
var linesKind = kind{new: func() Driver { return linesDriver{} }}

// imagesEnv lists the files with the pictures of the prompt, separated as in
// PATH, for programs of no language that could say it.
const imagesEnv = "KONLOG_IMAGES"

// linesDriver is the Driver of a program that knows nothing of konlog.
type linesDriver struct{ onePrompt }

var _ Driver = linesDriver{}

// Launch implements Driver.
func (linesDriver) Launch(s Start) (Launch, error) { return plainLaunch(s) }

// plainLaunch starts the command as it is, with the prompt as its input.
func plainLaunch(s Start) (Launch, error) {
	l := Launch{Args: slices.Clone(s.Command), Input: []byte(s.Prompt.Text), OnePrompt: true}
	if !strings.HasSuffix(s.Prompt.Text, "\n") {
		l.Input = append(l.Input, '\n') // as a text file ends: a shell's read fails without
	}
	temp, files, err := writeImages(s.Temp, s.Prompt.Images)
	if err != nil {
		return Launch{}, err
	}
	if len(files) > 0 {
		l.Temp = temp
		l.Env = []string{imagesEnv + "=" + strings.Join(files, string(os.PathListSeparator))}
	}
	return l, nil
}

// onePrompt is the part of a Driver that processes have in common which take
// one prompt and no words after it. Signals stop them.
type onePrompt struct{}

// Heard implements Driver: such a process asks nothing.
func (onePrompt) Heard([]byte, agent.Meaning) []byte { return nil }

// Ready implements Driver.
func (onePrompt) Ready() bool { return false }

// Prompt implements Driver.
func (onePrompt) Prompt(Prompt) ([]byte, error) { return nil, ErrOnePrompt }

// Answer implements Driver.
func (onePrompt) Answer(Answer) ([]byte, bool) { return nil, false }

// Interrupt implements Driver.
func (onePrompt) Interrupt() ([]byte, bool) { return nil, false }
