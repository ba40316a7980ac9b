package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

// TestNewGroupFromASurvivor: two of three disks are lost, and an operator begins
// a new group with what the third holds. A member of the old one that turns up
// has no part in it.
func TestNewGroupFromASurvivor(t *testing.T) {
	t.Parallel()
	for _, snapshots := range []int64{1 << 10, 1 << 40} {
		t.Run(fmt.Sprint(snapshots), func(t *testing.T) {
			t.Parallel()
			small := func(o *server.Options) { o.Replica.SnapshotMinBytes = snapshots }
			g := stopped(t, 3, small) // ten keys
			survivor := g.opts[2].Dir
			old := filepath.Join(t.TempDir(), "old-member-1")
			require.NoError(t, os.Rename(g.opts[1].Dir, old))
			require.NoError(t, os.RemoveAll(g.opts[0].Dir))

			s, err := server.OpenSurvivor(survivor)
			require.NoError(t, err)
			_, err = server.OpenSurvivor(survivor)
			require.ErrorContains(t, err, "in use by another process")
			require.Equal(t, "30 keys, 0 sessions", s.Holds)
			require.NotZero(t, s.Slot)
			require.WithinDuration(t, time.Now(), s.LogTime, time.Hour)
			genesis := filepath.Join(t.TempDir(), "genesis")
			_, err = s.WriteGenesis(genesis)
			require.NoError(t, err)
			_, err = s.WriteGenesis(genesis)
			require.ErrorContains(t, err, "is there already")
			s.Close()

			for i := range 3 {
				require.NoError(t, server.InstallGenesis(genesis, g.opts[i].Dir, i, false))
				require.ErrorContains(t, server.InstallGenesis(genesis, g.opts[i].Dir, i, false), "already")
			}
			kept, err := filepath.Glob(filepath.Join(survivor, "quarantine", "*", "IDENTITY"))
			require.NoError(t, err)
			require.Len(t, kept, 1, "what the survivor held is put aside")
			for i := range 3 {
				g.start(i)
			}
			g.awaitReady()
			c := g.dial(g.leader())
			require.Equal(t, "30", c.do("DBSIZE"))
			require.Equal(t, "OK", c.do("SET after new"))

			require.NoError(t, g.halt(1))
			g.opts[1].Dir = old
			g.start(1)
			require.Eventually(t, func() bool {
				status, why := g.get(1, "/readyz")
				return status == 503 && why != ""
			}, patience, 5*time.Millisecond)
			require.Equal(t, `"new"`, g.dial(g.leader()).do("GET after"))
			require.Contains(t, g.dial(1).do("GET after"), "-CLUSTERDOWN")
		})
	}
}

func TestWhatIsNoGenesisIsNotInstalled(t *testing.T) {
	t.Parallel()
	g := stopped(t, 3, func(o *server.Options) { o.Replica.SnapshotMinBytes = 1 << 10 })
	files, err := filepath.Glob(filepath.Join(g.opts[0].Dir, "snapshot", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	dir := filepath.Join(t.TempDir(), "new")
	require.ErrorContains(t, server.InstallGenesis(files[0], dir, 0, false), "not the genesis of a new group")
	require.NoDirExists(t, dir)
	_, err = server.OpenSurvivor(t.TempDir())
	require.ErrorContains(t, err, "IDENTITY")
}
