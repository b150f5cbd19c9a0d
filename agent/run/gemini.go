package run

import (
	"slices"
	"strings"
)

// geminiKind runs Gemini CLI by its stream-json: one process per prompt, which
// goes on with the session of the one before.
var geminiKind = kind{
	new:    func() Driver { return geminiDriver{} },
	speaks: func(p program) bool { return p.name == geminiProgram },
}

const geminiProgram = "gemini"

// geminiBegins are the flags that say with which session to begin.
var geminiBegins = map[string]takes{"-r": takesMaybe, flagResume: takesMaybe, flagSessionID: takesOne, "--session-file": takesOne}

// geminiDriver is the Driver of Gemini CLI. It asks nothing in this mode: what
// would need a permission is not offered to the model. `gemini --acp` asks.
//
// Measured with Gemini CLI 0.61.0: it reads the prompt to the end of its input
// and needs no -p for that; SIGINT and SIGTERM end it within 60 ms with exit
// code 0 and without a result line; it runs as two processes, so that signals
// must go to the group; a session that it does not know ends it with exit code
// 42 and nothing printed.
type geminiDriver struct{ onePrompt }

var _ Driver = geminiDriver{}

// Launch implements Driver. The prompt is the input: arguments can be read by
// others.
func (geminiDriver) Launch(s Start) (Launch, error) {
	if err := checkResume(geminiProgram, s.Resume); err != nil {
		return Launch{}, err
	}
	p, ok := programOf(s.Command)
	if !ok || p.name != geminiProgram {
		l, err := plainLaunch(s)
		l.Args = withResume(s, p)
		return l, err
	}
	if err := checkOutput(geminiProgram, p.value(flagOutput, "-o")); err != nil {
		return Launch{}, err
	}
	f := flags{of: p}
	f.need(streamJSON, flagOutput, "-o")
	args := f.resume(s.Resume, geminiBegins)
	temp, files, err := writeImages(s.Temp, s.Prompt.Images)
	if err != nil {
		return Launch{}, err
	}
	text := s.Prompt.Text
	if len(files) > 0 {
		f.names = append(f.names, "--include-directories", temp)
		for _, file := range files {
			text += "\n@" + geminiPath(file)
		}
	}
	return Launch{Args: slices.Concat(s.Command[:p.at], f.names, args), Input: []byte(text), OnePrompt: true, Temp: temp}, nil
}

// geminiPath is a file's name as Gemini CLI reads it after an @ in a prompt.
func geminiPath(file string) string {
	var b strings.Builder
	for _, c := range file {
		if strings.ContainsRune(" \t()[]{};|*?$`'\"#&<>!~@,", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
