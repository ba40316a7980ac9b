package compat

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/resp"
	"diskv/shard"
	"diskv/tests/proc"
)

// startRedis returns the address of a redis-server that is used for nothing else.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	args = append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--databases", "1", "--dir", t.TempDir(),
		"--proto-max-bulk-len", strconv.Itoa(8 << 20), // that of diskvd, unless it is told otherwise
	}, args...)
	cmd := exec.Command("redis-server", args...)
	require.NoError(t, cmd.Start(), "Debian's redis-server is needed")
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := proc.Dial(addr)
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Do("PING")
		return err == nil
	}, patience, 10*time.Millisecond)
	return addr
}

// pair is a connection to a real Redis and one to a diskvd, which have to say the same.
type pair struct {
	t     *testing.T
	redis *proc.Conn
	diskv *proc.Conn
}

// startPair starts both, Redis with some options. Each call of the function that is returned gives new
// connections that speak a version of the protocol.
func startPair(t *testing.T, options ...string) func(t *testing.T, version string) *pair {
	t.Helper()
	redis := startRedis(t, options...)
	g, err := proc.NewGroup(proc.Options{Binary: binary, Dir: t.TempDir(), Size: 1})
	require.NoError(t, err)
	t.Cleanup(g.Close)
	require.NoError(t, g.Start())
	require.NoError(t, g.Ready(patiently(t)))
	return func(t *testing.T, version string) *pair {
		t.Helper()
		p := &pair{t: t}
		for addr, to := range map[string]**proc.Conn{redis: &p.redis, g.Members[0].Addr: &p.diskv} {
			c, err := proc.Dial(addr)
			require.NoError(t, err)
			t.Cleanup(c.Close)
			_, err = c.Do("HELLO", version)
			require.NoError(t, err)
			*to = c
		}
		return p
	}
}

// do sends a command to both and returns what they answer.
func (p *pair) do(args ...string) (redis, diskv resp.Value) {
	p.t.Helper()
	both := []*proc.Conn{p.redis, p.diskv}
	for _, c := range both {
		require.NoError(p.t, c.Send(args...))
	}
	redis, err := p.redis.Receive()
	require.NoError(p.t, err)
	diskv, err = p.diskv.Receive()
	require.NoError(p.t, err, "%q", args)
	return redis, diskv
}

// same sends a command to both and requires that they answer alike.
func (p *pair) same(args ...string) {
	p.t.Helper()
	redis, diskv := p.do(args...)
	require.Equal(p.t, show(redis), show(diskv), "%q", args)
}

// show writes a reply in one line.
func show(v resp.Value) string {
	s := string(resp.AppendValue(nil, v))
	// A limit has the name by which it is set.
	s = strings.ReplaceAll(s, "proto-max-bulk-len", "max-value-bytes")
	return golden.OneLine(s)
}

// sorted writes a reply whose elements have no order in one line.
func sorted(v resp.Value) string {
	slices.SortFunc(v.Elems, func(a, b resp.Value) int { return bytes.Compare(a.Str, b.Str) })
	return show(v)
}

// run has both execute a line of a script, requires that they answer alike, and returns
// the answer.
func (p *pair) run(step golden.Step) string {
	p.t.Helper()
	command, err := resp.NewCommandReader(strings.NewReader(step.Line+"\n"), resp.Options{}).ReadCommand()
	require.NoError(p.t, err, step.Line)
	args := make([]string, len(command))
	for i := range command {
		args[i] = string(command[i])
	}
	redis, diskv := p.do(args...)
	write := show
	switch step.Mark {
	case '~':
		require.Equal(p.t, resp.KindInt, redis.Kind, "%q", args)
		require.Equal(p.t, resp.KindInt, diskv.Kind, "%q", args)
		require.InDelta(p.t, redis.Int, diskv.Int, 5000, "%q", args)
		return ""
	case '?':
		write = sorted
	}
	require.Equal(p.t, write(redis), write(diskv), "%q", args)
	return write(diskv)
}

var record = flag.Bool("compat.record", false, "write what the real Redis answers into kv/testdata/redis.txt")

// TestRepliesAreThoseOfARealRedis runs the scripts of package kv on both, in either
// version of the protocol, and compares the replies with those that are recorded there.
// Keys have one tag where a command has several: here that is a rule, in Redis one of
// clusters only.
func TestRepliesAreThoseOfARealRedis(t *testing.T) {
	const file = "../../kv/testdata/redis.txt"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	scripts := golden.ParseScripts(string(text))
	connect := startPair(t)
	for _, script := range scripts {
		for _, version := range []string{"2", "3"} {
			t.Run(script.Name+", RESP"+version, func(t *testing.T) {
				p := connect(t, version)
				p.same("FLUSHALL")
				for i, step := range script.Steps {
					reply := p.run(step)
					if version == "2" {
						continue // recorded is what has more kinds of replies
					}
					if *record {
						script.Steps[i].Reply = reply
					}
					require.Equal(t, script.Steps[i].Reply, reply, step.Line)
				}
			})
		}
	}
	if *record && !t.Failed() {
		require.NoError(t, os.WriteFile(file, []byte(golden.FormatScripts(scripts)), 0o600))
	}
}

// TestNumbersOfARealRedis adds fractions of many forms.
func TestNumbersOfARealRedis(t *testing.T) {
	p := startPair(t)(t, "3")
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(byte('0' + rnd.IntN(10)))
		}
		return b.String()
	}
	number := func() string {
		sign := []string{"", "-", "+"}[rnd.IntN(3)]
		switch rnd.IntN(7) {
		case 0:
			return sign + digits(1+rnd.IntN(25))
		case 1:
			return sign + digits(rnd.IntN(10)) + "." + digits(1+rnd.IntN(25))
		case 2:
			return fmt.Sprintf("%s%s.%se%d", sign, digits(1+rnd.IntN(5)), digits(rnd.IntN(5)), rnd.IntN(80)-40)
		case 3:
			return fmt.Sprintf("%s%se%d", sign, digits(1+rnd.IntN(30)), rnd.IntN(10000)-5000)
		case 4:
			return fmt.Sprintf("%s0x%x.%xp%d", sign, rnd.Uint64(), rnd.IntN(1<<20), rnd.IntN(200)-100)
		case 5:
			return strconv.FormatFloat(rnd.NormFloat64()*1e6, 'g', -1, 64)
		default:
			return sign + strconv.FormatFloat(float64(rnd.IntN(100000))/100, 'f', 2, 64)
		}
	}
	for range 5000 {
		p.same("SET", "n", number())
		p.same("INCRBYFLOAT", "n", number())
		if rnd.IntN(3) == 0 {
			p.same("INCRBYFLOAT", "n", number())
		}
	}
}

// TestStringsOfARealRedis cuts, overwrites and compares strings at random, and looks for
// keys by patterns.
func TestStringsOfARealRedis(t *testing.T) {
	p := startPair(t)(t, "3")
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	text := func(n int, letters string) string {
		b := make([]byte, rnd.IntN(n))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return string(b)
	}
	at := func() string { return strconv.Itoa(rnd.IntN(30) - 15) }
	for range 1500 {
		p.same("SET", "{k}1", text(20, "abc"))
		p.same("SETRANGE", "{k}1", at(), text(8, "xyz"))
		p.same("GETRANGE", "{k}1", at(), at())
		p.same("SET", "{k}2", text(20, "abcx"))
		p.same("LCS", "{k}1", "{k}2")
		p.same("LCS", "{k}1", "{k}2", "IDX", "MINMATCHLEN", at(), "WITHMATCHLEN")
	}
	const letters = `ab{}*?[]^\-c`
	for range 200 {
		// ** matches the empty key here, and not in Redis, where * does.
		p.same("SET", "a"+text(8, letters), "v")
	}
	for range 1500 {
		redis, diskv := p.do("KEYS", text(8, letters))
		require.Equal(t, sorted(redis), sorted(diskv))
	}
}

// TestCommandsAreDescribedAsByARealRedis compares what COMMAND INFO says: arity, flags,
// keys and categories.
func TestCommandsAreDescribedAsByARealRedis(t *testing.T) {
	p := startPair(t)(t, "3")
	_, list := p.do("COMMAND", "LIST")
	require.NotEmpty(t, list.Elems)
	for _, name := range list.Elems {
		if strings.HasPrefix(string(name.Str), "diskv.") {
			continue
		}
		redis, diskv := p.do("COMMAND", "INFO", string(name.Str))
		if group := described[string(name.Str)]; group {
			require.Equal(t, description(redis.Elems[0]), description(diskv.Elems[0]))
		}
	}
}

// described are the commands on strings and keys.
var described = func() map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(`append copy dbsize decr decrby del exists expire expireat expiretime flushall flushdb get
		getdel getex getrange getset incr incrby incrbyfloat keys lcs mget mset msetnx object persist pexpire pexpireat pexpiretime
		psetex pttl randomkey rename renamenx scan set setex setnx setrange strlen substr touch ttl type unlink`) {
		all[name] = true
	}
	return all
}()

// description returns what has to be the same of a command and its subcommands.
func description(v resp.Value) []string {
	out := []string{show(v.Elems[0]), show(v.Elems[1]), show(v.Elems[3]), show(v.Elems[4]), show(v.Elems[5])}
	out = append(out, sorted(v.Elems[2]), sorted(v.Elems[6]))
	var subs []string
	for _, sub := range v.Elems[9].Elems {
		if strings.HasSuffix(string(sub.Elems[0].Str), "|help") {
			continue // what answers it here reads, as far as flags go
		}
		subs = append(subs, strings.Join(description(sub), " "))
	}
	slices.Sort(subs)
	return append(out, subs...)
}

// TestKeysOfAShardAsOfARealRedis compares what they say of one hash slot.
func TestKeysOfAShardAsOfARealRedis(t *testing.T) {
	p := startPair(t, "--cluster-enabled", "yes")(t, "3")
	_, err := p.redis.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := p.redis.Do("SET", "{tag}1", "v")
		return err == nil
	}, patience, 10*time.Millisecond, "a cluster that is whole serves")
	_, err = p.diskv.Do("SET", "{tag}1", "v")
	require.NoError(t, err)
	p.same("SET", "{tag}2", "v")
	p.same("SET", "other", "v")
	id := strconv.Itoa(int(shard.Of([]byte("tag"))))
	for _, count := range []string{"0", "1", "10", "-1", "x"} {
		redis, diskv := p.do("CLUSTER", "GETKEYSINSLOT", id, count)
		if count == "1" { // which one is up to each
			require.Len(t, redis.Elems, 1)
			require.Len(t, diskv.Elems, 1)
			continue
		}
		require.Equal(t, sorted(redis), sorted(diskv), count)
	}
	for _, id := range []string{id, "0", "-1", "16383", "16384", "x", ""} {
		p.same("CLUSTER", "COUNTKEYSINSLOT", id)
		p.same("CLUSTER", "GETKEYSINSLOT", id, "0")
	}
	p.same("CLUSTER", "COUNTKEYSINSLOT")
	p.same("CLUSTER", "GETKEYSINSLOT", id)
	p.same("CLUSTER", "COUNTKEYSINSLOT", id, "x")
}
