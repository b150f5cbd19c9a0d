// Package long tells tests that take long apart from those that go test ./...
// runs, which is to be done within a minute. test.sh runs all.
package long

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// variable is the environment variable that asks for them.
const variable = "KONLOG_LONG"

// Wanted reports whether tests are to take as long as they need: many rounds,
// large sizes, real processes. Else they do what shows that they work.
func Wanted() bool { return os.Getenv(variable) != "" }

// Only leaves a test out unless long ones are wanted.
func Only(t testing.TB) {
	t.Helper()
	if !Wanted() {
		t.Skip("takes long: " + variable + "=1 runs it, as test.sh does")
	}
}

// Main runs a package that is of long tests alone, and returns the exit code.
func Main(m *testing.M) int {
	if !Wanted() {
		fmt.Println("left out: " + variable + "=1 runs it, as test.sh does")
		return 0
	}
	return m.Run()
}

// How many tests run at a time where they wait most of the time. Under the race
// detector they are at work for longer.
const (
	parallel     = 8
	parallelRace = 3
)

// Waits lets more of a package's parallel tests run at a time than there are
// cores. TestMain calls it.
func Waits() {
	n := parallel
	if Race {
		n = parallelRace
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err) // the flag is package testing's
	}
}
