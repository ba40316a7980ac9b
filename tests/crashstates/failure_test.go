package crashstates

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/faultfs"
	"diskv/tests/powerloss"
)

// fileSeen says whether the file of a made-up workload is there, whole.
type fileSeen bool

func (s fileSeen) check(_ *life, prefix int) error {
	if prefix >= 6 && !bool(s) {
		return errors.New("the file is not there")
	}
	return nil
}

// madeUp is a trace of a process that makes a file and says that it is done, with
// these syncs.
func madeUp(syncs ...powerloss.Inode) *trace {
	const dir, file = powerloss.Root + 1, powerloss.Root + 2
	ops := []powerloss.Op{
		{Kind: powerloss.Mkdir, Dir: powerloss.Root, Name: "data", Inode: dir},
		{Kind: powerloss.Create, Dir: dir, Name: "f", Inode: file},
		{Kind: powerloss.Write, Inode: file, Data: []byte("content")},
	}
	for _, id := range syncs {
		ops = append(ops, powerloss.Op{Kind: powerloss.Sync, Inode: id})
	}
	return &trace{
		workload: "made up", recording: faultfs.Recording{Start: powerloss.NewDisk(), Ops: ops}, lives: []life{{dir: "data"}},
		recover: func(_ *life, dir, _ string) (observation, error) {
			b, _ := os.ReadFile(filepath.Join(dir, "f"))
			return fileSeen(string(b) == "content"), nil
		},
	}
}

func TestMissingSyncIsFoundAndItsStateKept(t *testing.T) {
	const dir, file = powerloss.Root + 1, powerloss.Root + 2
	run := func(tr *trace) (WorkloadReport, error) {
		o := Options{Failures: t.TempDir(), Chances: 8}
		require.NoError(t, o.setDefaults())
		return enumerate(context.Background(), o, tr, t.TempDir(), nil)
	}
	r, err := run(madeUp(file, dir, powerloss.Root))
	require.NoError(t, err)
	assert.Greater(t, r.States, 3)

	for _, syncs := range [][]powerloss.Inode{{file, file, dir}, {file, file, powerloss.Root}, {dir, dir, powerloss.Root}} {
		tr := madeUp(syncs...)
		_, err := run(tr)
		var f *Failure
		require.ErrorAs(t, err, &f)
		assert.Equal(t, 6, f.Prefix)
		require.ErrorContains(t, err, "power cut behind operation 6 (sync ")
		require.ErrorContains(t, err, "the file is not there")
		require.ErrorContains(t, err, "--prefix 6 --variant "+f.Variant.String())

		again := t.TempDir()
		require.NoError(t, Rebuild(filepath.Join(f.Dir, recordingFile), f.Prefix, f.Variant, again))
		_, before := os.ReadFile(filepath.Join(f.Dir, stateDir, "data", "f"))
		_, after := os.ReadFile(filepath.Join(again, "data", "f"))
		assert.Equal(t, before == nil, after == nil)
	}
	require.ErrorContains(t, Rebuild(filepath.Join(t.TempDir(), "none"), 0, powerloss.Variant{}, t.TempDir()), "no such file")
}
