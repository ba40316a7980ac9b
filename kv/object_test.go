package kv_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

func TestObjectSaysOnlyWhatIsSo(t *testing.T) {
	m := newMachine(t)
	m.do("SET k v")
	require.Equal(t, "-ERR idle time is not tracked: reads leave nothing behind\r\n", m.do("OBJECT IDLETIME k"))
	// Redis says raw of what APPEND has made.
	m.do("APPEND k w")
	require.Equal(t, "$6\r\nembstr\r\n", m.do("OBJECT ENCODING k"))
	m.do("PEXPIRE k 10")
	m.sleep(10 * time.Millisecond)
	require.Equal(t, "_\r\n", m.do("OBJECT ENCODING k"))
}

// TestMemoryUsageIsAboutWhatAKeyTakes compares the estimate with what the heap grows by.
func TestMemoryUsageIsAboutWhatAKeyTakes(t *testing.T) {
	const keys = 30_000
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, options := range []string{"", " EX 100"} {
		s := kv.New()
		s.Begin(1, epoch)
		before := heap()
		for i := range keys {
			c := kv.Command{Args: args(t, fmt.Sprintf("SET {k}%09d %s%s", i*7919%keys, strings.Repeat("x", 100), options))}
			s.Apply(nil, c.Append(nil))
		}
		taken := float64(heap()-before) / keys
		reply, ok := query(t, s, epoch, "MEMORY USAGE {k}000000001")
		require.True(t, ok)
		require.InEpsilon(t, taken, read(t, []byte(reply)).Int, 0.15, "%q: %.0f bytes a key are taken", options, taken)
		runtime.KeepAlive(s)
	}
}

func TestKeysOfOneShard(t *testing.T) {
	m := newMachine(t)
	id := shard.Of([]byte("tag"))
	count := fmt.Sprintf("CLUSTER COUNTKEYSINSLOT %d", id)
	require.Equal(t, ":0\r\n", m.do(count))
	m.do("MSET {tag}2 v {tag}1 v {tag}3 v")
	m.do("SET other v")
	require.Equal(t, ":3\r\n", m.do(count))
	require.Equal(t, "*2\r\n$6\r\n{tag}1\r\n$6\r\n{tag}2\r\n", m.do(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 2", id)))
	require.Equal(t, "*0\r\n", m.do(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 0", id)))
	m.do("PEXPIRE {tag}1 10")
	m.sleep(10 * time.Millisecond)
	_, ok := query(t, m.store, m.now, count)
	require.False(t, ok, "log time does not say yet that the key is gone")
	_, ok = query(t, m.store, m.now, fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 10", id))
	require.False(t, ok)
	require.Equal(t, ":2\r\n", m.do(count))
	require.Equal(t, "*2\r\n$6\r\n{tag}2\r\n$6\r\n{tag}3\r\n", m.do(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 10", id)))

	s := kv.NewSharded(1)
	s.Begin(1, epoch)
	reply, ok := query(t, s, epoch, count)
	require.True(t, ok)
	require.Equal(t, ":0\r\n", reply, "a shard that is served elsewhere has no keys here")
}

func TestKeysOfOneShardAreBounded(t *testing.T) {
	m := newMachine(t)
	long := strings.Repeat("x", 50<<10)
	for i := range 30 {
		m.do(fmt.Sprintf("SET {tag}%d%s v", i, long))
	}
	v := read(t, []byte(m.do(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d 1000", shard.Of([]byte("tag"))))))
	require.Len(t, v.Elems, 21, "a little more than 1 MiB")
}
