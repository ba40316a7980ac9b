package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	is := func(want string) {
		t.Helper()
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	require.NoError(t, WriteFile(name, false, text("one")))
	is("one")
	require.ErrorIs(t, WriteFile(name, false, text("two")), fs.ErrExist)
	is("one")
	broken := errors.New("broken")
	require.ErrorIs(t, WriteFile(name, true, func(w io.Writer) error { return errors.Join(text("half")(w), broken) }), broken)
	is("one")
	require.NoError(t, WriteFile(name, true, text("three")))
	is("three")
	// Somebody else was quicker.
	other := filepath.Join(dir, "other")
	require.ErrorIs(t, WriteFile(other, false, func(w io.Writer) error {
		require.NoError(t, os.WriteFile(other, []byte("theirs"), 0o600))
		return text("ours")(w)
	}), fs.ErrExist)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "nothing else is left")
}
