//go:build !linux

package main

// hideProcess does nothing where the system has no such word.
func hideProcess() {}
