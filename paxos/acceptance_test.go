package paxos

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// acceptorOfTwoBallots returns replica 0 of three, which holds slots 1 to 3 under
// ballot 1.1. None is known as chosen.
func acceptorOfTwoBallots(t *testing.T) *Core {
	t.Helper()
	c := testCore(t, 3)
	step(c, 1, Accept{Ballot: Ballot{1, 1}, Round: 1, First: 1, Entries: batches(1, "a", "b", "c")})
	c.Durable(c.Ready().Sync)
	require.Equal(t, Slot(3), c.Last())
	return c
}

func batches(first Slot, values ...string) []Entry {
	var out []Entry
	for i, v := range values {
		out = append(out, Entry{Slot: first + Slot(i), Kind: KindBatch, Value: []byte(v)})
	}
	return out
}

// accepted returns the Accepted in rd, which must have one.
func accepted(t *testing.T, rd Ready) Accepted {
	t.Helper()
	for _, e := range append(rd.Messages, rd.AfterSync...) {
		if m, ok := e.Message.(Accepted); ok {
			return m
		}
	}
	require.Fail(t, "no Accepted")
	return Accepted{}
}

// TestAcceptedSpeaksOfOneBallot: what is held of an older ballot is not
// acknowledged to a leader that has not sent it.
func TestAcceptedSpeaksOfOneBallot(t *testing.T) {
	c := acceptorOfTwoBallots(t)
	step(c, 2, Accept{Ballot: Ballot{2, 2}, Round: 1, First: 1, Entries: batches(1, "A")})
	require.Equal(t, Accepted{Ballot: Ballot{2, 2}, Through: 1}, accepted(t, c.Ready()))
	step(c, 2, Heartbeat{Ballot: Ballot{2, 2}, Commit: 3, Round: 2})
	c.Ready()
	require.Equal(t, Slot(1), c.Commit(), "b and c need not be what was chosen")
}

// TestGapIsRefused: the Accepts of a ballot are taken in slot order, also where
// an older ballot has left something in the slots between.
func TestGapIsRefused(t *testing.T) {
	for _, first := range []Slot{2, 3, 4, 5} {
		c := acceptorOfTwoBallots(t)
		step(c, 2, Accept{Ballot: Ballot{2, 2}, Round: 1, First: first, Entries: batches(first, "X")})
		rd := c.Ready()
		require.Empty(t, rd.Entries)
		require.Equal(t, []string{"heartbeat-ack"}, kinds(append(rd.Messages, rd.AfterSync...)))
		ack := rd.Messages[0].Message.(HeartbeatAck)
		require.True(t, ack.Gap)
		require.Zero(t, ack.Held)
	}
}
