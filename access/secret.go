package access

import "log/slog"

// Secret is text that must not end up in a log, an error or on a screen by
// accident: every usual way to print it shows a placeholder.
type Secret string

const hidden = "[secret]"

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string { return hidden }

// GoString hides the text.
func (s Secret) GoString() string { return hidden }

// LogValue hides the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text, in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
