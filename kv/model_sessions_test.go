package kv_test

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

// sessionCommand sends an operation of a session: a new one, the last again, or a
// late copy of an older one.
func (w *world) sessionCommand() {
	if len(w.sessions) < 6 || w.IntN(60) == 0 {
		w.sessions = append(w.sessions, &worldSession{
			id: kv.NewSessionID(w.group().store().LogTime()-w.Int64N(int64(time.Second)), w.Uint64()), done: map[uint64]string{},
		})
	}
	c := w.sessions[max(len(w.sessions)-1-w.IntN(8), 0)]
	n := len(c.ops)
	if n == 0 || w.IntN(2) == 0 {
		op, _ := w.prepare(w.line())
		op.Session, op.Seq = c.id, uint64(n+1)
		c.ops = append(c.ops, op)
	} else if w.IntN(3) == 0 {
		n = w.IntN(n)
	} else {
		n--
	}
	w.send(c, c.ops[n])
}

func (w *world) send(c *worldSession, op kv.Command) {
	id := shard.Of(op.Args[1])
	g := w.serving(id)
	reply := w.apply(g, op.Append(nil))
	if w.refused(g, id, reply) {
		return
	}
	over := g.store().LogTime() >= c.id.Birth()+int64(kv.SessionLifetime)
	require.Equal(w.t, over, strings.HasPrefix(reply, "-"+kv.CodeSessionExpired+" "), reply)
	if over || strings.HasPrefix(reply, "-"+kv.CodeSessionInvalid+" ") {
		return
	}
	stale := strings.HasPrefix(reply, "-"+kv.CodeStaleSeq+" ")
	before, executed := c.done[op.Seq]
	switch {
	case stale:
		require.Less(w.t, op.Seq, c.last, "there is a later one")
		w.stale++
	case executed:
		require.Equal(w.t, before, reply, "a retry gets the reply of that time")
		w.replies++
	default:
		bare := op
		bare.Session, bare.Seq = kv.SessionID{}, 0
		require.Equal(w.t, w.execute(g, id, bare), reply)
		c.done[op.Seq] = reply
		c.last = max(c.last, op.Seq)
	}
	// Scenario: the last operation was executed; wherever its shard is now, its
	// retry is answered, not refused.
	if executed && op.Seq == c.last {
		require.False(w.t, stale)
	}
}
