package kv_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

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

// everything is the size of a batch that all shards go with.
const everything = 1 << 40

// freeze freezes a batch of all that is left.
func (m *machine) freeze(config uint64, to shard.GroupID, batch int) string {
	m.t.Helper()
	return m.apply(kv.AppendFreeze(nil, config, to, uint32(batch), everything))
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
		batch, err := kv.CursorBatch(in.Cursor)
		require.NoError(m.t, err)
		o, ok := from.store.Outgoing(in.Config, h.Group, batch)
		if !ok {
			require.Equal(m.t, "+OK\r\n", from.freeze(in.Config, h.Group, int(batch)))
			continue
		}
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
	require.Equal(t, kv.Leaving, a.store.ShardState(12182))
	require.Equal(t, ":2\r\n", a.do(once(id, 1, "foo", "INCR foo")), "nothing stands still yet")
	require.Equal(t, ":2\r\n", a.do("DBSIZE"))
	require.Equal(t, "-TOOEARLY shards have yet to leave for group 2 with config 2\r\n", a.apply(kv.AppendRelease(nil, 2, 2)))
	require.Equal(t, "+OK\r\n", a.freeze(2, 2, 0))
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

// TestAnOutgoingIsReadWhileTheStoreGoesOn: for the race detector, too.
func TestAnOutgoingIsReadWhileTheStoreGoesOn(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 0, 8191), give(3, 8192, 12000))
	a := newGroup(t, 1)
	a.take(c[1], c[0])
	for i := range 1000 {
		a.do(fmt.Sprintf("SET key%d %d EX 100", i, i))
		a.do(once(kv.NewSessionID(epoch, uint64(i%20)), i+1, "n", "INCR n"))
		a.do(fmt.Sprintf("APPEND key%d x", i/2))
	}
	a.store.Image()
	a.take(c[2], nil)
	a.freeze(2, 2, 0)
	o, ok := a.store.Outgoing(2, 2, 0)
	require.True(t, ok)
	want := entriesOf(t, o, 1<<20)
	done := make(chan []byte)
	go func() {
		var all, cursor []byte
		for range 10_000 {
			chunk, err := o.Chunk(cursor, 500)
			h, headErr := kv.ReadChunkHead(chunk)
			if err != nil || headErr != nil {
				break
			}
			all = append(all, chunk[36+4+len(h.Start)+4+len(h.Next)+4:len(chunk)-4]...)
			if cursor = h.Next; h.Last {
				break
			}
		}
		done <- all
	}()
	for i := range 1000 {
		a.do(fmt.Sprintf("APPEND key%d y", i))
		a.do(once(kv.NewSessionID(epoch, uint64(i%20)), i+2000, "n", "INCR n"))
		if i%100 == 0 {
			a.store.Image()
			a.sleep(10 * time.Second)
		}
		if i == 500 {
			a.take(c[3], nil)
			a.apply(kv.AppendRelease(nil, 2, 2))
		}
	}
	require.Equal(t, want, <-done)
}

func TestPlainGroupsTakeNoConfigs(t *testing.T) {
	m := newMachine(t)
	c := configs(give(1, 0, shard.Count-1))
	for _, command := range [][]byte{
		kv.AppendTakeConfig(nil, c[1], c[0]), kv.AppendInstall(nil, 1, 2, nil), kv.AppendRelease(nil, 1, 2),
		kv.AppendFreeze(nil, 1, 2, 0, 0),
	} {
		require.Equal(t, "-ERR this group has no configs: it serves every shard\r\n", m.apply(command))
	}
	require.Equal(t, kv.Handover{}, m.store.Handover())
	require.Equal(t, kv.Served, m.store.ShardState(0))
	require.PanicsWithValue(t, "kv: group 0 is nobody", func() { kv.NewSharded(0) })
}

func TestConfigsThatAreRefused(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 0, 99), give(1, 0, 49), give(2, 50, 200))
	nobody := *c[2]
	nobody.Owner[7] = 0
	fresh := func(*machine) {}
	one := func(m *machine) { m.take(c[1], nil) }
	awaiting := func(m *machine) {
		m.take(c[1], nil)
		m.take(c[2], nil)
		m.take(c[3], nil)
	}
	for name, tc := range map[string]struct {
		group            shard.GroupID
		before           func(*machine)
		config, previous *shard.Config
		want             string
	}{
		"the first":                        {1, fresh, c[1], c[0], "+OK"},
		"the first, alone":                 {1, fresh, c[1], nil, "+OK"},
		"config 0":                         {1, fresh, c[0], c[0], "-STALECONFIG config 0 is not the one before 0"},
		"a later one, alone":               {2, fresh, c[2], nil, "-STALECONFIG this group has no config; with its first, 2, has to come the one before"},
		"a later one, after another":       {2, fresh, c[2], c[0], "-STALECONFIG config 0 is not the one before 2"},
		"a later one":                      {2, fresh, c[2], c[1], "+OK"},
		"one after it owned something":     {1, fresh, c[2], c[1], "-STALECONFIG this group owned shards in config 1; it has to begin with an older one"},
		"the same again":                   {1, one, c[1], nil, "-STALECONFIG this group has config 1; the next one is not 1"},
		"one in between is missing":        {1, one, c[3], nil, "-STALECONFIG this group has config 1; the next one is not 3"},
		"the next":                         {1, one, c[2], nil, "+OK"},
		"the next, with the one before":    {1, one, c[2], c[1], "+OK"},
		"a shard for nobody":               {1, one, &nobody, nil, "-ERR config 2 gives shard 7 of group 1 to nobody"},
		"the next, while one is awaited":   {1, awaiting, c[4], nil, "-STALECONFIG this group still awaits shards of config 3"},
		"a config that is none":            {1, fresh, &shard.Config{Num: 1, Owner: [shard.Count]shard.GroupID{9}}, nil, "-ERR malformed config in the log: decode config: shard 0 is of group 9, which the config does not have"},
		"a config before one that is none": {1, fresh, c[1], &shard.Config{Owner: [shard.Count]shard.GroupID{9}}, "-ERR malformed config in the log: decode config: shard 0 is of group 9, which the config does not have"},
	} {
		m := newGroup(t, tc.group)
		tc.before(m)
		before, version := m.store.Handover(), m.store.HandoverVersion()
		require.Equal(t, tc.want+"\r\n", m.take(tc.config, tc.previous), name)
		require.Equal(t, tc.want == "+OK", m.store.HandoverVersion() > version, name)
		if tc.want != "+OK" {
			require.Equal(t, before, m.store.Handover(), name)
		}
		kv.RequireInvariants(t, m.store)
	}
}

func TestMalformedHandoverCommands(t *testing.T) {
	m := newGroup(t, 1)
	whole := kv.AppendRelease(nil, 1, 2)
	for _, bad := range [][]byte{
		whole[:1], whole[:len(whole)-1], append(slices.Clone(whole), 0), {0x81, 0, 0, 0}, {0x81, 5, 0, 0},
		append([]byte{0x81, 3, 1, 0}, whole[4:]...), {0x81, 1, 0, 0, 0xff, 0xff, 0xff, 0xff},
	} {
		require.Contains(t, m.apply(bad), "-ERR malformed hand-over command in the log: ", "%x", bad)
	}
	_, ok := m.store.Query(nil, 0, whole)
	require.True(t, ok)
	reply, _ := m.store.Query(nil, 0, whole)
	require.Contains(t, string(reply), "-ERR malformed query: ")
}

// TestTheNewestAddressesAreTold: a group whose config is newer knows better where
// another one is than the config with which the shards moved.
func TestTheNewestAddressesAreTold(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 0, 99), func(c *shard.Config) {
		c.Groups = []shard.Group{groupOf(1), {ID: 2, Servers: []string{"elsewhere:1"}}}
	}, func(c *shard.Config) {
		give(1, 0, 99)(c)
		c.Groups = []shard.Group{groupOf(1)}
	})
	a := newGroup(t, 1)
	for n := range c[1:] {
		require.Equal(t, "+OK\r\n", a.take(c[n+1], nil))
		for _, out := range a.store.Handover().Outgoing {
			want := []string{"host2:1"}
			if n+1 == 3 {
				want = []string{"elsewhere:1"}
			}
			require.Equal(t, want, out.To.Servers, "config %d", n+1)
		}
	}
	require.Equal(t, []kv.Incoming{{
		Config: 4, From: shard.Group{ID: 2, Servers: []string{"elsewhere:1"}}, Shards: 100,
	}}, a.store.Handover().Incoming, "one that has left is where it was")
}

// TestAChunkOfAnOlderConfigIsStale: a late first chunk of a stream of long ago finds
// another stream from the same group at its beginning.
func TestAChunkOfAnOlderConfigIsStale(t *testing.T) {
	c := configs(give(1, 0, shard.Count-1), give(2, 0, 99), give(1, 0, 99), give(2, 0, 99))
	a, b := newGroup(t, 1), newGroup(t, 2)
	a.take(c[1], nil)
	a.do(once(kv.NewSessionID(epoch, 7), 1, "foo", "INCR foo"))
	a.take(c[2], nil)
	b.take(c[2], c[1])
	a.freeze(2, 2, 0)
	o, _ := a.store.Outgoing(2, 2, 0)
	first, err := o.Chunk(nil, 0)
	require.NoError(t, err)
	b.pull(a, 1<<20)
	b.take(c[3], nil)
	a.take(c[3], nil)
	a.pull(b, 1<<20)
	a.take(c[4], nil)
	b.take(c[4], nil)
	require.Empty(t, b.store.Handover().Incoming[0].Cursor)
	require.Contains(t, b.apply(kv.AppendInstall(nil, 2, 1, first)), "-"+kv.CodeStaleChunk+" ")
	require.Empty(t, b.store.Handover().Incoming[0].Cursor)
	b.pull(a, 1<<20)
	require.Equal(t, uint64(4), b.store.Handover().Settled)
}
