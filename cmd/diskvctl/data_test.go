package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/tests/inproc"
)

func TestKeys(t *testing.T) {
	g := inproc.Start(t, 3)
	do := at(t, g.Addrs[0])
	require.Equal(t, outcome{exitOK, "OK\n", ""}, do("set", "k", "v"))
	require.Equal(t, outcome{exitOK, "v\n", ""}, do("get", "k"))
	require.Equal(t, outcome{exitOK, "v", ""}, do("get", "k", "--raw"))
	require.Equal(t, outcome{exitOK, "4\n", ""}, do("append", "k", "two"))
	require.Equal(t, outcome{exitOK, "vtwo\n", ""}, at(t, g.Addrs...)("get", "k"))
	require.Equal(t, outcome{exitNotFound, "", "diskvctl: key \"none\": not found\n"}, do("get", "none"))
	require.Equal(t, outcome{exitNotFound, "", "diskvctl: key \"none\": not found\n"}, do("get", "none", "--json"))
	require.Equal(t, outcome{exitOK, "1\n", ""}, do("del", "k", "none"))
	require.Equal(t, outcome{exitNotFound, "0\n", "diskvctl: keys to delete: not found\n"}, do("del", "k"))

	addr := []string{"--addr", g.Addrs[1]}
	require.Equal(t, exitOK, ctlWith(t, noEnv, "from\x00\xffinput", append(addr, "set", "bin")...).status)
	require.Equal(t, "from\x00\xffinput", do("get", "bin", "--raw").stdout)
	require.JSONEq(t, `{"key": "bin", "value": {"base64": "ZnJvbQD/aW5wdXQ="}}`, do("get", "bin", "--json").stdout)
	require.Equal(t, exitOK, ctlWith(t, noEnv, "more", append(addr, "append", "log")...).status)
	require.JSONEq(t, `{"key": "log", "value": {"text": "more"}}`, do("get", "log", "--json").stdout)
	require.JSONEq(t, `{"ok": true}`, do("set", "k", "", "--json").stdout)
	require.JSONEq(t, `{"length": 5}`, do("append", "k", "<&>'\"", "--json").stdout)
	require.JSONEq(t, `{"deleted": 1}`, do("del", "k", "--json").stdout)
}

func TestScan(t *testing.T) {
	g := inproc.Start(t, 1)
	do := at(t, g.Addrs...)
	require.Equal(t, outcome{exitOK, "", ""}, do("scan"))
	for i := range 5 {
		require.Equal(t, exitOK, do("set", fmt.Sprint("user:", i), "v").status)
	}
	require.Equal(t, exitOK, do("set", "a\nb", "v").status)
	got := do("scan", "--match", "user:*")
	require.Equal(t, exitOK, got.status)
	require.ElementsMatch(t, []string{"user:0", "user:1", "user:2", "user:3", "user:4"}, strings.Fields(got.stdout))
	require.Len(t, strings.Fields(do("scan", "--match", "user:*", "--limit", "2").stdout), 2)
	require.Equal(t, "\"a\\nb\"\n", do("scan", "--match", "a*", "--json").stdout)
}

func TestNobodyAnswers(t *testing.T) {
	got := at(t, "unix:/nonexistent/a")("set", "k", "v")
	require.Equal(t, exitFailure, got.status)
	require.Equal(t, "diskvctl: no member answers: unix:/nonexistent/a: dial unix /nonexistent/a: connect: no such file or directory (--addr unix:/nonexistent/a)\n", got.stderr)
	require.Equal(t, exitFailure, at(t, "")("status").status)
}

// TestUnknownOutcome: the leader of a group without a majority has the write in its
// log, and cannot say what becomes of it.
func TestUnknownOutcome(t *testing.T) {
	g := inproc.Start(t, 3)
	do := at(t, g.Addrs...)
	require.Equal(t, exitOK, do("set", "k", "v").status)
	leader := g.Leader()
	g.Stop((leader + 1) % 3)
	g.Stop((leader + 2) % 3)
	got := do("append", "k", "x", "--timeout", "1s")
	require.Contains(t, []int{exitUnknown, exitFailure}, got.status, "it may not even have begun")
	if got.status == exitUnknown {
		require.Contains(t, got.stderr, "outcome unknown: the write may have been executed, or may yet be")
	} else {
		require.Contains(t, got.stderr, "not executed")
	}
}
