package run

import "errors"

// ErrOnePrompt says that a process takes no words but those it was started with.
var ErrOnePrompt = errors.New("this agent takes one prompt per process")

// ErrFenced ends a runner whose session another one has taken over.
var ErrFenced = errors.New("another runner has taken over the session")
