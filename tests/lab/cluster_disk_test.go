package lab

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var steps = flag.Int("lab.steps", 20, "changes of the config under crashes and disk losses")

// TestMovesUnderCrashesAndDiskLosses: members of every group, and shardmasters, go
// down one at a time, half of them without their disk, while shards move.
func TestMovesUnderCrashesAndDiskLosses(t *testing.T) {
	t.Parallel()
	chance, harmSeed := chance(t)
	c := newCluster(t, 4, nil)
	for _, g := range c.All() {
		require.NoError(t, g.Ready(patiently(t)), "formed: until then no disk may be lost")
	}
	end := make(chan struct{})
	harmed := make(chan error, 1)
	go func() { harmed <- harm(t.Context(), rand.New(rand.NewPCG(harmSeed, 1)), end, c.All()...) }()
	stop := sync.OnceValue(func() error {
		close(end)
		return <-harmed
	})
	t.Cleanup(func() { _ = stop() })
	concurrentMoves(t, c, chance, *steps)
	require.NoError(t, stop())
}
