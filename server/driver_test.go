package server

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/replica"
)

// steppedNode returns member 0 of a group of three that has formed. Its loop
// does not run: the test takes the inputs.
func steppedNode(t *testing.T) *Node {
	t.Helper()
	dir := t.TempDir()
	o := Options{
		Dir: dir, Listen: "127.0.0.1:0", Group: 1, Bootstrap: true, MinFreeBytes: 1,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, name := range []string{"a", "b", "c"} {
		o.Peers = append(o.Peers, "unix:"+filepath.Join(dir, name)) // nobody listens there
	}
	n, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(n.Close)
	n.replica.Start(n.now())
	n.replica.Receive(paxos.Envelope{
		Cluster: 9, Group: 1, From: 1, Life: paxos.Life{Nonce: 2},
		Message: paxos.FormGenesis{Size: 3, Vector: paxos.Vector{n.replica.Identity().Life, {Nonce: 2}, {Nonce: 3}}},
	})
	n.carryOut(n.replica.Output())
	takeInputs(t, n)
	require.Equal(t, replica.PhaseMember, n.replica.Identity().Phase)
	return n
}

// takeInputs waits for inputs and hands them to the replica.
func takeInputs(t *testing.T, n *Node) {
	t.Helper()
	select {
	case <-n.inbox.wake:
	case <-time.After(20 * time.Second):
		require.Fail(t, "no input came")
	}
	for _, in := range n.inbox.take(nil) {
		in(n.replica)
	}
	n.carryOut(n.replica.Output())
}

// queued is how many bytes wait to be sent to member 1.
func queued(n *Node) int { return n.transport.Status()[0].QueuedBytes }

// prepare has member 1 ask the node for a promise.
func prepare(n *Node) {
	n.replica.Receive(paxos.Envelope{
		Cluster: 9, Group: 1, From: 1, Life: paxos.Life{Nonce: 2},
		Message: paxos.Prepare{Ballot: paxos.Ballot{Round: 3, Replica: 1}, From: 1},
	})
}

// TestVotesLeaveAfterTheirSync: the loop keeps what must not leave before a sync
// until the log has reported that as durable, however fast the disk is.
func TestVotesLeaveAfterTheirSync(t *testing.T) {
	n := steppedNode(t)
	before := queued(n)
	prepare(n)
	out := n.replica.Output()
	require.Len(t, out.AfterSync, 1)
	require.NotEmpty(t, out.Records)
	n.carryOut(out)
	require.Equal(t, before, queued(n), "the promise is not known to be durable")
	takeInputs(t, n)
	require.Greater(t, queued(n), before)
}

// TestNothingLeavesAfterAFailure: what memory says may no longer be what the
// disk holds.
func TestNothingLeavesAfterAFailure(t *testing.T) {
	n := steppedNode(t)
	before := queued(n)
	n.fail(errors.New("input/output error"))
	n.replica.Receive(paxos.Envelope{
		Cluster: 9, Group: 1, From: 1, Life: paxos.Life{Nonce: 2},
		Message: paxos.PreVote{Ballot: paxos.Ballot{Round: 3, Replica: 1}},
	})
	out := n.replica.Output()
	require.NotEmpty(t, out.Messages)
	n.carryOut(out)
	require.Equal(t, before, queued(n))
}
