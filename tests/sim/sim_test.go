package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/sim"
)

var (
	seedFlag    = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag   = flag.Int("sim.seeds", defaultSeeds, "how many seeds to run")
	firstFlag   = flag.Uint64("sim.first", 1, "the first of them")
	opsFlag     = flag.Int("sim.ops", defaultOps, "client operations of a run")
	verboseFlag = flag.Bool("sim.v", false, "with -sim.seed: tell everything that happens")
)

// The default run is quick, and takes every branch that a mark stands for.
const (
	defaultSeeds = 200
	defaultOps   = 500
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Runs allocate much and keep little, so fewer collections are a third faster.
	debug.SetGCPercent(2000)
	os.Exit(m.Run())
}

// replay returns the command that shows a seed again.
func replay(seed uint64) string {
	return fmt.Sprintf("go test ./tests/sim -run '^TestSim$' -v -sim.seed=%d -sim.ops=%d -sim.v", seed, *opsFlag)
}

// TestSim runs many seeds, each a group of its own, and asks that no promise was
// broken.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		o := sim.Options{Seed: *seedFlag, Ops: *opsFlag}
		if *verboseFlag {
			o.Trace = os.Stdout
		}
		res := sim.Run(o)
		t.Logf("%s\n%v virtual, %d events, %d slots, trace %016x\n%v", res.Plan, res.Time, res.Events, res.Slots, res.Trace, &res.Marks)
		require.NoError(t, res.Err)
		return
	}
	var (
		marks  sim.Marks
		events int
		vtime  time.Duration
		slots  int
		mu     sync.Mutex
		next   atomic.Int64
		group  sync.WaitGroup
	)
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := next.Add(1); i <= int64(*seedsFlag) && !t.Failed(); i = next.Add(1) {
				seed := *firstFlag + uint64(i) - 1
				res := sim.Run(sim.Options{Seed: seed, Ops: *opsFlag})
				if res.Err != nil {
					t.Errorf("%v\n%s\nreplay: %s", res.Err, res.Plan, replay(seed))
				}
				mu.Lock()
				marks.Add(&res.Marks)
				events += res.Events
				vtime += res.Time
				slots += res.Slots
				mu.Unlock()
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	t.Logf("%d seeds of %d operations in %v (%.1f a second): %v virtual, %d events, %d slots\n%v",
		*seedsFlag, *opsFlag, took.Round(time.Millisecond), float64(*seedsFlag)/took.Seconds(), vtime.Round(time.Second), events, slots, &marks)
	if *seedsFlag >= defaultSeeds && *opsFlag >= defaultOps && !t.Failed() {
		require.Empty(t, marks.Missing(), "what never happened in %d seeds was not tested", *seedsFlag)
	}
}
