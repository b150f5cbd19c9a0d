// Package tidy holds the tests of this repository's own rules: which package
// may import which, sizes, comments, names, links, pins, in Go and in TypeScript.
// It has no code that anything could import. A rule is a function over a file tree; every rule is
// also run on a small tree with a fault planted in it, and must find it.
package tidy
