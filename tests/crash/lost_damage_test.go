package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/snapshot"
	"diskv/tests/proc"
)

// flipByte changes one byte in the middle of what is written of a file.
func flipByte(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	b[writtenOf(b)/2] ^= 0x40
	require.NoError(t, os.WriteFile(name, b, 0o600))
}

// newestSegment returns the newest segment of a log that is not nearly empty.
func newestSegment(t *testing.T, m *proc.Member) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.Dir, "wal", "*", "*"))
	require.NoError(t, err)
	slices.Sort(files)
	for _, name := range slices.Backward(files) {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		if writtenOf(b) > 4<<10 {
			return name
		}
	}
	require.FailNow(t, "no segment is filled", "%v", files)
	return ""
}

// writtenOf returns how many bytes of a file are written: a segment has its size in
// advance.
func writtenOf(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

func newestSnapshot(t *testing.T, m *proc.Member) string {
	t.Helper()
	dir := filepath.Join(m.Dir, "snapshot")
	slots, err := snapshot.List(dir)
	require.NoError(t, err)
	require.NotEmpty(t, slots)
	return snapshot.Path(dir, slots[len(slots)-1])
}

func TestMemberWithDamagedFilesComesBack(t *testing.T) {
	identity := func(m *proc.Member) string { return filepath.Join(m.Dir, "IDENTITY") }
	g := newGroupWith(t, proc.Options{Size: 3, BootstrapOnce: true, Args: []string{"--snapshot-min-bytes", "65536"}})
	l := startLoad(t, g)
	for i, c := range []struct {
		name   string
		damage func(t *testing.T, m *proc.Member)
		reason string   // in the note
		kept   []string // in quarantine
	}{
		{
			name:   "a byte of the log",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); flipByte(t, newestSegment(t, m)) },
			reason: filepath.Join("wal", "0"), kept: []string{"wal", "snapshot"},
		},
		{
			name:   "a segment of the log",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); require.NoError(t, os.Remove(newestSegment(t, m))) },
			reason: "wal", kept: []string{"wal", "snapshot"},
		},
		{
			name:   "a byte of the snapshot",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); flipByte(t, newestSnapshot(t, m)) },
			reason: ".snap", kept: []string{"wal", "snapshot"},
		},
		{
			name:   "the newest snapshot",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); require.NoError(t, os.Remove(newestSnapshot(t, m))) },
			reason: "a snapshot is missing", kept: []string{"wal"},
		},
		{
			name:   "a byte of IDENTITY",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); flipByte(t, identity(m)) },
			reason: "IDENTITY is damaged", kept: []string{"IDENTITY", "wal", "snapshot"},
		},
		{
			name:   "IDENTITY",
			damage: func(t *testing.T, m *proc.Member) { t.Helper(); require.NoError(t, os.Remove(identity(m))) },
			reason: "IDENTITY is missing", kept: []string{"wal", "snapshot"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := g.Members[i%len(g.Members)]
			// The snapshot stands for slots that the log no longer has.
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				require.Positive(c, fieldOf(c, m, "snapshot_slot"))
				require.Greater(c, fieldOf(c, m, "slot_log_start"), uint64(1))
			}, patience, 10*time.Millisecond)
			l.awaitMore(200) // so that the newest segment is filled
			before := fieldOf(t, m, "epoch")
			require.NoError(t, m.Kill())
			c.damage(t, m)
			require.NoError(t, m.Start())
			awaitVoter(t, m, before)
			requireQuarantine(t, m, c.reason, c.kept)
			l.awaitMore(50)
			// Nothing that is put aside harms the next start.
			require.NoError(t, m.Kill())
			require.NoError(t, m.Start())
			require.NoError(t, m.Ready(patiently(t)))
			require.NoError(t, os.RemoveAll(filepath.Join(m.Dir, "quarantine")), "an operator may remove it")
		})
	}
	l.stop()
	require.NoError(t, g.Converged(patiently(t)))
	l.verify()
	restartAll(t, g)
	l.verify()
}

// requireQuarantine looks whether what a member put aside is all there, with a
// note of why.
func requireQuarantine(t *testing.T, m *proc.Member, reason string, kept []string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(m.Dir, "quarantine", "lost-*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	var found, notes []string
	for _, d := range dirs {
		why, err := os.ReadFile(filepath.Join(d, "WHY"))
		require.NoError(t, err)
		notes = append(notes, string(why))
		entries, err := os.ReadDir(d)
		require.NoError(t, err)
		for _, e := range entries {
			found = append(found, e.Name())
		}
	}
	require.Subset(t, found, kept)
	for _, note := range notes {
		require.Contains(t, note, reason)
	}
	require.Contains(t, m.Output(), "this member has lost its disk")
}
