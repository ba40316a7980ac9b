package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkAppend appends from parallel clients, each of which waits for its
// record to be durable. With a quick disk it is bound by the syncs of the disk
// under the temporary directory, with none by the log itself.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{true, false} {
		for _, clients := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("sync=%v/clients=%d", sync, clients), func(b *testing.B) { benchmarkAppend(b, clients, sync) })
		}
	}
}

func benchmarkAppend(b *testing.B, clients int, withSync bool) {
	b.Helper()
	o := Options{disk: &disk{noSync: !withSync}}
	var mu sync.Mutex
	durable := uint64(0)
	changed := sync.NewCond(&mu)
	o.OnDurable = func(index uint64) {
		mu.Lock()
		durable = index
		mu.Unlock()
		changed.Broadcast()
	}
	var syncs atomic.Int64
	o.OnSync = func(time.Duration, int, int) { syncs.Add(1) }
	l, err := Create(b.TempDir(), testID, nil, o)
	require.NoError(b, err)
	payload := make([]byte, 100)
	b.SetBytes(int64(entrySize(len(payload))))
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			recs := make([]Record, 1)
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				recs[0] = Record{Type: TypeData, Tag: uint64(n), Payload: payload}
				last := l.Append(recs)
				mu.Lock()
				for durable < last {
					changed.Wait()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(b.N)/float64(max(1, syncs.Load())), "records/sync")
	require.NoError(b, l.Close())
}

// BenchmarkStream appends without waiting: what the writer does with batches as
// large as they get.
func BenchmarkStream(b *testing.B) {
	done := make(chan struct{}, 1)
	var want atomic.Uint64
	o := Options{disk: &disk{noSync: true}}
	o.OnDurable = func(index uint64) {
		if index == want.Load() {
			done <- struct{}{}
		}
	}
	l, err := Create(b.TempDir(), testID, nil, o)
	require.NoError(b, err)
	recs := make([]Record, 1000)
	payload := make([]byte, 100)
	b.SetBytes(int64(len(recs) * entrySize(len(payload))))
	b.ReportAllocs()
	for b.Loop() {
		for i := range recs {
			recs[i] = Record{Type: TypeData, Tag: uint64(i), Payload: payload}
		}
		want.Store(l.LastIndex() + uint64(len(recs)))
		l.Append(recs)
		<-done
	}
	b.ReportMetric(float64(b.N*len(recs))/b.Elapsed().Seconds(), "records/s")
	require.NoError(b, l.Close())
}

// BenchmarkReplay opens a log of a million records of 100 bytes.
func BenchmarkReplay(b *testing.B) {
	const records = 1_000_000
	dir := b.TempDir()
	l, err := Create(dir, testID, nil, Options{disk: &disk{noSync: true}})
	require.NoError(b, err)
	payload := make([]byte, 100)
	recs := make([]Record, 1000)
	for n := range records / len(recs) {
		for i := range recs {
			recs[i] = Record{Type: TypeData, Tag: uint64(n), Payload: payload}
		}
		l.Append(recs)
	}
	require.NoError(b, l.Close())
	b.SetBytes(l.Bytes())
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		l, _, err := Open(dir, Options{disk: &disk{noSync: true}}, func(Record) error { n++; return nil })
		require.NoError(b, err)
		require.Equal(b, records+1, n)
		require.NoError(b, l.Close())
	}
	b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
}
