//go:build !otel

package trace

import "context"

// Built says whether this program can export.
const Built = false

func newSink(context.Context, *Config) (sink, error) { return nil, ErrNotBuilt }
