package server

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/replica"
)

// TestHowMuchARunMayReturn: commands that cannot be executed in parts are counted as what
// they may return, also where they are within others.
func TestHowMuchARunMayReturn(t *testing.T) {
	n := &Node{opts: Options{MaxValueBytes: 1 << 20}}
	for line, want := range map[string]int{
		"SET k v":                      0,
		"INCR k":                       0,
		"SET k v PX 100 get":           1 << 20,
		"GETDEL k":                     1 << 20,
		"GET k":                        1 << 20,
		"DISKV.ONCE k 0 1 INCR k":      0,
		"DISKV.ONCE k 0 1 SET k v GET": 1 << 20,
		"DISKV.EXEC k 0 3 SET k v":     0,
		"DISKV.EXEC k 0 3 SET k v 2 GET k 2 GETDEL k": 2 << 20,
		"DISKV.ONCE k 0 1 DISKV.EXEC k 0 2 GET k":     1 << 20,
	} {
		args := bytes.Fields([]byte(line))
		spec, ok := kv.Find(args)
		require.True(t, ok)
		require.Equal(t, want, n.mayReturn(spec, args), line)
	}
	many := bytes.Fields(append([]byte("DISKV.EXEC k 0"), bytes.Repeat([]byte(" 2 GET k"), 100)...))
	spec, _ := kv.Find(many)
	require.Equal(t, maxHeld, n.mayReturn(spec, many))
}

// TestWhatWasPassedOnIsWaitedFor: a member that leads now does not know at which slot the
// leader before it has executed what it had passed on.
func TestWhatWasPassedOnIsWaitedFor(t *testing.T) {
	s := replica.Status{Last: 9}
	require.EqualValues(t, 1, (&client{}).written(&s))
	require.EqualValues(t, 5, (&client{wrote: 5}).written(&s))
	require.EqualValues(t, 9, (&client{wrote: 5, wroteAway: true}).written(&s))
}
