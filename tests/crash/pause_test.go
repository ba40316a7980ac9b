package crash

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// otherLeader waits for a leader that is not the given member.
func otherLeader(t *testing.T, g *proc.Group, not *proc.Member) *proc.Member {
	t.Helper()
	m := leaderOf(t, g)
	require.NotEqual(t, not.Index, m.Index)
	return m
}

func TestLeaderThatWasPausedReadsNothingStale(t *testing.T) {
	for _, mode := range []string{"quorum", "lease"} {
		t.Run(mode, func(t *testing.T) {
			ctx := patiently(t)
			g := newGroup(t, "--read", mode)
			r := router(t, g)
			_, err := r.Write(ctx, "key", "SET", "key", "old")
			require.NoError(t, err)
			paused := leaderOf(t, g)
			// Connections that the leader has accepted before; their commands are
			// in its socket when it goes on.
			var conns []*proc.Conn
			for range 20 {
				c, err := paused.Dial()
				require.NoError(t, err)
				t.Cleanup(c.Close)
				v, err := c.Do("GET", "key")
				require.NoError(t, err)
				require.Equal(t, "old", string(v.Str))
				conns = append(conns, c)
			}
			require.NoError(t, paused.Pause())
			for _, c := range conns {
				require.NoError(t, c.Send("GET", "key"))
			}
			c, err := otherLeader(t, g, paused).Dial()
			require.NoError(t, err)
			t.Cleanup(c.Close)
			_, err = c.Do("SET", "key", "new")
			require.NoError(t, err)

			require.NoError(t, paused.Resume())
			for _, c := range conns {
				v, err := c.Receive()
				require.NoError(t, err)
				if v.Kind == resp.KindError {
					var refused resp.ErrorReply
					require.ErrorAs(t, v.Err(), &refused)
					require.Contains(t, []string{"MOVED", "CLUSTERDOWN"}, refused.Code(), "%s", v.Str)
					continue
				}
				require.Equal(t, "new", string(v.Str))
			}
			require.NoError(t, g.Converged(ctx), "it follows the new leader")
			v, err := r.Read(ctx, "GET", "key")
			require.NoError(t, err)
			require.Equal(t, "new", string(v.Str))
		})
	}
}

func TestTermHandsOverAndExitsClean(t *testing.T) {
	ctx := patiently(t)
	g := newGroup(t)
	l := startLoad(t, g)
	for range 3 {
		l.awaitMore(100)
		leader := leaderOf(t, g)
		status, err := leader.Stop(ctx)
		require.NoError(t, err)
		require.Zero(t, status)
		l.awaitMore(100)
		require.NoError(t, leader.Start())
		require.NoError(t, leader.Ready(ctx))
	}
	l.stop()
	require.NoError(t, g.Converged(ctx))
	l.verify()
	for _, m := range g.Members {
		status, err := m.Stop(ctx)
		require.NoError(t, err)
		require.Zero(t, status, "member %d", m.Index)
	}
}
