package crashreplay

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/client"
)

// TestViolationIsFoundAndKept: somebody changes a key behind the back of the clients. The
// run ends at once and leaves all that is needed to look at it and to run it again.
func TestViolationIsFoundAndKept(t *testing.T) {
	kills, err := Find("kills")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "run")
	result, err := Run(t.Context(), Options{
		Binary: binary, Dir: dir, Scenario: kills, Members: 3, Duration: time.Minute, Seed: 1, Log: t.Output(),
		tamper: func(r *run) {
			var closed []string // and everything that was done to them was answered
			assert.Eventually(t, func() bool {
				r.records.mu.Lock()
				defer r.records.mu.Unlock()
				r.checks.mu.Lock()
				defer r.checks.mu.Unlock()
				closed = slices.Collect(maps.Keys(r.checks.texts))
				return len(r.records.all) >= 2 && len(closed) > 0
			}, time.Minute, 10*time.Millisecond)
			for _, key := range closed {
				_, _ = r.client.Do(r.ctx, client.Update("SET", key, "tampered"))
			}
		},
	})
	require.NoError(t, err)
	require.False(t, result.Passed())
	require.Equal(t, "lost data", result.Violation.Kind)
	require.Contains(t, result.Violation.Text, "has value tampered later")
	require.Less(t, result.Took, time.Minute, "it ends at once")
	require.Contains(t, result.Verdict(), "FAILED: lost data: key ")

	for _, name := range []string{
		manifestName, scheduleName, reportName, pageName, pictureName,
		"members/member-0.log", "members/member-2.log", "members/member-1/IDENTITY",
	} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	b, err := os.ReadFile(filepath.Join(dir, violationName))
	require.NoError(t, err)
	require.Contains(t, string(b), "The same faults again: crashreplay replay "+dir)
	require.Contains(t, string(b), "client ")

	again, err := Kept(dir)
	require.NoError(t, err)
	require.Equal(t, kills.Name, again.Scenario.Name)
	require.Equal(t, 3, again.Members)
	require.NotEmpty(t, again.Plan)
	for i, f := range again.Plan {
		require.NotEmpty(t, f.Members)
		want := Plan(kills, 3, time.Minute, 1)[i]
		want.After, want.Members = f.After, f.Members
		require.Equal(t, want, f)
	}
}

// TestProcessThatEndsIsFound: nobody has killed it.
func TestProcessThatEndsIsFound(t *testing.T) {
	calm, err := Find("calm")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "run")
	result, err := Run(t.Context(), Options{
		Binary: binary, Dir: dir, Scenario: calm, Members: 3, Duration: time.Minute, Seed: 1, Log: t.Output(),
		tamper: func(r *run) { _ = r.parts[0].group.Members[1].Signal(os.Interrupt) },
	})
	require.NoError(t, err)
	require.Equal(t, "process", result.Violation.Kind)
	require.Contains(t, result.Violation.Text, "member 1 has ended by itself")
}

func TestRunThatCannotBeIsRefused(t *testing.T) {
	kills, err := Find("kills")
	require.NoError(t, err)
	good := Options{Binary: binary, Dir: filepath.Join(t.TempDir(), "run"), Scenario: kills, Members: 3, Duration: time.Second}
	for _, c := range []struct {
		change func(o *Options)
		want   string
	}{
		{func(o *Options) { o.Members = 2 }, "give 3 or more"},
		{func(o *Options) { o.Duration = 0 }, "must be above 0"},
		{func(o *Options) { o.Dir = t.TempDir() }, "exists: name a directory that does not"},
		{func(o *Options) { o.Plan = []Fault{{N: 1, Kind: Kill, Count: 2, Members: []int{0, 1}}} }, "is for another size of group than 3"},
		{func(o *Options) { o.Binary = "/nowhere/diskvd" }, "start the group"},
	} {
		o := good
		c.change(&o)
		_, err := Run(t.Context(), o)
		require.ErrorContains(t, err, c.want)
	}
	_, err = Kept(t.TempDir())
	require.ErrorContains(t, err, "is not the directory of a run")
}
