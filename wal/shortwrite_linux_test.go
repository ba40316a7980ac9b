package wal

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShortWrite lets the kernel cut a write short, as a full disk does.
func TestShortWrite(t *testing.T) {
	dir := tempDir(t)
	o := quiet()
	a := watch(&o)
	l, err := Create(dir, testID, nil, o)
	require.NoError(t, err)
	ready(t, l)
	require.True(t, a.wait(l.Append([]Record{data(1, "fits")})))
	size := l.Bytes()

	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	small := limit
	small.Cur = uint64(size) + 100
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
	durable := a.wait(l.Append([]Record{data(2, strings.Repeat("too much", 100))}))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))

	require.False(t, durable)
	require.ErrorIs(t, l.Close(), syscall.EFBIG)
	info, err := os.Stat(filepath.Join(dir, inSegment(1)))
	require.NoError(t, err)
	require.Equal(t, size+100, info.Size(), "a part of the write is in the file")
	got, report := reopen(t, dir)
	require.True(t, report.Torn)
	require.EqualValues(t, 100, report.Cut.Bytes)
	require.Equal(t, []string{`0 state tag 0 ""`, `1 data tag 1 "fits"`}, got)
}
