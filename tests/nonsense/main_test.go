// Package nonsense sends random, truncated and oversized commands to a running group of
// three processes, over thousands of connections, and looks whether anything has changed
// that should not: keys that only the test itself writes are as they were and can be
// written at once, the members agree, no process has ended, and memory and goroutines are
// what they were before.
//
// What is sent follows from a seed: -nonsense.seed. What the processes make of it depends
// on time as well.
package nonsense

import (
	"flag"
	"os"
	"testing"
	"time"

	"diskv/tests/proc"
)

var (
	duration = flag.Duration("nonsense.duration", 6*time.Second, "how long nonsense is sent")
	seed     = flag.Uint64("nonsense.seed", 1, "what nonsense is sent")
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
