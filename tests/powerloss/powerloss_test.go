package powerloss_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/tests/powerloss"
)

// The states of a table of sequences are compared in package faultfs, on a mounted
// file system; here is what it does not reach.

func file(d *powerloss.Disk, name, content string) powerloss.Inode {
	id := d.NewInode()
	d.Apply(powerloss.Op{Kind: powerloss.Create, Dir: powerloss.Root, Name: name, Inode: id})
	d.Apply(powerloss.Op{Kind: powerloss.Write, Inode: id, Data: []byte(content)})
	return id
}

func TestVariantsHaveNames(t *testing.T) {
	for _, v := range []powerloss.Variant{
		{}, {Kind: powerloss.Kept}, {Kind: powerloss.First, N: 3}, {Kind: powerloss.Except}, {Kind: powerloss.Only, N: 1},
		{Kind: powerloss.Names}, {Kind: powerloss.Mixed, Seed: 1 << 63}, {Kind: powerloss.Torn, Seed: 9},
	} {
		got, err := powerloss.ParseVariant(v.String())
		require.NoError(t, err)
		assert.Equal(t, v, got)
	}
	for _, s := range []string{"", "half", "first", "dropped-1", "torn-", "torn--1", "first-1x"} {
		_, err := powerloss.ParseVariant(s)
		require.Error(t, err, "%q", s)
	}
}

func TestTheSameVariantIsTheSameState(t *testing.T) {
	build := func() *powerloss.Disk {
		d := powerloss.NewDisk()
		rng := rand.New(rand.NewPCG(1, 2))
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			id := file(d, name, "begin")
			for range 20 {
				b := make([]byte, 1+rng.IntN(2000))
				for i := range b {
					b[i] = byte(rng.IntN(256))
				}
				d.Apply(powerloss.Op{Kind: powerloss.Write, Inode: id, Off: rng.Int64N(4000), Data: b})
			}
		}
		return d
	}
	one, two := build(), build()
	different := map[[32]byte]bool{}
	for seed := range uint64(50) {
		for _, kind := range []powerloss.VariantKind{powerloss.Mixed, powerloss.Torn} {
			v := powerloss.Variant{Kind: kind, Seed: seed}
			s := one.State(v)
			assert.Equal(t, s.Digest(), two.State(v).Digest())
			different[s.Digest()] = true

			cut := one.Clone()
			cut.Apply(powerloss.Op{Kind: powerloss.PowerCut, Variant: v})
			assert.Equal(t, s.Digest(), cut.Seen().Digest(), "a cut leaves what was said before")
			assert.Zero(t, cut.Pending())
		}
	}
	assert.Greater(t, len(different), 90)
}

func TestOperationsAreKeptOneByOne(t *testing.T) {
	d := powerloss.NewDisk()
	for _, name := range []string{"a", "b", "c"} {
		file(d, name, "")
	}
	names := func(v powerloss.Variant) string {
		s := ""
		for _, e := range d.State(v) {
			s += e.Path
		}
		return s
	}
	require.Equal(t, 6, d.Pending(), "three names and three writes")
	assert.Empty(t, names(powerloss.Variant{}))
	assert.Equal(t, "abc", names(powerloss.Variant{Kind: powerloss.Kept}))
	assert.Equal(t, "ab", names(powerloss.Variant{Kind: powerloss.First, N: 3}))
	assert.Equal(t, "bc", names(powerloss.Variant{Kind: powerloss.Except, N: 0}))
	assert.Equal(t, "b", names(powerloss.Variant{Kind: powerloss.Only, N: 2}))
}

func TestWhatNoCutCanBringBackIsForgotten(t *testing.T) {
	d := powerloss.NewDisk()
	a, b := file(d, "a", "a"), file(d, "b", "b")
	d.Apply(powerloss.Op{Kind: powerloss.Sync, Inode: powerloss.Root})
	d.Apply(powerloss.Op{Kind: powerloss.Remove, Dir: powerloss.Root, Name: "a"})
	d.Apply(powerloss.Op{Kind: powerloss.Remove, Dir: powerloss.Root, Name: "b"})
	d.Forget(func(powerloss.Inode) bool { return false })
	assert.True(t, d.Has(a), "its name may come back")
	d.Apply(powerloss.Op{Kind: powerloss.Sync, Inode: powerloss.Root})
	d.Forget(func(id powerloss.Inode) bool { return id == b })
	assert.False(t, d.Has(a))
	assert.True(t, d.Has(b), "it is open")
}

func TestStateIsBuilt(t *testing.T) {
	d := powerloss.NewDisk()
	dir := d.NewInode()
	d.Apply(powerloss.Op{Kind: powerloss.Mkdir, Dir: powerloss.Root, Name: "dir", Inode: dir})
	id := d.NewInode()
	d.Apply(powerloss.Op{Kind: powerloss.Create, Dir: dir, Name: "f", Inode: id})
	d.Apply(powerloss.Op{Kind: powerloss.Write, Inode: id, Data: []byte("content")})
	base := t.TempDir()
	state := d.State(powerloss.Variant{Kind: powerloss.Kept})
	require.NoError(t, state.Build(base))
	b, err := os.ReadFile(filepath.Join(base, "dir", "f"))
	require.NoError(t, err)
	assert.Equal(t, "content", string(b))
	require.Error(t, state.Build(base), "a directory that is not empty")
	assert.Equal(t, powerloss.State{{Path: "f", Data: []byte("content")}}, state.Sub("dir"))
}
