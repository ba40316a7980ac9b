package paxos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestQuorumIsMoreThanHalf: half of an even group elects nobody, chooses
// nothing and confirms no read, since the other half could do the same.
func TestQuorumIsMoreThanHalf(t *testing.T) {
	for size := 1; size <= MaxReplicas; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			need := size/2 + 1
			c := testCore(t, size)
			c.Tick(time.Second, 0)
			for id := 1; id < need; id++ {
				require.NotEqual(t, Candidate, c.Role())
				step(c, ReplicaID(id), PreVoteReply{Ballot: Ballot{1, 0}, Granted: true})
			}
			require.Equal(t, Candidate, c.Role())
			c.Durable(c.Ready().Sync)
			for id := 1; id < need; id++ {
				require.NotEqual(t, Leader, c.Role())
				step(c, ReplicaID(id), Promise{Ballot: Ballot{1, 0}, From: 1, LogStart: 1})
			}
			require.Equal(t, Leader, c.Role())

			c.Propose(KindBatch, []byte("a"))
			c.Read(7)
			rd := c.Ready()
			c.Durable(rd.Sync)
			for id := 1; id < need; id++ {
				require.Zero(t, c.Commit())
				step(c, ReplicaID(id), Accepted{Ballot: Ballot{1, 0}, Through: 1})
			}
			require.Equal(t, Slot(1), c.Commit())
			reads := append(rd.Reads, c.Ready().Reads...)
			for id := 1; id < need; id++ {
				require.Empty(t, reads)
				step(c, ReplicaID(id), HeartbeatAck{Ballot: Ballot{1, 0}, Round: c.lead.round, Held: 1})
				reads = append(reads, c.Ready().Reads...)
			}
			require.Len(t, reads, 1)
		})
	}
}

// TestLeaseOutlivesTheVoter: a voter that was restarted may have granted a lease
// that still runs. It refuses every candidate for as long as one may.
func TestLeaseOutlivesTheVoter(t *testing.T) {
	c := New(Config{Cluster: 1, Group: 1, Size: 3, Life: Life{Nonce: 1}, Rand: rand.New(fixedSource(0)), Lease: true})
	c.Start(time.Hour, 0)
	c.Tick(time.Hour+299*time.Millisecond, 0)
	step(c, 1, PreVote{Ballot: Ballot{2, 1}})
	step(c, 1, Prepare{Ballot: Ballot{2, 1}, From: 1})
	rd := c.Ready()
	require.Equal(t, []string{"pre-vote-reply"}, kinds(rd.Messages))
	require.False(t, rd.Messages[0].Message.(PreVoteReply).Granted)
	require.Empty(t, rd.AfterSync, "no promise")
	c.Tick(time.Hour+300*time.Millisecond, 0)
	step(c, 1, Prepare{Ballot: Ballot{2, 1}, From: 1})
	require.Equal(t, []string{"promise"}, kinds(c.Ready().AfterSync))
}

// leaseLeader returns replica 0 of three, which leads with leases at second 1 and
// whose first round, sent then, is not confirmed.
func leaseLeader(t *testing.T) *Core {
	t.Helper()
	c := New(Config{Cluster: 1, Group: 1, Size: 3, Life: Life{Nonce: 1}, Rand: rand.New(fixedSource(0)), Lease: true})
	c.Start(0, 0)
	leader(t, c)
	return c
}

// TestLeaseCountsFromTheSend: however late the confirmation comes, the voters
// hold the lease from when they saw the round, which may be right behind the send.
func TestLeaseCountsFromTheSend(t *testing.T) {
	c := leaseLeader(t)
	c.Tick(time.Second+230*time.Millisecond, 0)
	step(c, 1, HeartbeatAck{Ballot: Ballot{1, 0}, Round: 1})
	c.Read(1)
	require.Len(t, c.Ready().Reads, 1, "within 240 ms of the send")
	c.Tick(time.Second+250*time.Millisecond, 0)
	c.Read(2)
	require.Empty(t, c.Ready().Reads)
}

// TestNoLeaseAfterAHandOver: the voters let a hand-over pass by the lease,
// whenever it arrives.
func TestNoLeaseAfterAHandOver(t *testing.T) {
	c := leaseLeader(t)
	step(c, 1, HeartbeatAck{Ballot: Ballot{1, 0}, Round: 1})
	c.Read(1)
	require.Len(t, c.Ready().Reads, 1)
	require.True(t, c.HandOver())
	c.Ready()
	c.Read(2)
	require.Empty(t, c.Ready().Reads, "not on the lease that it had")
	step(c, 1, HeartbeatAck{Ballot: Ballot{1, 0}, Round: c.lead.round})
	require.Len(t, c.Ready().Reads, 1, "by a confirmation")
	c.Read(3)
	require.Empty(t, c.Ready().Reads, "and not on a new one")
}

// TestPagesOfAPromiseTakeTheirTime: a candidate does not begin again while pages of
// promises come, however many there are and however long each takes.
func TestPagesOfAPromiseTakeTheirTime(t *testing.T) {
	c := testCore(t, 3)
	old := Ballot{3, 2}
	step(c, 2, PreVoteReply{Promised: old})
	at := time.Second
	c.Tick(at, 0)
	b := Ballot{4, 0}
	step(c, 1, PreVoteReply{Ballot: b, Granted: true})
	c.Durable(c.Ready().Sync)
	for s := Slot(1); s <= 10; s++ {
		at += 250 * time.Millisecond // of 300
		c.Tick(at, 0)
		step(c, 1, Promise{
			Ballot: b, From: s, LogStart: 1, More: s < 10,
			Entries: []Entry{{Slot: s, Ballot: old, Kind: KindNoop}},
		})
	}
	require.Equal(t, Leader, c.Role())
	require.Equal(t, Slot(10), c.Last())
}

// TestBytesOfAPromiseKeepACandidacy: a page may hold one value that takes longer on its
// way than an election timeout. Those who have answered already are kept waiting.
func TestBytesOfAPromiseKeepACandidacy(t *testing.T) {
	c := testCore(t, 5)
	at := time.Second
	c.Tick(at, 0)
	b := Ballot{1, 0}
	step(c, 1, PreVoteReply{Ballot: b, Granted: true})
	step(c, 2, PreVoteReply{Ballot: b, Granted: true})
	c.Durable(c.Ready().Sync)
	step(c, 1, Promise{Ballot: b, From: 1, LogStart: 1})
	for range 40 {
		at += 100 * time.Millisecond
		c.Heard(2) // a part of the page
		c.Tick(at, 0)
		var asked []ReplicaID
		for _, e := range c.Ready().Messages {
			require.IsType(t, Prepare{}, e.Message)
			asked = append(asked, e.To)
		}
		require.Equal(t, []ReplicaID{1, 2, 3, 4}, asked)
	}
	require.Equal(t, Candidate, c.Role())
	require.Equal(t, b, c.Promised())
	step(c, 2, Promise{Ballot: b, From: 1, LogStart: 1, Entries: batches(1, "large")})
	require.Equal(t, Leader, c.Role())
}

// TestLargePageIsNotSentWithEveryQuestion: it is on its way, and would only be held up.
// It is sent again after a while, and at once when it was lost or another one is wanted.
func TestLargePageIsNotSentWithEveryQuestion(t *testing.T) {
	c := testCore(t, 3)
	large := strings.Repeat("v", 512<<10)
	step(c, 1, Accept{Ballot: Ballot{1, 1}, Round: 1, First: 1, Entries: batches(1, large, "small")})
	c.Durable(c.Ready().Sync)
	at := time.Duration(0)
	sent := func(from Slot, ballot Ballot, times int) (pages int) {
		for range times {
			at += 50 * time.Millisecond
			c.Tick(at, 0)
			step(c, 2, Prepare{Ballot: ballot, From: from})
			rd := c.Ready()
			c.Durable(rd.Sync)
			for _, e := range append(rd.Messages, rd.AfterSync...) {
				if _, ok := e.Message.(Promise); ok {
					pages++
				}
			}
		}
		return pages
	}
	b := Ballot{2, 2}
	require.Equal(t, 1, sent(1, b, 4))
	require.Equal(t, 1, sent(1, b, 1), "again after 200 ms")
	require.Equal(t, 0, sent(1, b, 7))
	require.Equal(t, 1, sent(1, b, 1), "and after 400 more")
	c.Lost(2)
	require.Equal(t, 1, sent(1, b, 1))
	require.Equal(t, 3, sent(2, b, 3), "a small one costs nothing")
	require.Equal(t, 1, sent(1, Ballot{3, 2}, 1), "another candidacy")
	require.Equal(t, Follower, c.Role(), "and who is asked does not run for leader")
}
