package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
	"diskv/tests/proc"
)

// result is what one call has said.
type result struct {
	status         int
	stdout, stderr string
}

func call(stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(context.Background(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status: status, stdout: stdout.String(), stderr: stderr.String()}
}

func TestUsage(t *testing.T) {
	require.Equal(t, exitOK, call("", "--help").status)
	require.Contains(t, call("", "--help").stdout, "Exit status")
	require.Equal(t, "diskvlog "+server.Version+"\n", call("", "version").stdout)
	for _, tt := range []struct{ args, want string }{
		{"repare", `unknown command "repare"`},
		{"recover", "give either --force-new-group or --install FILE"},
		{"recover --force-new-group --install f", "give either"},
		{"recover --force-new-group", "give the data directory with --dir"},
		{"recover --force-new-group --dir d", "give the file to write with --out"},
		{"recover --install f --dir d --read never", `--read "never"`},
		{"recover --nosuch", "nosuch"},
		{"recover --force-new-group more", "1 argument given"},
		{"info", "0 arguments given"},
		{"verify", "0 arguments given"},
		{"dump", "0 arguments given"},
		{"dump d --slots 3-2", "the first is above the last"},
		{"dump d --slots x", "FIRST-LAST"},
		{"dump d --slots 0", "numbers from 1 on"},
		{"dump d --kind nothing", `--kind "nothing": there are header, state`},
		{"dump d --session 12", "--session"},
		{"dump d --since yesterday", `--since "yesterday"`},
		{"dump d --colour blue", `--colour "blue"`},
	} {
		r := call("", strings.Fields(tt.args)...)
		require.Equal(t, exitUsage, r.status, tt.args)
		require.Contains(t, r.stderr, tt.want)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"), "one line: %s", r.stderr)
	}
}

// formatted returns the directory of a single node that has formed and stopped.
func formatted(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "data")
	n, err := server.Open(server.Options{Dir: dir, Listen: "127.0.0.1:0", Group: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	require.Eventually(tb, func() bool {
		c, err := proc.Dial(n.Addr())
		if err != nil {
			return false
		}
		defer c.Close()
		v, err := c.Do("SET", "k", "v")
		return err == nil && string(v.Str) == "OK"
	}, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(tb, <-ended)
	return dir
}

func TestForceNewGroupAsksAndThenWrites(t *testing.T) {
	dir := formatted(t)
	genesis := filepath.Join(t.TempDir(), "genesis")
	refused := call("yes\n", "recover", "--force-new-group", "--dir", dir, "--out", genesis)
	require.Equal(t, exitFailure, refused.status)
	require.Contains(t, refused.stderr, "not confirmed: nothing was written")
	require.NoFileExists(t, genesis)
	require.Contains(t, refused.stdout, "What may be lost")
	require.Contains(t, refused.stdout, "1 keys")

	s, err := server.OpenSurvivor(dir)
	require.NoError(t, err)
	cluster := s.Identity.Cluster.String()
	s.Close()
	done := call(cluster+"\n", "recover", "--force-new-group", "--dir", dir, "--out", genesis)
	require.Equal(t, result{status: exitOK, stdout: done.stdout}, done)
	require.FileExists(t, genesis)

	target := filepath.Join(t.TempDir(), "new")
	require.Equal(t, exitOK, call("", "recover", "--install", genesis, "--dir", target, "--index", "0").status)
	wrong := call("", "recover", "--install", genesis, "--dir", filepath.Join(t.TempDir(), "x"), "--index", "5")
	require.Equal(t, exitFailure, wrong.status)
	require.Contains(t, wrong.stderr, "--index 5: the genesis is of members 0 to 0")
	again, err := server.OpenSurvivor(target)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, "1 keys, 0 sessions", again.Holds)
	require.NotEqual(t, cluster, again.Identity.Cluster.String())
}

func TestInfoDumpAndVerify(t *testing.T) {
	dir := formatted(t)
	info := call("", "info", dir)
	require.Equal(t, result{status: exitOK, stdout: info.stdout}, info)
	for _, want := range []string{"0 of 1 of group 1", "epoch 0", "boot", "closed cleanly", "commit index", "promised", "1 command"} {
		require.Contains(t, info.stdout, want)
	}
	var told struct {
		Phase string `json:"phase"`
		Log   struct {
			LastSlot uint64            `json:"last_slot"`
			Records  map[string]uint64 `json:"records"`
		} `json:"log"`
	}
	require.NoError(t, json.Unmarshal([]byte(call("", "info", "--json", dir).stdout), &told))
	require.Equal(t, "member", told.Phase)
	require.NotZero(t, told.Log.LastSlot)
	require.NotZero(t, told.Log.Records["batch"])

	dump := call("", "dump", dir, "--key", "k")
	require.Equal(t, exitOK, dump.status, dump.stderr)
	require.Equal(t, 1, strings.Count(dump.stdout, "\n"))
	require.Contains(t, dump.stdout, "SET k v")
	require.NotContains(t, dump.stdout, "\x1b", "no colours but on a terminal")
	require.Contains(t, call("", "dump", dir, "--colour", "always").stdout, "\x1b[32mbatch")
	for line := range strings.Lines(call("", "dump", dir, "--json").stdout) {
		require.NoError(t, json.Unmarshal([]byte(line), new(map[string]any)), line)
	}
	require.Empty(t, call("", "dump", dir, "--slots", "1000000-").stdout)

	verify := call("", "verify", dir)
	require.Equal(t, result{status: exitOK, stdout: verify.stdout}, verify)
	require.Contains(t, verify.stdout, ": well: ")
	require.Equal(t, exitFailure, call("", "verify", dir+"/nowhere").status)
	require.Equal(t, exitDamaged, call("", "info", t.TempDir()).status)
}

func TestExitStatusesOfVerify(t *testing.T) {
	dir := formatted(t)
	// Cleanly closed: what is behind the end was written since.
	segments, err := filepath.Glob(filepath.Join(dir, "wal", "0*", "0*"))
	require.NoError(t, err)
	segment := segments[0]
	whole, err := os.ReadFile(segment)
	require.NoError(t, err)
	for _, tt := range []struct {
		what, content string
		status        int
		want          string
	}{
		{"torn", string(whole) + "\x10half", exitTorn, "start diskvd, which keeps these bytes"},
		{"suspect", string(whole) + strings.Repeat("g", 600), exitSuspect, "may be missing"},
		{"damaged", string(whole[:len(whole)-9]), exitDamaged, "a single node refuses to start on this"},
	} {
		require.NoError(t, os.WriteFile(segment, []byte(tt.content), 0o600))
		r := call("", "verify", dir)
		require.Equal(t, tt.status, r.status, tt.what)
		require.Contains(t, r.stdout, ": "+tt.what+": ")
		require.Contains(t, r.stdout, segment)
		require.Contains(t, r.stdout, "offset  ")
		require.Contains(t, r.stdout, "\n  > 0000", "the bytes there")
		require.Contains(t, r.stdout, tt.want)
		var told struct {
			Verdict string
			Checks  []struct{ Fault struct{ File string } }
		}
		j := call("", "verify", "--json", dir)
		require.Equal(t, tt.status, j.status)
		require.NoError(t, json.Unmarshal([]byte(j.stdout), &told))
		require.Equal(t, tt.what, told.Verdict)
		require.Equal(t, segment, told.Checks[0].Fault.File)
	}
}

func TestStat(t *testing.T) {
	dir := formatted(t)
	r := call("", "stat", dir)
	require.Equal(t, result{status: exitOK, stdout: r.stdout}, r)
	for _, want := range []string{"1 command in ", "commands in a batch: mean", "commands a second", "SET  1  ####", "keys written most\n  k  1  ####"} {
		require.Contains(t, r.stdout, want)
	}
	var told struct {
		Keys []struct {
			Name  struct{ Text string }
			Count int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(call("", "stat", "--json", dir).stdout), &told))
	require.Equal(t, "k", told.Keys[0].Name.Text)
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	b := &bar{out: &out, width: 10, begun: time.Now()}
	b.draw(1, 2)
	b.remove()
	require.Empty(t, out.String(), "nothing within the first second")
	b.begun = b.begun.Add(-2 * progressAfter)
	b.draw(1<<20, 4<<20)
	b.draw(2<<20, 4<<20)
	b.draw(0, 0)
	b.remove()
	require.Equal(t, "\r[##........]  25% of 4096 KiB\r\x1b[K", out.String(), "not more often than can be seen")
	draw, _ := (&app{err: &out}).progress()
	require.Nil(t, draw, "not to what is no terminal")
}
