// Package lab holds the scenarios of the labs that this project comes from, as
// tests of real diskvd processes: eleven about a group whose members crash and
// lose their disks, five about shards that move between groups. They know
// nothing of what is inside: clients call Put, Append and Get, processes are
// killed, directories vanish.
package lab

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

var seed = flag.Uint64("lab.seed", 0, "of chance, in the tests and in the network; 0: another one each time")

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
const patience = 60 * time.Second

func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// chance returns the test's source of chance, and a seed for its network.
func chance(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("chance: -lab.seed=%d", s)
	r := rand.New(rand.NewPCG(s, 0))
	return r, r.Uint64()
}

// showOutput shows what members have printed if the test fails.
func showOutput(t *testing.T, name string, g *proc.Group) {
	t.Helper()
	if t.Failed() {
		for _, m := range g.Members {
			t.Logf("%s member %d:\n%s", name, m.Index, m.Output())
		}
	}
}

// lab is one group with a store of its own.
type lab struct{ *proc.Group }

// newLab starts a group and waits until it is ready. All addresses lead over the
// network, which may be nil.
func newLab(t *testing.T, size int, network *proc.Network) *lab {
	t.Helper()
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: size, Network: network})
	require.NoError(t, err)
	t.Cleanup(func() {
		g.Close()
		showOutput(t, "", g)
	})
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	return &lab{g}
}

// unreliable returns a network that discards as that of the labs does.
func unreliable(t *testing.T, seed uint64) *proc.Network {
	t.Helper()
	n := proc.NewNetwork(seed, proc.Unreliable)
	t.Cleanup(func() {
		n.Close()
		requests, replies, _ := n.Discarded()
		t.Logf("the network discarded %d requests and %d replies", requests, replies)
	})
	return n
}

// restartAll kills every member and starts it again.
func (l *lab) restartAll(t *testing.T) {
	t.Helper()
	l.Close()
	require.NoError(t, l.Start())
}

// atOnce runs functions at the same time and returns what they return.
func atOnce(fs ...func() error) error {
	var running sync.WaitGroup
	errs := make([]error, len(fs))
	for i, f := range fs {
		running.Go(func() { errs[i] = f() })
	}
	running.Wait()
	return errors.Join(errs...)
}

func together(t *testing.T, fs ...func() error) {
	t.Helper()
	require.NoError(t, atOnce(fs...))
}
