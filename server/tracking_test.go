package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/server"
)

// message returns the next message, a reply or a push.
func (c *conn) message() resp.Value {
	c.t.Helper()
	require.NoError(c.t, c.SendRaw("", 1))
	v, err := c.Receive()
	require.NoError(c.t, err)
	return v
}

// next is message in one line.
func (c *conn) next() string {
	c.t.Helper()
	v := c.message()
	if v.Kind == resp.KindPush {
		return ">" + string(v.Elems[0].Str) + " " + show(v.Elems[1])
	}
	return show(v)
}

// tracked returns a connection that is tracked.
func (g *group) tracked(i int, mode string) *conn {
	c := g.dial(i)
	c.do("HELLO 3")
	require.Equal(g.t, "OK", c.do(strings.TrimSpace("CLIENT TRACKING ON "+mode)))
	return c
}

// awaitPush waits for a message that nobody asked for.
func (c *conn) awaitPush(want string) {
	c.t.Helper()
	require.Equal(c.t, want, c.next())
}

// TestTrackingAnswersAsRedisDoes: the replies are those of Redis 7.0.15, but for what is
// not supported.
func TestTrackingAnswersAsRedisDoes(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	c.script(`
		CLIENT TRACKING ON => -ERR CLIENT TRACKING needs RESP3 here: say HELLO 3 first (invalidations are sent on the connection itself, there is no REDIRECT)
		CLIENT TRACKING OFF => OK
		CLIENT TRACKINGINFO => ["flags" ["off"] "redirect" -1 "prefixes" []]
		CLIENT CACHING YES => -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
		CLIENT TRACKING MAYBE => -ERR syntax error
		CLIENT GETREDIR => -1
		CLIENT TRACKING => -ERR wrong number of arguments for 'client|tracking' command
		CLIENT TRACKING ON FOO => -ERR syntax error
		CLIENT TRACKING OFF OPTIN => OK
	`)
	require.Contains(t, c.text("CLIENT INFO"), "redir=-1")
	c.do("HELLO 3")
	c.script(`
		CLIENT TRACKING ON REDIRECT 7 => -ERR CLIENT TRACKING with REDIRECT is not supported: use RESP3, which needs none
		CLIENT TRACKING ON BCAST => -ERR CLIENT TRACKING with BCAST is not supported: leave it out, and what the connection reads is tracked
		CLIENT TRACKING ON PREFIX a => -ERR PREFIX option requires BCAST mode to be enabled
		CLIENT TRACKING ON OPTIN OPTOUT => -ERR You can't specify both OPTIN mode and OPTOUT mode
		CLIENT TRACKING ON OPTIN => OK
		CLIENT TRACKINGINFO => %["flags" ~["on" "optin"] "redirect" 0 "prefixes" []]
		CLIENT CACHING NO => -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
		CLIENT CACHING MAYBE => -ERR syntax error
		CLIENT CACHING YES => OK
		CLIENT TRACKINGINFO => %["flags" ~["on" "optin" "caching-yes"] "redirect" 0 "prefixes" []]
		GET k => nil
		CLIENT TRACKINGINFO => %["flags" ~["on" "optin"] "redirect" 0 "prefixes" []]
		CLIENT TRACKING ON OPTOUT => -ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
		CLIENT TRACKING ON NOLOOP => OK
		CLIENT TRACKINGINFO => %["flags" ~["on" "noloop"] "redirect" 0 "prefixes" []]
		CLIENT TRACKING OFF => OK
		CLIENT TRACKING ON OPTOUT NOLOOP => OK
		CLIENT CACHING YES => -ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.
		CLIENT CACHING NO => OK
		CLIENT TRACKINGINFO => %["flags" ~["on" "optout" "caching-no" "noloop"] "redirect" 0 "prefixes" []]
		CLIENT TRACKING ON OPTIN => -ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
		CLIENT GETREDIR => 0
	`)
	require.Contains(t, c.text("CLIENT INFO"), "flags=Ut ")
	require.Contains(t, c.do("HELLO 2"), `"proto" 2`)
	require.Contains(t, c.do("CLIENT TRACKINGINFO"), `"off"`, "RESP2 has no messages that nobody asked for")
}

// TestWhatWasReadIsInvalidatedWhenItChanges: by whatever changes it, and nothing else is.
func TestWhatWasReadIsInvalidatedWhenItChanges(t *testing.T) {
	g := startGroup(t, 1)
	other := g.dial(0)
	for _, change := range []string{
		"SET k w", "DEL k", "APPEND k x", "EXPIRE k 100", "RENAME k {k}2", "GETDEL k", "PEXPIRE k 0", "MSET {k}1 x k x", "DISKV.EXEC k 0 3 SET k x",
		"DISKV.ONCE k " + other.text("DISKV.SESSION") + " 1 SET k x",
	} {
		c := g.tracked(0, "")
		require.Equal(t, "OK", other.do("SET k v"))
		require.Equal(t, `"v"`, c.do("GET k"))
		require.Equal(t, "nil", c.do("GET none"))
		require.Equal(t, "OK", other.do("SET unread x"))
		other.do(change)
		c.awaitPush(`>invalidate ["k"]`)
		require.Equal(t, "OK", other.do("SET k v"), "once is enough")
		require.Equal(t, "PONG", c.do("PING"))
		other.do("SET none x")
		c.awaitPush(`>invalidate ["none"]`)
		other.do("DEL none")
	}

	// All kinds of reads.
	for _, read := range []string{"GET k", "MGET {k}1 k", "EXISTS k", "STRLEN k", "TTL k", "TYPE k", "GETRANGE k 0 1", "DISKV.EXEC k 0 2 GET k"} {
		c := g.tracked(0, "")
		c.do(read)
		other.do("SET k v")
		c.awaitPush(`>invalidate ["k"]`)
	}

	// A key that goes by itself.
	c := g.tracked(0, "NOLOOP")
	c.do("SET k v PX 30")
	c.do("GET k")
	c.awaitPush(`>invalidate ["k"]`)
	require.Equal(t, "nil", c.do("GET k"))

	c.do("SET k v")
	c.do("GET k")
	require.Equal(t, "OK", other.do("FLUSHALL"))
	c.awaitPush(`>invalidate nil`)
}

func TestTrackingModes(t *testing.T) {
	g := startGroup(t, 1)
	other := g.dial(0)
	set := func(key string) { require.Equal(t, "OK", other.do("SET "+key+" x")) }

	c := g.tracked(0, "OPTIN")
	c.script(`
		GET a => nil
		CLIENT CACHING YES => OK
		GET b => nil
		GET c => nil
		CLIENT CACHING YES => OK
		MULTI => OK
		PTTL d => QUEUED
		GET {d}2 => QUEUED
		EXEC => [-2 nil]
		GET e => nil
	`)
	for _, key := range []string{"a", "b", "c", "e", "d", "{d}2"} {
		set(key)
	}
	for _, key := range []string{"b", "d", "{d}2"} {
		c.awaitPush(fmt.Sprintf(`>invalidate [%q]`, key))
	}

	c = g.tracked(0, "OPTOUT")
	c.do("CLIENT CACHING NO")
	c.do("GET a")
	c.do("GET b")
	set("a")
	set("b")
	c.awaitPush(`>invalidate ["b"]`)

	// Its own changes, unless NOLOOP.
	c = g.tracked(0, "")
	c.do("GET a")
	require.Equal(t, "OK", c.do("SET a y"))
	c.awaitPush(`>invalidate ["a"]`)
	require.Equal(t, []string{"QUEUED", `["y" OK "z"]`}, c.pipeline("MULTI", "GET a", "SET a z", "GET a", "EXEC")[3:])
	c.awaitPush(`>invalidate ["a"]`)

	c = g.tracked(0, "NOLOOP")
	c.do("GET a")
	c.do("GET b")
	require.Equal(t, "OK", c.do("SET a y"))
	set("b")
	c.awaitPush(`>invalidate ["b"]`)

	// Off is off.
	c.do("GET a")
	require.Equal(t, "OK", c.do("CLIENT TRACKING OFF"))
	set("a")
	require.Equal(t, "PONG", c.do("PING"))
	c = g.tracked(0, "")
	c.do("GET a")
	require.Equal(t, "RESET", c.do("RESET"))
	set("a")
	require.Equal(t, "PONG", c.do("PING"))
}

// cache is what a client that is tracked holds.
type cache struct {
	*conn
	held   map[string]string
	pushes int
}

// take takes a message, and returns it if it is a reply.
func (c *cache) take() (reply resp.Value, ok bool) {
	c.t.Helper()
	v := c.message()
	if v.Kind != resp.KindPush {
		return v, true
	}
	c.pushes++
	if v.Elems[1].Kind == resp.KindNull {
		clear(c.held)
	}
	for _, key := range v.Elems[1].Elems {
		delete(c.held, string(key.Str))
	}
	return v, false
}

// receive takes messages up to the next reply.
func (c *cache) receive() resp.Value {
	c.t.Helper()
	for {
		if v, ok := c.take(); ok {
			return v
		}
	}
}

// TestNoInvalidationOvertakesTheReplyOfItsRead: while a client reads, in long pipelines
// of values that take a while to be sent, another one writes. Whatever comes first, what
// the client holds when it has taken all messages is what is there.
func TestNoInvalidationOvertakesTheReplyOfItsRead(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	const keys, rounds = 4, 150
	name := func(i int) string { return fmt.Sprintf("k%d", i%keys) }
	padding := strings.Repeat("x", 20_000)
	other := g.dial(leader)
	value := func(n int) string { return fmt.Sprint(n) + padding }
	for i := range keys {
		require.Equal(t, "OK", other.args("SET", name(i), value(0)))
	}
	c := cache{conn: g.tracked(leader, ""), held: make(map[string]string)}
	write, written := make(chan int), make(chan error)
	go func() {
		for n := range write {
			time.Sleep(time.Duration(n%20) * 100 * time.Microsecond) // at any moment of the reads
			_, err := other.Do("SET", name(n), value(n))
			written <- err
		}
	}()
	defer close(write)
	for n := 1; n <= rounds; n++ {
		write <- n
		var lines []byte
		for i := range 20 * keys {
			lines = resp.AppendCommand(lines, []byte("GET"), []byte(name(i)))
		}
		require.NoError(t, c.SendRaw(string(lines), 0))
		for i := range 20 * keys {
			v, _, _ := strings.Cut(string(c.receive().Str), "x")
			c.held[name(i)] = v
		}
		require.NoError(t, <-written)
		// What was changed is told within a moment.
		fresh := func() bool {
			require.NoError(t, c.SendRaw("PING\r\n", 0))
			require.Equal(t, "PONG", string(c.receive().Str))
			held, ok := c.held[name(n)]
			return !ok || held == fmt.Sprint(n)
		}
		require.Eventually(t, fresh, 5*time.Second, time.Millisecond, "round %d: %s is held", n, name(n))
	}
	require.Greater(t, c.pushes, rounds/2)
}

// TestEverythingIsInvalidWhenTheLeaderIsAnother: then others may change what was read.
func TestEverythingIsInvalidWhenTheLeaderIsAnother(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3)
	leader := g.leader()
	require.Equal(t, "OK", g.dial(leader).do("SET k v"))
	c := g.tracked(leader, "")
	require.Equal(t, `"v"`, c.do("GET k"))
	for i := range 3 {
		if i != leader {
			g.stop(i)
		}
	}
	c.awaitPush(">invalidate nil")
}

// TestReadsOfOthersAreInvalidatedAtOnce: what another member has answered is not
// tracked here, and what a follower answers may be old.
func TestReadsOfOthersAreInvalidatedAtOnce(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, forwarding)
	require.Equal(t, "OK", g.dial(g.leader()).do("SET k v"))
	c := g.tracked(g.follower(), "")
	for range 20 {
		require.Equal(t, `"v"`, c.do("GET k"))
		c.awaitPush(`>invalidate ["k"]`)
		require.Equal(t, []string{"QUEUED", `["v"]`}, c.pipeline("MULTI", "GET k", "EXEC")[1:])
		c.awaitPush(`>invalidate ["k"]`)
	}
	third := (g.leader() + 2) % 3
	applied := g.dial(third)
	require.Equal(t, "OK", applied.do("READONLY"))
	require.Eventually(t, func() bool { return applied.do("GET k") == `"v"` }, patience, time.Millisecond, "it hears of the write soon")
	stale := g.dial(third)
	stale.do("HELLO 3")
	stale.script(`
		CLIENT TRACKING ON => OK
		READONLY => OK
		GET k => "v"
	`)
	stale.awaitPush(`>invalidate ["k"]`)

	// The reply of an operation that is repeated may be an old one.
	leader := g.tracked(g.leader(), "")
	once := "DISKV.ONCE k " + leader.text("DISKV.SESSION") + " 1 GET k"
	for range 3 {
		require.Equal(t, `"v"`, leader.do(once))
		leader.awaitPush(`>invalidate ["k"]`)
		require.Equal(t, "OK", g.dial(g.leader()).do("SET k w"))
	}
}

// TestAShardThatLeavesIsInvalid: its keys change elsewhere.
func TestAShardThatLeavesIsInvalid(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	first := c.groups[0].dial(0)
	key := ""
	for i := 0; key == ""; i++ {
		if k := fmt.Sprintf("key%d", i); first.do("SET "+k+" 1") == "OK" {
			key = k
		}
	}
	reader := c.groups[0].tracked(0, "")
	require.Equal(t, `"1"`, reader.do("GET "+key))
	c.change("MOVE " + first.do("CLUSTER KEYSLOT "+key) + " 2")
	c.settle()
	reader.awaitPush(">invalidate nil")
}

// TestAClientThatDoesNotReadIsNotWaitedFor: neither by the group nor by a stop.
func TestAClientThatDoesNotReadIsNotWaitedFor(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.ReplyTimeout = 200 * time.Millisecond })
	other := g.dial(0)
	c := g.tracked(0, "")
	big := strings.Repeat("k", 60_000)
	for i := range 200 {
		key := fmt.Sprintf("%s%d", big, i)
		if c.Send("GET", key) != nil {
			break // it was closed for both ways
		}
		require.Eventually(t, func() bool { return strings.Contains(other.text("CLIENT LIST"), "cmd=get") }, patience, time.Millisecond)
		require.Equal(t, "OK", other.args("SET", key, "x"))
	}
	require.Eventually(t, func() bool { return !strings.Contains(other.text("CLIENT LIST"), "flags=Ut") }, patience, 10*time.Millisecond)
}

// TestForwardedTransactionsAreNotCached: what they have read is known to nobody here.
func TestForwardedTransactionsAreNotCached(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, forwarding)
	other := g.dial(g.leader())
	require.Equal(t, "OK", other.do("SET k v"))
	c := g.tracked(g.follower(), "")
	c.do("MULTI")
	c.do("GET k")
	c.do("SET {k}2 x")
	require.Equal(t, `["v" OK]`, c.do("EXEC"))
	c.awaitPush(`>invalidate ["k"]`)
	require.Equal(t, `"v"`, c.do("DISKV.ONCE k "+other.text("DISKV.SESSION")+" 1 GET k"))
	c.awaitPush(`>invalidate ["k"]`)
}

// TestRangesAreNotCached: they hold keys that they do not name.
func TestRangesAreNotCached(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	for _, read := range []string{"DISKV.RANGE {t}a {t}z", "DISKV.EXEC {t} 0 3 DISKV.RANGE {t}a {t}z"} {
		c := g.tracked(0, "")
		c.do(read)
		require.Contains(t, c.next(), `>invalidate ["{t}a"`)
	}
}

// TestNothingIsToldBetweenTheRepliesOfARun: of commands that were executed together, none
// is told of before its reply was sent, however much they return.
func TestNothingIsToldBetweenTheRepliesOfARun(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	big := strings.Repeat("x", 5<<20)
	writer := g.dial(0)
	require.Equal(t, "OK", writer.args("SET", "big", big))
	require.Equal(t, "OK", writer.do("SET {big}a old"))
	c := g.tracked(0, "")
	var raw []byte
	for _, line := range []string{"DISKV.EXEC big 0 2 GET big 3 SET {big}c x", "DISKV.EXEC big 0 2 GET big 3 SET {big}d x", "DISKV.EXEC big 0 2 GET {big}a 3 SET {big}b x"} {
		raw = resp.AppendCommand(raw, bytes.Fields([]byte(line))...)
	}
	require.NoError(t, c.SendRaw(string(raw), 3))
	require.Eventually(t, func() bool { return writer.do("EXISTS {big}b") == "1" }, patience, time.Millisecond)
	// The first reply is still being sent. The second is sent by itself as well, and the
	// client could be told behind it.
	require.Equal(t, "OK", writer.do("SET {big}a new"))
	require.Equal(t, resp.KindArray, c.message().Kind)
	require.Equal(t, resp.KindArray, c.message().Kind)
	require.Equal(t, `["old" OK]`, c.next())
	c.awaitPush(`>invalidate ["{big}a"]`)
}

// TestTrackingFromWithinATransaction: its reads are executed before what changes how they
// are tracked.
func TestTrackingFromWithinATransaction(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	c := g.tracked(0, "OPTIN")
	c.script(`
		MULTI => OK
		CLIENT CACHING YES => QUEUED
		GET k => QUEUED
		EXEC => [OK nil]
	`)
	c.awaitPush(`>invalidate ["k"]`)
	c.script(`
		CLIENT TRACKING OFF => OK
		MULTI => OK
		CLIENT TRACKING ON => QUEUED
		GET k => QUEUED
		EXEC => [OK nil]
	`)
	c.awaitPush(`>invalidate ["k"]`)
}
