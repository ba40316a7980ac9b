package crash

import (
	"bytes"
	le "encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/replica"
	"diskv/tests/proc"
)

func TestOldCopyOfADirectoryIsFoundOut(t *testing.T) {
	for _, way := range startWays {
		t.Run(way.name, func(t *testing.T) {
			g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: way.once})
			l := startLoad(t, g)
			l.awaitMore(100)
			m := followerOf(t, g)
			require.NoError(t, m.Kill())
			old := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, m.CopyDisk(old))

			require.NoError(t, m.LoseDisk())
			require.NoError(t, m.Start())
			awaitVoter(t, m, 0)
			epoch := fieldOf(t, m, "epoch")
			l.awaitMore(100)

			require.NoError(t, m.LoseDisk())
			require.NoError(t, os.Rename(old, m.Dir))
			require.NoError(t, m.Start())
			l.awaitMore(100)
			awaitVoter(t, m, epoch)
			require.Contains(t, m.Output(), "it is an old copy")
			requireQuarantine(t, m, "it is an old copy", []string{"wal"})

			// It votes, and on what it really has.
			other := leaderOf(t, g)
			if other == m {
				other = followerOf(t, g)
			}
			require.NoError(t, other.Kill())
			l.awaitMore(100)
			require.NoError(t, other.Start())
			l.stop()
			require.NoError(t, g.Converged(patiently(t)))
			l.verify()
		})
	}
}

// TestOldCopyWithoutALossIsFoundOut: the others remember that the disk held more.
func TestOldCopyWithoutALossIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		others bool // were started again after the member was
	}{
		{name: "the others have run on"},
		{name: "the others were started again", others: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true})
			l := startLoad(t, g)
			l.awaitMore(100)
			m := followerOf(t, g)
			require.NoError(t, m.Kill())
			old := filepath.Join(t.TempDir(), "copy")
			require.NoError(t, m.CopyDisk(old))
			require.NoError(t, m.Start())
			require.NoError(t, m.Ready(patiently(t)))
			awaitRemembered(t, g, m)
			l.awaitMore(100)
			for _, o := range g.Members {
				if c.others && o != m {
					require.NoError(t, o.Kill())
					require.NoError(t, o.Start())
					require.NoError(t, o.Ready(patiently(t)))
				}
			}

			require.NoError(t, m.LoseDisk())
			require.NoError(t, os.Rename(old, m.Dir))
			require.NoError(t, m.Start())
			awaitVoter(t, m, 0)
			require.Contains(t, m.Output(), "of this disk, and this one, number")
			requireQuarantine(t, m, "it is an old copy", []string{"wal"})

			l.awaitMore(100)
			l.stop()
			require.NoError(t, g.Converged(patiently(t)))
			l.verify()
		})
	}
}

// awaitRemembered waits until all others have noted the start of a member.
func awaitRemembered(t *testing.T, g *proc.Group, m *proc.Member) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.Dir, "IDENTITY"))
	require.NoError(t, err)
	id, err := replica.DecodeIdentity(b)
	require.NoError(t, err)
	start := le.LittleEndian.AppendUint64(nil, id.BootID)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, o := range g.Members {
			if o != m {
				noted, err := os.ReadFile(filepath.Join(o.Dir, "PEERS"))
				require.NoError(c, err)
				require.True(c, bytes.Contains(noted, start), "member %d has noted the start of member %d", o.Index, m.Index)
			}
		}
	}, patience, 10*time.Millisecond)
}

func TestSwappedDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	ctx := patiently(t)
	g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true})
	r := router(t, g)
	_, err := r.Write(ctx, "key", "SET", "key", "value")
	require.NoError(t, err)
	g.Close()
	one, two := g.Members[0], g.Members[1]
	swap(t, one, two)
	for _, m := range []*proc.Member{one, two} {
		require.NoError(t, m.Start())
		status, err := m.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, status)
	}
	require.Contains(t, lastLine(one), "belongs to member 1, not to member 0: give the right --dir or --index")
	require.Contains(t, lastLine(two), "belongs to member 0, not to member 1: give the right --dir or --index")

	// Nothing was changed: put right, both vote with what they had.
	swap(t, one, two)
	require.NoError(t, g.Start())
	require.NoError(t, g.Converged(ctx))
	for _, m := range []*proc.Member{one, two} {
		require.Zero(t, fieldOf(t, m, "epoch"), "no disk counts as lost")
	}
	v, err := r.Read(ctx, "GET", "key")
	require.NoError(t, err)
	require.Equal(t, "value", string(v.Str))
}

// swap exchanges the directories of two members.
func swap(t *testing.T, one, two *proc.Member) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	require.NoError(t, os.Rename(one.Dir, aside))
	require.NoError(t, os.Rename(two.Dir, one.Dir))
	require.NoError(t, os.Rename(aside, two.Dir))
}
