package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/proc"
)

// called is one call of the program.
func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}

// TestRunCheckAndReplay: what a run keeps can be checked and injected again.
func TestRunCheckAndReplay(t *testing.T) {
	binary, err := proc.Build(t.TempDir())
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	args := []string{"--binary", binary, "--members", "3", "--seed", "5", "--clients", "4"}

	status, out, told := called(t, append([]string{"run", "--scenario", "kills", "--duration", "3s", "--keep"}, args...)...)
	require.Zero(t, status, told)
	require.Contains(t, out, "PASSED: nothing lost")
	require.Contains(t, told, "killed")
	require.FileExists(t, "crashreplay-kills-5/report.html")

	status, out, told = called(t, "check", "crashreplay-kills-5")
	require.Zero(t, status, told)
	require.Contains(t, out, ": 0 violations, 0 undecided")

	status, out, told = called(t, "replay", "crashreplay-kills-5", "--binary", binary)
	require.Zero(t, status, told)
	require.Contains(t, out, "seed 5")
	require.FileExists(t, "crashreplay-kills-5-replay/report.html")
	require.NoFileExists(t, "crashreplay-kills-5-replay/history.jsonl", "it passed")

	status, _, _ = called(t, append([]string{"run", "--scenario", "calm", "--duration", "100ms", "--quiet"}, args...)...)
	require.Zero(t, status)
	status, _, told = called(t, append([]string{"run", "--scenario", "calm", "--duration", "100ms", "--quiet"}, args...)...)
	require.Zero(t, status)
	require.Empty(t, told)
	require.DirExists(t, "crashreplay-calm-5.2", "beside the one before")
}

// TestViolationInAKeptHistory: a read of something that was overwritten.
func TestViolationInAKeptHistory(t *testing.T) {
	dir := t.TempDir()
	history := `{"k":"a","c":1,"v":"put","a":"1;","t":1,"r":2,"o":"ok"}
{"k":"a","c":1,"v":"put","a":"2;","t":3,"r":4,"o":"ok"}
{"k":"a","c":2,"v":"get","s":"1;","t":5,"r":6,"o":"ok"}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "history.jsonl"), []byte(history), 0o600))
	status, out, _ := called(t, "check", dir)
	require.Equal(t, exitViolation, status)
	require.Contains(t, out, "3 operations on 1 keys: 1 violations")
	require.FileExists(t, filepath.Join(dir, "picture-1.html"))
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"run", "--scenario", "nope"}, exitUsage, `there is no scenario "nope": there are calm`},
		{[]string{"run", "--duration", "x"}, exitUsage, "duration"},
		{[]string{"run", "--members", "2"}, exitUsage, "--members 2: must be 3 to 7"},
		{[]string{"run", "--duration", "0s"}, exitUsage, "--duration 0s: must be above 0"},
		{[]string{"run", "--clients", "0"}, exitUsage, "--clients 0: must be above 0"},
		{[]string{"replay"}, exitUsage, "0 arguments given"},
		{[]string{"dance"}, exitUsage, `unknown command "dance"`},
		{[]string{"replay", "/nowhere"}, exitFailure, "is not the directory of a run"},
		{[]string{"check", "/nowhere"}, exitFailure, "/nowhere"},
		{[]string{"run", "--binary", "/nowhere/diskvd"}, exitFailure, "/nowhere/diskvd"},
	} {
		status, _, told := called(t, c.args...)
		require.Equal(t, c.status, status, "%v", c.args)
		require.Contains(t, told, c.want)
	}
	status, out, _ := called(t, "list")
	require.Zero(t, status)
	require.Contains(t, out, "partitions")
	require.Contains(t, out, "SIGSTOP")
	status, out, _ = called(t)
	require.Zero(t, status)
	require.Contains(t, out, "crashreplay")
}
