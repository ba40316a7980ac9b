package crash

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/crashreplay"
)

// TestScenarios runs every scenario of crashreplay for some seconds, with a seed of its
// own: real clients under faults, every history checked.
func TestScenarios(t *testing.T) {
	for _, c := range []struct {
		scenario string
		members  int
		lasts    time.Duration
		seed     uint64
	}{
		{"calm", 3, time.Second, 1},
		{"kills", 3, 7 * time.Second, 2},
		{"pauses", 5, 8 * time.Second, 3},
		{"partitions", 5, 10 * time.Second, 4},
		{"namespaces", 5, 8 * time.Second, 7},
		{"disks", 5, 8 * time.Second, 5},
		{"power", 5, 8 * time.Second, 8},
		{"io-errors", 5, 10 * time.Second, 9},
		{"sharded", 3, 8 * time.Second, 10},
		{"mixed", 3, 10 * time.Second, 6},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			s, err := crashreplay.Find(c.scenario)
			require.NoError(t, err)
			result, err := crashreplay.Run(t.Context(), crashreplay.Options{
				Binary: binary, Dir: filepath.Join(t.TempDir(), c.scenario),
				Scenario: s, Members: c.members, Duration: c.lasts, Seed: c.seed, Clients: 8, Log: t.Output(),
			})
			if errors.Is(err, crashreplay.ErrNoNamespaces) && os.Getenv("CI") != "true" {
				t.Skip(err)
			}
			require.NoError(t, err)
			if os.Getenv("CI") == "true" {
				require.Empty(t, result.Without)
			}
			result.WriteText(t.Output())
			require.True(t, result.Passed(), result.Verdict())
			require.Positive(t, result.Keys)
			require.Equal(t, c.scenario != "calm", len(result.Faults) > 0)
		})
	}
}
