package replica

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// diskImage is a copy of what a member's disk holds.
type diskImage struct {
	identity Identity
	log      []Record
}

func (m *member) image() diskImage {
	return diskImage{identity: m.identity, log: slices.Clone(m.log)}
}

// putBack ends the process of m and puts an image in the place of its disk.
func (m *member) putBack(i diskImage) {
	m.crash()
	m.identity, m.log = i.identity, i.log
	m.identity.Boot++
	m.identity.BootID = 77
}

// restart ends the process of m and begins another one.
func (m *member) restart() {
	m.crash()
	m.identity.BootID = m.identity.Boot
	m.start()
}

// requireOldCopy has the group run on until m is told that its disk is an old
// copy, and recover it.
func (g *rig) requireOldCopy(m *member, why string) {
	g.t.Helper()
	g.run(2 * time.Second)
	require.Contains(g.t, m.lost, why)
	require.Contains(g.t, m.lost, "it is an old copy")
	m.lost = ""
	m.loseDisk()
	m.start()
	g.run(2 * time.Second)
	require.Equal(g.t, PhaseMember, m.identity.Phase)
	require.Empty(g.t, m.lost)
	g.requireConverged()
}

// TestOldCopyWithoutALossIsALostDisk: peers remember more than the disk holds.
func TestOldCopyWithoutALossIsALostDisk(t *testing.T) {
	t.Run("it was started since", func(t *testing.T) {
		g := formed(t, 3, Options{})
		m := g.followers()[0]
		old := m.image()
		m.restart()
		g.run(2 * time.Second)
		m.putBack(old)
		m.start()
		g.requireOldCopy(m, "start 2 of this disk, and this one, number 2, is another")
	})
	t.Run("it was started twice since", func(t *testing.T) {
		g := formed(t, 3, Options{})
		m := g.followers()[0]
		old := m.image()
		m.restart()
		m.restart()
		g.run(2 * time.Second)
		m.putBack(old)
		m.start()
		g.requireOldCopy(m, "start 3 of this disk, and this one, number 2, is another")
	})
	t.Run("it has acknowledged slots since", func(t *testing.T) {
		g := formed(t, 3, Options{})
		m := g.followers()[0]
		old := m.image()
		g.set("set a 1")
		g.set("set b 1")
		m.putBack(old)
		m.start()
		g.requireOldCopy(m, "slot")
	})
	t.Run("it has promised a ballot since", func(t *testing.T) {
		g := formed(t, 3, Options{})
		m, lead := g.followers()[0], g.leader()
		old := m.image()
		g.isolate(lead)
		g.filter = func(e paxos.Envelope) bool { // it has no slot of the next leader
			_, accept := e.Message.(paxos.Accept)
			return !accept
		}
		g.run(3 * time.Second)
		require.NotEqual(t, lead, g.leader())
		g.filter = nil
		g.heal()
		m.putBack(old)
		m.start()
		g.requireOldCopy(m, "that this disk promised ballot")
	})
	t.Run("and all the others were started since", func(t *testing.T) {
		g := formed(t, 3, Options{})
		m := g.followers()[0]
		old := m.image()
		m.restart()
		g.run(2 * time.Second)
		for _, o := range g.members {
			if o != m {
				o.restart()
			}
		}
		m.putBack(old)
		m.start()
		g.requireOldCopy(m, "start 2 of this disk")
	})
}

// TestGoodDiskIsNotCalledOld: whatever happens to processes, messages and unsynced
// writes, nobody whose disk is its own is told that it is an old copy.
func TestGoodDiskIsNotCalledOld(t *testing.T) {
	g := formed(t, 3, Options{})
	var late []paxos.Envelope
	for round := range 30 {
		m := g.members[round%3]
		m.slow = true // what it accepts now is lost
		if lead := g.leader(); lead != nil {
			lead.propose(fmt.Sprintf("set a %d", round))
		}
		g.run(50 * time.Millisecond)
		m.slow = false
		g.filter = func(e paxos.Envelope) bool {
			switch e.Message.(type) {
			case paxos.Started, paxos.Remembered:
				late = append(late, e) // and again, later
			}
			return round%4 != 0 || e.From != m.index
		}
		m.restart()
		g.run(time.Duration(round%5) * 300 * time.Millisecond)
		g.filter = nil
		if round%7 == 0 {
			for _, e := range late {
				g.deliver(e)
			}
		}
	}
	g.requireConverged()
	for _, m := range g.members {
		require.Empty(t, m.lost)
		require.Zero(t, m.identity.Life.Epoch)
	}
}

// TestVoteBeforeItsStart: what a member acknowledges may be heard before that it has
// started, and however often its disk has been.
func TestVoteBeforeItsStart(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	m.loseDisk()
	m.identity.Boot = 0
	m.start()
	votes := false
	g.filter = func(e paxos.Envelope) bool {
		_, started := e.Message.(paxos.Started)
		_, accepted := e.Message.(paxos.Accepted)
		votes = votes || e.From == m.index && accepted
		return !started || votes
	}
	g.run(3 * time.Second)
	require.Equal(t, PhaseMember, m.identity.Phase)
	require.Empty(t, m.lost)
	require.True(t, m.r.peers.told[g.leader().index])
}

// TestStartIsRepeatedUntilItIsAnswered: a member that was away hears of the starts
// that it has missed.
func TestStartIsRepeatedUntilItIsAnswered(t *testing.T) {
	g := formed(t, 3, Options{})
	m, other := g.followers()[0], g.followers()[1]
	other.crash()
	old := m.image()
	m.restart()
	g.run(3 * time.Second)
	other.start()
	g.run(3 * time.Second)
	g.isolate(g.leader()) // nobody but other is left to tell
	m.putBack(old)
	m.start()
	g.run(time.Second)
	require.Contains(t, m.lost, fmt.Sprintf("member %d remembers start 2", other.index))
}

// TestPeersOfAnotherClusterAreForgotten: a file that cannot be read, or speaks of
// other disks, is as good as none.
func TestPeersOfAnotherClusterAreForgotten(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	cluster, memory, err := decodePeers(m.peers)
	require.NoError(t, err)
	require.Equal(t, m.identity.Cluster, cluster)
	require.NotZero(t, memory)

	m.peers = encodePeers(cluster+1, &memory)
	m.crash()
	m.start()
	require.Zero(t, m.r.peers.memory)

	m.peers = []byte("no such file")
	m.crash()
	m.start()
	require.True(t, m.said("what was remembered of the other members' disks is lost"))
	g.run(2 * time.Second)
	g.leader().restart()
	g.run(2 * time.Second)
	require.NotZero(t, m.r.peers.memory)
	g.requireConverged()
}

// TestPeersThatCannotBeStored: a start counts as noted when it is on disk, not
// earlier, and is repeated until then.
func TestPeersThatCannotBeStored(t *testing.T) {
	g := formed(t, 3, Options{})
	m, other := g.followers()[0], g.followers()[1]
	other.failPeers = true
	other.peers = nil
	m.restart()
	g.run(2 * time.Second)
	require.True(t, other.said("could not be noted"))
	require.False(t, m.r.peers.told[other.index])
	other.failPeers = false
	g.run(2 * time.Second)
	require.True(t, m.r.peers.told[other.index])
	require.NotNil(t, other.peers)
	g.requireConverged()
}

// TestReadmittedMemberTellsNoSlot: what a member holds when it is let back need not
// be durable yet. If it told, the others would call its disk old after a crash.
func TestReadmittedMemberTellsNoSlot(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	m.loseDisk()
	m.start()
	var told []paxos.Holding
	g.filter = func(e paxos.Envelope) bool {
		if s, ok := e.Message.(paxos.Started); ok && e.From == m.index {
			told = append(told, s.Holding)
		}
		return true
	}
	g.run(2 * time.Second)
	require.NotEmpty(t, told)
	for _, h := range told {
		require.Equal(t, paxos.Holding{Boot: m.identity.Boot, BootID: m.identity.BootID}, h)
	}
	m.restart()
	told = nil
	g.run(2 * time.Second)
	require.NotZero(t, told[0].Last, "what was replayed is durable")
	require.Equal(t, m.r.core.Promised(), told[0].Promised)
}
