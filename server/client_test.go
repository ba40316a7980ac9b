package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	c := g.dial(g.leader())
	var lines, want []string
	add := func(line, reply string) { lines, want = append(lines, line), append(want, reply) }
	for i := range 300 {
		add(fmt.Sprintf("SET k %d", i), "OK")
		add("GET k", fmt.Sprintf("%q", fmt.Sprint(i))) // reads see the writes before them
		if i%7 == 0 {
			add("PING", "PONG")
		}
		add("GET k", fmt.Sprintf("%q", fmt.Sprint(i))) // and not those behind
		if i%11 == 0 {
			add("INCR k x", "-ERR wrong number of arguments for 'incr' command")
			add("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: ")
		}
		add("INCR k", fmt.Sprint(i+1))
		add("APPEND k x", fmt.Sprint(len(fmt.Sprint(i+1))+1))
		if i%5 == 0 {
			add("INCR k", "-ERR value is not an integer or out of range")
			add("ECHO "+fmt.Sprint(i), fmt.Sprintf("%q", fmt.Sprint(i)))
		}
	}
	require.Equal(t, want, c.pipeline(lines...))
}

func TestLongPipelineOfReadsAndOfWrites(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	var writes, reads, ok, values []string
	for i := range 5000 {
		writes, ok = append(writes, fmt.Sprintf("SET k%d %d", i, i)), append(ok, "OK")
		reads, values = append(reads, fmt.Sprintf("GET k%d", i)), append(values, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	require.Equal(t, ok, c.pipeline(writes...))
	require.Equal(t, values, c.pipeline(reads...))
}

func TestNullsAndMapsFollowTheProtocolVersion(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	c := g.dial(leader)
	require.NoError(t, c.SendRaw("*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n", 1))
	require.Equal(t, "nil", c.receive())
	hello := c.do("HELLO 2")
	require.True(t, strings.HasPrefix(hello, `["server" "redis" "version" `), hello)
	require.Contains(t, hello, `"proto" 2`)
	require.Contains(t, hello, `"mode" "cluster" "role" "master"`)
	require.True(t, strings.HasPrefix(c.do("CONFIG GET maxmemory"), "["), "RESP2 has no maps")

	hello = c.do("HELLO 3 SETNAME me")
	require.True(t, strings.HasPrefix(hello, `%["server" "redis" "version" `), hello)
	require.Contains(t, hello, `"proto" 3`)
	require.Equal(t, `%["maxmemory" "0"]`, c.do("CONFIG GET maxmemory"))
	require.Equal(t, `"me"`, c.do("CLIENT GETNAME"))
	require.Equal(t, "nil", c.do("GET none"))

	require.Equal(t, "-NOPROTO unsupported protocol version", c.do("HELLO 4"))
	require.Equal(t, "-ERR Protocol version is not an integer or out of range", c.do("HELLO x"))
	require.Contains(t, c.do("HELLO 3 AUTH default secret"), `"proto" 3`, "the user of that name has no password")
	require.Equal(t, "-WRONGPASS invalid username-password pair or user is disabled.", c.do("HELLO 3 AUTH ada secret"))
	require.Equal(t, "-ERR Syntax error in HELLO option 'WHAT'", c.do("HELLO 3 WHAT"))
	require.Contains(t, c.do("HELLO"), `"proto" 3`, "a HELLO that was refused changes nothing")
	require.Contains(t, g.dial((leader+1)%3).do("HELLO"), `"role" "replica"`)
}

func TestNullsOnTheWire(t *testing.T) {
	g := startGroup(t, 1)
	for version, want := range map[string]string{"2": "$-1\r\n", "3": "_\r\n"} {
		raw := exchange(t, g.nodes[0].Addr(), "GET none\r\n", len(want), "HELLO "+version+"\r\n")
		require.Equal(t, want, raw)
	}
}

func TestConnectionCommands(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	for line, want := range map[string]string{
		"PING hello":                `"hello"`,
		"PING a b":                  "-ERR wrong number of arguments for 'ping' command",
		"ECHO":                      "-ERR wrong number of arguments for 'echo' command",
		"SELECT 0":                  "OK",
		"SELECT 1":                  "-ERR DB index is out of range",
		"SELECT x":                  "-ERR value is not an integer or out of range",
		"CLIENT SETINFO LIB-NAME a": "OK",
		"CLIENT SETINFO LIB a":      "-ERR Unrecognized option 'LIB'",
		"CLIENT GETNAME":            "nil",
		"CLIENT SETNAME":            "-ERR wrong number of arguments for 'client|setname' command",
		"CLIENT NOSUCH":             "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.",
		"COMMAND NOSUCH":            "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.",
		"CONFIG SET a b":            "-ERR Unknown option or number of arguments for CONFIG SET - 'a'",
		"CONFIG GET nosuch":         "[]",
		"COMMAND INFO nosuch":       "[nil]",
		"CLUSTER KEYSLOT foo":       "12182",
		"CLUSTER KEYSLOT {foo}x":    "12182",
		"CLUSTER KEYSLOT":           "-ERR wrong number of arguments for 'cluster|keyslot' command",
		"CLUSTER NOSUCH":            "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.",
		"DISKV.SESSION x":           "-ERR wrong number of arguments for 'diskv.session' command",
	} {
		require.Equal(t, want, c.do(line), line)
	}
	require.Equal(t, "-ERR Client names cannot contain spaces, newlines or special characters.", c.args("CLIENT", "SETNAME", "a b"))
	require.Equal(t, "OK", c.do("QUIT"))
	c.requireClosed()
}

func TestCommandDescribesEveryCommand(t *testing.T) {
	g := startGroup(t, 1)
	c := g.dial(0)
	require.NoError(t, c.Send("COMMAND"))
	all, err := c.Receive()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(len(all.Elems)), c.do("COMMAND COUNT"))
	names := make(map[string]bool)
	for _, e := range all.Elems {
		names[string(e.Elems[0].Str)] = true
	}
	for _, name := range strings.Fields("ping echo get set append del exists incr incrby mget ttl pttl expire scan dbsize info command hello cluster diskv.once diskv.session") {
		require.True(t, names[name], name)
	}
	require.Contains(t, c.do("COMMAND INFO get command"), `["get" 2 [readonly fast]`)
	require.Contains(t, c.do("COMMAND DOCS get nosuch"), `["get" ["summary" `)
	require.NoError(t, c.Send("COMMAND", "DOCS"))
	docs, err := c.Receive()
	require.NoError(t, err)
	require.Len(t, docs.Elems, 2*len(all.Elems), "a name and a description each")
	require.Contains(t, c.do("COMMAND LIST"), `"cluster"`)
}

func TestInfoTellsHowTheNodeIs(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	c := g.dial(leader)
	require.Equal(t, "OK", c.do("SET a 1 EX 100"))
	require.Eventually(t, func() bool { return strings.Contains(c.text("INFO"), "connected_slaves:2\r\n") }, patience, time.Millisecond)
	all := c.text("INFO")
	for _, want := range []string{
		"# Server\r\n", "redis_version:7.", "redis_mode:cluster\r\n", "# Clients\r\nconnected_clients:", "# Memory\r\n", "# Persistence\r\n",
		"disk_low:0\r\n", "role:master\r\n", "connected_slaves:2\r\n", "cluster_enabled:1\r\n", "db0:keys=1,expires=1,avg_ttl=0\r\n", "# Diskv\r\n",
		"phase:member\r\n", "ready:1\r\n", "consensus_role:leader\r\n", fmt.Sprintf("leader:%d\r\n", leader),
		"member0:address=unix:", "member2:address=unix:", ",connected=1,",
	} {
		require.Contains(t, all, want)
	}
	require.True(t, strings.HasPrefix(c.text("INFO keyspace"), "# Keyspace\r\ndb0:"))
	require.NotContains(t, c.text("INFO replication cluster"), "# Server")
	require.Empty(t, c.text("INFO nosuch"))

	follower := g.dial(g.follower()).text("INFO replication")
	require.Contains(t, follower, "role:slave\r\n")
	require.Contains(t, follower, "master_host:"+g.opts[leader].Listen)
	require.Contains(t, follower, "master_link_status:up")
}

func TestClusterShowsTheLeaderAsTheMasterOfAllShards(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	leader := g.leader()
	first := ""
	for i := range 3 {
		c := g.dial(i)
		slots := c.do("CLUSTER SLOTS")
		require.True(t, strings.HasPrefix(slots, fmt.Sprintf("[[0 16383 [%q 0 ", g.opts[leader].Listen)), slots)
		for _, o := range g.opts {
			require.Contains(t, slots, o.Listen)
		}
		if first == "" {
			first = slots
		}
		require.Equal(t, first, slots, "every member tells the same")
		require.Contains(t, slots, c.do("CLUSTER MYID"))
		require.Contains(t, c.text("CLUSTER INFO"), "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n")
	}
}
