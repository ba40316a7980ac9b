package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"diskv/paxos"
	"diskv/server"
	"diskv/shard"
	"diskv/tests/proc"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that is sure to happen.
const patience = time.Minute

// noEnv is an empty environment.
func noEnv(string) (string, bool) { return "", false }

func envOf(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

// outcome is what a run that ended has left.
type outcome struct {
	status         int
	stdout, stderr string
}

func runNow(t *testing.T, env func(string) (string, bool), args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, env, &stdout, &stderr)
	return outcome{status, stdout.String(), stderr.String()}
}

func TestWrongUsageIsToldInOneLine(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string
	}{
		{"serve", `unknown command "serve": there are dev, shardmaster, version and help; without a command a replica is started`},
		{"--nosuch", "flag provided but not defined: -nosuch"},
		{"--index", "flag needs an argument: -index"},
		{"--index one", `invalid value "one" for flag -index: must be a whole number, without a unit`},
		{"--dir d extra", `unexpected argument "extra": every setting is a flag`},
		{"--read fast", `--read "fast": must be quorum or lease`},
		{"--log xml", `--log "xml": must be text or json`},
		{"--snapshot-min-bytes 0", "--snapshot-min-bytes 0: must be above 0"},
		{"--min-free-bytes -1", "--min-free-bytes -1: must be above 0"},
		{"--max-clients 0", "--max-clients 0: must be above 0"},
		{"--max-value-bytes 10", "--max-value-bytes 10: must be between 1024 and 134217728"},
		{"--pprof", "--pprof: profiles are served at the address of --http: give it as well"},
		{"--slow-sync -1s", "--slow-sync -1s: must be 0, for never, or above"},
		{"--slow-sync 5", `invalid value "5" for flag -slow-sync: must be a time with its unit, such as 100ms or 5s`},
		{"--listen here", `--listen: address "here" is neither host:port nor unix:/path`},
		{"--listen unix:", `--listen: address "unix:" has no path; write unix:/path`},
		{"--peers a:1,b:2,nowhere", `--peers, member 2: address "nowhere" is neither host:port nor unix:/path`},
		{"--peers a:1,b:2,a:1", "--peers: members 0 and 2 have the same address, a:1"},
		{"--peers a:1,b:2,c:3 --index 3", "--index 3: --peers names members 0 to 2"},
		{"--index 1", "--index 1: a single node, without --peers, is member 0"},
		{"--peers a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8", "--peers names 8 members, a group has at most 7"},
		{"--dir=", "no data directory: give --dir"},
		{"dev --replicas 8", "--replicas 8: must be 1 to 7"},
		{"dev --port 65535", "--port 65535: must be 1 to 65533"},
		{"dev --http-port 65535", "--http-port 65535: must be 1 to 65533"},
		{"dev --pprof", "--pprof: profiles are served at --http-port: give it as well"},
		{"dev --groups 17", "--groups 17: must be 1 to 16"},
		{"dev --index 1", "flag provided but not defined: -index"},
		{"--group 0", "--group 0 is the shardmasters': groups have numbers from 1 on"},
		{"--shardmasters m:1,nowhere", `--shardmasters, member 1: address "nowhere" is neither host:port nor unix:/path`},
		{"--shardmasters m:1,b:2 --peers a:1,b:2", "--shardmasters: b:2 is a member of this group by --peers"},
		{"--shardmasters m:1 --group 9223372036854775808", "--group 9223372036854775808: the numbers of groups go up to 9223372036854775807"},
		{"shardmaster --group 1", "flag provided but not defined: -group"},
		{"shardmaster --shardmasters m:1", "flag provided but not defined: -shardmasters"},
		{"shardmaster --peers a:1,b:2,c:3 --index 3", "--index 3: --peers names members 0 to 2"},
		{"shardmaster now", `unexpected argument "now": every setting is a flag`},
		{"version please", `unexpected argument "please"`},
	} {
		got := runNow(t, noEnv, strings.Fields(tt.line)...)
		require.Equal(t, exitUsage, got.status, tt.line)
		require.Equal(t, "diskvd: "+tt.want+" (see diskvd --help)\n", got.stderr, tt.line)
		require.Empty(t, got.stdout)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help": {"--help"}, "dev-help": {"dev", "--help"}, "shardmaster-help": {"shardmaster", "--help"},
	} {
		got := runNow(t, noEnv, args...)
		require.Equal(t, exitOK, got.status)
		require.Empty(t, got.stderr)
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(got.stdout), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got.stdout)
	}
	require.Equal(t, runNow(t, noEnv, "--help"), runNow(t, noEnv, "help"))
	require.Equal(t, runNow(t, noEnv, "--help"), runNow(t, noEnv, "-h"))
}

func TestVersion(t *testing.T) {
	for _, name := range []string{"version", "--version"} {
		require.Equal(t, outcome{exitOK, "diskvd " + server.Version + "\n", ""}, runNow(t, noEnv, name))
	}
}

func TestFlagsHaveTwinsInTheEnvironment(t *testing.T) {
	env := envOf(map[string]string{
		"DISKV_DIR": "/from/env", "DISKV_MAX_CLIENTS": "5", "DISKV_PEERS": "a:1, b:2", "DISKV_INDEX": "1", "DISKV_BOOTSTRAP": "true",
		"DISKV_SNAPSHOT_MIN_BYTES": "4096", "DISKV_READ": "lease", "DISKV_SHARDMASTERS": "m:1, m:2", "DISKV_HTTP": "127.0.0.1:0",
		"DISKV_PPROF": "true", "DISKV_SLOW_SYNC": "1s",
	})
	f := newFlags("diskvd", "")
	o := serveFlags(f)
	require.NoError(t, f.parse([]string{"--max-clients", "7"}, env, &bytes.Buffer{}))
	opts, err := o.options(nil)
	require.NoError(t, err)
	require.Equal(t, "/from/env", opts.Dir)
	require.Equal(t, 7, opts.MaxClients, "the flag wins")
	require.Equal(t, []string{"a:1", "b:2"}, opts.Peers)
	require.Equal(t, 1, opts.Index)
	require.True(t, opts.Bootstrap)
	require.True(t, opts.Lease)
	require.True(t, opts.Pprof)
	require.Equal(t, time.Second, opts.SlowSync)
	require.EqualValues(t, 4096, opts.Replica.SnapshotMinBytes)
	require.Equal(t, paxos.ServiceSharded, opts.Service)
	require.Equal(t, []string{"m:1", "m:2"}, opts.Shardmasters)
	require.Equal(t, "127.0.0.1:7379", opts.Listen, "what nobody sets has its default")

	got := runNow(t, envOf(map[string]string{"DISKV_INDEX": "one"}))
	require.Equal(t, exitUsage, got.status)
	require.Equal(t, "diskvd: environment variable DISKV_INDEX: invalid value \"one\": must be a whole number, without a unit (see diskvd --help)\n", got.stderr)
}

// process is a run that goes on.
type process struct {
	stop           context.CancelFunc
	done           chan struct{}
	status         int
	stdout, stderr buffer
}

// buffer is written and read by different goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{stop: stop, done: make(chan struct{})}
	go func() {
		p.status = run(ctx, args, noEnv, &p.stdout, &p.stderr)
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("diskvd %s\n%s%s", strings.Join(args, " "), &p.stdout, &p.stderr)
		}
	})
	return p
}

// end stops the run and returns its exit status.
func (p *process) end() int {
	p.stop()
	<-p.done
	return p.status
}

// await sends a command until it has the reply that is wanted.
func await(t *testing.T, addr, want string, args ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := proc.Dial(addr)
		if err != nil {
			return false
		}
		defer c.Close()
		v, err := c.Do(args...)
		return err == nil && string(v.Str) == want
	}, patience, 5*time.Millisecond, "%s answers %v with %s", addr, args, want)
}

func TestSingleNode(t *testing.T) {
	sockets, err := os.MkdirTemp("", "diskvd") // the path of a socket must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	addr := "unix:" + filepath.Join(sockets, "s")
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--listen", addr, "--log", "json", "--min-free-bytes", "1")
	await(t, addr, "OK", "SET", "k", "v")
	require.Contains(t, p.stderr.String(), `"msg":"serving"`)

	second := runNow(t, noEnv, "--dir", dir, "--listen", addr+"2")
	require.Equal(t, exitFailure, second.status)
	require.Equal(t, "diskvd: data directory "+dir+" is in use by another process: stop that one, or give this one a --dir of its own\n", second.stderr)
	third := runNow(t, noEnv, "--dir", dir+"-2", "--listen", addr)
	require.Equal(t, exitFailure, third.status)
	require.Equal(t, "diskvd: --listen: another process listens on "+addr+"\n", third.stderr)

	require.Equal(t, exitOK, p.end())
	start(t, "--dir", dir, "--listen", addr, "--min-free-bytes", "1")
	await(t, addr, "v", "GET", "k")
}

// TestConfigShowsEveryFlag: CONFIG GET has the settings by the names of the flags.
func TestConfigShowsEveryFlag(t *testing.T) {
	dir := t.TempDir()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t, 1))
	p := start(t, "--dir", dir, "--listen", addr)
	await(t, addr, "PONG", "PING")
	c, err := proc.Dial(addr)
	require.NoError(t, err)
	defer c.Close()
	f := newFlags("diskvd", serveUsage)
	serveFlags(f)
	f.VisitAll(func(fl *flag.Flag) {
		if fl.Name == "log" {
			return // it is about the process, not about the node
		}
		v, err := c.Do("CONFIG", "GET", fl.Name)
		require.NoError(t, err)
		require.Len(t, v.Elems, 2, fl.Name)
		want := map[string]string{"false": "no", "true": "yes"}[fl.DefValue]
		switch {
		case fl.Name == "dir":
			want = dir
		case fl.Name == "listen":
			want = addr
		case want == "":
			want = fl.DefValue
		}
		require.Equal(t, want, string(v.Elems[1].Str), fl.Name)
	})
	require.Zero(t, p.end())
}

func TestShardmaster(t *testing.T) {
	sockets, err := os.MkdirTemp("", "diskvd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	addr := "unix:" + filepath.Join(sockets, "s")
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"shardmaster", "--dir", dir, "--listen", addr, "--min-free-bytes", "1"}

	early := runNow(t, noEnv, args...)
	require.Equal(t, exitFailure, early.status)
	require.Equal(t, "diskvd: data directory "+dir+
		" is empty, and others may know this group already: give its --dir, or --bootstrap if it has never run\n", early.stderr)
	p := start(t, append(args, "--bootstrap")...)
	await(t, addr, "", "DISKV.SHARDS", "JOIN", "1", "a:1")
	require.Equal(t, exitOK, p.end())

	other := runNow(t, noEnv, "--dir", dir, "--listen", addr)
	require.Equal(t, exitFailure, other.status)
	require.Equal(t, "diskvd: data directory "+dir+
		" belongs to a shardmaster, this is to be a group that owns every shard: give the right --dir, or start it with diskvd shardmaster\n", other.stderr)
	sharded := runNow(t, noEnv, "--dir", dir+"-2", "--listen", addr, "--shardmasters", "a:1")
	require.Equal(t, exitFailure, sharded.status)
	require.Contains(t, sharded.stderr, "is empty, and others may know this group already")

	start(t, args...)
	config := shard.Config{Num: 1, Groups: []shard.Group{{ID: 1, Servers: []string{"a:1"}}}}
	for i := range config.Owner {
		config.Owner[i] = 1
	}
	await(t, addr, string(config.Append(nil)), "DISKV.SHARDS", "QUERY")
}

func TestDevRunsAGroup(t *testing.T) {
	port := freePort(t, 3)
	dir := t.TempDir()
	args := []string{"dev", "--replicas", "3", "--dir", dir, "--port", strconv.Itoa(port), "--min-free-bytes", "1"}
	p := start(t, args...)
	leader := func() string {
		addr := ""
		require.Eventually(t, func() bool {
			for i := range 3 {
				addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))
				c, err := proc.Dial(addr)
				if err != nil {
					continue
				}
				v, err := c.Do("INFO", "replication")
				c.Close()
				if err == nil && strings.Contains(string(v.Str), "role:master") {
					return true
				}
			}
			return false
		}, patience, 5*time.Millisecond)
		return addr
	}
	await(t, leader(), "OK", "SET", "k", "v")
	require.Contains(t, p.stdout.String(), fmt.Sprintf("redis-cli -c -p %d set greeting hello", port))
	for i := range 3 {
		require.FileExists(t, filepath.Join(dir, fmt.Sprint("replica-", i), "IDENTITY"))
	}
	require.Equal(t, exitOK, p.end())
	start(t, args...)
	await(t, leader(), "v", "GET", "k")

	taken := runNow(t, noEnv, append(args, "--dir", t.TempDir())...)
	require.Equal(t, exitFailure, taken.status)
	require.Contains(t, taken.stderr, "diskvd: replica 0: --listen: listen tcp 127.0.0.1:")
}

// TestDevRunsACluster: a plain client can use any member of either group, and all is
// there after a restart.
func TestDevRunsACluster(t *testing.T) {
	port := freePort(t, 9)
	dir := t.TempDir()
	args := []string{"dev", "--groups", "2", "--dir", dir, "--port", strconv.Itoa(port), "--min-free-bytes", "1"}
	p := start(t, args...)
	said := func(p *process) func() bool {
		return func() bool {
			return strings.Contains(p.stdout.String(), "2 groups of 3 replicas, and 3 shardmasters, in "+dir+". Try:\n\n  redis-cli -c ")
		}
	}
	require.Eventually(t, said(p), patience, 5*time.Millisecond)
	for i := range 6 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))
		await(t, addr, "OK", "SET", "a"+strconv.Itoa(i), "v")
		await(t, addr, "v", "GET", "a"+strconv.Itoa(i))
	}
	require.Equal(t, exitOK, p.end())
	p = start(t, args...)
	require.Eventually(t, said(p), patience, 5*time.Millisecond)
	for i := range 6 {
		await(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(port+5-i)), "v", "GET", "a"+strconv.Itoa(i))
	}
}

// freePort returns the first of n ports on which nobody listens.
func freePort(t *testing.T, n int) int {
	t.Helper()
	for range 1000 {
		first := 31_000 + rand.IntN(1_000) // at random: another run of the tests may look for one, too
		free := true
		for port := first; port < first+n && free; port++ {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if free = err == nil; free {
				require.NoError(t, l.Close())
			}
		}
		if free {
			return first
		}
	}
	require.FailNow(t, "no free ports")
	return 0
}
