// Package trace tells an OpenTelemetry collector what happens in a konlog: the
// way of appends to their first reader (Appends), and the turns of agents as
// spans of the GenAI semantic conventions (Turns). Both leave by OTLP over HTTP.
//
// What is exported never decides what is appended. Spans of appends pass
// through a bounded queue and are dropped, and counted, when it is full. Turns
// are read from the feed like by any other reader, so that the log is their
// queue: while a collector is away the reader waits, and after a restart it goes
// on at the cursor that it keeps in a file. A turn may be exported twice; its
// trace and span ids follow from the turn, so that both are the same spans.
//
// The OpenTelemetry SDK is behind the build tag otel (otlp.go). Without it
// Start refuses with ErrNotBuilt, and the program does not grow.
//
// Prompts, texts, arguments and results leave only when Config.Content says so.
package trace
