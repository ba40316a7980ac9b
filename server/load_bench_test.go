package server

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/replica"
	"diskv/snapshot"
)

// BenchmarkReplay measures a restart that replays its log: wal, replica and
// state machine in one pass. The records hold about 100 bytes each, and every
// one is a slot of its own.
func BenchmarkReplay(b *testing.B) {
	const records = 300_000
	o := Options{
		Dir: b.TempDir(), Listen: "127.0.0.1:0", Group: 1, Logger: slog.New(slog.DiscardHandler),
		Replica: replica.Options{MaxBatchBytes: 1, MaxUnsynced: 4096, SnapshotMinBytes: 1 << 40, RequestTimeout: time.Hour},
	}
	fillLog(b, o, records)
	var spent time.Duration
	for b.Loop() {
		begun := time.Now()
		n, err := Open(o)
		require.NoError(b, err)
		spent += time.Since(begun)
		require.GreaterOrEqual(b, uint64(n.replica.Status().Last), uint64(records))
		n.Close()
	}
	b.ReportMetric(records*float64(b.N)/spent.Seconds(), "records/s")
}

// fillLog runs a single node until its log holds that many slots of one command
// each.
func fillLog(b *testing.B, o Options, records int) {
	b.Helper()
	n, err := Open(o)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	require.Eventually(b, func() bool { rt := n.route.Load(); return rt != nil && rt.leading }, 5*time.Second, time.Millisecond)
	for done := 0; done < records; {
		run := &batch{write: true, done: make(chan struct{}, 1)}
		for range min(10_000, records-done) {
			p, refusal := kv.Prepare([][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%08d", done%100_000), make([]byte, 20)})
			require.Nil(b, refusal)
			run.reqs = append(run.reqs, request{batch: run, encoded: p.Command.Append(nil)})
			done++
		}
		require.True(b, n.inbox.put(run.submit))
		<-run.done
		require.Equal(b, replica.Done, run.reqs[0].outcome)
	}
	cancel()
	require.NoError(b, <-ended)
}

// BenchmarkLoadSnapshot measures the loading of 1,000,000 keys of 16 bytes with
// values of 100 bytes.
func BenchmarkLoadSnapshot(b *testing.B) {
	const keys = 1_000_000
	store := kv.New()
	store.Begin(1, 1)
	var reply []byte
	for i := range keys {
		p, refusal := kv.Prepare([][]byte{[]byte("SET"), fmt.Appendf(nil, "key:%012d", i), fmt.Appendf(nil, "%0100d", i*7919)})
		require.Nil(b, refusal)
		reply = store.Apply(reply[:0], p.Command.Append(nil))
	}
	info, err := snapshot.Create(b.TempDir(), snapshot.Header{Cluster: 1, Group: 1, Slot: 1}, store.Image().Records)
	require.NoError(b, err)
	store = nil
	for b.Loop() {
		loaded, err := readSnapshot(keyValue{}, info.Path)
		require.NoError(b, err)
		require.Equal(b, keys, loaded.Machine.(keyStore).Keys())
	}
}
