package crash

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

const killSignal = syscall.SIGKILL

func followerOf(t *testing.T, g *proc.Group) *proc.Member {
	t.Helper()
	leader := leaderOf(t, g)
	return g.Members[(leader.Index+1)%len(g.Members)]
}

func TestFollowerThatIsTooFarBehindGetsASnapshot(t *testing.T) {
	ctx := patiently(t)
	g := newGroup(t, "--snapshot-min-bytes", "65536")
	away := followerOf(t, g)
	require.NoError(t, away.Kill())
	// More than a leader keeps of its log, on disk and in memory.
	r := router(t, g)
	for i := range 40 {
		_, err := r.Write(ctx, "large", "SET", "large", strconv.Itoa(i)+strings.Repeat("x", 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, away.Start())
	require.NoError(t, g.Converged(ctx))
	require.Contains(t, away.Output(), "snapshot installed")

	// It has what the others have: with it as one half of the majority, all is
	// there.
	leader := leaderOf(t, g)
	for _, m := range g.Members {
		if m != leader && m != away {
			require.NoError(t, m.Kill())
		}
	}
	status, err := leader.Stop(ctx)
	require.NoError(t, err)
	require.Zero(t, status)
	require.NoError(t, g.Start())
	v, err := r.Read(ctx, "GET", "large")
	require.NoError(t, err)
	require.Equal(t, "39"+strings.Repeat("x", 1<<20), string(v.Str))
}

func TestDiskUseComesDownWhenIdle(t *testing.T) {
	ctx := patiently(t)
	g := newGroup(t, "--snapshot-min-bytes", "4096")
	r := router(t, g)
	for range 100 {
		_, err := r.Read(ctx, "SET", "key", strings.Repeat("v", 1000))
		require.NoError(t, err)
	}
	const limit = 20_000
	var size int64
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range g.Members {
				out, err := exec.Command("find", m.Dir, "-type", "f", "-printf", "%s %p\n").CombinedOutput()
				t.Logf("%s%v", out, err)
			}
		}
	})
	require.Eventually(t, func() bool {
		var err error
		size, err = g.FileBytes()
		require.NoError(t, err)
		return size < limit
	}, 4*time.Second, 20*time.Millisecond, "the three directories hold less than %d bytes", limit)
	t.Logf("%d bytes in three directories", size)
	for _, m := range g.Members {
		require.NoError(t, m.Kill())
	}
	require.NoError(t, g.Start())
	v, err := r.Read(ctx, "GET", "key")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("v", 1000), string(v.Str))
}
