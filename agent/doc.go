// Package agent maps what an agent prints to events.
//
// It knows one format so far, lines: every line is one event of the type
// "agent", and Line gives the line back byte for byte. The mapping is pure; the
// only thing here that reads is Splitter, which never holds more than one line
// and one buffer.
package agent
