package abuse

import (
	"fmt"
	"os"
	"testing"
)

// TestMain leaves the attacks to test.sh: they take a minute, which go test
// ./... is to take as a whole.
func TestMain(m *testing.M) {
	if os.Getenv("KONLOG_LONG") == "" {
		fmt.Println("left out: KONLOG_LONG=1 runs it, as test.sh does")
		return
	}
	os.Exit(m.Run())
}
