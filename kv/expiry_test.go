package kv_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
)

func query(tb testing.TB, s *kv.Store, now int64, line string) (string, bool) {
	tb.Helper()
	c := kv.Command{Args: args(tb, line)}
	reply, ok := s.Query(nil, now, c.Append(nil))
	return string(reply), ok
}

func TestAKeyIsAbsentFromItsTimeOn(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, "+OK\r\n", m.do("SET k v PX 100"))

	m.sleep(100*time.Millisecond - 1)
	require.Equal(t, "$1\r\nv\r\n", m.do("GET k"))
	require.Equal(t, ":1\r\n", m.do("EXISTS k"))
	m.sleep(1)
	for line, want := range map[string]string{
		"GET k": "_\r\n", "EXISTS k": ":0\r\n", "TTL k": ":-2\r\n", "TYPE k": "+none\r\n", "STRLEN k": ":0\r\n",
		"MGET k": "*1\r\n_\r\n", "DBSIZE": ":0\r\n", "SCAN 0": "*2\r\n$1\r\n0\r\n*0\r\n",
	} {
		require.Equal(t, want, m.do(line), line)
	}
	require.Equal(t, ":0\r\n", m.do("DEL k"))
	require.Equal(t, ":1\r\n", m.do("APPEND k x"), "a new value")
	require.Equal(t, ":-1\r\n", m.do("TTL k"), "without the old time")
}

func TestAnAnswerIsOpenBetweenLogTimeAndTheClock(t *testing.T) {
	s := kv.New()
	s.Begin(1, epoch)
	set := kv.Command{Args: args(t, "SET k v PX 100")}
	s.Apply(nil, set.Append(nil))
	expiry := epoch + int64(100*time.Millisecond)

	for _, line := range []string{"GET k", "EXISTS k", "TTL k", "PTTL k", "TYPE k", "STRLEN k", "MGET other{k} k", "DBSIZE"} {
		_, ok := query(t, s, expiry-1, line)
		require.True(t, ok, "%s before the time", line)
		reply, ok := query(t, s, expiry, line)
		require.False(t, ok, "%s at the time", line)
		require.Empty(t, reply)
	}
	_, ok := query(t, s, expiry, "GET other")
	require.True(t, ok, "other keys do not wait")

	s.Begin(2, expiry)
	reply, ok := query(t, s, expiry, "GET k")
	require.True(t, ok)
	require.Equal(t, "_\r\n", reply)

	reply, ok = query(t, s, 0, "GET k")
	require.True(t, ok, "a clock behind log time counts as log time")
	require.Equal(t, "_\r\n", reply)
}

func TestTTLCountsByTheClock(t *testing.T) {
	m := newMachine(t)
	m.do("SET k v PX 10000")
	m.sleep(2500 * time.Millisecond)
	require.Equal(t, ":7500\r\n", m.do("PTTL k"))
	require.Equal(t, ":8\r\n", m.do("TTL k"))
}

func TestRelativeTimesCountFromLogTime(t *testing.T) {
	m := newMachine(t)
	m.begin()
	m.sleep(5 * time.Second)
	m.do("SET k v EX 10")
	require.Equal(t, ":10\r\n", m.do("TTL k"))
	m.do("EXPIRE k 20")
	require.Equal(t, ":20\r\n", m.do("TTL k"))
}

func TestLogTimeDoesNotGoBack(t *testing.T) {
	s := kv.New()
	s.Begin(1, epoch)
	s.Begin(2, epoch-1)
	require.Equal(t, epoch, s.LogTime())
	require.EqualValues(t, 2, s.Slot())
}

func TestExpiredKeysAreRemovedALittleAtATime(t *testing.T) {
	const n = 5000
	m := newMachine(t)
	for i := range n {
		m.do(fmt.Sprintf("SET key%d v PX 1000", i))
	}
	m.do("SET stays v")
	require.Equal(t, n, m.store.Expires())
	at, ok := m.store.NextExpiry()
	require.True(t, ok)
	require.Equal(t, epoch+int64(time.Second), at)

	m.sleep(time.Second)
	m.begin()
	left := m.store.Keys()
	require.Less(t, left, n, "some are gone")
	require.Greater(t, left, n/2, "bounded work in a batch")
	require.Equal(t, ":1\r\n", m.do("DBSIZE"), "nobody sees those that are left")
	require.Equal(t, "_\r\n", m.do(fmt.Sprintf("GET key%d", n-1)))

	for range 20 {
		m.begin()
	}
	require.Equal(t, 1, m.store.Keys())
	require.Zero(t, m.store.Expires())
	_, ok = m.store.NextExpiry()
	require.False(t, ok, "an idle leader has nothing to choose a time for")
}

func TestRemovalKeepsUpWithTheLoadInOneBatch(t *testing.T) {
	s := kv.New()
	now := epoch
	for slot := range uint64(50) {
		s.Begin(slot+1, now)
		for i := range 2000 {
			c := kv.Command{Args: args(t, fmt.Sprintf("SET k%d.%d v PX 1", slot, i))}
			s.Apply(nil, c.Append(nil))
		}
		now += int64(time.Millisecond)
	}
	require.Less(t, s.Keys(), 3*2000, "keys of a few batches at most")
}

func TestTimesThatChangeLeaveNoTrace(t *testing.T) {
	m := newMachine(t)
	for _, line := range []string{
		"SET k v EX 10", "EXPIRE k 20", "APPEND k w", "INCR n", "EXPIRE n 30", "INCR n", "SET k x KEEPTTL", "PEXPIRE k 5000", "SET n 1",
		"EXPIRE n 5", "PERSIST n", "SET gone v EX 5", "DEL gone", "SET past v EXAT 1", "SET k y", "EXPIRE k 7", "EXPIRE k -1",
	} {
		m.do(line)
	}
	require.Equal(t, 1, m.store.Keys())
	require.Zero(t, m.store.Expires())
	m.sleep(time.Minute)
	require.Equal(t, "$1\r\n1\r\n", m.do("GET n"))
}

func TestTheEndOfTimeIsFarAway(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, "+OK\r\n", m.do("SET k v PXAT 9223372036854775807"))
	m.sleep(time.Hour)
	require.Equal(t, "$1\r\nv\r\n", m.do("GET k"))
	_, ok := m.store.NextExpiry()
	require.False(t, ok)
}
