package kv_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

const null = "_\r\n"

// watch returns a token for keys.
func (m *machine) watch(keys string) string {
	m.t.Helper()
	return string(read(m.t, []byte(m.do("DISKV.WATCH "+keys))).Str)
}

// exec executes lines if a key has not changed since the token.
func (m *machine) exec(token, key string, lines ...string) string {
	m.t.Helper()
	return m.doArgs(execArgs(m.t, []kv.Watched{{Token: []byte(token), Key: []byte(key)}}, lines...))
}

func execArgs(t *testing.T, watched []kv.Watched, lines ...string) [][]byte {
	t.Helper()
	var commands [][][]byte
	for _, line := range lines {
		commands = append(commands, args(t, line))
	}
	var key []byte
	if len(watched) > 0 {
		key = watched[0].Key
	}
	return kv.TransactionArgs(key, watched, commands)
}

func TestATransactionIsExecutedInOneSlot(t *testing.T) {
	m := newMachine(t)
	m.do("SET {a}text abc")
	reply := m.doArgs(execArgs(t, nil, "SET {a}1 x", "INCR {a}text", "MGET {a}1 {a}2", "DBSIZE"))
	require.Equal(t, "*4\r\n+OK\r\n-ERR value is not an integer or out of range\r\n*2\r\n$1\r\nx\r\n_\r\n:2\r\n", reply, "an error of one command is in its place")
	require.EqualValues(t, 2, m.slot)
	require.Equal(t, "*0\r\n", m.doArgs(execArgs(t, nil)))

	before := m.slot
	require.Equal(t, "*2\r\n$1\r\nx\r\n$3\r\nabc\r\n", m.doArgs(execArgs(t, nil, "GET {a}1", "GET {a}text")))
	require.Equal(t, before, m.slot, "reads need no slot")
}

func TestATransactionDependsOnWhatWasWatched(t *testing.T) {
	const done = "*2\r\n+OK\r\n$4\r\ndone\r\n"
	for name, tc := range map[string]struct {
		before, between []string
		want            string
	}{
		"nothing happened":            {[]string{"SET k v"}, nil, done},
		"no key, nothing happened":    {nil, nil, done},
		"a write elsewhere":           {[]string{"SET k v"}, []string{"SET other w", "DEL other"}, done},
		"a neighbour was changed":     {[]string{"SET k v", "SET {k}2 v"}, []string{"SET {k}2 w"}, done},
		"a neighbour was removed":     {[]string{"SET k v", "SET {k}2 v"}, []string{"DEL {k}2"}, done},
		"a neighbour came":            {nil, []string{"SET {k}2 w"}, done},
		"it was read":                 {[]string{"SET k v"}, []string{"GET k", "SET k w NX", "DISKV.WATCH k"}, done},
		"set":                         {[]string{"SET k v"}, []string{"SET k w"}, null},
		"set to the same":             {[]string{"SET k v"}, []string{"SET k v"}, null},
		"appended to":                 {[]string{"SET k v"}, []string{"APPEND k w"}, null},
		"given a time":                {[]string{"SET k v"}, []string{"EXPIRE k 1000"}, null},
		"created":                     {nil, []string{"SET k v"}, null},
		"removed":                     {[]string{"SET k v"}, []string{"DEL k"}, null},
		"removed and as before":       {[]string{"SET k v"}, []string{"DEL k", "SET k v"}, null},
		"created and removed":         {nil, []string{"SET k v", "DEL k"}, null},
		"its time has come":           {[]string{"SET k v PX 20"}, []string{"SET other v"}, null},
		"expired at once":             {[]string{"SET k v"}, []string{"EXPIRE k 0"}, null},
		"by a transaction":            {[]string{"SET k v"}, []string{"DISKV.EXEC k 0 2 DEL k"}, null},
		"not there, another one left": {[]string{"SET {k}2 v"}, []string{"DEL {k}2"}, null}, // one null too many is allowed
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			for _, line := range tc.before {
				m.do(line)
			}
			token := m.watch("k")
			for _, line := range tc.between {
				m.sleep(30 * time.Millisecond)
				m.do(line)
			}
			m.begin()
			before := m.store.Digest()
			m.store = copyOf(t, m.store)
			require.Equal(t, before, m.store.Digest())
			reply := m.exec(token, "k", "SET k done", "GET k")
			require.Equal(t, tc.want, reply)
			require.Equal(t, reply != null, m.do("GET k") == "$4\r\ndone\r\n", "all of it or nothing")
		})
	}
}

func TestATransactionDependsOnAllItsKeysAndTokens(t *testing.T) {
	m := newMachine(t)
	m.do("MSET {a}1 x {a}2 y")
	first := m.watch("{a}1 {a}2")
	m.do("SET {a}2 z")
	second := m.watch("{a}2")
	exec := func(watched ...string) string {
		var all []kv.Watched
		for i := 0; i < len(watched); i += 2 {
			all = append(all, kv.Watched{Token: []byte(watched[i]), Key: []byte(watched[i+1])})
		}
		return m.doArgs(execArgs(t, all, "SET {a}3 v"))
	}
	require.Equal(t, null, exec(first, "{a}1", first, "{a}2"))
	require.Equal(t, null, exec(first, "{a}2", second, "{a}2"), "the first watch counts")
	require.Equal(t, "*1\r\n+OK\r\n", exec(first, "{a}1", second, "{a}2"))
	require.Equal(t, null, m.exec("1-1", "{a}1", "GET {a}1"), "slots of another group say nothing")
	require.Equal(t, null, m.exec("0-99999", "{a}1", "SET {a}1 w"), "nor do those that have yet to come")
	require.Equal(t, null, m.exec("0-99999", "{a}1", "GET {a}1"))
}

func TestAReadTransactionSeesOneMoment(t *testing.T) {
	m := newMachine(t)
	m.do("SET k v PX 1000")
	token := m.watch("k")
	m.sleep(999 * time.Millisecond)
	require.Equal(t, "*2\r\n$1\r\nv\r\n:1\r\n", m.exec(token, "k", "GET k", "PTTL k"))
	m.sleep(time.Millisecond)
	require.Equal(t, null, m.exec(token, "k", "GET k"), "its time is chosen first")
	require.Equal(t, "*2\r\n_\r\n:-2\r\n", m.doArgs(execArgs(t, nil, "GET k", "PTTL k")))
}

func TestAWatchedKeyHasExpiredBeforeItIsRemoved(t *testing.T) {
	m := newMachine(t)
	for i := range 1000 { // more than a batch removes
		m.do(fmt.Sprintf("SET key%d v PX 1000", i))
	}
	m.do("SET k v PX 2000")
	token := m.watch("k")
	m.sleep(3 * time.Second)
	require.Equal(t, null, m.exec(token, "k", "SET k w"))
	require.Greater(t, m.store.Keys(), 100)
}

func TestWhatIsNoTransactionIsRefused(t *testing.T) {
	const form = "-ERR DISKV.EXEC wants: key numwatched [token key ...] and for each command: numargs name [arg ...]\r\n"
	const token = "-ERR DISKV.EXEC wants for each watched key a token that DISKV.WATCH has returned\r\n"
	for line, want := range map[string]string{
		"DISKV.EXEC k":                             "-ERR wrong number of arguments for 'diskv.exec' command\r\n",
		"DISKV.EXEC k x":                           form,
		"DISKV.EXEC k -1":                          form,
		"DISKV.EXEC k 1 0-1":                       form,
		"DISKV.EXEC k 2 0-1 k 0-1":                 form,
		"DISKV.EXEC k 9223372036854775807 0-1 k":   "-ERR a transaction can watch 16384 keys at most\r\n",
		"DISKV.EXEC k 1 01 k":                      token,
		"DISKV.EXEC k 1 01-1 k":                    token,
		"DISKV.EXEC k 1 0-1-1 k":                   token,
		"DISKV.EXEC k 1 0-+1 k":                    token,
		"DISKV.EXEC k 1 0-18446744073709551616 k":  token,
		"DISKV.EXEC k 0 0":                         form,
		"DISKV.EXEC k 0 3 GET k":                   form,
		"DISKV.EXEC k 0 2 GET k 1":                 form,
		"DISKV.EXEC k 0 9223372036854775807 GET k": form,
		"DISKV.EXEC k 0 2 GET l":                   "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"DISKV.EXEC k 1 0-1 l 2 GET k":             "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"DISKV.EXEC k 0 2 GET k 3 MGET k l":        "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"DISKV.EXEC k 0 1 GET":                     "-ERR wrong number of arguments for 'get' command\r\n",
		"DISKV.EXEC k 0 1 NOSUCH":                  "-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
		"DISKV.EXEC k 0 2 GET k 3 INCRBY k x":      "-ERR value is not an integer or out of range\r\n",
		"DISKV.EXEC k 0 4 diskv.exec k 0 0":        "-ERR DISKV.EXEC is not allowed in transactions\r\n",
		"DISKV.EXEC k 0 2 DISKV.WATCH k":           "-ERR DISKV.WATCH is not allowed in transactions\r\n",
		"DISKV.EXEC k 0 2 SCAN 0":                  "-ERR SCAN is not allowed in transactions\r\n",
		"DISKV.EXEC k 0 6 DISKV.ONCE k x 1 GET k":  "-ERR DISKV.ONCE is not allowed in transactions\r\n",
		"DISKV.WATCH":                              "-ERR wrong number of arguments for 'diskv.watch' command\r\n",
		"DISKV.WATCH k l":                          "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
	} {
		m := newMachine(t)
		before := m.store.Digest()
		require.Equal(t, want, m.do(line), line)
		require.Equal(t, before, m.store.Digest(), line)

		// As a replica of another version might have let it pass.
		if strings.HasPrefix(line, "DISKV.EXEC") && !strings.Contains(line, "INCRBY") {
			c := kv.Command{Args: args(t, line)}
			require.Equal(t, want, string(m.store.Apply(nil, c.Append(nil))), line)
			require.Equal(t, before, m.store.Digest(), line)
		}
	}
}

func TestATransactionIsBounded(t *testing.T) {
	m := newMachine(t)
	lines := make([]string, kv.MaxTransaction)
	for i := range lines {
		lines[i] = "INCR {a}n"
	}
	reply := m.doArgs(execArgs(t, nil, lines...))
	require.True(t, strings.HasPrefix(reply, fmt.Sprintf("*%d\r\n:1\r\n:2\r\n", kv.MaxTransaction)))
	require.Equal(t, "-ERR a transaction can have 16384 commands at most\r\n", m.doArgs(execArgs(t, nil, append(lines, "INCR {a}n")...)))

	heavy := slices.Repeat([]string{"FLUSHALL", "LCS {a}1 {a}2", "KEYS x"}, 6)
	require.True(t, strings.HasPrefix(m.doArgs(execArgs(t, nil, heavy[:16]...)), "*16\r\n+OK\r\n"))
	require.Equal(t, "-ERR a transaction can have 16 of KEYS, LCS, DISKV.RANGE, FLUSHALL and FLUSHDB at most\r\n", m.doArgs(execArgs(t, nil, heavy[:17]...)))

	watched := make([]kv.Watched, kv.MaxWatched)
	token := m.watch("k")
	for i := range watched {
		watched[i] = kv.Watched{Token: []byte(token), Key: fmt.Appendf(nil, "{k}%d", i)}
	}
	require.Equal(t, "*1\r\n_\r\n", m.doArgs(execArgs(t, watched, "GET k")))
	require.Equal(t, "-ERR a transaction can watch 16384 keys at most\r\n", m.doArgs(execArgs(t, append(watched, watched[0]), "GET k")))

	// Replies that are too much are dropped; what they answer is executed.
	m.doArgs([][]byte{[]byte("SET"), []byte("{a}large"), bytes.Repeat([]byte("v"), 8<<20)})
	lines = []string{"SET {a}done 1"}
	for range 100 {
		lines = append(lines, "GET {a}large")
	}
	reply = m.doArgs(execArgs(t, nil, append(lines, "SET {a}done 2")...))
	require.Less(t, len(reply), 65<<20)
	v := read(t, []byte(reply))
	require.Len(t, v.Elems, 102)
	require.Equal(t, "OK", string(v.Elems[0].Str))
	require.Len(t, v.Elems[7].Str, 8<<20)
	require.ErrorContains(t, v.Elems[8].Err(), "ERR executed; its reply was dropped")
	require.Equal(t, "OK", string(v.Elems[101].Str), "there is room for a small one")
	require.Equal(t, "$1\r\n2\r\n", m.do("GET {a}done"))
}

func TestATransactionOfASessionIsExecutedOnce(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	token := m.watch("n")
	const line = "DISKV.EXEC n 1 %s n 2 INCR n 2 INCR n"
	first := fmt.Sprintf(line, token)
	require.Equal(t, "*2\r\n:1\r\n:2\r\n", m.do(once(id, 1, "n", first)))
	require.Equal(t, "*2\r\n:1\r\n:2\r\n", m.do(once(id, 1, "n", first)), "a retry gets the reply of that time")
	require.Equal(t, null, m.do(once(id, 2, "n", first)))
	require.Equal(t, "*2\r\n:3\r\n:4\r\n", m.do(once(id, 3, "n", fmt.Sprintf(line, m.watch("n")))))
	require.Equal(t, "-CROSSSLOT Keys in request don't hash to the same slot\r\n", m.do(once(id, 4, "x", first)))
	require.Equal(t, "-ERR DISKV.ONCE needs a command with keys\r\n", m.do(once(id, 4, "x", `DISKV.EXEC "" 0 1 DBSIZE`)))
	require.Equal(t, "-ERR DISKV.ONCE cannot have a command that does not go through the log\r\n", m.do(once(id, 4, "x", "DISKV.WATCH x")))
	require.Equal(t, "*1\r\n:1\r\n", m.do(`DISKV.EXEC "" 0 1 DBSIZE`), "without keys")
}

func TestATransactionTellsWhatItNeeds(t *testing.T) {
	for line, want := range map[string]kv.Prepared{
		"DISKV.EXEC k 0 2 GET k":         {Keyed: true, Shard: shard.Of([]byte("k"))},
		"DISKV.EXEC k 0 2 DEL k 2 GET k": {Keyed: true, Shard: shard.Of([]byte("k")), Write: true},
		"DISKV.EXEC k 0 3 SET k v":       {Keyed: true, Shard: shard.Of([]byte("k")), Write: true, Grows: true},
		`DISKV.EXEC "" 0 2 GET k`:        {Keyed: true, Shard: shard.Of([]byte("k"))},
		`DISKV.EXEC "" 0 1 DBSIZE`:       {},
		"DISKV.WATCH k":                  {Keyed: true, Shard: shard.Of([]byte("k"))},
	} {
		p, refusal := kv.Prepare(args(t, line))
		require.Nil(t, refusal, line)
		require.NotNil(t, p.Spec)
		p.Spec, p.Command = nil, kv.Command{}
		require.Equal(t, want, p, line)
	}
	a := args(t, "DISKV.EXEC {k}1 2 0-1 {k}2 0-1 {k}3 3 MGET {k}1 {k}4 1 DBSIZE")
	spec, _ := kv.Lookup(a[0])
	watched, commands, ok := kv.ReadTransaction(a)
	require.True(t, ok)
	require.Equal(t, a, kv.TransactionArgs(a[1], watched, commands))
	_, _, ok = kv.ReadTransaction(args(t, "GET k"))
	require.False(t, ok)
	require.Equal(t, [][]byte{[]byte("{k}1"), []byte("{k}2"), []byte("{k}3"), []byte("{k}4")}, spec.Keys(a))
	require.Empty(t, spec.Keys(args(t, "DISKV.EXEC k x")))
	require.Equal(t, args(t, "DISKV.EXEC k 1 0-1 l 2 GET k 1 DBSIZE"),
		kv.TransactionArgs([]byte("k"), []kv.Watched{{Token: []byte("0-1"), Key: []byte("l")}}, [][][]byte{args(t, "GET k"), args(t, "DBSIZE")}))
}

// TestATokenOutlivesNoMove: a shard goes to another group, is changed there, and
// comes back; a token of the first time must not match.
func TestATokenOutlivesNoMove(t *testing.T) {
	foo := shard.Of([]byte("foo"))
	c := configs(give(1, 0, shard.Count-1), give(2, foo, foo), give(1, foo, foo))
	a, b := newGroup(t, 1), newGroup(t, 2)
	a.take(c[1], c[0])
	a.do("SET foo 1")
	a.do("SET {foo}gone 1")
	for range 100 {
		a.begin() // so that no slot of b comes near
	}
	there, gone, never := a.watch("foo"), a.watch("{foo}gone"), a.watch("{foo}never")
	a.take(c[2], nil)
	b.take(c[2], c[1])
	b.pull(a, 1)
	for _, m := range []*machine{a, b} {
		m.store = copyOf(t, m.store)
	}
	require.Equal(t, "-WRONGSHARD 12182 2\r\n", a.do("DISKV.WATCH foo"))
	require.Equal(t, "-WRONGSHARD 12182 2\r\n", a.exec(there, "foo", "SET foo x"))
	require.Equal(t, null, b.exec(there, "foo", "SET foo x"))
	b.do("SET foo 2")
	b.do("DEL {foo}gone")
	b.do("SET {foo}never 1")
	b.do("DEL {foo}never")
	elsewhere := b.watch("foo")

	b.take(c[3], nil)
	a.take(c[3], nil)
	a.pull(b, 1)
	a.store = copyOf(t, a.store)
	require.Equal(t, "$1\r\n2\r\n", a.do("GET foo"))
	for _, w := range [][2]string{{there, "foo"}, {gone, "{foo}gone"}, {never, "{foo}never"}, {elsewhere, "foo"}} {
		require.Equal(t, null, a.exec(w[0], w[1], "SET foo x"), w[1])
	}
	require.Equal(t, "*1\r\n+OK\r\n", a.exec(a.watch("foo"), "foo", "SET foo 3"))
	kv.RequireInvariants(t, a.store)
	kv.RequireInvariants(t, b.store)
}
