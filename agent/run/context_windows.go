package run

import "os"

func openContext(path string) (*os.File, error) { return os.Open(path) }

// checkContextOwner finds nothing: access lists are not in a file's mode.
func checkContextOwner(os.FileInfo) error { return nil }
