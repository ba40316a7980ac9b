package golden

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Tree returns the content of every file below a directory, by its path in there.
func Tree(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		tb.Fatalf("read %s: %v", dir, err)
	}
	return out
}
