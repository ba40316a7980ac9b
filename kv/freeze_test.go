package kv_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/kv"
	"diskv/shard"
)

// taggedShards returns n hash tags and their shards, all different.
func taggedShards(n int) (tags []string, ids []shard.ID) {
	for i := range n {
		tag := fmt.Sprintf("{%d}", i)
		tags, ids = append(tags, tag), append(ids, shard.Of([]byte(tag)))
	}
	return tags, ids
}

// batchesMove is group 1 with four shards of a key each, of 100, 200, 300 and 400 bytes,
// which with one more that is empty leave for group 2, and group 2 that awaits them.
func batchesMove(t *testing.T) (a, b *machine, tags []string, ids []shard.ID) {
	t.Helper()
	tags, ids = taggedShards(5)
	c := configs(give(1, 0, shard.Count-1), func(c *shard.Config) {
		for _, id := range ids {
			give(2, id, id)(c)
		}
	}, give(1, 0, 0), give(1, 0, 0))
	a, b = newGroup(t, 1), newGroup(t, 2)
	a.take(c[1], c[0])
	for i, tag := range tags[:4] {
		a.do("SET " + tag + " " + strings.Repeat("x", 100*(i+1)))
	}
	require.Equal(t, "+OK\r\n", a.take(c[2], nil))
	require.Equal(t, "+OK\r\n", b.take(c[2], c[1]))
	return a, b, tags, ids
}

func (m *machine) states(ids []shard.ID) string {
	var s []string
	for _, id := range ids {
		s = append(s, m.store.ShardState(id).String())
	}
	return strings.Join(s, " ")
}

func TestShardsLeaveInBatchesSmallOnesFirst(t *testing.T) {
	a, b, tags, ids := batchesMove(t)
	freeze := func(batch uint32, bytes int64) string { return a.apply(kv.AppendFreeze(nil, 2, 2, batch, bytes)) }
	leaves := func(batches, shards, waiting int, bytes int64) {
		t.Helper()
		require.Equal(t, []kv.Departure{{
			Config: 2, To: groupOf(2), Batches: batches, Shards: shards, Waiting: waiting, Bytes: bytes,
		}}, a.store.Handover().Outgoing)
		kv.RequireInvariants(t, a.store)
	}
	require.Equal(t, "leaving leaving leaving leaving leaving", a.states(ids))
	leaves(0, 0, 5, 0)
	require.Equal(t, "+OK\r\n", freeze(0, 400))
	require.Equal(t, "elsewhere elsewhere leaving leaving elsewhere", a.states(ids))
	o, _ := a.store.Outgoing(2, 2, 0)
	require.NotNil(t, o)
	size := a.store.Handover().Outgoing[0].Bytes
	leaves(1, 3, 2, size)

	// The others go on. What comes twice, or for another batch, changes nothing.
	require.Equal(t, ":301\r\n", a.do("APPEND "+tags[2]+" y"))
	for _, batch := range []uint32{0, 2} {
		require.Equal(t, fmt.Sprintf("-STALEFREEZE the next batch for group 2 is 1, not %d\r\n", batch), freeze(batch, 400))
	}
	for _, other := range [][]byte{kv.AppendFreeze(nil, 1, 2, 1, 0), kv.AppendFreeze(nil, 2, 3, 1, 0)} {
		require.Contains(t, a.apply(other), "-"+kv.CodeStaleFreeze+" nothing has yet to leave")
	}
	leaves(1, 3, 2, size)

	// A shard that is larger than a batch goes alone.
	require.Equal(t, "+OK\r\n", freeze(1, 0))
	require.Equal(t, "elsewhere elsewhere elsewhere leaving elsewhere", a.states(ids))
	b.pull(a, 1<<20) // freezes the last one
	require.Equal(t, "elsewhere elsewhere elsewhere elsewhere elsewhere", a.states(ids))
	require.Equal(t, "served served served served served", b.states(ids))
	require.Equal(t, ":301\r\n", b.do("STRLEN "+tags[2]))
	require.Contains(t, freeze(3, 0), "-"+kv.CodeStaleFreeze+" ")
	require.Equal(t, 3, a.store.Handover().Outgoing[0].Batches)
	require.Equal(t, "+OK\r\n", a.apply(kv.AppendRelease(nil, 2, 2)))
	require.Empty(t, a.store.Handover().Outgoing)
	kv.RequireInvariants(t, a.store)
	require.Zero(t, a.store.Keys())
}

// TestABatchIsAsLargeAsTheSessionsThatGoWithIt: else they would be most of the stream.
func TestABatchIsAsLargeAsTheSessionsThatGoWithIt(t *testing.T) {
	a, _, _, ids := batchesMove(t)
	for i := range 20 {
		a.do(once(kv.NewSessionID(epoch, uint64(i)), 1, "stays", "INCR stays"))
	}
	a.apply(kv.AppendFreeze(nil, 2, 2, 0, 0))
	require.Equal(t, "elsewhere elsewhere elsewhere leaving elsewhere", a.states(ids))
}

// TestTheNextConfigFreezesWhatIsLeft: a group that takes nothing does not hold up the
// configs of the one that gives, which has one more batch for it.
func TestTheNextConfigFreezesWhatIsLeft(t *testing.T) {
	a, b, _, ids := batchesMove(t)
	require.Equal(t, "+OK\r\n", a.apply(kv.AppendFreeze(nil, 2, 2, 0, 250)))
	next := *a.store.Handover().Config
	next.Num++
	give(3, ids[3], ids[3])(&next)
	require.Equal(t, "+OK\r\n", a.take(&next, nil))
	require.Equal(t, "elsewhere elsewhere elsewhere elsewhere elsewhere", a.states(ids))
	require.Contains(t, a.apply(kv.AppendFreeze(nil, 2, 2, 2, 0)), "-"+kv.CodeStaleFreeze+" ")
	kv.RequireInvariants(t, a.store)
	out := a.store.Handover().Outgoing
	require.Len(t, out, 1)
	require.Equal(t, []int{2, 5, 0}, []int{out[0].Batches, out[0].Shards, out[0].Waiting})
	b.pull(a, 100)
	require.Equal(t, "served served served served served", b.states(ids))
	require.Equal(t, uint64(2), b.store.Handover().Settled)
}

// TestSessionsGoOnBetweenBatches: what is executed behind the first batch comes with the
// next one, before the shard is served there in which it was executed.
func TestSessionsGoOnBetweenBatches(t *testing.T) {
	a, b, tags, ids := batchesMove(t)
	small, large := tags[0], tags[3]
	id := kv.NewSessionID(epoch, 7)
	op := func(seq int, key string) string { return once(id, seq, key, "APPEND "+key+" z") }
	require.Equal(t, ":101\r\n", a.do(op(1, small)))
	require.Equal(t, "+OK\r\n", a.apply(kv.AppendFreeze(nil, 2, 2, 0, 700)))
	install := func(batch uint32) {
		o, ok := a.store.Outgoing(2, 2, batch)
		require.True(t, ok)
		chunk, err := o.Chunk(b.store.Handover().Incoming[0].Cursor, 1<<20)
		require.NoError(t, err)
		require.Equal(t, "+OK\r\n", b.apply(kv.AppendInstall(nil, 2, 1, chunk)))
		require.Contains(t, b.apply(kv.AppendInstall(nil, 2, 1, chunk)), "-"+kv.CodeStaleChunk+" ")
	}
	install(0)
	require.Equal(t, "served served served awaited served", b.states(ids))
	require.Equal(t, shard.GroupID(1), b.store.AwaitedFrom(ids[3]))
	require.Zero(t, b.store.AwaitedFrom(ids[0]))
	require.Equal(t, golden.Hex("04 01000000"), b.store.Handover().Incoming[0].Cursor, "at the start of batch 1")
	require.Equal(t, ":101\r\n", b.do(op(1, small)), "a retry")

	require.Equal(t, ":102\r\n", b.do(op(2, small)))
	require.Equal(t, ":401\r\n", a.do(op(3, large)), "the other group's numbers are its own")
	require.Equal(t, "+OK\r\n", a.apply(kv.AppendFreeze(nil, 2, 2, 1, 0)))
	install(1)
	require.Equal(t, uint64(2), b.store.Handover().Settled)
	require.Equal(t, ":401\r\n", b.do(op(3, large)), "a retry, where the shard is now")
	require.Contains(t, b.do(op(1, small)), "-"+kv.CodeStaleSeq+" ", "a late copy")
	require.Contains(t, b.do(op(2, small)), "-"+kv.CodeStaleSeq+" ")
	require.Equal(t, ":401\r\n", b.do("STRLEN "+large))
}

// TestBatchesAreInImages: what is not frozen, what is, in which batch, and what follows.
func TestBatchesAreInImages(t *testing.T) {
	a, b, _, ids := batchesMove(t)
	for batch := range uint32(2) {
		require.Equal(t, "+OK\r\n", a.apply(kv.AppendFreeze(nil, 2, 2, batch, 400)))
	}
	all := records(t, a.store.Image())
	var heads [][]byte
	for _, r := range all {
		if r[0] == 7 || r[0] == 8 {
			heads = append(heads, r)
		}
	}
	number := func(of ...shard.ID) string {
		slices.Sort(of)
		s := ""
		for _, id := range of {
			s += fmt.Sprintf("%02x%02x", byte(id), byte(id>>8))
		}
		return s
	}
	const target = "0200000000000000 01000000 07000000 686f7374323a31"
	requireRecords(t, heads, []string{
		"07000000 01000000 0200000000000000" + number(ids[3]),
		"08000000 03000000 0200000000000000 00002a36fe9c9717 00000000" + target + number(ids[0], ids[1], ids[4]),
		"08000000 01000000 0200000000000000 00002a36fe9c9717 01000000" + target + number(ids[2]),
	})
	a.store = copyOf(t, a.store)
	kv.RequireInvariants(t, a.store)
	b.pull(a, 150)
	require.Equal(t, uint64(2), b.store.Handover().Settled)

	change := func(record int, at int, to byte) {
		bad := slices.Clone(all)
		i := slices.IndexFunc(all, func(r []byte) bool { return &r[0] == &heads[record][0] })
		bad[i] = bytes.Clone(all[i])
		bad[i][at] = to
		_, err := restore(bad)
		require.ErrorIs(t, err, kv.ErrRecord, "record %d, byte %d", record, at)
	}
	change(0, 4, 0)  // no shard
	change(0, 8, 1)  // to itself
	change(0, 8, 3)  // to a group that does not get them
	change(0, 16, 9) // a shard that stays
	change(1, 24, 1) // batch 1 first
	change(2, 24, 2) // batch 1 is missing
	change(2, 24, 0) // batch 0 twice
}
