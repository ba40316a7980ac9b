// Package crash kills real diskvd processes and looks whether anything that was
// acknowledged is missing.
package crash

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

var (
	kills = flag.Int("crash.kills", 3, "how many times the leader is killed under load")
	mount = flag.Bool("crash.mount", true, "mount a small file system to fill it, where that is permitted")
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

// patience is how long anything may take that is sure to happen.
const patience = 30 * time.Second

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newGroup starts three members and waits until they are ready. What they
// print is shown when the test fails.
func newGroup(t *testing.T, args ...string) *proc.Group {
	t.Helper()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 3, Args: args})
	require.NoError(t, err)
	t.Cleanup(func() {
		g.Close()
		if t.Failed() {
			for _, m := range g.Members {
				t.Logf("member %d:\n%s", m.Index, m.Output())
			}
		}
	})
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	return g
}

func leaderOf(t *testing.T, g *proc.Group) *proc.Member {
	t.Helper()
	m, err := g.Leader(patiently(t))
	require.NoError(t, err)
	return m
}

func router(t *testing.T, g *proc.Group) *proc.Router {
	t.Helper()
	r := g.Router()
	t.Cleanup(r.Close)
	return r
}
