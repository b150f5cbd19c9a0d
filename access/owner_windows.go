package access

import "os"

// giveOwner has nothing to do: a file belongs to whom its directory says.
func giveOwner(*os.File, ...string) error { return nil }
