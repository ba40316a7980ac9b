package server_test

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
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

// TestDirectoryThatIsGoneEndsTheNode: nothing that it acknowledged from then on would be
// there after a restart; and in a directory that has its place it must not write.
func TestDirectoryThatIsGoneEndsTheNode(t *testing.T) {
	t.Parallel()
	for what, take := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"moved":   func(dir string) error { return os.Rename(dir, dir+"-old") },
		"replaced": func(dir string) error {
			if err := os.Rename(dir, dir+"-old"); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(dir+"-old"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			g := startGroup(t, 1)
			dir := g.opts[0].Dir
			require.Equal(t, "OK", g.dial(0).do("SET k v"))
			require.NoError(t, take(dir))
			var before map[string]string
			if what == "replaced" {
				before = golden.Tree(t, dir)
			}
			require.Eventually(t, func() bool { return strings.Contains(g.logs[0].String(), "stopping at once") }, patience, 10*time.Millisecond)
			require.ErrorContains(t, g.halt(0), "was moved or removed while this process used it")
			if what == "replaced" {
				require.Equal(t, before, golden.Tree(t, dir), "what is there now is another's")
			} else {
				require.NoDirExists(t, dir)
			}
		})
	}
}
