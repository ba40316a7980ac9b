package crash

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// TestOldProcessBesideTheNewOne: a process whose directory was taken from under it
// runs on, while another one has the member's place with an empty directory. It
// harms nobody.
func TestOldProcessBesideTheNewOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		paused bool // the old one stands still until the new one votes
		leader bool // it led
		remove func(t *testing.T, m *proc.Member)
	}{
		{name: "its directory was moved away", remove: moveAway},
		{name: "its directory was deleted", remove: deleteAll},
		{name: "it stood still meanwhile", remove: moveAway, paused: true},
		{name: "it led and stood still meanwhile", remove: moveAway, paused: true, leader: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true})
			l := startLoad(t, g)
			l.awaitMore(100)
			m := followerOf(t, g)
			if c.leader {
				m = leaderOf(t, g)
			}
			old := m.Abandon()
			t.Cleanup(func() { require.NoError(t, old.Kill()) })
			if c.paused {
				require.NoError(t, old.Pause())
			}
			c.remove(t, m)
			require.NoError(t, g.Readdress(m))
			// The others hear of the new address when they are started again, one
			// after the other: until then the old process is one of them.
			others := []*proc.Member{g.Members[(m.Index+1)%3], g.Members[(m.Index+2)%3]}
			require.NoError(t, m.Start())
			for _, o := range others {
				require.NoError(t, o.Kill())
				require.NoError(t, o.Start())
				l.awaitMore(50)
			}
			awaitVoter(t, m, 0)
			if c.paused {
				require.NoError(t, old.Resume())
			}
			if old.Running() {
				requireNoWrite(t, old)
			}

			// The new one is needed, and the old one is there.
			require.NoError(t, others[0].Kill())
			l.awaitMore(200)
			require.NoError(t, others[0].Start())
			l.awaitMore(100)
			l.stop()
			require.NoError(t, g.Converged(patiently(t)))
			l.verify()
			if old.Running() {
				requireNoWrite(t, old)
			}
		})
	}
}

func moveAway(t *testing.T, m *proc.Member) {
	t.Helper()
	require.NoError(t, os.Rename(m.Dir, m.Dir+"-old"))
}

func deleteAll(t *testing.T, m *proc.Member) {
	t.Helper()
	require.NoError(t, os.RemoveAll(m.Dir))
}

// requireNoWrite has clients write to a process that must not take it.
func requireNoWrite(t *testing.T, m *proc.Member) {
	t.Helper()
	c, err := m.Dial()
	if err != nil {
		return // it has ended
	}
	defer c.Close()
	for begun := time.Now(); time.Since(begun) < observed; {
		v, err := c.Do("SET", "silence", "broken")
		if err != nil {
			return
		}
		require.Error(t, v.Err(), "it answers %v", v)
	}
}
