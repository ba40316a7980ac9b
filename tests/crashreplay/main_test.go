package crashreplay

import (
	"flag"
	"os"
	"testing"

	"diskv/tests/proc"
)

// binary is the diskvd that is tested.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(proc.WithBinary(func(built string) int {
		binary = built
		return m.Run()
	}))
}
