package kv_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/kv"
)

func TestImagesOfTheHandoverHaveGoldenBytes(t *testing.T) {
	a, b, o := goldenMove(t)
	config := a.store.Handover().Config.Append(nil)
	group := func(id string) string {
		return fmt.Sprintf("05000000 00000000 %s %02x%02x0000 %x", id, byte(len(config)), byte(len(config)>>8), config)
	}
	requireRecords(t, records(t, a.store.Image()), []string{
		group("0100000000000000"),
		"08000000 03000000 0200000000000000 00002a36fe9c9717 00000000 0200000000000000 01000000 07000000 686f7374323a31 0700 c513 962f",
		"03000000 02000000 0068e5cf8b010000 0700000000000000 0300000000000000 962f 00 00 04000000 3a320d0a" +
			"0068e5cf8b010000 0800000000000000 0400000000000000 be2b 00 00 04000000 3a310d0a",
		"02000000 02000000 0300000000000000 6052e6cf8b010000 03000000 626172 01000000 78" +
			"0500000000000000 0000000000000000 03000000 666f6f 01000000 32",
		"04000000 00000000 0300000000000000 0400000000000000",
	})
	b.installEntries(o, 4) // both sessions, shard 7, bar without its mark
	requireRecords(t, records(t, b.store.Image()), []string{
		group("0200000000000000"),
		"06000000 02000000 0100000000000000 01000000 07000000 686f7374313a31 0a000000 02 00000000 c513 626172 c513 962f",
		"02000000 01000000 0500000000000000 6052e6cf8b010000 03000000 626172 01000000 78", // changed when it was installed
		"04000000 00000000 0100000000000000 0200000000000000",
	})
}

// installEntries installs n entries of a stream.
func (m *machine) installEntries(o *kv.Outgoing, n int) {
	var cursor []byte
	for range n {
		chunk, err := o.Chunk(cursor, 0)
		require.NoError(m.t, err)
		require.Equal(m.t, "+OK\r\n", m.apply(kv.AppendInstall(nil, 2, 1, chunk)))
		h, err := kv.ReadChunkHead(chunk)
		require.NoError(m.t, err)
		cursor = h.Next
	}
}

// requireRecords requires the records of an image from the group on.
func requireRecords(t *testing.T, got [][]byte, want []string) {
	t.Helper()
	got = got[len(got)-len(want):]
	for i := range want {
		require.Equal(t, fmt.Sprintf("%x", golden.Hex(want[i])), fmt.Sprintf("%x", got[i]), "record %d", i)
	}
}

// TestRestoreRefusesWhatIsNoHandover: records that no image has together.
func TestRestoreRefusesWhatIsNoHandover(t *testing.T) {
	image := func(of int) [][]byte {
		a, b, o := goldenMove(t)
		if of == 1 {
			return records(t, a.store.Image())
		}
		b.installEntries(o, 1)
		return records(t, b.store.Image())
	}
	source, target := image(1), image(2)
	find := func(rs [][]byte, kind byte) int {
		for i, r := range rs {
			if r[0] == kind {
				return i
			}
		}
		return -1
	}
	change := func(rs [][]byte, kind byte, f func(r []byte)) [][]byte {
		rs = append([][]byte(nil), rs...)
		i := find(rs, kind)
		rs[i] = bytes.Clone(rs[i])
		f(rs[i])
		return rs
	}
	without := func(rs [][]byte, kind byte) [][]byte {
		i := find(rs, kind)
		return append(append([][]byte(nil), rs[:i]...), rs[i+1:]...)
	}
	for name, rs := range map[string][][]byte{
		"no group":                     without(source, 5),
		"group 0":                      change(source, 5, func(r []byte) { r[8] = 0 }),
		"group with a count":           change(source, 5, func(r []byte) { r[4] = 1 }),
		"another group, with its keys": change(source, 5, func(r []byte) { r[8] = 9 }),
		"a damaged config":             change(source, 5, func(r []byte) { r[20] = 9 }),
		"outgoing of the future":       change(source, 8, func(r []byte) { r[8] = 3 }),
		"outgoing without the first":   change(source, 8, func(r []byte) { r[24] = 1 }),
		"no outgoing":                  without(source, 8),
		"outgoing to itself":           change(source, 8, func(r []byte) { r[28] = 1 }),
		"outgoing of no shard":         change(source, 8, func(r []byte) { r[4] = 0 }),
		"outgoing shards in disorder":  change(source, 8, func(r []byte) { r[len(r)-6], r[len(r)-5] = 0xff, 0x3f }),
		"key of no outgoing shard":     change(source, 8, func(r []byte) { r[len(r)-4] = 0xc6 }),
		"incoming from itself":         change(target, 6, func(r []byte) { r[8] = 2 }),
		"incoming from nobody":         change(target, 6, func(r []byte) { r[8] = 0 }),
		"incoming of a bad address":    change(target, 6, func(r []byte) { r[24] = ',' }),
		"incoming at no cursor":        change(target, 6, func(r []byte) { r[35] = 9 }),
		"incoming of others' shards":   change(target, 6, func(r []byte) { r[len(r)-1] = 0x30 }),
	} {
		_, err := restore(rs)
		require.ErrorIs(t, err, kv.ErrRecord, name)
	}
}

// FuzzRestoreHandover: the records of a sharded group's image.
func FuzzRestoreHandover(f *testing.F) {
	a, b, o := goldenMove(&testing.T{})
	b.installEntries(o, 4)
	some, _, _, _ := batchesMove(&testing.T{})
	some.apply(kv.AppendFreeze(nil, 2, 2, 0, 400))
	for _, m := range []*machine{a, b, some} {
		rs := records(f, m.store.Image())
		for len(rs) < 9 {
			rs = append(rs, nil)
		}
		f.Add(rs[1], rs[2], rs[3], rs[4], rs[5], rs[6], rs[7])
	}
	state := records(f, a.store.Image())[0]
	f.Fuzz(func(t *testing.T, r1, r2, r3, r4, r5, r6, r7 []byte) {
		rs := [][]byte{state}
		for _, r := range [][]byte{r1, r2, r3, r4, r5, r6, r7} {
			if len(r) > 0 {
				rs = append(rs, r)
			}
		}
		s, err := restore(rs)
		if err != nil {
			return
		}
		require.Equal(t, s.Digest(), copyOf(t, s).Digest())
	})
}
