package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "write the expected help instead of comparing")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that is sure to happen.
const patience = time.Minute

// outcome is what a run of the program leaves.
type outcome struct {
	status         int
	stdout, stderr string
}

func noEnv(string) (string, bool) { return "", false }

// ctl runs the program with nothing on standard input.
func ctl(t *testing.T, args ...string) outcome {
	t.Helper()
	return ctlWith(t, noEnv, "", args...)
}

func ctlWith(t *testing.T, env func(string) (string, bool), stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, env, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{status, stdout.String(), stderr.String()}
}

// at returns a function that runs the program on a cluster.
func at(t *testing.T, addrs ...string) func(args ...string) outcome {
	t.Helper()
	return func(args ...string) outcome {
		t.Helper()
		return ctl(t, append([]string{"--addr", strings.Join(addrs, ",")}, args...)...)
	}
}

// parse reads what the program printed for programs.
func parse[T any](t *testing.T, o outcome) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v), "%d: %s%s", o.status, o.stdout, o.stderr)
	return v
}

func TestHelp(t *testing.T) {
	var all func(c *cobra.Command, path []string)
	all = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				all(sub, append(append([]string(nil), path...), sub.Name()))
			}
		}
		got := ctl(t, append(path, "--help")...)
		require.Equal(t, exitOK, got.status)
		require.Empty(t, got.stderr)
		file := filepath.Join("testdata", strings.Join(append([]string{"help"}, path...), "-")+".txt")
		if *rewrite {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, []byte(got.stdout), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got.stdout)
	}
	all((&app{env: noEnv}).root(), nil)
	require.Equal(t, ctl(t, "--help"), ctl(t))
	require.Equal(t, ctl(t, "shard", "--help"), ctl(t, "shard"))
}

func TestWrongUsageIsToldInOneLine(t *testing.T) {
	for line, want := range map[string]string{
		"nosuch":                   `unknown command "nosuch" of diskvctl: there are append, completion, del, get, scan, set, shard, status, version`,
		"shard nosuch":             `unknown command "nosuch" of diskvctl shard: there are balance, join, leave, move, query`,
		"get":                      "0 arguments given: the usage is diskvctl get KEY [flags]",
		"get a b":                  "2 arguments given: the usage is diskvctl get KEY [flags]",
		"status now":               "1 argument given: the usage is diskvctl status [flags]",
		"get k --nosuch":           "unknown flag: --nosuch",
		"get k --timeout soon":     `invalid argument "soon" for "--timeout" flag: time: invalid duration "soon"`,
		"get k --timeout 0s":       "--timeout 0s: must be above 0",
		"scan --limit -1":          "--limit -1: must not be negative",
		"shard join x a:1":         `group "x": must be a number from 1 on`,
		"shard join 0 a:1":         `group "0": must be a number from 1 on`,
		"shard join 1 here":        `address "here" is neither host:port nor unix:/path`,
		"shard leave x":            `group "x": must be a number from 1 on`,
		"shard move 5-1 1":         `shards "5-1": must be a number or a range such as 0-99, up to 16383`,
		"shard move 16384 1":       `shards "16384": must be a number or a range such as 0-99, up to 16383`,
		"shard move 1 x":           `group "x": must be a number from 1 on`,
		"shard balance --wait -1":  `invalid argument "-1" for "--wait" flag: time: missing unit in duration "-1"`,
		"shard balance --wait=-1s": "--wait -1s: must not be negative",
		"shard query x":            `config "x": must be a number from 0 on`,
		"completion tcsh":          `shell "tcsh": there are bash, zsh and fish`,
	} {
		got := ctl(t, strings.Fields(line)...)
		require.Equal(t, exitUsage, got.status, line)
		require.Equal(t, "diskvctl: "+want+" (see diskvctl --help)\n", got.stderr, line)
		require.Empty(t, got.stdout, line)
	}
}

func TestEnvironment(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"DISKV_ADDR": "unix:/nonexistent/env", "DISKV_TIMEOUT": "3s", "DISKV_JSON": "true"}[name]
		return v, ok
	}
	got := ctlWith(t, env, "", "get", "k")
	require.Equal(t, exitFailure, got.status)
	require.Contains(t, got.stderr, "(--addr unix:/nonexistent/env)")
	got = ctlWith(t, env, "", "get", "k", "--addr", "unix:/nonexistent/flag")
	require.Contains(t, got.stderr, "(--addr unix:/nonexistent/flag)", "the flag wins")
	require.JSONEq(t, `{"version": "`+strings.TrimSpace(strings.TrimPrefix(ctl(t, "version").stdout, "diskvctl "))+`"}`, ctlWith(t, env, "", "version").stdout)
	bad := func(name string) (string, bool) { return "soon", name == "DISKV_TIMEOUT" }
	got = ctlWith(t, bad, "", "get", "k")
	require.Equal(t, outcome{exitUsage, "", "diskvctl: environment variable DISKV_TIMEOUT: invalid value \"soon\" (see diskvctl --help)\n"}, got)
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "#compdef diskvctl", "fish": "complete -c diskvctl"} {
		got := ctl(t, "completion", shell)
		require.Equal(t, exitOK, got.status)
		require.Contains(t, got.stdout, want)
	}
	got := ctl(t, "__complete", "completion", "z")
	require.Contains(t, got.stdout, "zsh\n")
}
