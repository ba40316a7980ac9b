package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/server"
	"diskv/tests/inproc"
	"diskv/tests/proc"
)

// dialed returns a connection to a node that runs.
func dialed(t *testing.T, addr string) *proc.Conn {
	t.Helper()
	c, err := proc.Dial(addr)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// do runs a command, whose arguments have no spaces, and returns the answer.
func do(t *testing.T, c *proc.Conn, command string) string {
	t.Helper()
	v, err := c.Do(strings.Fields(command)...)
	require.NoError(t, err)
	if v.Str == nil {
		return fmt.Sprint(v.Int)
	}
	return string(v.Str)
}

// accident is a single node that runs, with ten keys, one of which expires in a year and
// one in a moment, all of which FLUSHALL has then removed. Slot is the last one before.
func accident(t *testing.T) (g *inproc.Group, slot uint64) {
	t.Helper()
	g = inproc.Start(t, 1)
	c := dialed(t, g.Addrs[0])
	for n := range 8 {
		require.Equal(t, "OK", do(t, c, fmt.Sprintf("SET key:%d value-%d", n, n)))
	}
	require.Equal(t, "OK", do(t, c, fmt.Sprintf("SET year y PXAT %d", time.Now().AddDate(1, 0, 0).UnixMilli())))
	require.Equal(t, "OK", do(t, c, "SET moment m PX 60"))
	st, err := g.Nodes[0].Status()
	require.NoError(t, err)
	slot = uint64(st.Applied)
	require.Eventually(t, func() bool { return do(t, c, "EXISTS moment") == "0" }, patience, tick, "the moment is over")
	require.Equal(t, "OK", do(t, c, "FLUSHALL"))
	require.Equal(t, "0", do(t, c, "DBSIZE"))
	return g, slot
}

// TestReplayGetsBackWhatWasDeleted: while the node runs, as commands that are piped into
// it.
func TestReplayGetsBackWhatWasDeleted(t *testing.T) {
	g, slot := accident(t)
	dir, file := g.Options[0].Dir, filepath.Join(t.TempDir(), "commands")
	until := fmt.Sprint(slot)
	r := call("", "replay", dir, "--until", until, "--resp", "--out", file)
	require.Equal(t, result{status: exitOK, stdout: r.stdout}, r)
	require.Contains(t, r.stdout, "10 keys, 0 sessions")
	require.Contains(t, r.stdout, file+": 9 SETs, but for 1 that expired since; what is remembered of sessions is not in it")
	again := call("", "replay", dir, "--until", until, "--resp", "--out", file)
	require.Equal(t, exitFailure, again.status)
	require.Contains(t, again.stderr, "is there already: give the name of a new file, or --force")
	require.Equal(t, exitOK, call("", "replay", dir, "--until", until, "--resp", "--out", file, "--force").status)

	commands, err := os.ReadFile(file)
	require.NoError(t, err)
	c := dialed(t, g.Addrs[0])
	require.Equal(t, "OK", do(t, c, "SET key:0 newer"))
	require.NoError(t, c.SendRaw(string(commands), 9))
	for range 9 {
		v, err := c.Receive()
		require.NoError(t, err)
		require.Equal(t, "OK", string(v.Str))
	}
	require.Equal(t, "9", do(t, c, "DBSIZE"))
	for n := range 8 {
		require.Equal(t, fmt.Sprintf("value-%d", n), do(t, c, fmt.Sprintf("GET key:%d", n)))
	}
	require.Contains(t, do(t, c, "TTL year"), "3153", "some days less than 366")

	one := call("", "replay", dir, "--until", until, "--resp", "--out", "-", "--key", "key:3", "--nx")
	require.Equal(t, exitOK, one.status, one.stderr)
	require.Equal(t, "*4\r\n$3\r\nSET\r\n$5\r\nkey:3\r\n$7\r\nvalue-3\r\n$2\r\nNX\r\n", one.stdout)
	require.Contains(t, one.stderr, "standard output: 1 SET")
	require.Equal(t, 8, strings.Count(call("", "replay", dir, "--until", until, "--resp", "--out", "-", "--prefix", "key:").stdout, "SET"))
	none := call("", "replay", dir, "--until", until, "--resp", "--out", filepath.Join(t.TempDir(), "x"), "--key", "moment")
	require.Equal(t, exitFailure, none.status)
	require.Contains(t, none.stderr, "there was no such key, but for 1 that expired since: nothing was written")
	require.Contains(t, call("", "replay", dir, "--until", "1h", "--resp", "--out", file).stderr, "is there already")
	long := call("", "replay", dir, "--until", "1h", "--resp", "--out", filepath.Join(t.TempDir(), "y"))
	require.Equal(t, exitFailure, long.status)
	require.Contains(t, long.stderr, "is not in it: it covers slot 1")
}

// TestReplayBeginsANewGroup: the way back for a whole group.
func TestReplayBeginsANewGroup(t *testing.T) {
	g := stoppedGroup(t, func(o *server.Options) { o.Replica.SnapshotMinBytes = 1 << 40 })
	for i := range g.Nodes {
		g.Run(i)
	}
	g.AwaitReady()
	leader := g.Leader()
	c := dialed(t, g.Addrs[leader])
	logTime := func() int64 {
		require.Equal(t, "0", do(t, c, "DEL none"))
		st, err := g.Nodes[leader].Status()
		require.NoError(t, err)
		return st.LogTime
	}
	before := logTime()
	require.Eventually(t, func() bool { return logTime() > before }, patience, tick, "what follows is of a later time")
	require.Equal(t, "1", do(t, c, "DEL k"))
	for i := range g.Nodes {
		g.Stop(i)
	}
	genesis := filepath.Join(t.TempDir(), "genesis")
	r := call("", "replay", g.Options[1].Dir, "--until", time.Unix(0, before).UTC().Format(time.RFC3339Nano), "--new-group", "--out", genesis, "--accepted")
	require.Equal(t, exitOK, r.status, r.stderr)
	require.Contains(t, r.stdout, "10 keys")
	named := regexp.MustCompile(`diskvlog (recover --install \S+)`).FindStringSubmatch(r.stdout)
	require.NotNil(t, named, r.stdout)
	for i := range g.Nodes {
		args := append(strings.Fields(named[1]), "--dir", g.Options[i].Dir, "--index", fmt.Sprint(i))
		require.Equal(t, exitOK, call("", args...).status)
		g.Run(i)
	}
	g.AwaitReady()
	reader, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer reader.Close()
	v, _, err := reader.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "v", string(v))
}

// TestBackup: what docs/operations.md says of backups, typed, and that a backup can be
// restored more than once, each time as another cluster.
func TestBackup(t *testing.T) {
	g := stoppedGroup(t)
	backup := filepath.Join(t.TempDir(), "backup")
	for i := range g.Nodes {
		g.Run(i)
	}
	g.AwaitReady()
	leader := g.Leader()
	require.Equal(t, "OK", do(t, dialed(t, g.Addrs[leader]), "SET last acknowledged"))
	made := call("", "replay", g.Options[leader].Dir, "--until", "end", "--accepted", "--new-group", "--out", backup)
	require.Equal(t, exitOK, made.status, made.stderr)
	require.Equal(t, exitOK, call("", "dump", backup).status)
	clusters := make(map[string]bool)
	for range 2 {
		require.Equal(t, "1", do(t, dialed(t, g.Addrs[g.Leader()]), "DEL last"))
		scratch, genesis := filepath.Join(t.TempDir(), "scratch"), filepath.Join(t.TempDir(), "genesis")
		require.Equal(t, exitOK, call("", "recover", "--install", backup, "--dir", scratch, "--index", "0").status)
		again := call("", "replay", scratch, "--until", "end", "--new-group", "--out", genesis)
		require.Equal(t, exitOK, again.status, again.stderr)
		for i := range g.Nodes {
			g.Stop(i)
			require.Equal(t, exitOK, call("", "recover", "--install", genesis, "--dir", g.Options[i].Dir, "--index", fmt.Sprint(i)).status)
		}
		refused := call("", "recover", "--install", genesis, "--dir", g.Options[0].Dir, "--index", "0")
		require.Equal(t, exitFailure, refused.status)
		require.Contains(t, refused.stderr, "make another genesis of it")
		for i := range g.Nodes {
			g.Run(i)
		}
		g.AwaitReady()
		c := dialed(t, g.Addrs[g.Leader()])
		require.Equal(t, "acknowledged", do(t, c, "GET last"))
		clusters[regexp.MustCompile(`cluster_id:\S+`).FindString(do(t, c, "INFO diskv"))] = true
	}
	require.Len(t, clusters, 2)
	require.NotContains(t, clusters, "")
}

func TestReplayWritesASnapshot(t *testing.T) {
	dir := formatted(t)
	file := filepath.Join(t.TempDir(), "state")
	r := call("", "replay", dir, "--until", "0s", "--out", file, "--json")
	require.Equal(t, exitOK, r.status, r.stderr)
	var told struct {
		Slot, Keys int
		Format     string
		Snapshot   struct{ Digest string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &told))
	require.Equal(t, "snapshot", told.Format)
	require.Equal(t, 1, told.Keys)
	require.NotZero(t, told.Slot)
	require.Len(t, told.Snapshot.Digest, 64)
	require.Contains(t, call("", "dump", file).stdout, " key ")
	require.NoError(t, os.Rename(file, file+".snap"))
	require.Contains(t, call("", "dump", file+".snap").stdout, " k v ")
}

func TestReplayUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"replay d", "give the moment with --until"},
		{"replay d --until 1", "give the file to write with --out"},
		{"replay d --until 0 --out f", "numbered from 1 on"},
		{"replay d --until -5m --out f", "has no sign"},
		{"replay d --until yesterday --out f", `--until "yesterday": must be a slot, a time`},
		{"replay d --until 1 --out -", "a snapshot goes into a file"},
		{"replay d --until 1 --out f --key k", "are of --resp"},
		{"replay d --until 1 --out f --resp --new-group", "--new-group is a snapshot"},
		{"replay d --until 1 --out d/f", "it is in the data directory"},
		{"replay --until 1 --out f", "0 arguments given"},
		{"repair", "0 arguments given"},
		{"repair a b", "2 arguments given"},
	} {
		r := call("", strings.Fields(tt.args)...)
		require.Equal(t, exitUsage, r.status, "%s: %s", tt.args, r.stderr)
		require.Contains(t, r.stderr, tt.want)
	}
	nowhere := call("", "replay", filepath.Join(t.TempDir(), "d"), "--until", "1", "--out", filepath.Join(t.TempDir(), "f"))
	require.Equal(t, exitFailure, nowhere.status)
	require.Contains(t, nowhere.stderr, "no such file or directory")
}
