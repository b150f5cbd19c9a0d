package abuse

import (
	"os"
	"testing"

	"github.com/konlog/konlog/internal/long"
)

// TestMain leaves the attacks to test.sh: they take a minute, which go test
// ./... is to take as a whole.
func TestMain(m *testing.M) {
	os.Exit(long.Main(m))
}
