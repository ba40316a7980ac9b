package kv_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

// configs makes configs out of each other.
func configs(steps ...func(*shard.Config)) []*shard.Config {
	all := []*shard.Config{{}}
	for _, step := range steps {
		c := *all[len(all)-1]
		c.Num++
		step(&c)
		all = append(all, &c)
	}
	return all
}

// give gives shards from one on to a group that joins with it, if need be.
func give(to shard.GroupID, first, last shard.ID) func(*shard.Config) {
	return func(c *shard.Config) {
		if _, ok := c.Group(to); !ok {
			c.Groups = append(slices.Clone(c.Groups), groupOf(to))
			slices.SortFunc(c.Groups, func(a, b shard.Group) int { return cmp.Compare(a.ID, b.ID) })
		}
		for id := first; id <= last; id++ {
			c.Owner[id] = to
		}
	}
}

func groupOf(id shard.GroupID) shard.Group {
	return shard.Group{ID: id, Servers: []string{fmt.Sprintf("host%d:1", id)}}
}

// newGroup returns a machine whose store is that of a group.
func newGroup(t *testing.T, id shard.GroupID) *machine {
	t.Helper()
	m := newMachine(t)
	m.store = kv.NewSharded(id)
	return m
}

func (m *machine) take(config, previous *shard.Config) string {
	m.t.Helper()
	return m.apply(kv.AppendTakeConfig(nil, config, previous))
}

// pull installs everything that the machine awaits from another group, in chunks.
func (m *machine) pull(from *machine, limit int) {
	m.t.Helper()
	for {
		h := m.store.Handover()
		var in *kv.Incoming
		for i := range h.Incoming {
			if h.Incoming[i].From.ID == from.store.Handover().Group {
				in = &h.Incoming[i]
			}
		}
		if in == nil {
			return
		}
		o, ok := from.store.Outgoing(in.Config, h.Group)
		require.True(m.t, ok)
		chunk, err := o.Chunk(in.Cursor, limit)
		require.NoError(m.t, err)
		require.Equal(m.t, "+OK\r\n", m.apply(kv.AppendInstall(nil, in.Config, in.From.ID, chunk)))
	}
}

func TestShardsMove(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 8000, 12500))
	a, b := newGroup(t, 1), newGroup(t, 2)
	require.Equal(t, "-WRONGSHARD 12182 0\r\n", a.do("GET foo"))
	require.Equal(t, "+OK\r\n", a.take(c[1], c[0]))
	require.Equal(t, "+OK\r\n", a.do("SET foo 1"))
	require.Equal(t, "+OK\r\n", a.do("SET bar 2"))
	id := kv.NewSessionID(a.now, 7)
	require.Equal(t, ":2\r\n", a.do(once(id, 1, "foo", "INCR foo")))

	require.Equal(t, "+OK\r\n", a.take(c[2], nil))
	require.Equal(t, "-WRONGSHARD 12182 2\r\n", a.do("GET foo"))
	require.Equal(t, "-WRONGSHARD 12182 2\r\n", a.do(once(id, 1, "foo", "INCR foo")))
	require.Equal(t, "$1\r\n2\r\n", a.do("GET bar"))
	require.Equal(t, ":1\r\n", a.do("DBSIZE"))

	require.Equal(t, "+OK\r\n", b.take(c[2], c[1]))
	require.Equal(t, kv.Awaited, b.store.ShardState(12182))
	require.Equal(t, uint64(1), b.store.Handover().Settled)
	require.Equal(t, "-WRONGSHARD 12182 2\r\n", b.do("GET foo"))
	b.pull(a, 1<<20)
	require.Equal(t, uint64(2), b.store.Handover().Settled)
	require.Equal(t, kv.Served, b.store.ShardState(12182))
	require.Equal(t, ":2\r\n", b.do(once(id, 1, "foo", "INCR foo")), "the reply has come along")
	require.Equal(t, ":3\r\n", b.do(once(id, 2, "foo", "INCR foo")))

	require.Equal(t, "+OK\r\n", a.apply(kv.AppendRelease(nil, 2, 2)))
	require.Empty(t, a.store.Handover().Outgoing)
}
