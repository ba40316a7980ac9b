package paxos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testCore returns a started Core of replica 0.
func testCore(t *testing.T, size int) *Core {
	t.Helper()
	c := New(Config{Cluster: 1, Group: 1, Size: size, Life: Life{Nonce: 1}, Rand: rand.New(fixedSource(0))})
	c.Start(0, 0)
	return c
}

// step has c take m from another replica.
func step(c *Core, from ReplicaID, m Message) {
	c.Step(Envelope{Cluster: 1, Group: 1, From: from, To: 0, Life: Life{Nonce: uint64(from) + 1}, Message: m})
}

func kinds(es []Envelope) []string {
	var out []string
	for _, e := range es {
		out = append(out, kindNames[e.Message.kind()])
	}
	return out
}

// candidate makes c of replica 0 a candidate under ballot 1.0 whose promise is
// not durable.
func candidate(t *testing.T, c *Core) {
	t.Helper()
	c.Tick(time.Second, 0)
	c.Ready()
	step(c, 1, PreVoteReply{Ballot: Ballot{1, 0}, Granted: true})
	require.Equal(t, Candidate, c.Role())
}

// leader makes c of replica 0 of three the leader under ballot 1.0.
func leader(t *testing.T, c *Core) {
	t.Helper()
	candidate(t, c)
	c.Durable(c.Ready().Sync)
	step(c, 1, Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
	require.Equal(t, Leader, c.Role())
	c.Ready()
}

// TestDurableBeforeItLeaves shows, on the outputs of a Core, for every message
// that speaks of something that must not be forgotten, that it leaves with the
// sync that makes that durable and not before (docs/protocol.md, "What is
// durable when").
func TestDurableBeforeItLeaves(t *testing.T) {
	accept := Accept{Ballot: Ballot{1, 1}, Round: 1, First: 1, Entries: []Entry{{Slot: 1, Kind: KindBatch, Value: []byte("a")}}}
	tests := []struct {
		name  string
		setup func(t *testing.T, c *Core) // its outputs are taken and not synced
		act   func(c *Core)
		waits string   // the message that must wait
		now   []string // what may leave at once
		news  bool     // the act itself brings something to be synced
	}{
		{
			name:  "promise",
			act:   func(c *Core) { step(c, 1, Prepare{Ballot: Ballot{1, 1}, From: 1}) },
			waits: "promise", news: true,
		},
		{
			name:  "promise that reports an entry which is not durable",
			setup: func(_ *testing.T, c *Core) { step(c, 1, accept) },
			act:   func(c *Core) { step(c, 2, Prepare{Ballot: Ballot{2, 2}, From: 1}) },
			waits: "promise", news: true,
		},
		{
			name:  "promise asked for once more while the first waits",
			setup: func(_ *testing.T, c *Core) { step(c, 1, Prepare{Ballot: Ballot{1, 1}, From: 1}) },
			act:   func(c *Core) { step(c, 1, Prepare{Ballot: Ballot{1, 1}, From: 1}) },
			waits: "promise",
		},
		{
			name:  "accepted",
			act:   func(c *Core) { step(c, 1, accept) },
			waits: "accepted", now: []string{"heartbeat-ack"}, news: true,
		},
		{
			name:  "accepted for an entry that comes twice",
			setup: func(_ *testing.T, c *Core) { step(c, 1, accept) },
			act:   func(c *Core) { step(c, 1, accept) },
			waits: "accepted", now: []string{"heartbeat-ack"},
		},
		{
			name:  "accepted repeated with a heartbeat",
			setup: func(_ *testing.T, c *Core) { step(c, 1, accept) },
			act: func(c *Core) {
				c.Tick(100*time.Millisecond, 0)
				step(c, 1, Heartbeat{Ballot: Ballot{1, 1}, Round: 2})
			},
			waits: "accepted", now: []string{"heartbeat-ack"},
		},
		{
			name: "prepare under a new ballot",
			setup: func(_ *testing.T, c *Core) {
				c.Tick(time.Second, 0)
			},
			act:   func(c *Core) { step(c, 1, PreVoteReply{Ballot: Ballot{1, 0}, Granted: true}) },
			waits: "prepare", news: true,
		},
		{
			name: "prepare after a hand-over",
			setup: func(_ *testing.T, c *Core) {
				step(c, 1, Heartbeat{Ballot: Ballot{1, 1}, Round: 1})
			},
			act:   func(c *Core) { step(c, 1, Handover{Ballot: Ballot{1, 1}}) },
			waits: "prepare", news: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testCore(t, 3)
			if tt.setup != nil {
				tt.setup(t, c)
				c.Ready()
			}
			before := c.issued
			tt.act(c)
			rd := c.Ready()
			require.Equal(t, tt.now, kinds(rd.Messages), "may leave at once")
			require.Contains(t, kinds(rd.AfterSync), tt.waits)
			require.Equal(t, tt.news, rd.MustSync)
			if tt.news {
				require.Equal(t, before+1, rd.Sync)
				require.Equal(t, c.Promised(), rd.HardState.Promised, "the promise is in what is to be synced")
			}
			// The end of an earlier sync lets nothing out, nor does time.
			c.Durable(rd.Sync - 1)
			c.Tick(10*time.Second, 0)
			require.NotContains(t, kinds(c.Ready().Messages), tt.waits)
		})
	}
}

// TestOwnVoteWaitsForOwnSync: what a leader has accepted itself counts when it
// is durable.
func TestOwnVoteWaitsForOwnSync(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		c := testCore(t, 1)
		c.Durable(c.Ready().Sync)
		_, ok := c.Propose(KindBatch, []byte("a"))
		require.True(t, ok)
		rd := c.Ready()
		require.Zero(t, c.Commit())
		require.Empty(t, rd.Committed)
		c.Durable(rd.Sync)
		require.Equal(t, Slot(1), c.Commit())
		require.Len(t, c.Ready().Committed, 1)
	})
	t.Run("with one follower of two", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		_, ok := c.Propose(KindBatch, []byte("a"))
		require.True(t, ok)
		rd := c.Ready()
		require.Equal(t, []string{"accept", "accept"}, kinds(rd.Messages), "Accepts do not wait for the leader's sync")
		step(c, 1, Accepted{Ballot: Ballot{1, 0}, Through: 1})
		require.Zero(t, c.Commit())
		c.Durable(rd.Sync - 1)
		require.Zero(t, c.Commit())
		c.Durable(rd.Sync)
		require.Equal(t, Slot(1), c.Commit())
	})
	t.Run("each slot waits for its own sync", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		c.Propose(KindBatch, []byte("a"))
		first := c.Ready().Sync
		c.Propose(KindBatch, []byte("b"))
		second := c.Ready().Sync
		step(c, 1, Accepted{Ballot: Ballot{1, 0}, Through: 2})
		c.Durable(first)
		require.Equal(t, Slot(1), c.Commit())
		c.Durable(second)
		require.Equal(t, Slot(2), c.Commit())
	})
	t.Run("both followers suffice, and nothing is applied", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		_, ok := c.Propose(KindBatch, []byte("a"))
		require.True(t, ok)
		rd := c.Ready()
		step(c, 1, Accepted{Ballot: Ballot{1, 0}, Through: 1})
		step(c, 2, Accepted{Ballot: Ballot{1, 0}, Through: 1})
		require.Equal(t, Slot(1), c.Commit())
		require.Empty(t, c.Ready().Committed)
		c.Durable(rd.Sync)
		require.Len(t, c.Ready().Committed, 1)
	})
	t.Run("as a candidate", func(t *testing.T) {
		c := testCore(t, 3)
		candidate(t, c)
		rd := c.Ready()
		step(c, 1, Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
		require.Equal(t, Candidate, c.Role(), "its own promise is not durable")
		c.Durable(rd.Sync)
		require.Equal(t, Leader, c.Role())
	})
}

// TestFollowerAppliesWhatIsDurable: a commit index may arrive before the sync
// of what it covers has ended.
func TestFollowerAppliesWhatIsDurable(t *testing.T) {
	c := testCore(t, 3)
	step(c, 1, Accept{Ballot: Ballot{1, 1}, Commit: 1, Round: 1, First: 1, Entries: []Entry{{Kind: KindNoop, Slot: 1}}})
	rd := c.Ready()
	require.Equal(t, Slot(1), c.Commit())
	require.Empty(t, rd.Committed)
	require.Equal(t, Slot(1), rd.HardState.Commit, "true of the log that ends with this batch")
	c.Durable(rd.Sync)
	require.Len(t, c.Ready().Committed, 1)
}

// TestNothingElseWaits: what promises nothing leaves at once, though a sync is
// under way.
func TestNothingElseWaits(t *testing.T) {
	c := testCore(t, 3)
	step(c, 1, Prepare{Ballot: Ballot{3, 1}, From: 1})
	c.Ready()
	c.Tick(time.Second, 0)
	c.Ready()
	step(c, 2, Prepare{Ballot: Ballot{1, 2}, From: 1})
	step(c, 2, PreVote{Ballot: Ballot{4, 2}})
	step(c, 1, Heartbeat{Ballot: Ballot{3, 1}, Round: 1})
	require.Subset(t, kinds(c.Ready().Messages), []string{"nack", "pre-vote-reply", "heartbeat-ack"})
}
