package server_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/server"
	"diskv/shard"
	"diskv/snapshot"
)

// cluster is groups in this process, and their shardmasters.
type cluster struct {
	t       testing.TB
	masters *group
	groups  []*group
}

// startCluster starts a shardmaster and groups of one member, and has the groups join one
// after the other.
func startCluster(tb testing.TB, groups int, changes ...func(*server.Options)) *cluster {
	tb.Helper()
	return clusterOf(tb, startGroup, groups, 1, changes)
}

// steadyCluster is that of two groups, all of three members, of which none has another
// leader.
func steadyCluster(tb testing.TB, changes ...func(*server.Options)) *cluster {
	tb.Helper()
	return clusterOf(tb, steadyGroup, 2, 3, changes)
}

func clusterOf(tb testing.TB, start func(testing.TB, int, ...func(*server.Options)) *group, groups, size int, changes []func(*server.Options)) *cluster {
	tb.Helper()
	c := &cluster{t: tb, masters: start(tb, size, func(o *server.Options) {
		o.Service, o.Group = paxos.ServiceShardmaster, 0
		if size == 1 {
			o.Peers = []string{o.Listen}
		}
	})}
	for i := range groups {
		sharded := func(o *server.Options) {
			o.Service, o.Group, o.Shardmasters = paxos.ServiceSharded, uint64(i+1), c.addrs(c.masters)
		}
		c.groups = append(c.groups, start(tb, size, append([]func(*server.Options){sharded}, changes...)...))
	}
	for i, g := range c.groups {
		c.change("JOIN " + strconv.Itoa(i+1) + " " + strings.Join(c.addrs(g), " "))
	}
	c.settle()
	return c
}

func (c *cluster) addrs(g *group) []string {
	var addrs []string
	for _, o := range g.opts {
		addrs = append(addrs, o.Listen)
	}
	return addrs
}

// change makes a change of the config and returns its number.
func (c *cluster) change(words string) int {
	c.t.Helper()
	n, err := strconv.Atoi(c.masters.dial(c.masters.leader()).do("DISKV.SHARDS " + words))
	require.NoError(c.t, err, words)
	return n
}

// newest returns the number of the newest config.
func (c *cluster) newest() uint64 {
	c.t.Helper()
	m := c.masters.dial(c.masters.leader())
	config, err := shard.DecodeConfig([]byte(m.text("DISKV.SHARDS QUERY")))
	require.NoError(c.t, err)
	return config.Num
}

// settle waits until every group that runs has what the newest config gives it, and
// keeps nothing for others.
func (c *cluster) settle() {
	c.t.Helper()
	num := c.newest()
	for id, g := range c.groups {
		m := g.dial(g.leader())
		require.Eventually(c.t, func() bool {
			v, err := m.Do("DISKV.SETTLED")
			return err == nil && v.Elems[1].Int == int64(num) && v.Elems[2].Int == 1
		}, patience, 2*time.Millisecond, "group %d has settled config %d", id+1, num)
	}
}

// tagIn returns a hash tag whose shard is in a range.
func tagIn(first, last int) string {
	for n := 0; ; n++ {
		tag := fmt.Sprintf("{%d}", n)
		if id := int(shard.Of([]byte(tag))); id >= first && id <= last {
			return tag
		}
	}
}

func TestShardsMoveWithTheirDataAndSessions(t *testing.T) {
	t.Parallel()
	c := steadyCluster(t)
	c.change("MOVE 0-16383 1")
	c.settle()
	one, two := c.groups[0].dial(c.groups[0].leader()), c.groups[1].dial(c.groups[1].leader())
	tag := tagIn(0, 16383)
	id := int(shard.Of([]byte(tag)))
	for i := range 500 {
		require.Equal(t, "OK", one.do(fmt.Sprintf("SET %s%d %d", tag, i, i)))
		require.Equal(t, "OK", one.do(fmt.Sprintf("SET k%d %d", i, i)))
	}
	require.Equal(t, "1", one.do("PEXPIRE "+tag+"7 3600000"))
	session := one.text("DISKV.SESSION")
	once := fmt.Sprintf("DISKV.ONCE %slog %s 1 APPEND %slog x", tag, session, tag)
	require.Equal(t, "1", one.do(once))

	c.change(fmt.Sprintf("MOVE %d 2", id))
	c.settle()
	for i := range 500 {
		require.Equal(t, fmt.Sprintf("%q", fmt.Sprint(i)), two.do(fmt.Sprintf("GET %s%d", tag, i)))
		require.Equal(t, fmt.Sprintf("%q", fmt.Sprint(i)), one.do(fmt.Sprintf("GET k%d", i)), "what does not move is not touched")
	}
	require.Equal(t, "1", two.do(once), "a retry gets the first reply, wherever the shard is")
	require.Equal(t, `"x"`, two.do("GET "+tag+"log"))
	ttl, err := strconv.Atoi(two.do("PTTL " + tag + "7"))
	require.NoError(t, err)
	require.Greater(t, ttl, 3_500_000)
	moved := fmt.Sprintf("-MOVED %d %s", id, c.groups[1].opts[c.groups[1].leader()].Listen)
	require.Equal(t, moved, one.do("GET "+tag+"7"), "to the leader of the group")
	require.Equal(t, moved, c.groups[0].dial(c.groups[0].follower()).do("GET "+tag+"7"), "from a follower too")
	require.Equal(t, "501", two.do("DBSIZE"), "what is not served is not seen")
	require.Equal(t, "500", one.do("DBSIZE"))
	require.Equal(t, "-CROSSSLOT Keys in request don't hash to the same slot", one.do("MGET k1 k2"))

	// Everything is there after a restart of every process, on all sides.
	for _, g := range append(c.groups, c.masters) {
		for i := range g.nodes {
			g.stop(i)
		}
	}
	for _, g := range append(c.groups, c.masters) {
		for i := range g.nodes {
			g.opts[i].Replica.ElectionTimeout = 0 // somebody has to lead again
			g.start(i)
		}
		g.awaitReady()
	}
	two = c.groups[1].dial(c.groups[1].leader())
	require.Equal(t, `"7"`, two.do("GET "+tag+"7"))
	require.Equal(t, "1", two.do(once))
	c.change(fmt.Sprintf("MOVE %d 1", id))
	c.settle()
	one = c.groups[0].dial(c.groups[0].leader())
	require.Equal(t, `"7"`, one.do("GET "+tag+"7"))
	require.Equal(t, "1", one.do(once))
}

// TestWritesGoOnWhileTheirShardMoves: a client that follows redirects sees its shard
// move to and fro, and every one of its writes is there once.
func TestWritesGoOnWhileTheirShardMoves(t *testing.T) {
	t.Parallel()
	c := steadyCluster(t)
	tag := tagIn(0, 16383)
	id := int(shard.Of([]byte(tag)))
	at := c.groups[0].opts[0].Listen
	m := dial(t, at)
	send := func(words string) string {
		for range 1000 {
			reply := m.do(words)
			switch {
			case strings.HasPrefix(reply, "-MOVED"):
				m.Close()
				at = strings.Fields(reply)[2]
				m = dial(t, at)
			case strings.HasPrefix(reply, "-TRYAGAIN"), strings.HasPrefix(reply, "-CLUSTERDOWN"):
			default:
				return reply
			}
		}
		return "no end of redirects"
	}
	length := 0
	for round := range 10 {
		num := c.change(fmt.Sprintf("MOVE %d %d", id, 1+round%2))
		for settled := false; !settled; {
			length++
			require.Equal(t, strconv.Itoa(length), send("APPEND "+tag+" x"), "in round %d", round)
			v, err := m.Do("DISKV.SETTLED")
			require.NoError(t, err)
			settled = v.Elems[3].Int >= int64(num) && v.Elems[1].Int >= int64(num)
		}
		require.Equal(t, fmt.Sprintf("%q", strings.Repeat("x", length)), send("GET "+tag))
	}
	c.settle()
}

// TestShardWhoseGiverIsAwayIsAwaited: the group that is to get it lets clients wait a
// while, says so, and serves it when the giver is back.
func TestShardWhoseGiverIsAwayIsAwaited(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	tag := tagIn(0, 16383)
	id := int(shard.Of([]byte(tag)))
	c.change("MOVE 0-16383 1")
	c.settle()
	require.Equal(t, "OK", c.groups[0].dial(0).do("SET "+tag+" v"))
	c.groups[0].stop(0)
	c.change(fmt.Sprintf("MOVE %d 2", id))
	two := c.groups[1].dial(0)
	require.Eventually(t, func() bool {
		reply := two.do("GET " + tag)
		return strings.HasPrefix(reply, "-TRYAGAIN shard "+strconv.Itoa(id)+" is on its way to this group")
	}, patience, time.Millisecond)
	answer := make(chan string, 1)
	go func() {
		for {
			v, err := two.Do("GET", tag)
			if err == nil {
				answer <- string(v.Str)
				return
			}
		}
	}()
	c.groups[0].start(0)
	require.Equal(t, "v", <-answer)
}

// TestShardWhoseTakerIsAwayIsServed: the group that gives it serves it until the other
// one fetches it.
func TestShardWhoseTakerIsAwayIsServed(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	tag := tagIn(0, 16383)
	c.change("MOVE 0-16383 1")
	c.settle()
	c.groups[1].stop(0)
	num := c.change(fmt.Sprintf("MOVE %d 2", shard.Of([]byte(tag))))
	one := c.groups[0].dial(0)
	require.Eventually(t, func() bool {
		v, err := one.Do("DISKV.SETTLED")
		return err == nil && v.Elems[3].Int == int64(num)
	}, patience, time.Millisecond)
	require.Equal(t, "1", one.do("APPEND "+tag+" x"))
	v, err := one.Do("DISKV.SETTLED")
	require.NoError(t, err)
	require.Zero(t, v.Elems[2].Int, "it is not drained")
	c.groups[1].start(0)
	c.groups[1].awaitReady()
	c.settle()
	require.Equal(t, "2", c.groups[1].dial(0).do("APPEND "+tag+" x"))
}

// TestShardsOfALargeMoveAreAwayOneBatchAtATime: while many shards with much data move,
// each of them is written to all the time, wherever clients ask first.
func TestShardsOfALargeMoveAreAwayOneBatchAtATime(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.change("MOVE 0-16383 1")
	c.settle()
	one, two := c.groups[0].dial(0), c.groups[1].dial(0)
	const tags = 40
	for i := range tags {
		require.Equal(t, "OK", one.do(fmt.Sprintf("SET {%d}data %s", i, strings.Repeat("x", 400_000))))
	}
	num := int64(c.change("MOVE 0-16383 2"))
	standing := func(m *conn) (config, settled int64) {
		v, err := m.Do("DISKV.SETTLED")
		require.NoError(t, err)
		return v.Elems[3].Int, v.Elems[1].Int
	}
	left, sentBack, longest := 0, 0, time.Duration(0)
	var places [tags]*conn // where a client that learns asks first; wrong at the beginning
	for i := range places {
		places[i] = two
	}
	appended := 0
	for arrived := false; !arrived; appended++ {
		_, settled := standing(two)
		arrived = settled == num
		for i := range places {
			config, _ := standing(one)
			begun, reply := time.Now(), "-MOVED"
			for hops := 0; strings.HasPrefix(reply, "-MOVED") || strings.HasPrefix(reply, "-TRYAGAIN"); {
				require.Less(t, hops, 10)
				if strings.HasPrefix(reply, "-MOVED") {
					hops++
				}
				at := places[i]
				switch reply = at.do(fmt.Sprintf("APPEND {%d}log x", i)); {
				case strings.HasPrefix(reply, "-TRYAGAIN"): // a machine that is busy takes long for a batch
				case !strings.HasPrefix(reply, "-MOVED"):
					if at == one && config == num {
						left++
					}
				case at == two:
					places[i], sentBack = one, sentBack+1
				default:
					places[i] = two
				}
			}
			require.Equal(t, strconv.Itoa(appended+1), reply, "in round %d", appended)
			longest = max(longest, time.Since(begun))
		}
	}
	t.Logf("%d writes by the giver after it took the config, %d redirects to it, longest write %v", left, sentBack, longest)
	require.Positive(t, left)
	c.settle()
}

// TestShardmastersAreNotNeededToServe: losing them stops reconfiguration and nothing
// else.
func TestShardmastersAreNotNeededToServe(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.masters.stop(0)
	for id, g := range c.groups {
		m := g.dial(0)
		tag := tagIn(8192*(1-id), 8192*(1-id)+8191)
		if strings.HasPrefix(m.do("GET "+tag), "-MOVED") {
			tag = tagIn(8192*id, 8192*id+8191)
		}
		require.Equal(t, "OK", m.do("SET "+tag+" v"))
		require.Equal(t, `"v"`, m.do("GET "+tag))
		g.stop(0)
		g.start(0)
		g.awaitReady()
		require.Equal(t, `"v"`, g.dial(0).do("GET "+tag), "after a restart too")
	}
}

func TestGroupThatHasNotJoinedSaysSo(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 0)
	g := startGroup(t, 1, func(o *server.Options) {
		o.Service, o.Group, o.Shardmasters = paxos.ServiceSharded, 9, c.addrs(c.masters)
	})
	m := g.dial(0)
	require.Equal(t, "-CLUSTERDOWN group 9 is in no config yet: diskvctl shard join 9 ADDRESS... makes it serve shards", m.do("SET k v"))
	require.Equal(t, "[]", m.do("CLUSTER SLOTS"))
	require.Contains(t, m.do("DISKV.PULL 1 1 x 100"), "-ERR cursor: ")
	_, err := m.Do("DISKV.PULL", "1", "1", "", "100")
	require.ErrorContains(t, err, "NOTYET ")
	require.Contains(t, m.do("DISKV.PULL x 1 x 100"), "-ERR DISKV.PULL needs")
	require.Equal(t, `[9 0 1 0 "`+g.opts[0].Listen+`" 1]`, m.do("DISKV.SETTLED"))
	require.Equal(t, `[9 0 1 0 "`+g.opts[0].Listen+`" 1 0]`, m.do("DISKV.SETTLED 16383"))
	for _, bad := range []string{"DISKV.SETTLED 16384", "DISKV.SETTLED -1", "DISKV.SETTLED x", "DISKV.SETTLED 1 2"} {
		require.Contains(t, m.do(bad), "-ERR DISKV.SETTLED takes the number of a shard", bad)
	}
}

// TestSnapshotNamesTheConfig that was in force.
func TestSnapshotNamesTheConfig(t *testing.T) {
	t.Parallel()
	often := func(o *server.Options) { o.Replica.SnapshotMinBytes = 1 }
	c := startCluster(t, 1, often)
	num := uint64(c.change("MOVE 0-9 1")) // which changes nothing
	m := c.groups[0].dial(0)
	require.Eventually(t, func() bool {
		m.do("SET k v")
		info, ok, err := snapshot.Newest(filepath.Join(c.groups[0].opts[0].Dir, "snapshot"))
		return err == nil && ok && info.Header.Config == num
	}, patience, 5*time.Millisecond)
}

func TestGroupByItselfMovesNothing(t *testing.T) {
	t.Parallel()
	m := startGroup(t, 1).dial(0)
	require.Equal(t, "-ERR this group has no shardmasters: it serves every shard, and moves none", m.do("DISKV.SETTLED"))
	require.Equal(t, "-ERR this group has no shardmasters: it serves every shard, and moves none", m.do("DISKV.PULL 1 1 x 100"))
}

// TestForwardingReachesEveryGroup: a plain client can use any member of any group.
func TestForwardingReachesEveryGroup(t *testing.T) {
	t.Parallel()
	c := steadyCluster(t, forwarding)
	m := c.groups[0].dial(c.groups[0].follower())
	var lines, want []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("SET k%d %d", i, i), fmt.Sprintf("GET k%d", i))
		want = append(want, "OK", fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	require.Equal(t, want, m.pipeline(lines...))
}

// TestEveryMemberDescribesTheWholeCluster, in the same words.
func TestEveryMemberDescribesTheWholeCluster(t *testing.T) {
	t.Parallel()
	c := steadyCluster(t)
	// Who leads the other groups is asked for twice a second.
	one, two := c.groups[0], c.groups[1]
	var slots string
	require.Eventually(t, func() bool {
		slots = one.dial(0).do("CLUSTER SLOTS")
		for _, g := range []*group{one, two, c.masters} {
			for i := range g.nodes {
				if g.dial(i).do("CLUSTER SLOTS") != slots {
					return false
				}
			}
		}
		return true
	}, patience, 50*time.Millisecond)
	for _, g := range c.groups {
		require.Contains(t, slots, `["`+g.opts[g.leader()].Listen+`" 0 `, "a leader first")
	}
	require.Equal(t, "ok", stateOf(one.dial(0).text("CLUSTER INFO")))
	require.Equal(t, 6, strings.Count(one.dial(0).text("CLUSTER NODES"), "\n"))
}

// stateOf returns the cluster_state of CLUSTER INFO.
func stateOf(info string) string {
	for line := range strings.SplitSeq(info, "\r\n") {
		if state, ok := strings.CutPrefix(line, "cluster_state:"); ok {
			return state
		}
	}
	return ""
}
