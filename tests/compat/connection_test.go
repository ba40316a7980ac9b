package compat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/tests/proc"
)

// TestConnectionCommandsOfARealRedis compares what a node answers itself, where that does
// not depend on the server.
func TestConnectionCommandsOfARealRedis(t *testing.T) {
	connect := startPair(t)
	lines := `
		PING / PING hello / PING a b / ECHO / ECHO x / ECHO x y / TIME x
		SELECT 0 / SELECT 1 / SELECT x / SELECT -1 / SELECT 99999999999999999999
		AUTH x / AUTH default x / AUTH nobody x / AUTH a b c / AUTH
		HELLO 4 / HELLO x / HELLO 3 AUTH nobody x / HELLO 3 WHAT / HELLO 3 SETNAME / HELLO 3 AUTH default
		CLIENT / CLIENT NOSUCH / CLIENT ID x / CLIENT GETNAME / CLIENT SETNAME ada / CLIENT GETNAME / CLIENT GETNAME x
		CLIENT GETREDIR / CLIENT NO-EVICT ON / CLIENT NO-EVICT x / CLIENT NO-EVICT off
		CLIENT REPLY x / CLIENT REPLY ON / CLIENT REPLY
		CLIENT KILL / CLIENT KILL 1.2.3.4:5 / CLIENT KILL ID / CLIENT KILL ID x / CLIENT KILL ID 0 / CLIENT KILL ID 999999
		CLIENT KILL ADDR x / CLIENT KILL LADDR x / CLIENT KILL TYPE nosuch / CLIENT KILL TYPE replica / CLIENT KILL SKIPME x
		CLIENT KILL USER nobody / CLIENT KILL NOSUCH x / CLIENT KILL ADDR x ID 5 SKIPME yes / CLIENT KILL ADDR x ID
		CLIENT LIST TYPE nosuch / CLIENT LIST TYPE master / CLIENT LIST ID x / CLIENT LIST ID 1 x / CLIENT LIST ID / CLIENT LIST NOSUCH
		CLIENT LIST ID 999999
		COMMAND NOSUCH / COMMAND COUNT x / COMMAND INFO nosuch / COMMAND DOCS nosuch / COMMAND LIST x / COMMAND LIST FILTERBY x y
		COMMAND LIST FILTERBY MODULE x / COMMAND LIST FILTERBY PATTERN getd* / COMMAND LIST FILTERBY ACLCAT nosuch
		COMMAND GETKEYS / COMMAND GETKEYS get / COMMAND GETKEYS get k / COMMAND GETKEYS nosuch k / COMMAND GETKEYS ping x
		COMMAND GETKEYS get a b / COMMAND GETKEYS mset a 1 b 2 / COMMAND GETKEYS del a b c
		COMMAND GETKEYSANDFLAGS get k / COMMAND GETKEYSANDFLAGS set k v / COMMAND GETKEYSANDFLAGS set k v GET
		COMMAND GETKEYSANDFLAGS del a b / COMMAND GETKEYSANDFLAGS mset a 1 b 2 / COMMAND GETKEYSANDFLAGS incr k
		COMMAND GETKEYSANDFLAGS append k v / COMMAND GETKEYSANDFLAGS strlen k / COMMAND GETKEYSANDFLAGS exists k
		COMMAND GETKEYSANDFLAGS expire k 1 / COMMAND GETKEYSANDFLAGS persist k / COMMAND GETKEYSANDFLAGS getex k
		COMMAND GETKEYSANDFLAGS getdel k / COMMAND GETKEYSANDFLAGS rename a b / COMMAND GETKEYSANDFLAGS renamenx a b
		COMMAND GETKEYSANDFLAGS copy a b / COMMAND GETKEYSANDFLAGS setrange k 0 v / COMMAND GETKEYSANDFLAGS setnx k v
		COMMAND GETKEYSANDFLAGS setex k 1 v / COMMAND GETKEYSANDFLAGS msetnx k v / COMMAND GETKEYSANDFLAGS touch k
		COMMAND GETKEYSANDFLAGS unlink k / COMMAND GETKEYSANDFLAGS type k / COMMAND GETKEYSANDFLAGS ttl k
		COMMAND GETKEYSANDFLAGS getset k v / COMMAND GETKEYSANDFLAGS getrange k 0 1 / COMMAND GETKEYSANDFLAGS lcs a b
		COMMAND GETKEYSANDFLAGS incrbyfloat k 1 / COMMAND GETKEYSANDFLAGS mget a b / COMMAND GETKEYSANDFLAGS expiretime k
		CONFIG / CONFIG NOSUCH / CONFIG GET / CONFIG GET nosuch / CONFIG GET appendonly-not / CONFIG GET databases
		CONFIG GET maxclients / CONFIG GET MAXCLIENTS / CONFIG GET nosuch maxclient? / CONFIG GET slowlog-max-len / CONFIG GET timeout
		CONFIG GET slowlog-log-slower-than / CONFIG GET maxmemory / CONFIG GET maxmemory-policy
		CONFIG SET / CONFIG SET a / CONFIG SET a b / CONFIG SET a b c / CONFIG SET databases 2 / CONFIG SET maxclients x / CONFIG SET maxclients 0
		CONFIG SET maxclients 100 maxclients 200 / CONFIG SET slowlog-log-slower-than -2 / CONFIG SET slowlog-log-slower-than x
		CONFIG SET maxclients 500 slowlog-max-len 7 / CONFIG GET maxclients / CONFIG SET maxclients 600 databases 3 / CONFIG GET maxclients
		CONFIG GET slowlog-max-len / CONFIG REWRITE / CONFIG RESETSTAT / CONFIG RESETSTAT x
		SLOWLOG / SLOWLOG NOSUCH / SLOWLOG GET x / SLOWLOG GET -2 / SLOWLOG GET 1 2 / SLOWLOG RESET / SLOWLOG LEN x
		LATENCY / LATENCY NOSUCH / LATENCY LATEST / LATENCY HISTORY x / LATENCY RESET / LATENCY GRAPH x / LATENCY GRAPH / LATENCY HISTOGRAM nosuch
		MEMORY / MEMORY NOSUCH / MEMORY PURGE / MEMORY PURGE x
		READONLY / READWRITE / READONLY x
		WAIT / WAIT x 0 / WAIT 0 x / WAIT 0 -1 / WAIT 0 0 / WAIT 0 99999999999999999999 / WAIT 3 1
		BGSAVE x / LASTSAVE x / BGREWRITEAOF x
		CLUSTER
		LATENCY HELP / SLOWLOG HELP / CONFIG HELP / COMMAND HELP / MEMORY HELP / SLOWLOG HELP x
		CLIENT REPLY OFF / CLIENT REPLY ON
		NOSUCH / NOSUCH a b / SUBSCRIBE-NOT x
		INFO nosuch / RESET / CLIENT GETNAME / PING
	`
	for _, version := range []string{"2", "3"} {
		t.Run("RESP"+version, func(t *testing.T) {
			p := connect(t, version)
			for line := range strings.SplitSeq(strings.ReplaceAll(lines, "\n", "/"), "/") {
				args := strings.Fields(line)
				switch {
				case len(args) == 0:
				case strings.HasPrefix(strings.Join(args, " "), "CLIENT REPLY OFF"):
					require.NoError(t, p.redis.SendRaw("CLIENT REPLY OFF\r\n", 0))
					require.NoError(t, p.diskv.SendRaw("CLIENT REPLY OFF\r\n", 0))
				default:
					redis, diskv := p.do(args...)
					assert.Equal(t, show(redis), show(diskv), "%q", args)
				}
			}
		})
	}
}

// TestSlowlogOfARealRedis compares what is kept of a command.
func TestSlowlogOfARealRedis(t *testing.T) {
	p := startPair(t)(t, "2")
	p.same("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "3")
	p.same("SET", "k", strings.Repeat("v", 129))
	p.same(append([]string{"MSET"}, strings.Fields(strings.Repeat("{k} v ", 20))...)...)
	p.same("CONFIG", "SET", "slowlog-log-slower-than", "-1")
	redis, diskv := p.do("SLOWLOG", "GET")
	words := func(v resp.Value) []string {
		var out []string
		for _, e := range v.Elems {
			require.Len(t, e.Elems, 6)
			out = append(out, show(e.Elems[3]))
		}
		return out
	}
	require.Equal(t, words(redis), words(diskv))
}

// TestClusterErrorsOfARealRedis compares what a Redis in cluster mode says.
func TestClusterErrorsOfARealRedis(t *testing.T) {
	redis, err := proc.Dial(startRedis(t, "--cluster-enabled", "yes", "--databases", "16"))
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	leader, _ := startGroup(t)
	diskv, err := leader.Dial()
	require.NoError(t, err)
	t.Cleanup(diskv.Close)
	p := &pair{t: t, redis: redis, diskv: diskv}
	for line := range strings.SplitSeq(`READONLY/READWRITE/READONLY x/SELECT 0/SELECT 1/CLUSTER NOSUCH/CLUSTER KEYSLOT/CLUSTER KEYSLOT {foo}x/
		CLUSTER COUNT-FAILURE-REPORTS nosuch/CLUSTER REPLICAS nosuch/CLUSTER MYID x/CLUSTER SLOTS x`, "/") {
		p.same(strings.Fields(line)...)
	}
}

// TestGoRedisReadsOfFollowers: with the options for it, the library's reads are answered
// by followers, and not sent on to the leader.
func TestGoRedisReadsOfFollowers(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	for name, o := range map[string]redis.ClusterOptions{
		"ReadOnly": {ReadOnly: true}, "RouteRandomly": {RouteRandomly: true},
		"RouteByLatency": {RouteByLatency: true, RouteByLatencyTolerance: time.Minute}, // else the leader may be what is closest
	} {
		t.Run(name, func(t *testing.T) {
			o.Addrs = c.addrs()
			db := redis.NewClusterClient(&o)
			t.Cleanup(func() { _ = db.Close() })
			require.NoError(t, db.Set(ctx, "stale", name, 0).Err())
			require.Eventually(t, func() bool {
				for range 20 { // of whichever member
					if value, err := db.Get(ctx, "stale").Result(); err != nil || value != name {
						return false
					}
				}
				return true
			}, patience, 10*time.Millisecond, "followers hear of it soon")
			before, _ := served(t, c)
			require.Eventually(t, func() bool {
				for range 50 {
					if db.Get(ctx, "stale").Val() != name {
						return false
					}
				}
				now, following := served(t, c)
				return slices.ContainsFunc(following, func(addr string) bool { return now[addr] > before[addr] })
			}, patience, time.Millisecond)
		})
	}
}

// served counts the GETs that each member has answered, and names those that do not lead.
func served(t *testing.T, c *cluster) (gets map[string]int, following []string) {
	t.Helper()
	gets = make(map[string]int)
	for _, m := range c.members() {
		conn, err := m.Dial()
		require.NoError(t, err)
		info, err := conn.Do("INFO", "replication", "commandstats")
		conn.Close()
		require.NoError(t, err)
		text := string(info.Str)
		if strings.Contains(text, "role:slave") {
			following = append(following, m.Addr)
		}
		if _, counts, ok := strings.Cut(text, "cmdstat_get:calls="); ok {
			calls := 0
			for _, d := range counts {
				if d < '0' || d > '9' {
					break
				}
				calls = 10*calls + int(d-'0')
			}
			gets[m.Addr] = calls
		}
	}
	return gets, following
}
