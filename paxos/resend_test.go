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
