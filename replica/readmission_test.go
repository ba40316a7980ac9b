package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// TestReadmissionWaitsForItsState: IDENTITY says that a member votes again only
// when the promise and the epoch of that are in its log, though syncs that were
// asked for earlier end in between (docs/protocol.md, "Losing a disk", rule 5).
func TestReadmissionWaitsForItsState(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	m.loseDisk()
	m.start()
	for m.r.core == nil {
		g.run(10 * time.Millisecond)
	}
	m.slow = true // a sync ends when another is on its way
	stored := false
	m.crashBefore = func() bool {
		stored = true
		var newest paxos.HardState
		for _, rec := range m.log {
			if rec.Kind == RecordState {
				h, err := paxos.DecodeHardState(rec.Payload)
				require.NoError(t, err)
				newest = h
			}
		}
		require.False(t, newest.Recovering, "the state of the readmission is not in the log")
		require.EqualValues(t, 1, newest.Vector[m.index].Epoch)
		require.False(t, newest.Promised.Less(g.leader().r.core.Promised()))
		return false
	}
	for i := 0; !stored; i++ {
		require.Less(t, i, 200, "it is never let back")
		g.leader().propose(fmt.Sprintf("set a %d", i))
		g.run(10 * time.Millisecond)
		for len(m.pending) > 2 {
			m.sync()
			g.settle()
		}
	}
	m.slow = false
	g.requireConverged()
	require.Equal(t, PhaseMember, m.identity.Phase)
}

// TestOldHelloFormsNoGroup: a hello that does not echo this disk's nonce was
// sent to another one, and its sender may be gone.
func TestOldHelloFormsNoGroup(t *testing.T) {
	g := newRig(t, 3, Options{})
	m := g.members[0]
	m.start()
	hello := func(from paxos.ReplicaID, echo uint64) {
		g.deliver(paxos.Envelope{
			Group: 5, From: from, To: 0, Life: paxos.Life{Nonce: uint64(from) + 1},
			Message: paxos.FormHello{Size: 3, Echo: echo},
		})
		g.settle()
	}
	hello(1, m.identity.Life.Nonce)
	hello(2, 99) // the nonce of the disk that was here before
	hello(2, 0)
	require.Equal(t, PhaseForming, m.identity.Phase)
	hello(2, m.identity.Life.Nonce)
	require.Equal(t, PhaseMember, m.identity.Phase)
}
