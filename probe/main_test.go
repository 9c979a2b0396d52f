package probe

import (
	"testing"

	"nslab/e2e/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
