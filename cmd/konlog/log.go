package main

import (
	"io"
	"log/slog"
)

// logFormatDefault is for people; json is for what collects logs.
const logFormatDefault = "text"

// newLogger writes lines of the format. Their keys are listed in
// docs/OBSERVABILITY.md; a test holds the calls against that list.
func newLogger(w io.Writer, level slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case logFormatDefault:
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("setting log.format: %q is no format", format).because("use text or json")
}
