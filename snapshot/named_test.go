package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreateAs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "any name")
	one := func(add func([]byte) error) error { return add([]byte("one")) }
	info, err := CreateAs(file, false, Header{Slot: 7}, one)
	require.NoError(t, err)
	require.Equal(t, file, info.Path)
	read, err := Verify(file)
	require.NoError(t, err)
	require.Equal(t, uint64(7), read.Header.Slot)

	_, err = CreateAs(file, false, Header{Slot: 8}, one)
	require.ErrorIs(t, err, fs.ErrExist)
	broken := errors.New("broken")
	_, err = CreateAs(file, true, Header{Slot: 8}, func(func([]byte) error) error { return broken })
	require.ErrorIs(t, err, broken)
	read, err = Verify(file)
	require.NoError(t, err)
	require.Equal(t, uint64(7), read.Header.Slot, "what is there stays")
	_, err = CreateAs(file, true, Header{Slot: 9}, one)
	require.NoError(t, err)
	read, err = Verify(file)
	require.NoError(t, err)
	require.Equal(t, uint64(9), read.Header.Slot)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1, "nothing else is left")
}
