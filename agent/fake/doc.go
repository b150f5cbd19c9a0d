// Package fake plays recorded agents, so that tests, demonstrations and work on
// a user interface need no model.
//
// A recording of both sides is a conversation: what the agent said comes byte
// for byte and at its pace, and where the recording has a line to the agent the
// player waits for one of its kind. The ids that the host chose are carried
// over into what the agent answers. A host that does otherwise than the
// recorded one is answered as the agent would: a player never stands still
// because of an unexpected line, and ends every turn that it was asked for once.
//
// A recording of one side is an agent that takes one prompt, as its whole input.
//
// The same recording, options and input give the same output. A player has one
// goroutine beside the caller's, which reads the input; it ends with the input,
// or else with the process, because nothing can wake a read.
package fake
