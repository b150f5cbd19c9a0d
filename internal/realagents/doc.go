// Package realagents holds the proof that konlog runs the real agents: each is
// started by `konlog run` on a server of its own and talks to a scripted model
// on loopback, so that no account and no network are needed. It has tests only.
//
// KONLOG_AGENTS names the folder with the programs; without it the tests are
// skipped. `npm ci` in this folder makes one, node_modules/.bin, with the
// versions that package-lock.json names.
package realagents
