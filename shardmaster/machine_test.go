package shardmaster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/shard"
	"diskv/shardmaster"
)

// epoch is some log time, in ns.
const epoch = int64(1_700_000_000) * 1e9

// do executes a line, "JOIN 1 a:1", as the log would, and returns the reply: without
// its type and line break, or what a config is encoded in.
func do(tb testing.TB, m *shardmaster.Machine, line string) string {
	tb.Helper()
	p, refusal := shardmaster.Prepare(words(line))
	if refusal != nil {
		return text(tb, refusal)
	}
	require.Equal(tb, strings.Contains("join leave move balance passed", strings.ToLower(strings.Fields(line)[0])), p.Write, line)
	if !p.Write {
		before := m.Digest()
		reply, ok := m.Query(nil, epoch, p.Encoded)
		require.True(tb, ok)
		require.Equal(tb, before, m.Digest())
		return text(tb, reply)
	}
	m.Begin(m.Slot()+1, epoch+int64(m.Slot()))
	return text(tb, m.Apply(nil, p.Encoded))
}

func words(line string) [][]byte {
	args := [][]byte{[]byte("DISKV.SHARDS")}
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func text(tb testing.TB, reply []byte) string {
	tb.Helper()
	v := value(tb, reply)
	switch v.Kind {
	case resp.KindInt:
		return fmt.Sprint(v.Int)
	case resp.KindArray:
		return show(v)
	default:
		return string(v.Str)
	}
}

func show(v resp.Value) string {
	switch v.Kind {
	case resp.KindArray:
		parts := make([]string, 0, len(v.Elems))
		for _, e := range v.Elems {
			parts = append(parts, show(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case resp.KindInt:
		return fmt.Sprint(v.Int)
	default:
		return string(v.Str)
	}
}

func value(tb testing.TB, reply []byte) resp.Value {
	tb.Helper()
	v, err := resp.NewReplyReader(strings.NewReader(string(reply)), resp.ReplyOptions{}).ReadReply()
	require.NoError(tb, err, "%q", reply)
	return v
}

// config returns a config by QUERY.
func config(tb testing.TB, m *shardmaster.Machine, query string) *shard.Config {
	tb.Helper()
	c, err := shard.DecodeConfig([]byte(do(tb, m, query)))
	require.NoError(tb, err)
	return c
}

// sizes says how many shards each group of the newest config owns.
func sizes(m *shardmaster.Machine) map[shard.GroupID]int {
	out := make(map[shard.GroupID]int)
	for _, g := range m.Newest().Groups {
		out[g.ID] = m.Newest().Held(g.ID)
	}
	return out
}

// story executes lines of the form "command -> reply".
func story(t *testing.T, m *shardmaster.Machine, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		command, want, ok := strings.Cut(line, " -> ")
		require.True(t, ok, line)
		require.Equal(t, want, do(t, m, command), command)
	}
}

func TestANewMachineHasConfigZero(t *testing.T) {
	m := shardmaster.New()
	require.Equal(t, &shard.Config{}, config(t, m, "QUERY"))
	require.Equal(t, &shard.Config{}, config(t, m, "QUERY 0"))
	require.Equal(t, "[]", do(t, m, "GROUPS"))
	require.Equal(t, "NOTYET the newest config is 0, there is no config 1 yet", do(t, m, "QUERY 1"))
}

func TestJoinLeaveMove(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 a:2 a:3 -> 1
		JOIN 2 b:1 -> 2
		join 5 c:1 if 2 -> 3`)
	require.Equal(t, map[shard.GroupID]int{1: 5462, 2: 5461, 5: 5461}, sizes(m))
	require.Equal(t, shard.Count, config(t, m, "QUERY 1").Held(1))
	require.Equal(t, []shard.Range{{First: 0, Last: 8191}}, config(t, m, "QUERY 2").Ranges(1))
	g, ok := m.Newest().Group(1)
	require.True(t, ok)
	require.Equal(t, []string{"a:1", "a:2", "a:3"}, g.Servers)

	story(t, m, `
		MOVE 0-99 5 -> 4
		MOVE 16383 1 -> 5`)
	require.Equal(t, map[shard.GroupID]int{1: 5363, 2: 5461, 5: 5560}, sizes(m))
	require.Equal(t, shard.GroupID(5), m.Newest().Owner[99])
	require.Equal(t, shard.GroupID(1), m.Newest().Owner[16383])
	story(t, m, `
		BALANCE IF 5 -> 6
		LEAVE 2 -> 7`)
	require.Equal(t, map[shard.GroupID]int{1: 8192, 5: 8192}, sizes(m))
	require.Equal(t, m.Newest(), config(t, m, "QUERY"))
	require.Equal(t, m.Newest(), config(t, m, "query 7"))
}

func TestWhatIsSoAlreadyChangesNothing(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		JOIN 2 b:1 -> 2
		LEAVE 7 -> 2
		MOVE 0-8191 1 -> 2
		MOVE 5 1 IF 2 -> 2
		BALANCE -> 2
		MOVE 5 2 -> 3
		MOVE 5 2 -> 3
		BALANCE -> 4
		LEAVE 2 -> 5
		LEAVE 2 -> 5`)
}

func TestNewAddressesMoveNoShards(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 2 b:1 -> 2
		MOVE 0-99 2 -> 3
		JOIN 1 z:1 z:2 -> 4
		JOIN 1 z:2 z:1 -> 5`)
	require.Equal(t, config(t, m, "QUERY 3").Owner, m.Newest().Owner)
	g, _ := m.Newest().Group(1)
	require.Equal(t, []string{"z:2", "z:1"}, g.Servers)
	g, _ = config(t, m, "QUERY 3").Group(1)
	require.Equal(t, []string{"a:1"}, g.Servers, "an old config stays as it was")
}

func TestRefusals(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		BALANCE -> ERR there is no group yet: JOIN one first
		MOVE 0 1 -> ERR group 1 is not in config 0: JOIN it first
		JOIN 1 a:1 -> 1`)
	before := m.Digest()
	story(t, m, `
		JOIN 0 b:1 -> ERR group 0 is nobody: groups have numbers from 1 on
		JOIN -1 b:1 -> ERR group number is not an integer from 1 on
		JOIN x b:1 -> ERR group number is not an integer from 1 on
		JOIN 9223372036854775808 b:1 -> ERR group number is not an integer from 1 on
		JOIN 2 -> ERR wrong number of arguments for 'diskv.shards|join' command
		JOIN 2 IF 1 -> ERR wrong number of arguments for 'diskv.shards|join' command
		JOIN 2 here -> ERR address "here" is neither host:port nor unix:/path
		JOIN 2 b:1 b:1 -> ERR members 0 and 1 have the same address, b:1
		JOIN 2 b:1 b:2 b:3 b:4 b:5 b:6 b:7 b:8 -> ERR 8 servers, 1 to 7 are possible
		JOIN 2 b:1 a:1 -> ERR address a:1 is in group 1 (member): every group has servers of its own
		JOIN 2 b:1 IF 0 -> CONFIGCHANGED the newest config is 1, not 0: look again and decide anew
		JOIN 2 b:1 IF x -> ERR config number is not an integer from 0 on
		LEAVE 0 -> ERR group 0 is nobody: groups have numbers from 1 on
		LEAVE 1 -> ERR group 1 is the last one: nobody could take its shards; JOIN another group first
		LEAVE -> ERR wrong number of arguments for 'diskv.shards|leave' command
		LEAVE 1 2 -> ERR wrong number of arguments for 'diskv.shards|leave' command
		MOVE 0 2 -> ERR group 2 is not in config 1: JOIN it first
		MOVE 9-5 1 -> ERR shards 9-5: must be from 0 to 16383, the lower one first
		MOVE 0-16384 1 -> ERR shards 0-16384: must be from 0 to 16383, the lower one first
		MOVE 65536 1 -> ERR shards are not a number or a range: write 5, or 0-99
		MOVE 1- 1 -> ERR shards are not a number or a range: write 5, or 0-99
		MOVE 0 1 IF 7 -> CONFIGCHANGED the newest config is 1, not 7: look again and decide anew
		BALANCE 1 -> ERR wrong number of arguments for 'diskv.shards|balance' command
		PASSED 1 2 0 -> ERR config 2 cannot have been passed: the newest is 1
		PASSED 1 1 2 -> ERR drained must be 0 or 1
		PASSED 1 1 -> ERR wrong number of arguments for 'diskv.shards|passed' command
		QUERY x -> ERR config number is not an integer from 0 on
		QUERY 0 1 -> ERR wrong number of arguments for 'diskv.shards|query' command
		QUERY 9 -> NOTYET the newest config is 1, there is no config 9 yet
		GROUPS 1 -> ERR wrong number of arguments for 'diskv.shards|groups' command
		NONSENSE -> ERR unknown subcommand 'NONSENSE': there are JOIN, LEAVE, MOVE, BALANCE, QUERY, GROUPS and PASSED`)
	m.Begin(m.Slot(), epoch)
	require.EqualValues(t, 1, m.Newest().Num)
	story(t, m, `GROUPS -> [[1 member 1 0 0 a:1]]`)

	_, refusal := shardmaster.Prepare([][]byte{[]byte("diskv.shards")})
	require.Equal(t, "-ERR wrong number of arguments for 'diskv.shards' command\r\n", string(refusal))
	_, refusal = shardmaster.Prepare(words("JOIN 2 " + strings.Repeat("x", 70_000) + ":1"))
	require.Equal(t, "-ERR address of 256 bytes, at most 255 are possible\r\n", string(refusal))
	require.NotEqual(t, before, m.Digest(), "slots count")
}

func TestWhatDoesNotBelongIntoTheLogIsRefused(t *testing.T) {
	m := shardmaster.New()
	query, _ := shardmaster.Prepare(words("QUERY"))
	change, _ := shardmaster.Prepare(words("BALANCE"))
	require.Equal(t, "ERR internal error: a read cannot go through the log", text(t, m.Apply(nil, query.Encoded)))
	reply, ok := m.Query(nil, epoch, change.Encoded)
	require.True(t, ok)
	require.Equal(t, "ERR internal error: not a read", text(t, reply))
	require.Contains(t, text(t, m.Apply(nil, []byte("nonsense"))), "ERR malformed command in the log: decode command: offset ")
	reply, ok = m.Query(nil, epoch, nil)
	require.True(t, ok)
	require.Contains(t, text(t, reply), "ERR malformed query: decode command: offset 0: ")
}

// TestKnown: what any replica may answer without asking the others.
func TestKnown(t *testing.T) {
	m := shardmaster.New()
	story(t, m, `
		JOIN 1 a:1 -> 1
		JOIN 1 a:2 -> 2
		PASSED 1 2 1 -> 2`)
	for line, want := range map[string]string{
		"QUERY 2": string(m.Newest().Append(nil)),
		"QUERY 1": "COMPACTED config 1 was dropped when every group had passed it; the oldest that is kept is 2",
		"QUERY 3": "",
		"QUERY":   "",
		"GROUPS":  "",
		"BALANCE": "",
	} {
		p, refusal := shardmaster.Prepare(words(line))
		require.Nil(t, refusal)
		require.Equal(t, strings.HasPrefix(line, "QUERY "), p.Fixed, line)
		reply, ok := m.Known([]byte("before"), p.Encoded)
		require.Equal(t, want != "", ok, line)
		rest, found := strings.CutPrefix(string(reply), "before")
		require.True(t, found)
		if ok {
			require.Equal(t, want, text(t, []byte(rest)))
		} else {
			require.Empty(t, rest)
		}
	}
	_, ok := m.Known(nil, []byte("nonsense"))
	require.False(t, ok)
}

func TestLogTimeNeverGoesBack(t *testing.T) {
	m := shardmaster.New()
	m.Begin(1, epoch)
	m.Begin(2, epoch-1)
	require.Equal(t, epoch, m.LogTime())
	require.EqualValues(t, 2, m.Slot())
}
