package explore

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScriptRefuses: a script whose lines do nothing does not tell what it
// seems to.
func TestScriptRefuses(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"sleep 0", "no such step"},
		{"timeout", "no such step"},
		{"timeout 3", "is no member"},
		{"timeout 0 1", "too many words"},
		{"timeout 1", "does nothing, or is out of bounds"},
		{"sync 1", "does nothing, or is out of bounds"},
		{"propose 1", "does nothing, or is out of bounds"},
		{"crash 0 keep x", "invalid syntax"},
		{"crash 0 keep 9", "does nothing, or is out of bounds"},
		{"deliver 0->1 accept", "no such message is in flight"},
		{"hold 0->1 accept", "no such message is in flight"},
		{"settle 7", "is no member"},
	} {
		w := newWorld(bounds{members: 3, rounds: 1, slots: 1, proposals: 1, candidates: ids(0)})
		s, err := w.play(w.initial(), "timeout 0")
		require.NoError(t, err)
		if tt.line == "timeout 1" {
			w.rounds = 0
		}
		_, err = w.play(s, "# a comment\n\n"+tt.line)
		require.ErrorContains(t, err, tt.want, tt.line)
		require.ErrorContains(t, err, "line 3", tt.line)
	}
}

// TestCrashKeeps: a crash loses the records that were not synced, or all but the
// first of them.
func TestCrashKeeps(t *testing.T) {
	for _, tt := range []struct {
		keep  string
		votes int
		round uint64
	}{{"0", 0, 0}, {"1", 1, 1}, {"2", 1, 1}} {
		w := newWorld(bounds{members: 3, rounds: 1, slots: 1, proposals: 1, crashes: 1, slow: ids(1)})
		s, err := w.play(w.initial(), "timeout 0\nsettle 0 2\npropose 0\ndrop 0->1 heartbeat\ndrop 0->1 prepare\n"+
			"deliver 0->1 accept 1.0\ncrash 1 keep "+tt.keep)
		require.NoError(t, err)
		m := w.locals[s.members[1]]
		require.Len(t, s.votes, 1+tt.votes, "with that of 0")
		require.Equal(t, tt.round, m.promised.Round, "to accept is to promise")
		require.Equal(t, m.promised, m.core.Promised())
	}
}

// TestSameStateSameNumber: what does not decide anything makes no difference.
func TestSameStateSameNumber(t *testing.T) {
	w := newWorld(bounds{members: 3, rounds: 1, slots: 1, proposals: 1, slow: ids(1), crashes: 2})
	lead := "timeout 0\ndeliver 0->1 prepare\n"
	a, err := w.play(w.initial(), lead+"sync 1")
	require.NoError(t, err)
	b, err := w.play(w.initial(), lead+"crash 1 keep 0\ndeliver 0->1 prepare\nsync 1")
	require.NoError(t, err)
	require.Equal(t, a.members, b.members, "the second way took two more steps and as much more time")
	require.Equal(t, a.messages, b.messages)
	c, err := w.play(w.initial(), lead)
	require.NoError(t, err)
	require.NotEqual(t, a.members, c.members, "a promise that is durable differs from one that is not")
}
