package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/client"
	"diskv/internal/golden"
	"diskv/server"
	"diskv/tests/inproc"
	"diskv/tests/proc"
)

// tailOf returns the newest segment file that holds something.
func tailOf(t *testing.T, dir string) string {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "wal", "0*", "0*"))
	require.NoError(t, err)
	slices.Sort(segments)
	for _, s := range slices.Backward(segments) {
		if info, err := os.Stat(s); err == nil && info.Size() > 0 {
			return s
		}
	}
	require.Fail(t, "no segment")
	return ""
}

// spoil appends bytes to the end of the log.
func spoil(t *testing.T, dir, behind string) {
	t.Helper()
	f, err := os.OpenFile(tailOf(t, dir), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(behind)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

const (
	patience = time.Minute
	tick     = 5 * time.Millisecond

	garbage = "no power cut leaves this "
	half    = "\x10half" // a frame that is longer than the file
)

// kept returns what is in quarantine, by the name of the file.
func kept(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "quarantine", "*"))
	require.NoError(t, err)
	for _, n := range names {
		b, err := os.ReadFile(n)
		require.NoError(t, err)
		out[n] = string(b)
	}
	return out
}

// startOn starts a single node on a directory, reads the key k, and stops it.
func startOn(t *testing.T, dir string) (value string, err error) {
	t.Helper()
	g := inproc.New(t, 1, func(o *server.Options) { o.Dir, o.Bootstrap = dir, false })
	if err := g.TryRun(0); err != nil {
		return "", err
	}
	g.AwaitReady()
	c, err := proc.Dial(g.Addrs[0])
	require.NoError(t, err)
	defer c.Close()
	v, err := c.Do("GET", "k")
	require.NoError(t, err)
	g.Stop(0)
	return string(v.Str), nil
}

func TestRepairOfATornEnd(t *testing.T) {
	dir := formatted(t)
	r := call("", "repair", dir)
	require.Equal(t, result{status: exitOK, stdout: r.stdout}, r)
	require.Contains(t, r.stdout, "nothing: there is nothing to repair")

	spoil(t, dir, half)
	dry := call("", "repair", "--dry-run", dir)
	require.Equal(t, exitTorn, dry.status)
	require.Contains(t, dry.stdout, ": torn: slots up to ")
	require.Contains(t, dry.stdout, "nothing so far: 5 bytes at the end would be cut off")
	require.Equal(t, exitTorn, call("", "verify", dir).status, "nothing was changed")
	require.Empty(t, kept(t, dir))

	// Who is root must not leave files that diskvd cannot read.
	if id := filepath.Join(dir, "IDENTITY"); os.Geteuid() == 0 {
		require.NoError(t, os.Chown(id, 1, -1))
		foreign := call("", "repair", dir)
		require.Equal(t, exitFailure, foreign.status)
		require.Contains(t, foreign.stderr, "belongs to user 1, and diskvd could not read what user 0 writes into it: run this as that user")
		require.NoError(t, os.Chown(id, 0, -1))
	}

	done := call("", "repair", dir)
	require.Equal(t, result{status: exitOK, stdout: done.stdout}, done)
	require.Contains(t, done.stdout, "5 bytes at the end cut off, and kept in "+filepath.Join(dir, "quarantine"))
	require.Contains(t, done.stdout, "1 keys, 0 sessions")
	require.Equal(t, exitOK, call("", "verify", dir).status)
	for _, content := range kept(t, dir) {
		require.Equal(t, half, content)
	}
	require.Len(t, kept(t, dir), 1)
	require.Contains(t, call("", "repair", dir).stdout, "nothing: there is nothing to repair")
	value, err := startOn(t, dir)
	require.NoError(t, err)
	require.Equal(t, "v", value)
}

// TestRepairOfASuspectEnd: a start refuses, and names the command that helps, which
// does.
func TestRepairOfASuspectEnd(t *testing.T) {
	for _, started := range []bool{false, true} {
		dir := formatted(t)
		behind := strings.Repeat(garbage, 30)
		spoil(t, dir, behind)
		command := []string{"repair", "--accept-torn-tail", dir}
		if started {
			_, err := startOn(t, dir)
			require.ErrorContains(t, err, "may lack records that were acknowledged")
			named := regexp.MustCompile(`diskvlog (repair --accept-torn-tail \S+)`).FindStringSubmatch(err.Error())
			require.NotNil(t, named, err.Error())
			command = strings.Fields(named[1])
		}
		for range 2 {
			r := call("", "repair", dir)
			require.Equal(t, exitSuspect, r.status)
			require.Contains(t, r.stdout, "lost    whatever was written after slot ")
			require.Contains(t, r.stdout, "diskvlog repair --accept-torn-tail "+dir)
			require.Contains(t, r.stdout, " must be given up first")
		}
		require.Equal(t, exitSuspect, call("", append(command, "--dry-run")...).status)
		require.Equal(t, exitSuspect, call("", "verify", dir).status, "nothing was changed")
		var told struct {
			Found   string
			Changed bool
			Lost    string `json:"may_be_lost"`
			Cut     *struct {
				Bytes int
				Kept  string
			}
		}
		j := call("", append(command, "--json")...)
		require.Equal(t, exitOK, j.status, j.stderr)
		require.NoError(t, json.Unmarshal([]byte(j.stdout), &told))
		require.Equal(t, "suspect", told.Found)
		require.True(t, told.Changed)
		require.NotEmpty(t, told.Lost)
		require.Equal(t, started, told.Cut == nil, "the start has cut it")
		files := kept(t, dir)
		require.Len(t, files, 1)
		if told.Cut != nil {
			require.Equal(t, behind, files[told.Cut.Kept])
		}
		require.Contains(t, call("", command...).stdout, "nothing: there is nothing to repair")
		require.Equal(t, exitOK, call("", "verify", dir).status)
		value, err := startOn(t, dir)
		require.NoError(t, err)
		require.Equal(t, "v", value)
	}
}

// TestADamagedSingleNode: nothing is cut off, but what can be read is where it can go on,
// with the commands that are named.
func TestADamagedSingleNode(t *testing.T) {
	g := inproc.Start(t, 1)
	c := dialed(t, g.Addrs[0])
	for n := range 10 {
		require.Equal(t, "OK", do(t, c, fmt.Sprintf("SET k %d", n)))
	}
	g.Stop(0)
	dir := g.Options[0].Dir
	first := filepath.Join(dir, "wal", "00000000000000000001", "00000000000000000001")
	whole, err := os.ReadFile(first)
	require.NoError(t, err)
	whole[len(whole)/2] ^= 4
	require.NoError(t, os.WriteFile(first, whole, 0o600))
	_, err = startOn(t, dir)
	require.ErrorContains(t, err, "diskvlog repair says what else can be done")

	r := call("", "repair", "--accept-torn-tail", dir)
	require.Equal(t, exitDamaged, r.status)
	require.Regexp(t, `lost    if you go on with what can be read: everything after slot [3-9], 20`, r.stdout)
	require.Contains(t, r.stdout, "done    nothing\n")
	got, err := os.ReadFile(first)
	require.NoError(t, err)
	require.Equal(t, whole, got, "nothing was changed")

	file := filepath.Join(t.TempDir(), "genesis")
	named := regexp.MustCompile(`diskvlog (replay .*) && diskvlog (recover .*)\n`).FindStringSubmatch(r.stdout)
	require.NotNil(t, named, r.stdout)
	for _, command := range named[1:] {
		r := call("", strings.Fields(strings.ReplaceAll(command, "FILE", file))...)
		require.Equal(t, exitOK, r.status, r.stderr)
	}
	value, err := startOn(t, dir)
	require.NoError(t, err)
	require.Regexp(t, "^[1-8]$", value, "a value from before the damage")
	aside, err := filepath.Glob(filepath.Join(dir, "quarantine", "lost-*", "wal", "00000000000000000001", "0*"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	got, err = os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, whole, got, "what was there is put aside whole")
}

func TestRepairRefuses(t *testing.T) {
	dir := formatted(t)
	g := inproc.Start(t, 1)
	used := call("", "repair", g.Options[0].Dir)
	require.Equal(t, exitFailure, used.status)
	require.Contains(t, used.stderr, "is in use by another process: stop that first")
	g.Stop(0)

	nothing := call("", "repair", t.TempDir())
	require.Equal(t, exitDamaged, nothing.status)
	require.Contains(t, nothing.stderr, "this is no data directory, or it has lost files")
	id := filepath.Join(dir, "IDENTITY")
	require.NoError(t, os.WriteFile(id, []byte("nonsense"), 0o600))
	broken := call("", "repair", dir)
	require.Equal(t, exitDamaged, broken.status)
	require.Contains(t, broken.stderr, "IDENTITY is damaged")
}

// stoppedGroup is a group of three that has stopped; each member holds ten keys.
func stoppedGroup(t *testing.T, changes ...func(*server.Options)) *inproc.Group {
	t.Helper()
	g := inproc.Start(t, 3, changes...)
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer c.Close()
	for _, key := range strings.Fields("a b c d e f g h i k") {
		require.NoError(t, c.Put(t.Context(), key, []byte("v")))
	}
	g.AwaitEven()
	for i := range g.Nodes {
		g.Stop(i)
	}
	return g
}

// TestRepairInAGroup: no suspect end is accepted there, and what is said instead works:
// a start, as long as the others are intact.
func TestRepairInAGroup(t *testing.T) {
	g := stoppedGroup(t)
	dir := g.Options[1].Dir
	spoil(t, dir, strings.Repeat(garbage, 30))
	r := call("", "repair", "--accept-torn-tail", dir)
	require.Equal(t, exitSuspect, r.status)
	require.Contains(t, r.stdout, "start member 1 of group 1 as always: it votes again when the others have let it back")
	require.Contains(t, r.stdout, "nobody can accept that it is")
	require.NotContains(t, r.stdout, "lost    ")
	require.Equal(t, exitSuspect, call("", "verify", dir).status, "nothing was changed")
	torn := g.Options[2].Dir
	spoil(t, torn, half)
	require.Equal(t, exitOK, call("", "repair", torn).status)
	for i := range g.Nodes {
		g.Run(i)
	}
	g.AwaitReady()
	require.Contains(t, g.Logs[1].String(), "this member has lost its disk")
	require.NotContains(t, g.Logs[2].String(), "this member has lost its disk")
	for i := range g.Nodes {
		g.Stop(i)
	}
	require.Contains(t, call("", "info", dir).stdout, "epoch 1")
	require.Equal(t, exitOK, call("", "repair", dir).status)
}

// TestNoMajorityIsIntact: all ends are suspect, and every member was started on that.
// What they put aside is the beginning of a new group, and nothing that was acknowledged
// is missing.
func TestNoMajorityIsIntact(t *testing.T) {
	g := stoppedGroup(t)
	for i := range g.Nodes {
		spoil(t, g.Options[i].Dir, strings.Repeat(garbage, 30))
	}
	for i := range g.Nodes {
		g.Run(i)
	}
	for i := range g.Nodes {
		require.Eventually(t, func() bool {
			return strings.Contains(g.Logs[i].String(), "or what was put aside in quarantine/")
		}, patience, tick)
	}
	for i := range g.Nodes {
		g.Stop(i)
	}
	dir := g.Options[0].Dir
	genesis := filepath.Join(t.TempDir(), "genesis")
	refused := call("", "recover", "--force-new-group", "--dir", dir, "--out", genesis)
	require.Equal(t, exitFailure, refused.status)
	named := regexp.MustCompile(`--put-aside (\S+)`).FindStringSubmatch(refused.stderr)
	require.NotNil(t, named, refused.stderr)
	args := []string{"recover", "--force-new-group", "--dir", dir, "--put-aside", named[1], "--out", genesis}
	asked := call("no\n", args...)
	require.Contains(t, asked.stderr, "not confirmed")
	require.Contains(t, asked.stdout, "The end of its log is suspect")
	cluster := regexp.MustCompile(`in cluster (\w+)\.`).FindStringSubmatch(asked.stdout)
	require.NotNil(t, cluster, asked.stdout)
	done := call(cluster[1]+"\n", args...)
	require.Equal(t, exitOK, done.status, done.stderr)
	for i, n := range []string{"0", "1", "2"} {
		require.Equal(t, exitOK, call("", "recover", "--install", genesis, "--dir", g.Options[i].Dir, "--index", n).status)
		g.Run(i)
	}
	g.AwaitReady()
	c, err := client.Open(t.Context(), g.Addrs...)
	require.NoError(t, err)
	defer c.Close()
	for _, key := range strings.Fields("a b c d e f g h i k") {
		v, _, err := c.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "v", string(v))
	}
}

// FuzzRepair puts anything in the place of any file: there is an answer, nothing panics,
// and what is called done is well afterwards.
func FuzzRepair(f *testing.F) {
	whole := golden.Tree(f, formatted(f))
	names := []string{"IDENTITY", "PEERS", "wal/MANIFEST", "wal/00000000000000000001/00000000000000000001", "snapshot/00000000000000000001.snap"}
	for n, name := range names {
		f.Add(uint8(n), []byte(whole[name]))
		f.Add(uint8(n), []byte(whole[name]+half))
		f.Add(uint8(n), []byte(whole[name]+strings.Repeat(garbage, 30)))
	}
	f.Fuzz(func(t *testing.T, n uint8, content []byte) {
		dir := t.TempDir()
		planted := maps.Clone(whole)
		planted[names[int(n)%len(names)]] = string(content)
		for name, content := range planted {
			path := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		}
		dry := call("", "repair", "--accept-torn-tail", "--dry-run", dir)
		require.Equal(t, planted, golden.Tree(t, dir), "a dry run changes nothing")
		r := call("", "repair", "--accept-torn-tail", dir)
		require.NotEmpty(t, r.stdout+r.stderr)
		if r.status != exitOK {
			require.Equal(t, r.status, dry.status)
			require.Equal(t, planted, golden.Tree(t, dir), "nothing was changed")
			return
		}
		require.Contains(t, []int{exitOK, exitTorn, exitSuspect}, dry.status)
		require.Equal(t, exitOK, call("", "verify", dir).status)
	})
}
