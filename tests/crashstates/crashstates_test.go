package crashstates_test

import (
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/crashstates"
	"diskv/tests/faultfs"
)

var (
	states = flag.Int("crashstates.states", 500, "about how many states of each workload are recovered; 0: all that are found")
	rounds = flag.Int("crashstates.rounds", 2, "how long each workload is")
	seed   = flag.Uint64("crashstates.seed", 1, "of the choice of prefixes and variants")
)

// enumerate runs a workload and recovers a share of what it may leave.
func enumerate(t *testing.T, workload string) crashstates.Report {
	t.Helper()
	r, err := crashstates.Run(t.Context(), crashstates.Options{
		Seed: *seed, Workloads: []string{workload}, Rounds: *rounds, States: *states,
	}, nil)
	if errors.Is(err, faultfs.ErrUnavailable) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Log(r)
	return r
}

func TestSingleNode(t *testing.T) {
	enumerate(t, "single")
}

func TestMemberOfAGroup(t *testing.T) {
	enumerate(t, "member")
}
