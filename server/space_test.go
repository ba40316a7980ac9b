package server_test

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/server"
)

func TestLowDiskRefusesWhatNeedsMoreOfIt(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 20)
	g := startGroup(t, 1, func(o *server.Options) {
		o.MinFreeBytes = 1000
		o.SetFree(func(string) (int64, error) {
			if f := free.Load(); f >= 0 {
				return f, nil
			}
			return 0, errors.New("cannot be known")
		})
	})
	c := g.dial(0)
	require.Equal(t, "OK", c.do("MSET {k}a 1 {k}b 2"))
	session := strings.Trim(c.do("DISKV.SESSION"), `"`)

	free.Store(999)
	refusal := "-MISCONF the disk of " + g.opts[0].Dir + " has less than 1000 bytes free (--min-free-bytes): writes that need more are refused until there is room"
	require.Eventually(t, func() bool { return c.do("SET k v") == refusal }, patience, 10*time.Millisecond)
	for line, want := range map[string]string{
		"INCR {k}a":     refusal,
		"APPEND {k}a x": refusal,
		"DISKV.ONCE {k}a " + session + " 1 INCR {k}a": refusal,
		"GET {k}a":       `"1"`,
		"MGET {k}a {k}b": `["1" "2"]`,
		"SET k":          "-ERR wrong number of arguments for 'set' command",
	} {
		require.Equal(t, want, c.do(line), line)
	}
	require.Equal(t, "1", c.do("DEL {k}b"))
	require.Equal(t, "1", c.do("DISKV.ONCE {k}a "+session+" 1 DEL {k}a"))
	require.Equal(t, "0", c.do("EXISTS {k}a {k}b"))
	require.Contains(t, c.text("INFO persistence"), "disk_low:1\r\n")
	require.Contains(t, g.logs[0].String(), "disk space is low")

	free.Store(1000)
	require.Eventually(t, func() bool { return c.do("SET k v") == "OK" }, patience, 10*time.Millisecond, "writes resume by themselves")
	require.Contains(t, g.logs[0].String(), "disk space is sufficient again")
	free.Store(-1)
	require.Eventually(t, func() bool { return strings.Contains(g.logs[0].String(), "cannot be known") }, patience, 10*time.Millisecond)
	require.Equal(t, "OK", c.do("SET k w"), "what is not known stops nothing")
}

// TestDirectoryThatIsGoneIsTold: another one is looked at, since the log stops the node
// at once if the directory goes while it makes a segment.
func TestDirectoryThatIsGoneIsTold(t *testing.T) {
	dir := t.TempDir()
	g := startGroup(t, 1, func(o *server.Options) {
		o.SetFree(func(string) (int64, error) { return server.FreeBytes(dir) })
	})
	require.NoError(t, os.Remove(dir))
	require.Eventually(t, func() bool { return strings.Contains(g.logs[0].String(), "the data directory is gone") }, patience, 10*time.Millisecond)
}
