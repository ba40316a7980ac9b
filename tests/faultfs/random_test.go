package faultfs_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var steps = flag.Int("faultfs.steps", 2000, "operations of the comparison with a real directory")

// walk calls f for every path in a tree, directories before what is in them.
func walk(root fs.FS, f func(path string, isDir bool, data []byte)) error {
	return fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if e.IsDir() {
			f(path, true, nil)
			return nil
		}
		data, err := fs.ReadFile(root, path)
		f(path, false, data)
		return err
	})
}

// errText is an error without the path that it names.
func errText(err error) string {
	var number syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}

// twin does the same in two directories and compares what comes of it.
type twin struct {
	t     *testing.T
	rng   *rand.Rand
	dirs  [2]string
	files [][2]*os.File
}

func (w *twin) both(what string, f func(dir string, i int) (string, error)) {
	w.t.Helper()
	var got [2]string
	for i, dir := range w.dirs {
		s, err := f(dir, i)
		got[i] = s + ": " + errText(err)
	}
	require.Equal(w.t, got[1], got[0], "%s", what)
}

func (w *twin) name() string {
	return []string{"a", "b", "c", "d", "d/a", "d/b", "e", "e/a", "d/e", "d/e/a"}[w.rng.IntN(10)]
}

func (w *twin) step() {
	a, b, off, n := w.name(), w.name(), w.rng.Int64N(5000), w.rng.IntN(3000)
	flags := []int{os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDONLY}[w.rng.IntN(3)]
	for _, f := range []int{os.O_CREATE, os.O_EXCL, os.O_TRUNC} {
		if w.rng.IntN(3) == 0 {
			flags |= f
		}
	}
	if flags&os.O_CREATE == 0 {
		flags &^= os.O_EXCL
	}
	if flags&(os.O_RDWR|os.O_WRONLY) == 0 {
		flags &^= os.O_TRUNC
	}
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(w.rng.IntN(256))
	}
	path := func(dir, name string) string { return filepath.Join(dir, name) }
	do := func(what string, f func(dir string) error) {
		w.both(what, func(dir string, _ int) (string, error) { return "", f(dir) })
	}
	switch k := w.rng.IntN(14); {
	case k == 0:
		do("mkdir "+a, func(dir string) error { return os.Mkdir(path(dir, a), 0o700) })
	case k == 1:
		do("remove "+a, func(dir string) error { return os.Remove(path(dir, a)) })
	case k == 2:
		do("rename "+a+" "+b, func(dir string) error { return os.Rename(path(dir, a), path(dir, b)) })
	case k == 3:
		do("truncate "+a, func(dir string) error { return os.Truncate(path(dir, a), off) })
	case k < 7:
		pair := [2]*os.File{}
		w.both(fmt.Sprintf("open %s %x", a, flags), func(dir string, i int) (string, error) {
			f, err := os.OpenFile(path(dir, a), flags, 0o600)
			pair[i] = f
			return "", err
		})
		if pair[0] != nil {
			w.files = append(w.files, pair)
		}
	case len(w.files) == 0:
	case k == 7:
		i := w.rng.IntN(len(w.files))
		w.both("close", func(_ string, side int) (string, error) { return "", w.files[i][side].Close() })
		w.files = append(w.files[:i], w.files[i+1:]...)
	default:
		pair := w.files[w.rng.IntN(len(w.files))]
		w.both(fmt.Sprintf("file operation %d", k), func(_ string, side int) (string, error) {
			f := pair[side]
			switch k {
			case 8:
				return "", f.Truncate(off)
			case 9:
				return "", f.Sync()
			case 10:
				n, err := f.Write(content)
				return fmt.Sprint(n), err
			case 11:
				buf := make([]byte, n)
				got, err := f.ReadAt(buf, off)
				return fmt.Sprintf("%x", buf[:got]), err
			case 12:
				info, err := f.Stat()
				if err != nil {
					return "", err
				}
				size := info.Size()
				if info.IsDir() {
					size = 0
				}
				return fmt.Sprint(size, info.IsDir()), nil
			default:
				at, err := f.Seek(0, io.SeekCurrent)
				if info, serr := f.Stat(); serr == nil && info.IsDir() {
					at = 0
				}
				return fmt.Sprint(at), err
			}
		})
	}
}

func TestSameAsARealDirectory(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			d := newDisk(t)
			w := &twin{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dirs: [2]string{d.Dir(), t.TempDir()}}
			t.Cleanup(func() {
				for _, pair := range w.files {
					_ = pair[0].Close()
					_ = pair[1].Close()
				}
			})
			for i := range *steps / 4 {
				w.step()
				if i%50 == 0 {
					require.Equal(t, onDisk(t, w.dirs[1]), onDisk(t, w.dirs[0]))
				}
			}
			require.Equal(t, onDisk(t, w.dirs[1]), onDisk(t, w.dirs[0]))
			r := d.Recorded()
			for _, op := range r.Ops {
				r.Start.Apply(op)
			}
			assert.Equal(t, r.Start.Seen().Digest(), d.State().Digest(), "what was recorded is what was done")
		})
	}
}
