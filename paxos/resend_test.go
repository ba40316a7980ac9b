package paxos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soloLeader returns member 0 of three as the leader, elected by member 1.
func soloLeader(t *testing.T, cfg Config) *Core {
	t.Helper()
	cfg.Size, cfg.Life, cfg.Rand = 3, Life{Nonce: 1}, rand.New(rand.NewPCG(1, 1))
	c := New(cfg)
	c.Start(0, 0)
	c.Tick(time.Second, 0)
	ballot := Ballot{Round: 1}
	c.Step(Envelope{From: 1, Message: PreVoteReply{Ballot: ballot, Granted: true}})
	c.Durable(c.Ready().Sync)
	c.Step(Envelope{From: 1, Message: Promise{Ballot: ballot, From: 1, LogStart: 1}})
	require.Equal(t, Leader, c.Role())
	c.Durable(c.Ready().Sync)
	return c
}

// accepts returns how many entries a Ready sends to member 1.
func accepts(rd Ready) int {
	n := 0
	for _, e := range rd.Messages {
		if a, ok := e.Message.(Accept); ok && e.To == 1 {
			n += len(a.Entries)
		}
	}
	return n
}

// TestAnswerToResend: what a leader sends once more though the member had
// accepted it already does not count as on its way for ever.
func TestAnswerToResend(t *testing.T) {
	c := soloLeader(t, Config{InflightBytes: 4 * entryOverhead, MessageBytes: entryOverhead})
	for range 4 {
		c.Propose(KindBatch, nil)
	}
	require.Equal(t, 4, accepts(c.Ready()))
	c.Step(Envelope{From: 1, Message: Accepted{Ballot: c.Promised(), Through: 4}})

	// A late word of a gap has everything sent again.
	c.Step(Envelope{From: 1, Message: HeartbeatAck{Ballot: c.Promised(), Round: 1, Held: 0, Gap: true}})
	require.Equal(t, 4, accepts(c.Ready()))
	c.Step(Envelope{From: 1, Message: Accepted{Ballot: c.Promised(), Through: 4}})

	c.Propose(KindBatch, nil)
	require.Equal(t, 1, accepts(c.Ready()), "the way is free again")
}

// TestProgressAfterARestart: a member that was restarted, and has forgotten what it
// had received and not synced, is not sent it again slower and slower while it
// gets on.
func TestProgressAfterARestart(t *testing.T) {
	c := soloLeader(t, Config{MessageBytes: entryOverhead})
	b := c.Promised()
	for range 4 {
		c.Propose(KindBatch, nil)
	}
	require.Equal(t, 4, accepts(c.Ready()))
	c.Step(Envelope{From: 1, Message: HeartbeatAck{Ballot: b, Round: 1, Held: 4}})
	for held := range Slot(4) {
		// Of what is sent one message arrives in its turn.
		c.Step(Envelope{From: 1, Message: HeartbeatAck{Ballot: b, Round: 1, Held: held, Gap: true}})
		require.Equal(t, 4-int(held), accepts(c.Ready()))
	}
}

// TestSnapshotInstalled: a member that has installed a snapshot is sent what is
// behind it, and not offered the same snapshot again.
func TestSnapshotInstalled(t *testing.T) {
	c := soloLeader(t, Config{WindowBytes: 1})
	for range 3 {
		c.Propose(KindBatch, nil)
	}
	c.Durable(c.Ready().Sync)
	c.Step(Envelope{From: 2, Message: Accepted{Ballot: c.Promised(), Through: 3}})
	require.Len(t, c.Ready().Committed, 3)
	c.Ready() // lets go of what was applied
	c.Truncated(3)
	c.Step(Envelope{From: 1, Message: HeartbeatAck{Ballot: c.Promised(), Round: 1, Held: 0, Gap: true}})
	require.Equal(t, []ReplicaID{1}, c.Ready().NeedSnapshot)

	c.SnapshotInstalled(1, 3)
	c.SnapshotEnded(1)
	c.Propose(KindBatch, nil)
	rd := c.Ready()
	require.Empty(t, rd.NeedSnapshot)
	require.Equal(t, 1, accepts(rd))
}

// TestCatchUpIsPaced: while values are proposed a member that recovers gets what
// it lacks at the rate of Config.CatchUpBytes, and on top of that as much as is
// proposed, or it would never catch up.
func TestCatchUpIsPaced(t *testing.T) {
	const perSecond, value = 1_000_000, 1_000 - entryOverhead
	c := soloLeader(t, Config{CatchUpBytes: perSecond, MessageBytes: 5_000, InflightBytes: 1 << 20})
	b := c.Promised()
	at := time.Second
	// pass lets a second pass, in which so many values are proposed a millisecond,
	// and returns how many bytes member 1 is sent.
	held, sent := Slot(0), 0
	pass := func(proposals int) int {
		before := sent
		for range 1000 {
			at += time.Millisecond
			c.Tick(at, 0)
			for range proposals {
				c.Propose(KindBatch, make([]byte, value))
			}
			for more := true; more; {
				rd := c.Ready()
				c.Durable(rd.Sync)
				c.Step(Envelope{From: 2, Message: Accepted{Ballot: b, Through: c.Last()}})
				n := accepts(rd)
				more = n > 0
				held += Slot(n)
				sent += n * 1_000
				c.Step(Envelope{From: 1, Life: lateLife, Message: Progress{Ballot: b, Held: held}})
			}
		}
		return sent - before
	}
	for range 10_000 {
		c.Propose(KindBatch, make([]byte, value))
	}
	c.Durable(c.Ready().Sync)
	c.Step(Envelope{From: 2, Message: Accepted{Ballot: b, Through: c.Last()}})
	c.Step(Envelope{From: 1, Life: lateLife, Message: Progress{Ballot: b}})

	require.InEpsilon(t, 2_000_000, pass(1), 0.02)
	require.InEpsilon(t, 4_000_000, pass(3), 0.02)
	require.InEpsilon(t, 8_000_000, pass(0), 0.02, "nobody is in the way: all the rest at once")
	require.Equal(t, c.Last(), held)
}
