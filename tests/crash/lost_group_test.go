package crash

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
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

// requireSilence has every member that runs asked to write and to read, again
// and again. None may do so: a refusal, or nothing, is all that may come.
func requireSilence(t *testing.T, g *proc.Group) {
	t.Helper()
	var watching sync.WaitGroup
	end := time.Now().Add(observed)
	faults := make([]error, len(g.Members))
	refusals := make([]int, len(g.Members))
	for i, m := range g.Members {
		if m.Running() {
			watching.Go(func() {
				for time.Now().Before(end) && faults[i] == nil {
					var n int
					n, faults[i] = askOnce(m, time.Until(end))
					refusals[i] += n
				}
			})
		}
	}
	watching.Wait()
	for i, m := range g.Members {
		require.NoError(t, faults[i], "member %d", i)
		if m.Running() {
			require.NotZero(t, refusals[i], "member %d was asked", i)
		}
	}
}

// askOnce sends a member a write and a read, and returns how often it refused.
// An answer is an error.
func askOnce(m *proc.Member, within time.Duration) (int, error) {
	c, err := m.Dial()
	if err != nil {
		return 0, fmt.Errorf("it must listen, to say why it does not serve: %w", err)
	}
	defer c.Close()
	c.Timeout = within
	refused := 0
	for _, command := range [][]string{{"SET", "silence", "broken"}, {"GET", "silence"}, {"MGET", "silence"}} {
		v, err := c.Do(command...)
		switch {
		case err == nil:
			return refused, fmt.Errorf("%s was answered: %q", strings.Join(command, " "), v.Str)
		case v.Kind != resp.KindError:
			return refused, nil //nolint:nilerror // no reply in time is what is wanted
		}
		refused++
	}
	return refused, nil
}
