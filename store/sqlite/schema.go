package sqlite

import "github.com/konlog/konlog/migrations"

// Schema returns the number of the newest schema that this program knows: the
// user_version of the databases that it leaves behind. A database with a
// higher one was written by a newer konlog.
func Schema() (int, error) {
	all, err := migrations.All()
	return len(all), err
}
