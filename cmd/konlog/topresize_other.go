//go:build !unix

package main

// resizes tells nothing where the system does not; the next look sees it.
func resizes() (told <-chan struct{}, stop func()) { return nil, func() {} }
