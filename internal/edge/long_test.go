package edge

import (
	"os"
	"testing"

	"github.com/konlog/konlog/internal/long"
)

// TestMain leaves the proxies to test.sh, which installs them.
func TestMain(m *testing.M) {
	os.Exit(long.Main(m))
}
