package server_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/replica"
	"diskv/server"
	"diskv/snapshot"
)

// stopped makes a group that has written something, each member, and does not run.
func stopped(t *testing.T, size int, changes ...func(*server.Options)) *group {
	t.Helper()
	g := startGroup(t, size, changes...)
	c := g.dial(g.leader())
	for i := range 30 {
		require.Equal(t, "OK", c.do(fmt.Sprintf("SET k%d %s", i, strings.Repeat("v", 100))))
	}
	g.AwaitEven()
	if least := g.opts[0].Replica.SnapshotMinBytes; 0 < least && least < 1<<20 {
		for _, n := range g.nodes {
			require.Eventually(t, func() bool {
				s, err := n.Status()
				return err == nil && s.Snapshot.Slot > 0
			}, patience, time.Millisecond, "it has a snapshot")
		}
	}
	for i := range size {
		require.NoError(t, g.halt(i))
	}
	return g
}

// TestSnapshotOfAnotherReleaseIsNoDamage: a member that was started with the wrong program
// does not take its disk for lost.
func TestSnapshotOfAnotherReleaseIsNoDamage(t *testing.T) {
	t.Parallel()
	g := stopped(t, 3, func(o *server.Options) { o.Replica.SnapshotMinBytes = 1 << 10 })
	dir := filepath.Join(g.opts[0].Dir, "snapshot")
	info, ok, err := snapshot.Newest(dir)
	require.NoError(t, err)
	require.True(t, ok)
	var records [][]byte
	rd, err := snapshot.Open(info.Path)
	require.NoError(t, err)
	for {
		b, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		records = append(records, bytes.Clone(b))
	}
	require.NoError(t, rd.Close())
	records[0][4] ^= 0x40 // the format
	_, err = snapshot.Create(dir, info.Header, func(add func([]byte) error) error {
		for _, r := range records {
			if err := add(r); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.ErrorContains(t, g.tryStart(0), "a format of another release: start one that reads it")
	aside, err := filepath.Glob(filepath.Join(g.opts[0].Dir, "quarantine", "*"))
	require.NoError(t, err)
	require.Empty(t, aside, "nothing is put aside")
}

// identity changes the bytes of a node's IDENTITY, and puts the checksum right.
func (g *group) identity(i int, change func(b []byte)) {
	g.t.Helper()
	name := filepath.Join(g.opts[i].Dir, "IDENTITY")
	b, err := os.ReadFile(name)
	require.NoError(g.t, err)
	change(b)
	sum := len(b) - 4
	binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], crc32.MakeTable(crc32.Castagnoli)))
	require.NoError(g.t, os.WriteFile(name, b, 0o600))
}

// segmentFile returns the log's file that is not empty.
func segmentFile(t *testing.T, dir string) string {
	t.Helper()
	var found string
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "wal"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "MANIFEST" {
			return err
		}
		fi, err := e.Info()
		if found == "" && fi.Size() > 200 {
			found = path
		}
		return err
	}))
	require.NotEmpty(t, found)
	return found
}

func TestDirectoryThatIsNotThisMembersIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		size   int
		change func(t *testing.T, g *group) // of member 0's options or directory
		want   []string                     // that the error says
	}{
		{"another member's", 3, func(_ *testing.T, g *group) { g.opts[0].Dir = g.opts[1].Dir },
			[]string{"belongs to member 1, not to member 0", "give the right --dir or --index"}},
		{"another group's", 1, func(_ *testing.T, g *group) { g.opts[0].Group = 7 },
			[]string{"belongs to group 1, not to group 7", "--group"}},
		{"another size", 3, func(_ *testing.T, g *group) { g.opts[0].Peers = append(g.opts[0].Peers, "unix:/x", "unix:/y") },
			[]string{"belongs to a group of 3 members, --peers names 5"}},
		{"a group's, started without --peers", 3, func(_ *testing.T, g *group) { g.opts[0].Peers = nil },
			[]string{"belongs to a group of 3 members, and one without --peers is a single node: give the --peers that it was made with"}},
		{"another way to read", 1, func(_ *testing.T, g *group) { g.opts[0].Lease = true },
			[]string{"was formed with --read quorum"}},
		{"a newer format", 1, func(_ *testing.T, g *group) { g.identity(0, func(b []byte) { b[8] = 2 }) },
			[]string{"IDENTITY has format version 2, this program reads version 1", "start a release that is at least as new"}},
		{"a damaged IDENTITY", 1, func(t *testing.T, g *group) {
			t.Helper()
			name := filepath.Join(g.opts[0].Dir, "IDENTITY")
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			b[40] ^= 1
			require.NoError(t, os.WriteFile(name, b, 0o600))
		}, []string{"IDENTITY is damaged: its checksum is wrong", "put the file back as it was"}},
		{"a short IDENTITY", 1, func(t *testing.T, g *group) {
			t.Helper()
			require.NoError(t, os.Truncate(filepath.Join(g.opts[0].Dir, "IDENTITY"), 20))
		}, []string{"IDENTITY is damaged: its checksum is wrong"}},
		{"IDENTITY is gone", 1, func(t *testing.T, g *group) {
			t.Helper()
			require.NoError(t, os.Remove(filepath.Join(g.opts[0].Dir, "IDENTITY")))
		}, []string{"has lost its IDENTITY: put that file back, or a backup"}},
		{"the log is gone", 1, func(t *testing.T, g *group) {
			t.Helper()
			require.NoError(t, os.RemoveAll(filepath.Join(g.opts[0].Dir, "wal")))
		}, []string{"has lost its log: put the directory ", "/wal back"}},
		{"the log is another's", 3, func(t *testing.T, g *group) {
			t.Helper()
			require.NoError(t, os.RemoveAll(filepath.Join(g.opts[0].Dir, "wal")))
			require.NoError(t, os.Rename(filepath.Join(g.opts[1].Dir, "wal"), filepath.Join(g.opts[0].Dir, "wal")))
		}, []string{"the log is another replica's"}},
		{"the log is damaged", 1, func(t *testing.T, g *group) {
			t.Helper()
			name := segmentFile(t, g.opts[0].Dir)
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(name, b, 0o600))
		}, []string{"log damaged: ", "/wal/", "offset ", "nothing was changed"}},
		{"a file in the directory's place", 1, func(t *testing.T, g *group) {
			t.Helper()
			g.opts[0].Dir += "-file"
			require.NoError(t, os.WriteFile(g.opts[0].Dir, nil, 0o600))
		}, []string{"data directory ", "not a directory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := stopped(t, tt.size)
			tt.change(t, g)
			err := g.tryStart(0)
			require.Error(t, err)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			require.ErrorContains(t, err, g.opts[0].Dir[:len(g.opts[0].Dir)-1])
		})
	}
}

func TestSnapshotThatIsNeededIsMissed(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			g := startGroup(t, size, func(o *server.Options) { o.Replica.SnapshotMinBytes = 1024 })
			c := g.dial(g.leader())
			require.Equal(t, "OK", c.do("SET k "+strings.Repeat("v", 4000)))
			n := g.nodes[0]
			// Nothing is behind the snapshot: an empty log would pass for a whole one.
			require.Eventually(t, func() bool {
				s, err := n.Status()
				_, first := os.Stat(filepath.Join(g.opts[0].Dir, "wal", fmt.Sprintf("%020d", 1)))
				return err == nil && s.Snapshot.Slot > 0 && s.Snapshot.Slot == s.Last && errors.Is(first, fs.ErrNotExist)
			}, patience, time.Millisecond)
			require.NoError(t, g.halt(0))
			require.NoError(t, os.RemoveAll(filepath.Join(g.opts[0].Dir, "snapshot")))
			if size == 1 {
				err := g.tryStart(0)
				require.ErrorContains(t, err, "a snapshot is missing")
				require.ErrorContains(t, err, "put back what belongs here")
				return
			}
			g.start(0)
			g.awaitRecovered(0)
			require.Contains(t, g.logs[0].String(), "a snapshot is missing")
		})
	}
}

// awaitRecovered waits until a member that lost its disk is a voter again.
func (g *group) awaitRecovered(i int) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		s, err := g.nodes[i].Status()
		return err == nil && s.Ready && s.Identity.Phase == replica.PhaseMember && s.Identity.Life.Epoch == 1
	}, patience, 5*time.Millisecond)
}

// TestDamagedFilesOfAMemberAreALostDisk: the bad files are put aside with a note
// of why, and the others give everything back.
func TestDamagedFilesOfAMemberAreALostDisk(t *testing.T) {
	t.Parallel()
	flip := func(t *testing.T, name string) {
		t.Helper()
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(name, b, 0o600))
	}
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		why    string
		kept   string // in quarantine
	}{
		{"empty directory", func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.RemoveAll(dir))
		}, "--bootstrap was not given", ""},
		{"no IDENTITY", func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Remove(filepath.Join(dir, "IDENTITY")))
		}, "IDENTITY is missing", "wal/MANIFEST"},
		{"damaged IDENTITY", func(t *testing.T, dir string) {
			t.Helper()
			flip(t, filepath.Join(dir, "IDENTITY"))
		}, "IDENTITY is damaged", "IDENTITY"},
		{"damaged log", func(t *testing.T, dir string) {
			t.Helper()
			flip(t, segmentFile(t, dir))
		}, "log damaged: ", "wal/MANIFEST"},
		{"lost log", func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "wal")))
		}, "has lost its log", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGroup(t, 3)
			require.Equal(t, "OK", g.dial(g.leader()).do("SET k v"))
			g.AwaitEven()
			require.NoError(t, g.halt(0))
			tt.change(t, g.opts[0].Dir)
			g.opts[0].Bootstrap = false
			g.start(0)
			g.awaitRecovered(0)
			require.Contains(t, g.logs[0].String(), "this member has lost its disk")
			require.Contains(t, g.logs[0].String(), tt.why)
			if tt.kept == "" {
				return
			}
			kept, err := filepath.Glob(filepath.Join(g.opts[0].Dir, "quarantine", "lost-*", tt.kept))
			require.NoError(t, err)
			require.NotEmpty(t, kept)
			notes, err := filepath.Glob(filepath.Join(g.opts[0].Dir, "quarantine", "lost-*", "WHY"))
			require.NoError(t, err)
			why, err := os.ReadFile(notes[0])
			require.NoError(t, err)
			require.Contains(t, string(why), tt.why)
		})
	}
}

func TestSnapshotOfAnotherClusterIsRefused(t *testing.T) {
	small := func(o *server.Options) { o.Replica.SnapshotMinBytes = 1024 }
	one, other := stopped(t, 1, small), stopped(t, 1, small)
	theirs, err := filepath.Glob(filepath.Join(other.opts[0].Dir, "snapshot", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, theirs)
	mine := filepath.Join(one.opts[0].Dir, "snapshot")
	require.NoError(t, os.RemoveAll(mine))
	require.NoError(t, os.Mkdir(mine, 0o700))
	for _, f := range theirs {
		require.NoError(t, os.Rename(f, filepath.Join(mine, filepath.Base(f))))
	}
	require.ErrorContains(t, one.tryStart(0), "put back the file that belongs here")
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	g := startGroup(t, 1)
	o := g.opts[0]
	o.Listen += "-other"
	_, err := server.Open(o)
	require.ErrorContains(t, err, "data directory "+o.Dir+" is in use by another process")
	require.Equal(t, "PONG", g.dial(0).do("PING"))
}

func TestAddressInUseIsRefused(t *testing.T) {
	g := startGroup(t, 1)
	o := g.opts[0]
	o.Dir += "-other"
	_, err := server.Open(o)
	require.ErrorContains(t, err, "--listen: another process listens on "+o.Listen)
	o.Listen = "127.0.0.1:0"
	o.HTTP = g.nodes[0].HTTPAddr()
	_, err = server.Open(o)
	require.ErrorContains(t, err, "--http: listen tcp "+o.HTTP+": bind: address already in use: another process has it: stop that one, or give another address")
}

func TestSocketOfAProcessThatDiedIsReplaced(t *testing.T) {
	g := newGroup(t, 1)
	l := rawListener(t, strings.TrimPrefix(g.opts[0].Listen, "unix:"))
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	g.start(0)
	require.Equal(t, "PONG", g.dial(0).do("PING"))
}

func TestMembersThatBeginWithNothingFormNoGroup(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(o *server.Options) { o.Bootstrap = false })
	for i := range 3 {
		g.start(i)
	}
	require.Eventually(t, func() bool {
		_, why := g.get(0, "/readyz")
		return strings.Contains(why, "lost their disks: 0,1,2")
	}, patience, 5*time.Millisecond)
	for i := range 3 {
		require.Contains(t, g.dial(i).do("GET k"), "-CLUSTERDOWN")
	}
}

func TestForeignDirectoryIsLeftAlone(t *testing.T) {
	g := newGroup(t, 1)
	dir := g.opts[0].Dir
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600))
	require.ErrorContains(t, g.tryStart(0), "has no IDENTITY but holds thesis.txt: it is not diskv's")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing was written into it")
}

func TestBootstrapIsHarmlessAfterwards(t *testing.T) {
	t.Parallel()
	g := stopped(t, 3) // its members are always started with it
	for i := range 3 {
		g.start(i)
	}
	g.awaitReady()
	require.Equal(t, "30", g.dial(g.leader()).do("DBSIZE"))
}

func TestMemberThatLostItsDirectoryVotesWhenItIsLetBack(t *testing.T) {
	t.Parallel()
	g := stopped(t, 3)
	require.NoError(t, os.RemoveAll(g.opts[0].Dir))
	g.start(0)
	g.start(1)
	// One that has its disk and one that has not are no majority.
	require.Eventually(t, func() bool {
		status, why := g.get(0, "/readyz")
		return status == 503 && strings.Contains(why, "this member lost its disk")
	}, patience, 5*time.Millisecond)
	require.Equal(t, 1, strings.Count(g.dial(0).do("GET k"), "-CLUSTERDOWN"))
	begun := time.Now()
	require.Never(t, func() bool {
		_, why := g.get(1, "/readyz")
		return !strings.Contains(why, "no leader")
	}, time.Second, 20*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(begun), time.Second)

	g.start(2)
	require.Eventually(t, func() bool { return strings.HasPrefix(g.dial(2).do("CLUSTER SLOTS"), "[[0 ") }, patience, 5*time.Millisecond)
	c := g.dial(g.leader())
	require.Equal(t, "30", c.do("DBSIZE"), "the other two go on without it")
	g.awaitRecovered(0)
}

func TestDirectoriesOfTwoClustersSwapped(t *testing.T) {
	t.Parallel()
	one, other := stopped(t, 3), stopped(t, 3)
	one.opts[0].Dir = other.opts[0].Dir // of a member with the same place in another cluster
	for i := range 3 {
		one.start(i)
	}
	require.Eventually(t, func() bool {
		_, why := one.get(0, "/readyz")
		return strings.Contains(why, "this is a member of cluster") && strings.Contains(why, "another group's data directory")
	}, patience, 5*time.Millisecond, "the one that is alone is told why")
	require.Contains(t, one.logs[1].String(), "another group's data directory")
	leader := one.leader()
	require.NotZero(t, leader, "the two others are a majority")
	require.Equal(t, "30", one.dial(leader).do("DBSIZE"))
}

func TestTornEndOfTheLogIsCutAndReported(t *testing.T) {
	g := stopped(t, 1)
	name := segmentFile(t, g.opts[0].Dir)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.Write(append(bytes.Repeat([]byte{0}, 1100), 1)) // of a write, one sector is missing
	require.NoError(t, err)
	require.NoError(t, f.Close())
	g.start(0)
	g.awaitReady()
	require.Equal(t, "30", g.dial(0).do("DBSIZE"))
	require.Contains(t, g.logs[0].String(), "torn end of the log cut, as after a power cut; nothing acknowledged is lost")
}

// TestDamageFoundWhileServing: a leader that finds its log damaged when it reads
// it for a member that lags is a lost disk at once, and serves nothing of it.
func TestDamageFoundWhileServing(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, func(o *server.Options) {
		o.Replica.WindowBytes, o.Replica.IdleTime, o.Replica.SnapshotMinBytes = 1, time.Hour, 1<<40 // the log is what is read
		o.Replica.ElectionTimeout = 3 * time.Second                                                 // until the leader is lost
	})
	lead := g.leader()
	behind := (lead + 1) % 3
	require.NoError(t, g.halt(behind))
	c := g.dial(lead)
	var segments []string
	keys := 0
	for ; len(segments) < 4; keys++ { // the last but one is being written to
		require.Equal(t, "OK", c.do(fmt.Sprintf("SET k%d %s", keys, strings.Repeat("v", 1<<20))))
		var err error
		segments, err = filepath.Glob(filepath.Join(g.opts[lead].Dir, "wal", "0*", "0*"))
		require.NoError(t, err)
	}
	b, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(segments[0], b, 0o600))

	g.start(behind)
	require.Eventually(t, func() bool {
		return strings.Contains(g.logs[lead].String(), "this member votes again")
	}, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		return slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return g.dial(i).do("DBSIZE") == strconv.Itoa(keys) })
	}, patience, 5*time.Millisecond)
}
