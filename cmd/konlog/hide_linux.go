package main

import "golang.org/x/sys/unix"

// hideProcess keeps other processes of the same user, agents and shells above
// all, from reading this one's memory and environment in /proc, where its
// credentials are. What it starts is not hidden: exec undoes it.
func hideProcess() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) } // without it they could before, too
