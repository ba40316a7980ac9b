package snapshot_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/snapshot"
)

// million writes 1,000,000 records of 130 bytes: keys that share a beginning,
// values half of which are noise.
func million(add func([]byte) error) error {
	rng := rand.New(rand.NewPCG(1, 2))
	record := make([]byte, 130)
	for i := range 1_000_000 {
		copy(record, "key:")
		for j, n := 15, i; j > 3; j, n = j-1, n/10 {
			record[j] = byte('0' + n%10)
		}
		for j := 30; j < 80; j++ {
			record[j] = byte(rng.Uint32())
		}
		if err := add(record); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkCreateMillion(b *testing.B) {
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		info, err := snapshot.Create(dir, header, million)
		require.NoError(b, err)
		b.SetBytes(int64(info.RawBytes))
		b.ReportMetric(float64(info.Size), "file-bytes")
	}
}

func BenchmarkLoadMillion(b *testing.B) {
	info, err := snapshot.Create(b.TempDir(), header, million)
	require.NoError(b, err)
	b.SetBytes(int64(info.RawBytes))
	b.ReportAllocs()
	for b.Loop() {
		r, err := snapshot.Open(info.Path)
		require.NoError(b, err)
		n := 0
		for {
			_, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		require.Equal(b, 1_000_000, n)
		require.NoError(b, r.Close())
	}
}

func BenchmarkVerifyMillion(b *testing.B) {
	info, err := snapshot.Create(b.TempDir(), header, million)
	require.NoError(b, err)
	b.SetBytes(int64(info.RawBytes))
	for b.Loop() {
		_, err := snapshot.Verify(info.Path)
		require.NoError(b, err)
	}
}
