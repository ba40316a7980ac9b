package kv_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
)

// once returns a line that executes another one exactly once.
func once(id kv.SessionID, seq int, key, line string) string {
	return fmt.Sprintf("DISKV.ONCE %s %s %d %s", key, id, seq, line)
}

func TestARetryIsNotAppliedAgain(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	require.Equal(t, ":1\r\n", m.do(once(id, 1, "n", "INCR n")))
	require.Equal(t, ":1\r\n", m.do(once(id, 1, "n", "INCR n")))
	require.Equal(t, ":2\r\n", m.do(once(id, 2, "n", "INCR n")))
	require.Equal(t, ":2\r\n", m.do(once(id, 2, "n", "INCR n")))
	require.Equal(t, fmt.Sprintf("-STALESEQ operation 1 is older than the last of session %s, 2\r\n", id), m.do(once(id, 1, "n", "INCR n")))
	require.Equal(t, "$1\r\n2\r\n", m.do("GET n"))
	require.Equal(t, ":3\r\n", m.do(once(id, 9, "n", "INCR n")), "numbers may be left out")
	other := kv.NewSessionID(m.now, 8)
	require.Equal(t, ":4\r\n", m.do(once(other, 1, "n", "INCR n")), "another session has its own numbers")
	require.Equal(t, 2, m.store.Sessions())
}

func TestARetryGetsTheReplyOfThatTime(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	m.do("SET k old")
	require.Equal(t, "$3\r\nold\r\n", m.do(once(id, 1, "k", "SET k new GET")))
	m.do("SET k newer")
	require.Equal(t, "$3\r\nold\r\n", m.do(once(id, 1, "k", "SET k new GET")))
	require.Equal(t, "$5\r\nnewer\r\n", m.do(once(id, 2, "k", "GET k")), "a read may be wrapped")
	m.do("SET k newest")
	require.Equal(t, "$5\r\nnewer\r\n", m.do(once(id, 2, "k", "GET k")))
}

func TestAnErrorOfAnExecutedOperationIsRemembered(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	m.do("SET k abc")
	const want = "-ERR value is not an integer or out of range\r\n"
	require.Equal(t, want, m.do(once(id, 1, "k", "INCR k")))
	m.do("SET k 1")
	require.Equal(t, want, m.do(once(id, 1, "k", "INCR k")))
	require.Equal(t, "$1\r\n1\r\n", m.do("GET k"))
}

func TestARefusedOperationIsNotRemembered(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	for line, want := range map[string]string{
		"MSET a 1 b 2":             "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"SET other v":              "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
		"NOSUCH k":                 "-ERR unknown command 'NOSUCH', with args beginning with: 'k' \r\n",
		"GET":                      "-ERR wrong number of arguments for 'get' command\r\n",
		"SET a v EX x":             "-ERR value is not an integer or out of range\r\n",
		"DBSIZE":                   "-ERR DISKV.ONCE needs a command with keys\r\n",
		"SCAN 0":                   "-ERR DISKV.ONCE needs a command with keys\r\n",
		once(id, 1, "a", "INCR a"): "-ERR DISKV.ONCE cannot be nested\r\n",
	} {
		require.Equal(t, want, m.do(once(id, 1, "a", line)), line)
	}
	require.Zero(t, m.store.Sessions())

	// Nor if only the log finds out.
	m.begin()
	for _, line := range []string{"MSET a 1 b 2", "DBSIZE", "NOSUCH", "SCAN 0"} {
		c := kv.Command{Session: id, Seq: 1, Args: args(t, line)}
		require.Contains(t, m.apply(c.Append(nil)), "-")
	}
	require.Zero(t, m.store.Sessions())
	require.Equal(t, ":1\r\n", m.do(once(id, 1, "a", "INCR a")))
}

func TestASessionIsNamedRight(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	for line, want := range map[string]string{
		"DISKV.ONCE k":                               "-ERR wrong number of arguments for 'diskv.once' command\r\n",
		"DISKV.ONCE k abc 1 INCR k":                  "-ERR session id has 3 characters instead of 32\r\n",
		"DISKV.ONCE k " + id.String() + " 0 INCR k":  "-ERR DISKV.ONCE needs an operation number from 1 on\r\n",
		"DISKV.ONCE k " + id.String() + " -1 INCR k": "-ERR DISKV.ONCE needs an operation number from 1 on\r\n",
		"DISKV.ONCE k " + id.String() + " x INCR k":  "-ERR DISKV.ONCE needs an operation number from 1 on\r\n",
	} {
		require.Equal(t, want, m.do(line), line)
	}
	zeros := strings.Repeat("0", 32)
	require.Equal(t, "-ERR session id "+zeros+" was never given out\r\n", m.do("DISKV.ONCE k "+zeros+" 1 INCR k"))
	require.Contains(t, m.do("DISKV.ONCE k "+strings.Repeat("g", 32)+" 1 INCR k"), "-ERR session id: ")
	require.Contains(t, m.do("DISKV.ONCE k "+strings.Repeat("f", 32)+" 1 INCR k"), "was never given out")
}

func TestSessionIDsReadBack(t *testing.T) {
	id := kv.NewSessionID(epoch, 0xabcdef)
	require.Equal(t, "0000018bcfe568000000000000abcdef", id.String())
	back, err := kv.ParseSessionID([]byte(id.String()))
	require.NoError(t, err)
	require.Equal(t, id, back)
	require.Equal(t, epoch, id.Birth())
	require.True(t, id.IsValid())
	require.False(t, kv.SessionID{}.IsValid())
	require.Negative(t, id.Compare(kv.NewSessionID(epoch, 0xabcdf0)))
	require.Positive(t, id.Compare(kv.NewSessionID(epoch-int64(time.Second), 0xffffff)))
}

func TestASessionIsOverAtTheEndOfItsLifetimeAndNotBefore(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	require.Equal(t, ":1\r\n", m.do(once(id, 1, "n", "INCR n")))

	m.sleep(kv.SessionLifetime - time.Millisecond)
	require.Equal(t, ":1\r\n", m.do(once(id, 1, "n", "INCR n")), "still remembered")
	require.Equal(t, 1, m.store.Sessions())

	m.sleep(time.Millisecond)
	want := fmt.Sprintf("-SESSIONEXPIRED session %s is older than 1h0m0s: begin another one\r\n", id)
	require.Equal(t, want, m.do(once(id, 1, "n", "INCR n")))
	require.Equal(t, want, m.do(once(id, 2, "n", "INCR n")))
	require.Zero(t, m.store.Sessions(), "and the memory is free")
	require.Equal(t, "$1\r\n1\r\n", m.do("GET n"))
}

func TestASessionFromTheFutureIsRefused(t *testing.T) {
	m := newMachine(t)
	m.begin()
	ahead := kv.NewSessionID(m.now+int64(time.Minute), 7)
	require.Equal(t, ":1\r\n", m.do(once(ahead, 1, "n", "INCR n")), "clocks of members differ a little")
	far := kv.NewSessionID(m.now+int64(time.Minute+time.Millisecond), 7)
	require.Equal(t, fmt.Sprintf("-SESSIONINVALID session %s was born more than 1m0s ahead of the group's time\r\n", far),
		m.do(once(far, 1, "n", "INCR n")))
	require.Equal(t, 1, m.store.Sessions())
}

func TestALargeReplyIsNotKeptButTheOperationIsNotRepeated(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	old := strings.Repeat("v", kv.MaxSessionReply)
	m.doArgs([][]byte{[]byte("SET"), []byte("k"), []byte(old)})
	require.Equal(t, fmt.Sprintf("$%d\r\n%s\r\n", len(old), old), m.do(once(id, 1, "k", "SET k new GET")))
	m.do("SET k newer")
	want := fmt.Sprintf("-REPLYNOTKEPT operation 1 of session %s was executed; its reply was larger than 65536 bytes\r\n", id)
	require.Equal(t, want, m.do(once(id, 1, "k", "SET k new GET")))
	require.Equal(t, "$5\r\nnewer\r\n", m.do("GET k"))

	m.store = copyOf(t, m.store)
	require.Equal(t, want, m.do(once(id, 1, "k", "SET k new GET")))
	require.Equal(t, ":5\r\n", m.do(once(id, 2, "k", "STRLEN k")), "the session goes on")
}

func TestSessionsLiveInSnapshots(t *testing.T) {
	m := newMachine(t)
	id := kv.NewSessionID(m.now, 7)
	m.do(once(id, 5, "n", "INCR n"))
	m.store = copyOf(t, m.store)
	require.Equal(t, ":1\r\n", m.do(once(id, 5, "n", "INCR n")))
	require.Contains(t, m.do(once(id, 4, "n", "INCR n")), "-STALESEQ")
	require.Equal(t, ":2\r\n", m.do(once(id, 6, "n", "INCR n")))
	m.sleep(kv.SessionLifetime)
	m.store = copyOf(t, m.store)
	require.Contains(t, m.do(once(id, 6, "n", "INCR n")), "-SESSIONEXPIRED")
}
