package inspect

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/internal/golden"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/server"
	"diskv/shard"
	"diskv/shardmaster"
	"diskv/snapshot"
	"diskv/tests/inproc"
	"diskv/wal"
)

// applied is the state of a machine behind each slot, by the digest of its image, made
// without a replica: from the values of the slots of a log that begins with slot 1.
func applied(tb testing.TB, dir string, machine replica.StateMachine) map[uint64][sha256.Size]byte {
	tb.Helper()
	values := map[uint64]replica.AcceptedEntry{}
	commit := paxos.Slot(0)
	_, err := wal.Scan(filepath.Join(dir, "wal"), func(_ uint64, rec wal.Record, _ int64) error {
		f := frame{Record: rec}
		switch rec.Type {
		case wal.TypeData:
			e, err := replica.ReadEntry(f.toReplica())
			require.NoError(tb, err)
			values[rec.Tag], commit = e, max(commit, e.Commit)
		case wal.TypeState:
			h, err := paxos.DecodeHardState(rec.Payload)
			require.NoError(tb, err)
			commit = max(commit, h.Commit)
		case wal.TypeHeader, wal.TypeMark:
		}
		return nil
	})
	require.NoError(tb, err)
	out := map[uint64][sha256.Size]byte{}
	logTime := int64(0)
	for slot := uint64(1); slot <= uint64(commit); slot++ {
		e, ok := values[slot]
		require.True(tb, ok, "slot %d of %d", slot, commit)
		var commands [][]byte
		if e.Kind == paxos.KindBatch {
			b, err := replica.ReadBatch(e.Value)
			require.NoError(tb, err)
			commands, logTime = b.Commands, max(logTime, b.Time)
		}
		machine.Begin(slot, logTime)
		for _, c := range commands {
			machine.Apply(nil, c)
		}
		logTime = max(logTime, machine.LogTime())
		out[slot] = digest(tb, machine.Image().Records)
	}
	require.NotEmpty(tb, out)
	return out
}

func digest(tb testing.TB, records func(func([]byte) error) error) (sum [sha256.Size]byte) {
	tb.Helper()
	h := sha256.New()
	require.NoError(tb, records(func(b []byte) error {
		_, err := fmt.Fprintf(h, "%d %s", len(b), b)
		return err
	}))
	return [sha256.Size]byte(h.Sum(nil))
}

// reach is Replay to a slot.
func reach(tb testing.TB, dir string, to Moment) (*Reached, error) {
	tb.Helper()
	d, err := Open(dir)
	require.NoError(tb, err)
	return d.Replay(to, nil)
}

// requireEverySlot requires of a directory the states of the slots from one on, and
// returns how many of them it covers.
func requireEverySlot(t *testing.T, dir string, want map[uint64][sha256.Size]byte) (covered int) {
	t.Helper()
	d, err := Open(dir)
	require.NoError(t, err)
	info, err := d.Info(nil)
	require.NoError(t, err)
	from := uint64(1)
	if info.Log.FirstSlot > 1 {
		require.NotEmpty(t, info.Snapshots)
		from = info.Snapshots[0].Slot
	}
	to := min(info.Log.Commit, uint64(len(want)))
	step := max((to-from)/60, 1)
	for slot := from; slot <= to; slot += step {
		r, err := d.Replay(Moment{Slot: slot}, nil)
		require.NoError(t, err, "slot %d of %d to %d", slot, from, to)
		require.Equal(t, slot, r.Slot)
		require.Equal(t, want[slot], digest(t, r.image.Records), "slot %d", slot)
		covered++
	}
	if from > 1 {
		_, err = d.Replay(Moment{Slot: from - 1}, nil)
		require.ErrorContains(t, err, fmt.Sprintf("it covers slot %d (", from))
	}
	_, err = d.Replay(Moment{Slot: info.Log.LastSlot + 1}, nil)
	require.ErrorContains(t, err, "is not in it: it covers slot ")
	if info.Members == 1 { // what it holds is chosen
		info.Log.Commit = info.Log.LastSlot
	}
	require.ErrorContains(t, err, fmt.Sprintf("to slot %d", info.Log.Commit))
	return covered
}

// untidy keeps logs from being tidied up in a moment of rest.
func untidy(o *server.Options) { o.Replica.IdleTime = time.Hour }

// TestReplayIsWhatAReplicaHeld: of members with snapshots and dropped segments every
// slot that they cover is what one holds that has applied everything from slot 1 on.
func TestReplayIsWhatAReplicaHeld(t *testing.T) {
	g := inproc.Start(t, 3, untidy, func(o *server.Options) {
		if o.Replica.SnapshotMinBytes = 24 << 10; o.Index == 0 {
			o.Replica.SnapshotMinBytes = 1 << 40
		}
	})
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer c.Close()
	for n := range 400 {
		key := fmt.Sprintf("key %d", n%30)
		require.NoError(t, c.Put(t.Context(), key, []byte(strings.Repeat("v", 200+n))))
		if n%7 == 0 {
			_, err := c.Delete(t.Context(), key)
			require.NoError(t, err)
		}
		if n == 200 {
			leader := g.Leader()
			g.Stop(leader)
			g.Run(leader)
			g.AwaitReady()
		}
	}
	for i := range g.Nodes {
		g.Stop(i)
	}
	want := applied(t, g.Options[0].Dir, store{kv.New()})
	require.Greater(t, requireEverySlot(t, g.Options[0].Dir, want), 50)
	for _, o := range g.Options[1:] {
		require.Positive(t, requireEverySlot(t, o.Dir, want))
		d, err := Open(o.Dir)
		require.NoError(t, err)
		info, err := d.Info(nil)
		require.NoError(t, err)
		require.NotEmpty(t, info.Snapshots)
		require.Greater(t, info.Log.FirstSlot, uint64(1), "segments were dropped")
	}
}

// TestReplayOfACluster: the same of two groups between which shards move, and of the
// shardmasters.
func TestReplayOfACluster(t *testing.T) {
	masters := inproc.StartShardmasters(t, 1, untidy)
	groups := []*inproc.Group{inproc.StartSharded(t, masters, 1, 1, untidy), inproc.StartSharded(t, masters, 2, 1, untidy)}
	m, err := client.OpenShardmaster(t.Context(), masters.Addrs...)
	require.NoError(t, err)
	defer m.Close()
	_, err = m.Join(t.Context(), 1, groups[0].Addrs)
	require.NoError(t, err)
	c, err := client.Open(t.Context(), groups[0].Addrs...)
	require.NoError(t, err)
	defer c.Close()
	put := func() {
		for n := range 60 {
			require.NoError(t, c.Put(t.Context(), fmt.Sprintf("key %d", n), []byte(strings.Repeat("v", 100))))
		}
	}
	put()
	_, err = m.Join(t.Context(), 2, groups[1].Addrs)
	require.NoError(t, err)
	put()
	last, err := m.Move(t.Context(), shard.Range{First: 0, Last: 100}, 1)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		states, err := m.Groups(t.Context())
		return err == nil && len(states) == 2 && !slices.ContainsFunc(states, func(s client.GroupState) bool { return s.Settled < last })
	}, 20*time.Second, 10*time.Millisecond)
	put()
	keys := 0
	for i, g := range groups {
		g.Stop(0)
		dir := g.Options[0].Dir
		want := applied(t, dir, store{kv.NewSharded(shard.GroupID(i + 1))})
		require.Greater(t, requireEverySlot(t, dir, want), 10)
		r, err := reach(t, dir, Moment{Time: time.Now()})
		require.NoError(t, err)
		var out strings.Builder
		w, err := r.WriteCommands(&out, Selection{})
		require.NoError(t, err)
		require.Equal(t, w.Keys, strings.Count(out.String(), "SET"))
		keys += w.Keys
	}
	require.Equal(t, 60, keys, "each key is in the group that serves it")
	masters.Stop(0)
	dir := masters.Options[0].Dir
	requireEverySlot(t, dir, applied(t, dir, configs{shardmaster.New()}))
	r, err := reach(t, dir, Moment{Time: time.Now()})
	require.NoError(t, err)
	_, err = r.WriteCommands(&strings.Builder{}, Selection{})
	require.ErrorIs(t, err, ErrNoKeys)
}

// history is the directory of a member of three with slots of one second each, of which
// 1 to 6 are known as chosen, and 7 and 8 are not.
func history(t *testing.T) string {
	t.Helper()
	b := ballot(1, 0)
	return makeDir(t, identity(0), 1<<20,
		[]wal.Record{set(1, b, 0, "one", "1"), state(b, 0)},
		[]wal.Record{set(2, b, 1, "two", "2"), set(3, b, 2, "one", "deleted later"), set(4, b, 3, "four", "4")},
		[]wal.Record{entry(5, b, 4, paxos.KindNoop, nil), set(6, b, 5, "six", "6")},
		[]wal.Record{set(7, b, 6, "seven", "7"), set(8, b, 6, "eight", "8")},
	)
}

func TestReplayToATime(t *testing.T) {
	dir := history(t)
	for _, tt := range []struct {
		at   time.Duration // since the epoch
		slot uint64
	}{{time.Second, 1}, {2500 * time.Millisecond, 2}, {4 * time.Second, 5}, {6 * time.Second, 6}, {time.Hour, 6}} {
		r, err := reach(t, dir, Moment{Time: time.Unix(0, int64(tt.at))})
		require.NoError(t, err)
		require.Equal(t, tt.slot, r.Slot, "%v", tt.at)
	}
	_, err := reach(t, dir, Moment{Time: time.Unix(0, 1)})
	require.ErrorContains(t, err, "1970-01-01T00:00:00.000Z is not in it: it covers slot 1 (1970-01-01T00:00:01.000Z) to slot 6 (1970-01-01T00:00:08.000Z)")
}

func TestReplayOfWhatIsNotKnownAsChosen(t *testing.T) {
	dir := history(t)
	_, err := reach(t, dir, Moment{Slot: 7})
	require.ErrorContains(t, err, "slot 7 is not in it: it covers slot 1 (1970-01-01T00:00:01.000Z) to slot 6")
	require.ErrorContains(t, err, "up to slot 8 the member holds what it does not know as chosen (--accepted)")
	r, err := reach(t, dir, Moment{Slot: 7, Accepted: true})
	require.NoError(t, err)
	require.Equal(t, uint64(7), r.Slot)
	require.Equal(t, 1, r.Undecided)
	require.Equal(t, 5, r.Keys)
	r, err = reach(t, dir, Moment{})
	require.NoError(t, err)
	require.Equal(t, uint64(6), r.Slot)
	require.Contains(t, r.Notes, "the member holds slots up to 8, and does not know that those behind slot 6 are chosen: --accepted applies them, too")
}

func TestReplayOnOlderSnapshots(t *testing.T) {
	dir := history(t)
	h := paxos.HardState{Promised: ballot(1, 0), Commit: 3, Vector: vector()}
	path := addSnapshot(t, dir, 3, h) // of another history: it has only "key"
	r, err := reach(t, dir, Moment{Slot: 2})
	require.NoError(t, err)
	require.Empty(t, r.Base, "the snapshot is behind the moment")
	r, err = reach(t, dir, Moment{Slot: 4})
	require.NoError(t, err)
	require.Equal(t, path, r.Base)
	require.Equal(t, 2, r.Keys, "key and four")

	elsewhere := filepath.Join(tempDir(t), "backup")
	require.NoError(t, os.Rename(path, elsewhere))
	r, err = reach(t, dir, Moment{Slot: 4, Snapshots: []string{elsewhere}})
	require.NoError(t, err)
	require.Equal(t, elsewhere, r.Base)
	_, err = reach(t, dir, Moment{Slot: 4, Snapshots: []string{filepath.Join(dir, "IDENTITY")}})
	require.ErrorAs(t, err, new(*Fault))
}

func TestReplayUpToTheDamage(t *testing.T) {
	dir := rotten(t)
	content := golden.Tree(t, dir)[seg2]
	write(t, dir, seg2, flip(content, len(content)-10, 1))
	_, err := reach(t, dir, Moment{Slot: 9})
	var f *Fault
	require.ErrorAs(t, err, &f)
	require.Regexp(t, `up to slot [1-8] the state can be had`, f.Remedy)
	var last uint64
	_, err = fmt.Sscanf(f.Remedy, "up to slot %d", &last)
	require.NoError(t, err)
	r, err := reach(t, dir, Moment{Slot: last})
	require.NoError(t, err)
	require.Equal(t, last, r.Slot)
	require.Nil(t, r.Damage)
	r, err = reach(t, dir, Moment{})
	require.NoError(t, err)
	require.Equal(t, last, r.Slot)
	require.Equal(t, f.Offset, r.Damage.Offset)

	// A snapshot that cannot be read is what is told, if nothing else will do.
	whole := history(t)
	path := addSnapshot(t, whole, 3, paxos.HardState{Promised: ballot(1, 0), Commit: 3, Vector: vector()})
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	r, err = reach(t, whole, Moment{Slot: 4})
	require.NoError(t, err, "the log begins with slot 1")
	require.Empty(t, r.Base)
	require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Join(dir, seg1))))
	path = addSnapshot(t, dir, 3, paxos.HardState{Promised: ballot(1, 0), Commit: 3, Vector: vector()})
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	_, err = reach(t, dir, Moment{Slot: 4})
	require.ErrorAs(t, err, &f)
	require.Equal(t, path, f.File)
}

func TestWriteSnapshotAndReadIt(t *testing.T) {
	dir := history(t)
	before := golden.Tree(t, dir)
	r, err := reach(t, dir, Moment{Slot: 4})
	require.NoError(t, err)
	file := filepath.Join(tempDir(t), "state.snap")
	s, err := r.WriteSnapshot(file, false, nil)
	require.NoError(t, err)
	require.Equal(t, uint64(4), s.Slot)
	_, err = r.WriteSnapshot(file, false, nil)
	require.ErrorIs(t, err, os.ErrExist)
	_, err = r.WriteSnapshot(file, true, nil)
	require.NoError(t, err)
	names, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, names, 1, "nothing else is left")
	require.Equal(t, before, golden.Tree(t, dir), "the directory is only read")

	_, err = snapshot.Verify(file)
	require.NoError(t, err)
	told := lines(t, file, Filter{ValueBytes: -1})
	require.Contains(t, told[0], "snapshot slot 4 group 1 cluster c1c2c3c4c5c6c7c8 log time 1970-01-01T00:00:04.000Z")
	require.Contains(t, told[0], "promised 1.0 commit 4 lives 0/0000000000000064")
	require.Equal(t, []string{"2 key two 2 shard 2127 since slot 2", "2 key four 4 shard 8296 since slot 4", `2 key one "deleted later" shard 9084 since slot 3`},
		slices.DeleteFunc(told, func(l string) bool { return !strings.Contains(l, " key ") }))

	// It is in the place of a snapshot of the directory what one is.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "snapshot"), 0o750))
	require.NoError(t, os.Rename(file, snapshot.Path(filepath.Join(dir, "snapshot"), 4)))
	require.Equal(t, Well, verify(t, dir).Verdict)
	require.Equal(t, Well, start(t, dir))
}
