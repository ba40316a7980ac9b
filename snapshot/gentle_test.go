package snapshot

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCreateGently: the same file, in more time than it takes to work.
func TestCreateGently(t *testing.T) {
	write := func(add func([]byte) error) error {
		record := make([]byte, 100_000)
		for i := range 200 {
			record[i] = byte(i)
			if err := add(record); err != nil {
				return err
			}
		}
		return nil
	}
	h := Header{Cluster: 1, Group: 2, Slot: 3}
	quick, err := Create(t.TempDir(), h, write)
	require.NoError(t, err)
	dir := t.TempDir()
	gentle, err := CreateGently(dir, h, write)
	require.NoError(t, err)
	require.Equal(t, quick.Digest, gentle.Digest)
	require.Equal(t, Path(dir, 3), gentle.Path)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{gentle.Path}, left)
	back, err := Verify(gentle.Path)
	require.NoError(t, err)
	require.Equal(t, gentle, back)
}
