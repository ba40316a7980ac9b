package sim_test

import (
	"flag"
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
	seedFlag       = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag      = flag.Int("sim.seeds", defaultSeeds, "how many seeds to run")
	groupSeedsFlag = flag.Int("sim.groupseeds", defaultGroups, "how many seeds to run that have several groups")
	firstFlag      = flag.Uint64("sim.first", 1, "the first of them")
	opsFlag        = flag.Int("sim.ops", defaultOps, "client operations of a run")
	allFlag        = flag.Bool("sim.all", false, "go on after a seed that failed")
	verboseFlag    = flag.Bool("sim.v", false, "with -sim.seed: tell everything that happens")
)

// The default runs are quick, and take every branch that a mark stands for.
const (
	defaultSeeds  = 200
	defaultGroups = 12
	enoughGroups  = 300 // for every mark of runs with several groups
	defaultOps    = 500
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Runs allocate much and keep little, so fewer collections are a third faster.
	debug.SetGCPercent(2000)
	os.Exit(m.Run())
}

// TestSim runs many seeds, each a group of its own, and asks that no promise was
// broken.
func TestSim(t *testing.T) { run(t, sim.Options{}, *seedsFlag) }

// TestGroups does so with seeds of several groups each, between which shards move.
func TestGroups(t *testing.T) { run(t, sim.Options{Groups: true}, *groupSeedsFlag) }

func run(t *testing.T, o sim.Options, seeds int) {
	t.Helper()
	o.Ops = *opsFlag
	if *seedFlag != 0 {
		o.Seed = *seedFlag
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
			for i := next.Add(1); i <= int64(seeds) && (*allFlag || !t.Failed()); i = next.Add(1) {
				o := o
				o.Seed = *firstFlag + uint64(i) - 1
				res := sim.Run(o)
				if res.Err != nil {
					// The command shows the seed again.
					t.Errorf("%v\n%s\nreplay: go test ./tests/sim -run '^%s$' -v -sim.seed=%d -sim.ops=%d -sim.v", res.Err, res.Plan, t.Name(), o.Seed, o.Ops)
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
		seeds, *opsFlag, took.Round(time.Millisecond), float64(seeds)/took.Seconds(), vtime.Round(time.Second), events, slots, &marks)
	enough := defaultSeeds
	if o.Groups {
		enough = enoughGroups
	}
	if seeds >= enough && *opsFlag >= defaultOps && !t.Failed() {
		require.Empty(t, marks.Missing(o.Groups), "what never happened in %d seeds was not tested", seeds)
	}
}
