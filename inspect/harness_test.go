package inspect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/wire"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/snapshot"
	"diskv/wal"
)

const (
	testLog     = 0x1122334455667788
	testCluster = 0xc1c2c3c4c5c6c7c8
)

// tempDir is t.TempDir in memory, where there is such a thing: the log syncs.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "diskv-inspect-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { require.NoError(tb, os.RemoveAll(dir)) })
	return dir
}

// identity is that of member i of a group of three.
func identity(i int) replica.Identity {
	return replica.Identity{
		Cluster: testCluster, Group: 1, Index: paxos.ReplicaID(i), Size: 3, Phase: replica.PhaseMember,
		Life: paxos.Life{Nonce: uint64(100 + i)}, Boot: 3, BootID: 7, LogID: testLog,
	}
}

// vector is the lives of the group.
func vector() paxos.Vector { return paxos.Vector{{Nonce: 100}, {Nonce: 101}, {Nonce: 102}} }

func ballot(round uint64, id paxos.ReplicaID) paxos.Ballot {
	return paxos.Ballot{Round: round, Replica: id}
}

// state is a record with a hard state.
func state(promised paxos.Ballot, commit paxos.Slot) wal.Record {
	return stateOfVector(promised, commit, vector())
}

func stateOfVector(promised paxos.Ballot, commit paxos.Slot, v paxos.Vector) wal.Record {
	h := paxos.HardState{Promised: promised, Commit: commit, Vector: v}
	return wal.Record{Type: wal.TypeState, Payload: paxos.AppendHardState(nil, h)}
}

// entry is a record with an accepted value.
func entry(slot paxos.Slot, b paxos.Ballot, commit paxos.Slot, kind paxos.Kind, value []byte) wal.Record {
	payload := binary.LittleEndian.AppendUint64(nil, uint64(commit))
	e := paxos.Entry{Slot: slot, Ballot: b, Kind: kind, Value: value}
	return wal.Record{Type: wal.TypeData, Tag: uint64(slot), Payload: paxos.AppendEntry(payload, e)}
}

// set is an entry with a batch of one SET.
func set(slot paxos.Slot, b paxos.Ballot, commit paxos.Slot, key, value string) wal.Record {
	c := kv.Command{Args: [][]byte{[]byte("set"), []byte(key), []byte(value)}}
	return entry(slot, b, commit, paxos.KindBatch, batch(b, int64(slot)*1e9, c.Append(nil)))
}

// batch is the encoding of one (docs/format.md).
func batch(origin paxos.Ballot, time int64, commands ...[]byte) []byte {
	out := paxos.AppendBallot([]byte{1}, origin)
	out = binary.LittleEndian.AppendUint64(out, uint64(time))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(commands)))
	for _, c := range commands {
		out = wire.AppendBytes(out, c)
	}
	return out
}

// makeDir makes a data directory with a log of the given appends, each of them
// synced, as a kill would leave it. The same appends make the same segments.
func makeDir(tb testing.TB, id replica.Identity, segmentBytes int64, batches ...[]wal.Record) string {
	tb.Helper()
	for {
		dir := filepath.Join(tempDir(tb), "data")
		require.NoError(tb, os.MkdirAll(filepath.Join(dir, "snapshot"), 0o750))
		require.NoError(tb, os.WriteFile(filepath.Join(dir, "IDENTITY"), replica.AppendIdentity(nil, id), 0o600))
		makeLog(tb, filepath.Join(dir, "wal"), segmentBytes, batches)
		if !dropMark(tb, filepath.Join(dir, "wal")) {
			return dir
		}
		// It took so long that the log was marked between two appends.
	}
}

func makeLog(tb testing.TB, dir string, segmentBytes int64, batches [][]wal.Record) {
	tb.Helper()
	live := filepath.Join(tempDir(tb), "wal")
	var mu sync.Mutex
	durable := uint64(0)
	changed := sync.NewCond(&mu)
	l, err := wal.Create(live, testLog, state(paxos.Ballot{}, 0).Payload, wal.Options{
		SegmentBytes: segmentBytes,
		OnDurable: func(i uint64) {
			mu.Lock()
			defer mu.Unlock()
			durable = i
			changed.Broadcast()
		},
	})
	require.NoError(tb, err)
	for _, b := range batches {
		ready(tb, l, live)
		last := l.Append(b)
		mu.Lock()
		for durable < last {
			changed.Wait()
		}
		mu.Unlock()
	}
	ready(tb, l, live)
	require.NoError(tb, os.CopyFS(dir, os.DirFS(live)))
	require.NoError(tb, l.Close())
}

// dropMark cuts a sync mark off the end of a log: whether there is one is a matter
// of time. It tells whether there are marks before the end.
func dropMark(tb testing.TB, dir string) (others bool) {
	tb.Helper()
	var last frame
	_, err := wal.Scan(dir, func(n uint64, r wal.Record, off int64) error {
		others = others || last.Type == wal.TypeMark
		last = frame{Record: r, segment: n, offset: off}
		return nil
	})
	require.NoError(tb, err)
	if last.Type == wal.TypeMark {
		require.NoError(tb, os.Truncate(filepath.Join(dir, fmt.Sprintf("%020d", last.segment), "00000000000000000001"), last.offset))
	}
	return others
}

// ready returns when the segment behind the tail has been made, and MANIFEST names
// it: then nothing but the next append changes the log.
func ready(tb testing.TB, l *wal.Log, dir string) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		report, err := wal.Scan(dir, func(uint64, wal.Record, int64) error { return nil })
		manifest, err2 := os.ReadFile(filepath.Join(dir, "MANIFEST"))
		return err == nil && err2 == nil && binary.LittleEndian.Uint64(manifest[32:]) == report.LastSegment+1
	}, 10*time.Second, 100*time.Microsecond)
	require.NoError(tb, l.ClearSuspect()) // there is none; this waits until the log knows of the segment, too
}

// addSnapshot puts a snapshot of a store that has applied the slots of sets up to
// one into a directory.
func addSnapshot(tb testing.TB, dir string, slot uint64, h paxos.HardState) string {
	tb.Helper()
	s := kv.New()
	for n := uint64(1); n <= slot; n++ {
		s.Begin(n, int64(n)*1e9)
		c := kv.Command{Args: [][]byte{[]byte("set"), []byte("key"), []byte("value")}}
		s.Apply(nil, c.Append(nil))
	}
	info, err := snapshot.Create(filepath.Join(dir, "snapshot"), snapshot.Header{
		Cluster: testCluster, Group: 1, Slot: slot, LogTime: s.LogTime(), State: paxos.AppendHardState(nil, h),
	}, s.Image().Records)
	require.NoError(tb, err)
	return info.Path
}

// start says what a start makes of a directory, with the code that diskvd runs: it
// opens the log, on a copy, and replays it into a replica on the newest snapshot.
func start(tb testing.TB, dir string) Verdict {
	tb.Helper()
	to := filepath.Join(tempDir(tb), "copy")
	require.NoError(tb, os.CopyFS(to, os.DirFS(dir)))
	b, err := os.ReadFile(filepath.Join(to, "IDENTITY"))
	require.NoError(tb, err)
	id, err := replica.DecodeIdentity(b)
	if err != nil {
		return Damaged
	}
	cfg := replica.Config{Identity: id, Machine: machine{kv.New()}, Rand: rand.New(rand.NewPCG(1, 2))}
	info, ok, err := snapshot.Newest(filepath.Join(to, "snapshot"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Damaged
	}
	if ok {
		r, err := snapshot.Open(info.Path)
		require.NoError(tb, err)
		s, err := kv.Restore(r.Next)
		require.NoError(tb, r.Close())
		if err != nil {
			return Damaged
		}
		cfg.Machine = machine{s}
		cfg.Snapshot = replica.SnapshotInfo{Slot: paxos.Slot(info.Header.Slot)}
		cfg.Header = replica.SnapshotHeader{Slot: paxos.Slot(info.Header.Slot), LogTime: info.Header.LogTime, State: info.Header.State}
	}
	r, err := replica.New(cfg)
	require.NoError(tb, err)
	l, report, err := wal.Open(filepath.Join(to, "wal"), wal.Options{}, func(rec wal.Record) error {
		out := replica.Record{Kind: replica.RecordState, Slot: paxos.Slot(rec.Tag), Payload: rec.Payload}
		if rec.Type == wal.TypeData {
			out.Kind = replica.RecordEntry
		}
		return r.Replay(out)
	})
	if err != nil {
		return Damaged
	}
	require.NoError(tb, l.Close())
	switch {
	case report.Suspect:
		return Suspect
	case report.Torn:
		return Torn
	}
	return Well
}

// machine is a store as a replica drives it.
type machine struct{ *kv.Store }

func (m machine) Image() replica.Image { return m.Store.Image() }

// verify is Verify, of which the answer and the error are checked.
func verify(tb testing.TB, dir string) *Check {
	tb.Helper()
	c, err := Verify(dir, nil)
	require.NoError(tb, err)
	require.Equal(tb, c.Verdict == Well, c.Fault == nil)
	if c.Fault != nil {
		require.NotEmpty(tb, c.Fault.Reason)
		require.NotEmpty(tb, c.Fault.Remedy)
		require.True(tb, strings.HasPrefix(c.Fault.File, dir), c.Fault.File)
	}
	return c
}

// lines are the records of a path, one a line.
func lines(tb testing.TB, path string, f Filter) []string {
	tb.Helper()
	var out []string
	require.NoError(tb, Dump(path, f, nil, func(r *Record) error {
		out = append(out, strings.Join(strings.Fields(r.Line(false)), " "))
		return nil
	}))
	return out
}

func write(tb testing.TB, dir, name, content string) {
	tb.Helper()
	path := filepath.Join(dir, name)
	require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(tb, os.WriteFile(path, []byte(content), 0o600))
}

func flip(content string, i int, bit byte) string {
	b := bytes.Clone([]byte(content))
	b[i] ^= bit
	return string(b)
}
