package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/server"
)

// script does lines of the form "command => reply", one after the other.
func (c *conn) script(lines string) {
	c.t.Helper()
	for line := range strings.Lines(lines) {
		if command, want, ok := strings.Cut(strings.Trim(line, "\t\n"), " => "); ok {
			require.Equal(c.t, want, c.do(command), command)
		}
	}
}

// TestTransactionsAnswerAsRedisDoes: the replies are those of Redis 7.0.15.
func TestTransactionsAnswerAsRedisDoes(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	c.script(`
		EXEC => -ERR EXEC without MULTI
		DISCARD => -ERR DISCARD without MULTI
		UNWATCH => OK
		WATCH => -ERR wrong number of arguments for 'watch' command
		EXEC x => -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command

		MULTI => OK
		MULTI => -ERR MULTI calls can not be nested
		WATCH k => -ERR WATCH inside MULTI is not allowed
		SET k v => QUEUED
		EXEC => [OK]

		MULTI => OK
		NOSUCH a => -ERR unknown command 'NOSUCH', with args beginning with: 'a' 
		SET k => -ERR wrong number of arguments for 'set' command
		SET k other => QUEUED
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		GET k => "v"
		EXEC => -ERR EXEC without MULTI

		MULTI => OK
		SET k other => QUEUED
		EXEC x => -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
		EXEC => -ERR EXEC without MULTI
		MULTI => OK
		DISCARD x => -ERR wrong number of arguments for 'discard' command
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => OK
		ECHO => -ERR wrong number of arguments for 'echo' command
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => OK
		CLIENT NOSUCH => -ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.
		CLIENT ID x => -ERR wrong number of arguments for 'client|id' command
		EXEC => -EXECABORT Transaction discarded because of previous errors.

		MULTI => OK
		INCRBY k 1 => QUEUED
		PING => QUEUED
		ECHO hi => QUEUED
		GET k => QUEUED
		UNWATCH => QUEUED
		SELECT 0 => QUEUED
		CLIENT REPLY ON => QUEUED
		EXEC => [-ERR value is not an integer or out of range PONG "hi" "v" OK OK OK]
		MULTI => OK
		PING => QUEUED
		EXEC => [PONG]
		MULTI => OK
		EXEC => []

		WATCH k => OK
		SET k w => OK
		MULTI => OK
		PING => QUEUED
		EXEC => nil
		MULTI => OK
		PING => QUEUED
		EXEC => [PONG]
		WATCH k => OK
		WATCH k => OK
		MULTI => OK
		SET k x => QUEUED
		EXEC => [OK]
		WATCH k => OK
		SET k y => OK
		UNWATCH => OK
		MULTI => OK
		SET k z => QUEUED
		EXEC => [OK]
		WATCH k => OK
		SET k y => OK
		MULTI => OK
		DISCARD => OK
		MULTI => OK
		GET k => QUEUED
		EXEC => ["y"]
		WATCH k => OK
		SET k z => OK
		EXEC => -ERR EXEC without MULTI
		MULTI => OK
		EXEC => nil

		MULTI => OK
		SET k nothing => QUEUED
		RESET => RESET
		EXEC => -ERR EXEC without MULTI
		GET k => "z"
		WATCH k => OK
		SET k y => OK
		RESET => RESET
		MULTI => OK
		GET k => QUEUED
		EXEC => ["y"]

		WATCH k l => -CROSSSLOT Keys in request don't hash to the same slot
		WATCH k => OK
		WATCH l => -CROSSSLOT Keys in request don't hash to the same slot
		MULTI => OK
		GET l => -CROSSSLOT Keys in request don't hash to the same slot
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => OK
		GET k => QUEUED
		GET l => -CROSSSLOT Keys in request don't hash to the same slot
		EXEC => -EXECABORT Transaction discarded because of previous errors.

		MULTI => OK
		DBSIZE => QUEUED
		EXEC => [1]
		MULTI => OK
		SCAN 0 => -ERR SCAN is not allowed in transactions
		DISKV.SESSION => -ERR DISKV.SESSION is not allowed in transactions
		DISKV.WATCH k => -ERR DISKV.WATCH is not allowed in transactions
		EXEC => -EXECABORT Transaction discarded because of previous errors.
	`)
	require.Contains(t, c.text("CLIENT INFO"), "multi=-1 ")
	c.do("MULTI")
	c.do("GET k")
	require.Regexp(t, `flags=\w*x .* multi=1 `, g.dial(0).text("CLIENT LIST"))
	require.Equal(t, "OK", c.do("QUIT"))
	c.requireClosed()
}

func TestAFailedTransactionOnTheWire(t *testing.T) {
	g := startGroup(t, 1)
	for version, want := range map[string]string{"2": "+QUEUED\r\n*-1\r\n", "3": "+QUEUED\r\n_\r\n"} {
		for _, line := range []string{"GET k", "PING"} { // with and without a command of the node's own
			raw := exchange(t, g.nodes[0].Addr(), line+"\r\nEXEC\r\n", len(want), "HELLO "+version+"\r\n", "WATCH k\r\n", "SET k v\r\n", "MULTI\r\n")
			require.Equal(t, want, raw)
		}
	}
	const want = "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n%7\r\n"
	raw := exchange(t, g.nodes[0].Addr(), "GET none\r\nHELLO 3\r\nGET none\r\nEXEC\r\n", len(want), "MULTI\r\n")
	require.Equal(t, want, raw, "the version changes where it is changed")
}

func TestPipelinedTransactions(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	c := g.dial(g.leader())
	var lines, want []string
	add := func(line, reply string) { lines, want = append(lines, line), append(want, reply) }
	for i := range 100 {
		add("SET before x", "OK")
		add("WATCH {n}", "OK")
		add("MULTI", "OK")
		add("INCR {n}", "QUEUED")
		add("INCR {n}", "QUEUED")
		add("EXEC", fmt.Sprintf("[%d %d]", 4*i+1, 4*i+2))
		add("MULTI", "OK")
		add("INCR {n}", "QUEUED")
		add("ECHO x", "QUEUED")
		add("INCR {n}", "QUEUED")
		add("EXEC", fmt.Sprintf("[%d %q %d]", 4*i+3, "x", 4*i+4))
		add("GET {n}", fmt.Sprintf("%q", fmt.Sprint(4*i+4)))
	}
	require.Equal(t, want, c.pipeline(lines...))
}

// TestTransactionsGoToTheLeader: as in Redis Cluster, unless the members forward.
func TestTransactionsGoToTheLeader(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	moved := "-MOVED 7629 " + g.nodes[leader].Addr()
	g.dial(g.follower()).script(`
		WATCH k => ` + moved + `
		MULTI => OK
		SET k v => ` + moved + `
		EXEC => -EXECABORT Transaction discarded because of previous errors.
		MULTI => OK
		PING => QUEUED
		EXEC => [PONG]
	`)
}

// TestWatchOutlivesALeader: what was watched counts at the next leader.
func TestWatchOutlivesALeader(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 3, forwarding)
	leader := g.leader()
	c, other := g.dial((leader+1)%3), g.dial((leader+2)%3)
	begin := func(c *conn, key string) {
		c.script(`
			SET ` + key + ` 1 => OK
			WATCH ` + key + ` => OK
			MULTI => OK
			INCR ` + key + ` => QUEUED
			PING => QUEUED
			GET ` + key + ` => QUEUED
		`)
	}
	begin(c, "same")
	begin(other, "changed")
	require.Equal(t, "OK", g.dial(leader).do("SET changed 1"))
	g.stop(leader)
	g.leader()
	ask := g.dial((leader + 1) % 3)
	require.Eventually(t, func() bool { return !strings.HasPrefix(ask.do("GET same"), "-") }, patience, 5*time.Millisecond)
	require.Equal(t, `[2 PONG "2"]`, c.do("EXEC"))
	require.Equal(t, "nil", other.do("EXEC"))
	begin(c, "same")
	require.Equal(t, `[2 PONG "2"]`, c.do("EXEC"))
}

func TestTransactionsAreBounded(t *testing.T) {
	g := startGroup(t, 1, func(o *server.Options) { o.MaxValueBytes = 1 << 20 })
	c := g.dial(0)
	big := strings.Repeat("x", 1<<20)
	c.do("MULTI")
	require.Equal(t, "QUEUED", c.args("SET", "k", big))
	tooLarge := "-ERR a transaction can have 1572864 bytes at most: send fewer or smaller commands, or raise --max-value-bytes"
	require.Equal(t, tooLarge, c.args("SET", "k", big))
	require.Equal(t, "-EXECABORT Transaction discarded because of previous errors.", c.do("EXEC"))

	for i := range 40 {
		if reply := c.args("WATCH", fmt.Sprintf("{k}%d%s", i, big[:60_000])); reply != "OK" {
			require.Equal(t, tooLarge, reply)
			require.Greater(t, i, 20)
			return
		}
	}
	require.Fail(t, "what is watched is not bounded")
}

func TestATransactionHasNoMoreCommandsThanAllowed(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	lines, want := slices.Repeat([]string{"INCR n"}, kv.MaxTransaction), slices.Repeat([]string{"QUEUED"}, kv.MaxTransaction)
	for _, more := range []bool{true, false} {
		c.do("MULTI")
		require.True(t, slices.Equal(want, c.pipeline(lines...)))
		if more {
			require.Equal(t, "-ERR a transaction can have 16384 commands at most", c.do("INCR n"))
			require.Equal(t, "-EXECABORT Transaction discarded because of previous errors.", c.do("EXEC"))
		}
	}
	require.NoError(t, c.Send("EXEC"))
	v, err := c.Receive()
	require.NoError(t, err)
	require.Len(t, v.Elems, kv.MaxTransaction)
	require.EqualValues(t, kv.MaxTransaction, v.Elems[kv.MaxTransaction-1].Int)
}

// TestATransactionAcrossGroups: a key of another group ends it, as in Redis Cluster.
func TestATransactionAcrossGroups(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	first := c.groups[0].dial(0)
	own, others := "", ""
	for i := 0; own == "" || others == ""; i++ {
		key := fmt.Sprintf("key%d", i)
		if first.do("SET "+key+" 1") == "OK" {
			own = key
		} else {
			others = key
		}
	}
	require.Equal(t, "OK", first.do("WATCH "+own))
	require.Equal(t, "OK", first.do("MULTI"))
	require.Equal(t, "QUEUED", first.do("INCR "+own))
	require.Regexp(t, "^-MOVED [0-9]+ unix:", first.do("INCR "+others))
	require.Equal(t, "-EXECABORT Transaction discarded because of previous errors.", first.do("EXEC"))

	// The shard leaves between WATCH and EXEC.
	slot := first.do("CLUSTER KEYSLOT " + own)
	require.Equal(t, "OK", first.do("WATCH "+own))
	require.Equal(t, "OK", first.do("MULTI"))
	require.Equal(t, "QUEUED", first.do("INCR "+own))
	c.change("MOVE " + slot + " 2")
	c.settle()
	require.Equal(t, "-MOVED "+slot+" "+c.groups[1].nodes[0].Addr(), first.do("EXEC"))
	require.Equal(t, "-ERR EXEC without MULTI", first.do("EXEC"))
	require.Equal(t, `"1"`, c.groups[1].dial(0).do("GET "+own))

	// And it comes back: what was watched in the first time counts no more.
	require.Equal(t, "OK", c.groups[1].dial(0).do("WATCH "+own))
	second := c.groups[1].dial(0)
	require.Equal(t, "OK", second.do("WATCH "+own))
	c.change("MOVE " + slot + " 1")
	c.settle()
	c.change("MOVE " + slot + " 2")
	c.settle()
	require.Equal(t, "OK", second.do("MULTI"))
	require.Equal(t, "QUEUED", second.do("INCR "+own))
	require.Equal(t, "nil", second.do("EXEC"))
}

// TestWhatIsWatchedIsNotReadOfAFollower: a follower lags, and what it has would be taken
// for what was watched at the leader.
func TestWhatIsWatchedIsNotReadOfAFollower(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	moved := "-MOVED 7629 " + g.nodes[g.leader()].Addr()
	require.Equal(t, "OK", g.dial(g.leader()).do("SET k v"))
	c := g.dial(g.follower())
	require.Equal(t, "OK", c.do("READONLY"))
	require.Eventually(t, func() bool { return c.do("GET k") == `"v"` }, patience, time.Millisecond)
	for _, line := range []string{"WATCH k", "DISKV.WATCH k", "DISKV.EXEC k 0 2 GET k"} {
		require.Equal(t, moved, c.do(line), line)
	}

	forwarded := steadyGroup(t, 3, forwarding)
	c = forwarded.dial(forwarded.follower())
	c.script(`
		READONLY => OK
		SET k v => OK
		WATCH k => OK
		GET k => "v"
		MULTI => OK
		GET k => QUEUED
		EXEC => ["v"]
	`)
}

// TestTransactionsWithLongReplies: more than is held of one run at once.
func TestTransactionsWithLongReplies(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3, forwarding)
	value := strings.Repeat("x", 1<<20)
	require.Equal(t, "OK", g.dial(g.leader()).args("SET", "k", value))
	for _, at := range []int{g.leader(), g.follower()} {
		for _, tracking := range []bool{false, true} {
			c := g.dial(at)
			c.do("HELLO 3")
			if tracking {
				c.do("CLIENT TRACKING ON OPTIN")
			}
			for _, lines := range [][]string{
				{"MULTI", "PING"}, {"MULTI", "DEL none{k}"}, {"WATCH k", "MULTI"}, {"WATCH k", "MULTI", "PING"},
			} {
				before := len(lines) - 1
				lines := append(slices.Clone(lines), slices.Repeat([]string{"GET k"}, 7)...)
				require.Len(t, c.pipeline(lines...), len(lines))
				require.NoError(t, c.Send("EXEC"))
				v, err := c.Receive()
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(v.Elems), 7, "%v", lines[:before])
				for _, e := range v.Elems[len(v.Elems)-7:] {
					require.Len(t, e.Str, len(value))
				}
				require.Equal(t, "PONG", c.do("PING"))
			}
		}
	}
}

// TestCommandTooLargeAbortsTransaction: it cannot be queued, so nothing is executed.
func TestCommandTooLargeAbortsTransaction(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, func(o *server.Options) { o.MaxValueBytes = 1 << 20 })
	c := g.dial(0)
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("SET k v"))
	require.Contains(t, c.args("SET", "k", strings.Repeat("x", 2<<20)), "--max-value-bytes")
	require.Equal(t, "-EXECABORT Transaction discarded because of previous errors.", c.do("EXEC"))
	require.Equal(t, "nil", c.do("GET k"))
}

// TestRepliesOfATransactionAreBounded: also those of commands that the member answers
// itself.
func TestRepliesOfATransactionAreBounded(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	c := g.dial(0)
	for range 20 {
		require.Equal(t, "OK", g.dial(0).do("CLIENT SETNAME "+strings.Repeat("x", 1000)))
	}
	each := len(c.text("CLIENT LIST"))
	lines := slices.Repeat([]string{"CLIENT LIST"}, 80<<20/each)
	require.Equal(t, "OK", c.do("MULTI"))
	c.pipeline(lines...)
	require.NoError(t, c.Send("EXEC"))
	all, err := c.Receive()
	require.NoError(t, err)
	require.Len(t, all.Elems, len(lines))
	require.Less(t, len(resp.AppendValue(nil, all)), 65<<20)
	require.Contains(t, show(all.Elems[len(lines)-1]), "-ERR executed; its reply was dropped")
	require.Equal(t, "PONG", c.do("PING"))
}

// TestAReplyThatCannotBePutTogetherIsNoRefusal: what it answers has been executed.
func TestAReplyThatCannotBePutTogetherIsNoRefusal(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, func(o *server.Options) { o.MaxValueBytes = 64 << 20 })
	c := g.dial(0)
	many := append([]string{"MGET"}, slices.Repeat([]string{"k"}, 530_000)...)
	for _, args := range [][]string{{"MULTI"}, {"PING"}, {"INCR", "k"}, many, many} {
		require.NotContains(t, c.args(args...), "-")
	}
	require.Contains(t, c.do("EXEC"), "-UNKNOWNRESULT")
	require.Equal(t, `"1"`, c.do("GET k"))
}
