package main

import (
	"bytes"
	"context"
	"log/slog"
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
	status := run(args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status: status, stdout: stdout.String(), stderr: stderr.String()}
}

func TestUsage(t *testing.T) {
	require.Equal(t, result{status: exitOK, stdout: usage}, call("", "--help"))
	require.Equal(t, "diskvlog "+server.Version+"\n", call("", "version").stdout)
	for _, tt := range []struct{ args, want string }{
		{"dump", `unknown command "dump"`},
		{"recover", "give either --force-new-group or --install FILE"},
		{"recover --force-new-group --install f", "give either"},
		{"recover --force-new-group", "give the data directory with --dir"},
		{"recover --force-new-group --dir d", "give the file to write with --out"},
		{"recover --install f --dir d --read never", `--read "never"`},
		{"recover --nosuch", "nosuch"},
		{"recover --force-new-group more", `unexpected argument "more"`},
	} {
		r := call("", strings.Fields(tt.args)...)
		require.Equal(t, exitUsage, r.status, tt.args)
		require.Contains(t, r.stderr, tt.want)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"), "one line: %s", r.stderr)
	}
}

// formatted returns the directory of a single node that has formed and stopped.
func formatted(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	n, err := server.Open(server.Options{Dir: dir, Listen: "127.0.0.1:0", Group: 1, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	require.Eventually(t, func() bool {
		c, err := proc.Dial(n.Addr())
		if err != nil {
			return false
		}
		defer c.Close()
		v, err := c.Do("SET", "k", "v")
		return err == nil && string(v.Str) == "OK"
	}, 10*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
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
