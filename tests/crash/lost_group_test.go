package crash

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// newGroupWith is newGroup for other options than the usual ones. Binary and Dir
// are filled in.
func newGroupWith(tb testing.TB, o proc.Options) *proc.Group {
	tb.Helper()
	o.Binary, o.Dir = binary, tb.TempDir()
	g, err := proc.NewGroup(o)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		g.Close()
		if tb.Failed() {
			for _, m := range g.Members {
				tb.Logf("member %d:\n%s", m.Index, m.Output())
			}
		}
	})
	require.NoError(tb, g.Start())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(tb, g.Ready(ctx))
	return g
}

// fieldOf returns a number of INFO.
func fieldOf(t require.TestingT, m *proc.Member, name string) uint64 {
	info, err := m.Info()
	require.NoError(t, err)
	v, err := strconv.ParseUint(info[name], 10, 64)
	require.NoError(t, err, "%s of member %d", name, m.Index)
	return v
}

func phaseOf(t require.TestingT, m *proc.Member) string {
	info, err := m.Info()
	require.NoError(t, err)
	return info["phase"]
}

// awaitVoter waits until a member that lost its disk votes again, under a later
// epoch than the one that it had.
func awaitVoter(tb testing.TB, m *proc.Member, before uint64) {
	tb.Helper()
	require.EventuallyWithT(tb, func(c *assert.CollectT) {
		info, err := m.Info()
		require.NoError(c, err)
		require.Equal(c, "member", info["phase"])
		require.Equal(c, "1", info["ready"], info["not_ready_because"])
		require.Greater(c, fieldOf(c, m, "epoch"), before)
	}, patience, 10*time.Millisecond, "member %d votes again, after epoch %d", m.Index, before)
}

// loseAll has members lose their disks at once.
func loseAll(tb testing.TB, members ...*proc.Member) {
	tb.Helper()
	for _, m := range members {
		require.NoError(tb, m.Kill())
	}
	for _, m := range members {
		require.NoError(tb, m.LoseDisk())
	}
}

func startAll(tb testing.TB, members ...*proc.Member) {
	tb.Helper()
	for _, m := range members {
		require.NoError(tb, m.Start())
	}
}

// restartAll kills every member and starts it again, so that only what the disks
// hold is left.
func restartAll(t *testing.T, g *proc.Group) {
	t.Helper()
	g.Close()
	require.NoError(t, g.Start())
	require.NoError(t, g.Converged(patiently(t)))
}

// awaitReason waits until a member that is not ready gives each of the reasons.
func awaitReason(tb testing.TB, m *proc.Member, reasons ...string) {
	tb.Helper()
	require.EventuallyWithT(tb, func(c *assert.CollectT) {
		_, err := m.Get("/readyz")
		require.Error(c, err)
		info, infoErr := m.Info()
		require.NoError(c, infoErr)
		require.Equal(c, "0", info["ready"])
		for _, r := range reasons {
			require.ErrorContains(c, err, r)
			require.Contains(c, info["not_ready_because"], r, "INFO says what /readyz says")
		}
	}, patience, 20*time.Millisecond, "member %d says why it does not serve", m.Index)
}

// observed is how long a group is watched that must not do anything.
const observed = 3 * time.Second

func requireSilence(t *testing.T, g *proc.Group) {
	t.Helper()
	require.NoError(t, g.Silent(observed))
}
