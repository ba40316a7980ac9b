package server_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sections returns the names of the sections of a text of INFO.
func sections(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^# (\w+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// number returns a number of a text of INFO.
func number(t *testing.T, text, name string) int64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:(-?\d+)`).FindStringSubmatch(text)
	require.NotNil(t, m, "%s in %s", name, text)
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return n
}

func TestInfoHasTheSectionsThatAreAskedFor(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 1).dial(0)
	usual := strings.Fields("Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace Diskv")
	all := strings.Fields("Server Clients Memory Persistence Stats Replication CPU Commandstats Errorstats Latencystats Cluster Keyspace Diskv")
	for line, want := range map[string][]string{
		"INFO":                      usual,
		"INFO default":              usual,
		"INFO all":                  all,
		"INFO everything":           strings.Fields(strings.Replace(strings.Join(all, " "), "CPU", "CPU Modules", 1)),
		"INFO cpu KEYSPACE":         {"CPU", "Keyspace"},
		"INFO commandstats nosuch":  {"Commandstats"},
		"INFO default latencystats": strings.Fields(strings.Replace(strings.Join(usual, " "), "Errorstats", "Errorstats Latencystats", 1)),
		"INFO nosuch":               nil,
	} {
		require.Equal(t, want, sections(c.text(line)), line)
	}
}

func TestInfoCountsWhatIsDone(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	c := g.dial(0)
	g.dial(0).do("PING")
	for range 3 {
		require.Equal(t, "OK", c.do("SET k v"))
	}
	c.do("INCR k")
	c.do("GET")
	c.do("NOSUCH")
	info := c.text("INFO everything")
	require.Contains(t, info, "cmdstat_set:calls=3,usec=")
	require.Regexp(t, `cmdstat_incr:calls=1,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=1`, info)
	require.Contains(t, info, "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0")
	require.Contains(t, info, "errorstat_ERR:count=3\r\n")
	require.Regexp(t, `latency_percentiles_usec_set:p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+`, info)
	for name, least := range map[string]int64{
		"total_connections_received": 2, "total_commands_processed": 5, "total_net_input_bytes": 50, "total_net_output_bytes": 20,
		"total_reads_processed": 6, "total_writes_processed": 6, "used_memory": 1 << 20, "used_memory_rss": 1 << 20,
		"rdb_last_save_time": time.Now().Unix() - 60, "tcp_port": 0, "uptime_in_seconds": 0,
	} {
		require.GreaterOrEqual(t, number(t, info, name), least, name)
	}
	require.EqualValues(t, 3, number(t, info, "total_error_replies"))
	require.Regexp(t, `used_cpu_user:\d+\.\d{6}`, info)

	require.Contains(t, c.do("LATENCY HISTOGRAM set nosuch"), `["set" ["calls" 3 "histogram_usec" [`)
	require.Equal(t, "OK", c.do("CONFIG RESETSTAT"))
	info = c.text("INFO everything")
	require.NotContains(t, info, "cmdstat_set")
	require.NotContains(t, info, "errorstat_")
	require.Zero(t, number(t, info, "total_connections_received"))
	require.Equal(t, "[]", c.do("LATENCY HISTOGRAM set"))
}

func TestFollowersAreListedAsReplicas(t *testing.T) {
	t.Parallel()
	g := steadyGroup(t, 3)
	c := g.dial(g.leader())
	require.Equal(t, "OK", c.do("SET k v"))
	require.Eventually(t, func() bool {
		info := c.text("INFO replication")
		at := number(t, info, "master_repl_offset")
		return strings.Count(info, ",state=online,offset="+strconv.FormatInt(at, 10)+",lag=0") == 2
	}, patience, time.Millisecond)
	require.Regexp(t, `^\["master" \d+ \[\["\S+" "0" "\d+"\] \["\S+" "0" "\d+"\]\]\]$`, c.do("ROLE"))
	follower := g.follower()
	require.Regexp(t, `^\["slave" "`+regexp.QuoteMeta(g.nodes[g.leader()].Addr())+`" 0 "connected" \d+\]$`, g.dial(follower).do("ROLE"))
}

func TestSnapshotsCanBeAskedFor(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 1).dial(0)
	require.Equal(t, "OK", c.do("SET k v"))
	before := number(t, c.text("INFO persistence"), "snapshot_slot")
	require.Equal(t, "Background saving started", c.do("BGSAVE"))
	require.Eventually(t, func() bool { return number(t, c.text("INFO persistence"), "snapshot_slot") > before }, patience, time.Millisecond)
	saved, err := strconv.ParseInt(c.do("LASTSAVE"), 10, 64)
	require.NoError(t, err)
	require.InDelta(t, time.Now().Unix(), saved, 60)
	require.Equal(t, "Background append only file rewriting started", c.do("BGREWRITEAOF"), "nothing is new, so nothing is done")
	require.Equal(t, "-ERR syntax error", c.do("BGSAVE NOW"))
}

func TestMemoryCommands(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 1).dial(0)
	require.Equal(t, "OK", c.do("MEMORY PURGE"))
	require.Contains(t, c.text("MEMORY DOCTOR"), "resident")
	require.Contains(t, c.text("MEMORY MALLOC-STATS"), "heap: ")
	require.Contains(t, c.do("MEMORY STATS"), `"dataset.bytes" `)
	require.Equal(t, "-ERR unknown subcommand 'NOSUCH'. Try MEMORY HELP.", c.do("MEMORY NOSUCH"))
	require.Contains(t, c.text("LATENCY DOCTOR"), "LATENCY HISTOGRAM")
	require.Equal(t, "-ERR No samples available for event 'x'", c.do("LATENCY GRAPH x"))
}
