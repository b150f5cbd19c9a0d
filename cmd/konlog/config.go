package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// kind is the form of a setting's value.
type kind string

const (
	kindString   kind = "string"
	kindBool     kind = "bool"
	kindInt      kind = "int"
	kindDuration kind = "duration"
	kindBytes    kind = "size"
	kindList     kind = "list"     // separated by commas
	kindCommands kind = "commands" // separated by line breaks; the flag may be repeated
	kindRules    kind = "rules"    // likewise
)

// lines reports whether a value is a list with one item a line.
func (k kind) lines() bool { return k == kindCommands || k == kindRules }

// setting is the one declaration of a value that can be set by flag,
// environment and file. The three names are made from key: retention.max-age is
// --retention-max-age, KONLOG_RETENTION_MAX_AGE and max-age in [retention].
type setting struct {
	key  string
	env  string // a further plain name, or ""
	kind kind
	def  string
	min  string // the least value that makes sense, or ""
	doc  string
}

func (s setting) flagName() string { return strings.ReplaceAll(s.key, ".", "-") }

func (s setting) envName() string {
	return "KONLOG_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

// check reports why text is no value of the setting, or nil.
func (s setting) check(text string) error {
	n, err := s.number(text)
	if err != nil {
		return err
	}
	if s.min == "" {
		return nil
	}
	least, err := s.number(s.min)
	if err != nil {
		panic("setting " + s.key + ": " + err.Error()) // the table is ours
	}
	if n < least {
		return fmt.Errorf("%s is below the least value, %s", text, s.min)
	}
	return nil
}

// number parses text and returns what min is compared with.
func (s setting) number(text string) (int64, error) {
	switch s.kind {
	case kindBool:
		_, err := strconv.ParseBool(text)
		if err != nil {
			return 0, fmt.Errorf("%q is neither true nor false", text)
		}
		return 0, nil
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", text)
		}
		return n, nil
	case kindDuration:
		d, err := parseDuration(text)
		return int64(d), err
	case kindBytes:
		return parseBytes(text)
	case kindRules:
		_, err := parseRules(s.key, text)
		return 0, err
	}
	return 0, nil
}

// value is a setting's effective text and where it came from.
type value struct {
	text   string
	origin string
}

// config holds the effective values by key. It is complete and checked, so its
// getters cannot fail; a wrong key or kind in them is a mistake of the program.
type config map[string]value

func (c config) text(key string) string { return c.get(key, kindString) }

func (c config) bool(key string) bool {
	b, _ := strconv.ParseBool(c.get(key, kindBool)) // checked by resolve
	return b
}

func (c config) int(key string) int {
	n, _ := strconv.Atoi(c.get(key, kindInt))
	return n
}

func (c config) duration(key string) time.Duration {
	d, _ := parseDuration(c.get(key, kindDuration))
	return d
}

func (c config) bytes(key string) int64 {
	n, _ := parseBytes(c.get(key, kindBytes))
	return n
}

func (c config) list(key string) []string {
	return slices.DeleteFunc(strings.Split(c.get(key, kindList), ","), func(s string) bool { return s == "" })
}

func (c config) commands(key string) []string {
	return slices.DeleteFunc(strings.Split(c.get(key, kindCommands), "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
}

func (c config) get(key string, k kind) string {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key && s.kind == k })
	if i < 0 {
		panic("no setting " + key + " of kind " + string(k))
	}
	return c[key].text
}

// resolve finds each setting's value: flag, else environment, else file, else
// default. file is "" or the path of a TOML file.
func resolve(flags *pflag.FlagSet, env func(string) (string, bool), file string) (config, error) {
	fromFile, err := readConfigFile(file)
	if err != nil {
		return nil, err
	}
	c := config{}
	for _, s := range settings {
		v := value{s.def, "default"}
		if text, ok := fromFile[s.key]; ok {
			v = value{text, "file " + file}
		}
		for _, name := range []string{s.env, s.envName()} {
			if text, ok := env(name); ok && name != "" {
				v = value{text, "env " + name}
			}
		}
		if f := flags.Lookup(s.flagName()); f != nil && f.Changed && isSetting(f) {
			v = value{f.Value.String(), "flag --" + f.Name}
		}
		if err := s.check(v.text); err != nil {
			return nil, usagef("setting %s (%s): %w", s.key, v.origin, err).because("konlog config --help shows every setting with its form")
		}
		c[s.key] = v
	}
	return c, nil
}

// isSetting tells the flag of a setting from a command's own of that name.
func isSetting(f *pflag.Flag) bool {
	_, ok := f.Value.(*textFlag)
	return ok
}

// addFlags declares the flags of the settings whose key pick accepts.
func addFlags(flags *pflag.FlagSet, pick func(key string) bool) {
	for _, s := range settings {
		if !pick(s.key) {
			continue
		}
		doc := fmt.Sprintf("%s (default %s)", s.doc, cmp.Or(s.def, `""`))
		f := flags.VarPF(&textFlag{kind: s.kind}, s.flagName(), "", doc)
		if s.kind == kindBool {
			f.NoOptDefVal = "true"
		}
	}
}

// textFlag keeps a flag's text for resolve, which checks it beside the values
// from elsewhere.
type textFlag struct {
	text string
	kind kind
}

func (f *textFlag) String() string   { return f.text }
func (f *textFlag) Type() string     { return string(f.kind) }
func (f *textFlag) IsBoolFlag() bool { return f.kind == kindBool }

// Set takes the last value, or of a list with one item a line every one.
func (f *textFlag) Set(text string) error {
	if f.kind.lines() && f.text != "" {
		text = f.text + "\n" + text
	}
	f.text = text
	return nil
}

// configFileMax bounds a configuration file: the longest sensible one is a few KiB.
const configFileMax = 1 << 20

func readConfigFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("config file: %w", err)
	}
	if info.Size() > configFileMax {
		return nil, usagef("config file %s: %d bytes are over the limit of %d", path, info.Size(), configFileMax)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("config file: %w", err)
	}
	values, err := parseConfig(body)
	if err != nil {
		return nil, usagef("config file %s: %w", path, err)
	}
	return values, nil
}

// parseConfig reads TOML into texts by key.
func parseConfig(body []byte) (map[string]string, error) {
	var doc map[string]any
	if err := toml.Unmarshal(body, &doc); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			row, col := de.Position()
			return nil, fmt.Errorf("line %d, column %d: %w", row, col, err)
		}
		return nil, err
	}
	values := map[string]string{}
	return values, flatten(values, "", doc)
}

func flatten(values map[string]string, prefix string, table map[string]any) error {
	for name, v := range table {
		key := prefix + name
		if sub, ok := v.(map[string]any); ok {
			if err := flatten(values, key+".", sub); err != nil {
				return err
			}
			continue
		}
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.key == key }) {
			return fmt.Errorf("unknown key %q; did you mean %q?", key, nearest(key))
		}
		text, err := tomlText(v, kindOf(key))
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		values[key] = text
	}
	return nil
}

// kindOf is the kind of a setting that exists.
func kindOf(key string) kind {
	return settings[slices.IndexFunc(settings, func(s setting) bool { return s.key == key })].kind
}

func tomlText(v any, k kind) (string, error) {
	separator, what := ",", "commas"
	if k.lines() {
		separator, what = "\n", "line breaks"
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int64:
		return fmt.Sprint(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok || strings.Contains(s, separator) {
				return "", errors.New("a list holds strings without " + what)
			}
			parts[i] = s
		}
		return strings.Join(parts, separator), nil
	}
	return "", fmt.Errorf("a value of type %T is not understood; write a string, a number, true or false", v)
}

// nearest returns the known key that takes the fewest edits to become.
func nearest(key string) string {
	best, least := "", 1<<30
	for _, s := range settings {
		if d := edits(key, s.key); d < least {
			best, least = s.key, d
		}
	}
	return best
}

// testVariables begin the names that only the project's tests read.
var testVariables = []string{"KONLOG_AGENTS", "KONLOG_CRASH_", "KONLOG_GOSEC", "KONLOG_PARITY_", "KONLOG_SLOW_", "KONLOG_RECORDINGS"}

// warnOfEnvironment names variables that look like settings and are none. They
// are no errors: a cluster sets KONLOG_SERVICE_HOST for a service of that name.
func (a *app) warnOfEnvironment() {
	if a.environ == nil || a.warned {
		return
	}
	a.warned = true
	// The last three are what konlog gives to agents and to its terminals.
	known := []string{"KONLOG_CONFIG", tokenVariable, jwtSecretVariable, "KONLOG_IMAGES", "KONLOG_SESSION", "KONLOG_AGENT_PROCESS"}
	for _, s := range settings {
		known = append(known, s.envName())
	}
	for _, pair := range a.environ() {
		name, _, _ := strings.Cut(pair, "=")
		ours := strings.HasPrefix(name, "KONLOG_") && !slices.ContainsFunc(testVariables, func(p string) bool { return strings.HasPrefix(name, p) })
		if !ours || slices.Contains(known, name) {
			continue
		}
		near := slices.MinFunc(known, func(x, y string) int { return edits(name, x) - edits(name, y) })
		fmt.Fprintf(a.stderr, "konlog: the variable %s is no setting and has no effect; did you mean %s?\n", printable(name), near)
	}
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
