package paxos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newLife is the life of a member after it has lost its disk, and lateLife one
// of a disk that it lost before that.
var (
	newLife  = Life{Epoch: 1, Nonce: 22}
	lateLife = Life{Nonce: 21}
)

// stepAs has c take m from a life of another replica that has a vector.
func stepAs(c *Core, from ReplicaID, l Life, v Vector, m Message) {
	c.Step(Envelope{Cluster: 1, Group: 1, From: from, To: 0, Life: l, Vector: v, Message: m})
}

// rejoin has member 1, which recovers, ask the leader c to let it back.
func rejoin(t *testing.T, c *Core) {
	t.Helper()
	last := c.Last()
	recovers := Life{Nonce: newLife.Nonce}
	stepAs(c, 1, recovers, Vector{}, Progress{Ballot: c.Promised()})
	require.Contains(t, kinds(c.Ready().Messages), "rejoin-notice")
	stepAs(c, 1, recovers, Vector{}, RejoinRequest{Ballot: c.Promised()})
	require.Equal(t, last+1, c.Last(), "a Rejoin was proposed")
}

// TestDeadVotesDoNotCount: what a disk had acknowledged that is gone is no
// vote, whether it comes late or was counted already (docs/protocol.md, "Losing
// a disk", rules 3 and 4).
func TestDeadVotesDoNotCount(t *testing.T) {
	old := Life{Nonce: 2} // of member 1
	t.Run("a vote that comes late", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		rejoin(t, c)
		c.Durable(c.Ready().Sync)
		stepAs(c, 1, old, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		require.Zero(t, c.Commit())
		stepAs(c, 2, Life{Nonce: 3}, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		require.Equal(t, Slot(1), c.Commit())

		c.Propose(KindBatch, []byte("a"))
		c.Durable(c.Ready().Sync)
		stepAs(c, 1, old, Vector{}, Accepted{Ballot: c.Promised(), Through: 2})
		require.Equal(t, Slot(1), c.Commit())
		stepAs(c, 1, newLife, Vector{}, Accepted{Ballot: c.Promised(), Through: 2})
		require.Equal(t, Slot(2), c.Commit(), "the new life's vote counts")
	})
	t.Run("a confirmation that comes late", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		rejoin(t, c)
		c.Read(7)
		rd := c.Ready()
		c.Durable(rd.Sync)
		stepAs(c, 2, Life{Nonce: 3}, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		stepAs(c, 1, old, Vector{}, HeartbeatAck{Ballot: c.Promised(), Round: c.lead.round, Held: 1})
		require.Empty(t, c.Ready().Reads)
		stepAs(c, 1, newLife, Vector{}, HeartbeatAck{Ballot: c.Promised(), Round: c.lead.round, Held: 1})
		require.Equal(t, []ReadState{{ID: 7, OK: true}}, c.Ready().Reads)
	})
	t.Run("a vote that was counted", func(t *testing.T) {
		c := testCore(t, 3)
		leader(t, c)
		c.Propose(KindBatch, []byte("a"))
		first := c.Ready().Sync
		stepAs(c, 1, old, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		rejoin(t, c)
		c.Durable(first)
		require.Zero(t, c.Commit(), "the disk that held it is gone")
	})
	t.Run("a vote that was counted, and another voter knows better", func(t *testing.T) {
		c := testCore(t, 5)
		c.Tick(time.Second, 0)
		for _, id := range []ReplicaID{1, 2} {
			step(c, id, PreVoteReply{Ballot: Ballot{1, 0}, Granted: true})
		}
		c.Durable(c.Ready().Sync)
		step(c, 1, Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
		step(c, 2, Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
		require.Equal(t, Leader, c.Role())
		c.Propose(KindBatch, []byte("a"))
		sync := c.Ready().Sync
		stepAs(c, 1, old, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		stepAs(c, 2, Life{Nonce: 3}, Vector{}, Accepted{Ballot: c.Promised(), Through: 1})
		stepAs(c, 3, Life{Nonce: 4}, Vector{1: newLife}, HeartbeatAck{Ballot: c.Promised()})
		c.Durable(sync)
		require.Zero(t, c.Commit())
	})
}

// TestLifeIsTakenInTheSyncOfItsEntry: a quorum that holds a Rejoin must not
// count the votes of the life before, so its members know of it as soon as they
// hold it, and a restart finds both or neither.
func TestLifeIsTakenInTheSyncOfItsEntry(t *testing.T) {
	c := testCore(t, 3)
	value := encodeRejoin(Rejoin{Replica: 1, Life: newLife})
	step(c, 2, Accept{Ballot: Ballot{1, 2}, Round: 1, First: 1, Entries: []Entry{{Slot: 1, Kind: KindRejoin, Value: value}}})
	rd := c.Ready()
	require.Zero(t, c.Commit(), "it is not known as chosen")
	require.Len(t, rd.Entries, 1)
	require.True(t, rd.StateChanged)
	require.Equal(t, newLife, rd.HardState.Vector[1], "in the batch of the entry")
	require.Equal(t, []string{"accepted"}, kinds(rd.AfterSync))
	require.Equal(t, newLife, rd.AfterSync[0].Vector[1], "the vote says so")

	t.Run("later, in another ballot", func(t *testing.T) {
		c := testCore(t, 3)
		value := encodeRejoin(Rejoin{Replica: 1, Life: newLife})
		step(c, 2, Accept{Ballot: Ballot{1, 2}, Round: 1, First: 1, Entries: []Entry{{Slot: 1, Kind: KindNoop}}})
		c.Ready()
		// Nothing but the vector changes the hard state now.
		step(c, 2, Accept{Ballot: Ballot{1, 2}, Round: 1, First: 2, Entries: []Entry{{Slot: 2, Kind: KindRejoin, Value: value}}})
		rd := c.Ready()
		require.True(t, rd.StateChanged)
		require.Equal(t, newLife, rd.HardState.Vector[1])
	})
}

// recoveringCore returns replica 0 of three, which has lost its disk and whose
// Rejoin the leader 1 of ballot 5 has shown as chosen. It has applied that.
func recoveringCore(t *testing.T) *Core {
	t.Helper()
	c := New(Config{
		Cluster: 1, Group: 1, Size: 3, Life: Life{Nonce: newLife.Nonce}, Recovering: true,
		Rand: rand.New(fixedSource(0)),
	})
	require.NoError(t, c.RestoreHardState(HardState{
		Vector: Vector{{Nonce: 1}, {Nonce: 2}, {Nonce: 3}}, Recovering: true,
	}))
	c.Start(0, 0)
	value := encodeRejoin(Rejoin{Replica: 0, Life: newLife})
	step(c, 1, Accept{Ballot: Ballot{5, 1}, Commit: 1, Round: 1, First: 1, Entries: []Entry{{Slot: 1, Kind: KindRejoin, Value: value}}})
	require.Empty(t, votesIn(c.Ready()))
	c.Durable(c.issued)
	require.Len(t, c.Ready().Committed, 1)
	return c
}

// votesIn returns the kinds of messages in rd that count for something.
func votesIn(rd Ready) []string {
	var out []string
	for _, k := range kinds(append(rd.Messages, rd.AfterSync...)) {
		switch k {
		case "progress", "rejoin-request":
		default:
			out = append(out, k)
		}
	}
	return out
}

// TestRecoveringReplicaVotesOnNothing: it may have voted on anything before.
func TestRecoveringReplicaVotesOnNothing(t *testing.T) {
	c := recoveringCore(t)
	step(c, 1, Heartbeat{Ballot: Ballot{5, 1}, Commit: 1, Round: 2}) // shows it that it is let back
	require.Empty(t, votesIn(c.Ready()), "it is let back when that is in IDENTITY")
	c.Tick(10*time.Second, 0)
	step(c, 2, PreVote{Ballot: Ballot{7, 2}, Commit: 1})
	step(c, 2, Prepare{Ballot: Ballot{7, 2}, From: 1})
	step(c, 1, Handover{Ballot: Ballot{5, 1}})
	step(c, 1, Accept{Ballot: Ballot{5, 1}, Commit: 1, Round: 3, First: 2, Entries: []Entry{{Slot: 2, Kind: KindNoop}}})
	require.Equal(t, Slot(1), c.Last(), "it takes only what is chosen")
	c.Durable(c.issued)
	require.Empty(t, votesIn(c.Ready()))
	require.Equal(t, Follower, c.Role())
}

// TestPromiseFloor: a replica that is let back has promised the ballot of the
// leader that showed its Rejoin as chosen, so it is of no use to a lower one for
// which its old disk may have voted.
func TestPromiseFloor(t *testing.T) {
	c := recoveringCore(t)
	step(c, 1, Heartbeat{Ballot: Ballot{5, 1}, Commit: 1, Round: 2})
	rd := c.Ready()
	require.Equal(t, &newLife, rd.Readmitted)
	require.True(t, rd.StateChanged)
	require.Equal(t, Ballot{5, 1}, rd.HardState.Promised)
	require.Equal(t, newLife, rd.HardState.Vector[0])
	require.False(t, rd.HardState.Recovering)
	c.Durable(rd.Sync)
	c.Readmit()

	step(c, 2, Prepare{Ballot: Ballot{4, 2}, From: 1})
	step(c, 2, Accept{Ballot: Ballot{4, 2}, Round: 1, First: 2, Entries: []Entry{{Slot: 2, Kind: KindNoop}}})
	rd = c.Ready()
	require.Equal(t, []string{"nack", "nack"}, votesIn(rd))
	step(c, 2, Prepare{Ballot: Ballot{6, 2}, From: 1})
	rd = c.Ready()
	require.Equal(t, []string{"promise"}, votesIn(rd), "it votes")
	require.Equal(t, newLife, rd.AfterSync[0].Life)
}

// TestLateRequestToRejoin: a request of a disk that was lost in turn must not
// make the life that was let back since look dead.
func TestLateRequestToRejoin(t *testing.T) {
	c := testCore(t, 3)
	leader(t, c)
	rejoin(t, c)
	c.Durable(c.Ready().Sync)
	step(c, 2, Accepted{Ballot: c.Promised(), Through: 1})
	c.Ready()
	require.Equal(t, newLife, c.Lives()[1])

	stepAs(c, 1, lateLife, Vector{}, RejoinRequest{Ballot: c.Promised(), Prev: 0})
	require.Equal(t, Slot(1), c.Last(), "it names an epoch that is past")
	stepAs(c, 1, Life{Nonce: newLife.Nonce}, Vector{}, RejoinRequest{Ballot: c.Promised(), Prev: 0})
	require.Equal(t, Slot(1), c.Last(), "the same once more changes nothing")
	stepAs(c, 1, Life{Nonce: 23}, Vector{}, RejoinRequest{Ballot: c.Promised(), Prev: 1})
	require.Equal(t, Slot(2), c.Last(), "a loss since then is told apart")
}

// TestOldCopyVotesNoMore: a replica that hears that it was let back with another
// disk runs on a copy of the one before.
func TestOldCopyVotesNoMore(t *testing.T) {
	c := testCore(t, 3)
	step(c, 1, Heartbeat{Ballot: Ballot{1, 1}, Round: 1})
	step(c, 1, RejoinNotice{Ballot: Ballot{1, 1}, Epoch: 1, Chosen: Life{Epoch: 1, Nonce: 77}})
	require.NotEmpty(t, c.Ready().Lost)
	c.Tick(10*time.Second, 0)
	step(c, 2, PreVote{Ballot: Ballot{2, 2}})
	step(c, 2, Prepare{Ballot: Ballot{2, 2}, From: 1})
	step(c, 1, Accept{Ballot: Ballot{1, 1}, Round: 2, First: 1, Entries: []Entry{{Slot: 1, Kind: KindNoop}}})
	c.Durable(c.issued)
	require.Empty(t, votesIn(c.Ready()))
}

// TestRejoinWaitsForWhatWasAdopted: a leader lets nobody back while what it took
// over from earlier leaders is not chosen.
func TestRejoinWaitsForWhatWasAdopted(t *testing.T) {
	c := testCore(t, 3)
	step(c, 2, PreVoteReply{Promised: Ballot{3, 2}}) // so its own ballots are above that
	c.Tick(time.Second, 0)
	b := Ballot{4, 0}
	step(c, 2, PreVoteReply{Ballot: b, Granted: true})
	c.Durable(c.Ready().Sync)
	step(c, 2, Promise{Ballot: b, From: 1, LogStart: 1, Entries: []Entry{{Slot: 1, Ballot: Ballot{3, 2}, Kind: KindNoop}}})
	require.Equal(t, Leader, c.Role())
	c.Durable(c.Ready().Sync)

	recovers := Life{Nonce: newLife.Nonce}
	stepAs(c, 1, recovers, Vector{}, RejoinRequest{Ballot: b})
	require.Equal(t, Slot(1), c.Last())
	step(c, 2, Accepted{Ballot: b, Through: 1})
	stepAs(c, 1, recovers, Vector{}, RejoinRequest{Ballot: b})
	require.Equal(t, Slot(2), c.Last())
}

// TestLateProgress: what a member sent while it recovered, and comes when it votes
// again, does not make the leader take it for one that recovers.
func TestLateProgress(t *testing.T) {
	c := testCore(t, 3)
	leader(t, c)
	rejoin(t, c)
	b := c.Promised()
	c.Durable(c.Ready().Sync)
	step(c, 2, Accepted{Ballot: b, Through: 1})
	stepAs(c, 1, newLife, Vector{}, Accepted{Ballot: b, Through: 1})
	stepAs(c, 1, Life{Nonce: newLife.Nonce}, Vector{}, Progress{Ballot: b, Held: 1})
	match, _ := c.Match(1)
	require.Equal(t, Slot(1), match, "its vote counts on")
	c.Ready()
	c.Propose(KindBatch, nil)
	require.Equal(t, 1, accepts(c.Ready()), "it is sent what is not chosen yet")
}

// TestRecoveringReplicaSpeaksWithoutAnEpoch: so that what it sends until IDENTITY
// says that it votes again can be told from its votes.
func TestRecoveringReplicaSpeaksWithoutAnEpoch(t *testing.T) {
	c := recoveringCore(t)
	rejoined := func(commit Slot) []Envelope {
		step(c, 1, Heartbeat{Ballot: Ballot{5, 1}, Commit: commit})
		rd := c.Ready()
		return append(rd.Messages, rd.AfterSync...)
	}
	for _, e := range rejoined(1) {
		require.IsType(t, Progress{}, e.Message)
		require.Equal(t, Life{Nonce: newLife.Nonce}, e.Life)
	}
	c.Durable(c.issued)
	c.Readmit()
	votes := rejoined(1)
	require.NotEmpty(t, votes)
	for _, e := range votes {
		require.Equal(t, newLife, e.Life)
	}
}

// TestLeaderThatWasStartedAgain: whoever asks for a pre-vote does not lead, so it is
// no sign of life of the leader that it was.
func TestLeaderThatWasStartedAgain(t *testing.T) {
	c := testCore(t, 3)
	step(c, 1, Heartbeat{Ballot: Ballot{1, 1}})
	c.Ready()
	c.Heard(1)
	step(c, 1, PreVote{Ballot: Ballot{2, 1}})
	rd := c.Ready()
	require.Equal(t, PreVoteReply{Ballot: Ballot{2, 1}, Granted: true, Promised: Ballot{1, 1}}, rd.Messages[0].Message)
	step(c, 1, Heartbeat{Ballot: Ballot{1, 1}})
	step(c, 2, PreVote{Ballot: Ballot{2, 2}})
	rd = c.Ready()
	require.Equal(t, PreVoteReply{Ballot: Ballot{2, 2}, Promised: Ballot{1, 1}}, rd.Messages[len(rd.Messages)-1].Message)
}
