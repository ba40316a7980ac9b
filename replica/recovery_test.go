package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

func TestEachMemberInTurnLosesItsDisk(t *testing.T) {
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			g := formed(t, size, Options{})
			for i, m := range g.members {
				g.set(fmt.Sprintf("set before%d 1", i))
				m.loseDisk()
				g.run(2 * time.Second)
				g.set(fmt.Sprintf("set while%d 1", i))
				m.start()
				g.run(2 * time.Second)
				require.Equal(t, PhaseMember, m.identity.Phase, "not let back: %v", m.events)
				require.EqualValues(t, 1, m.identity.Life.Epoch)
				require.True(t, m.said("votes again"))
			}
			g.requireConverged()
		})
	}
}

func TestRecoveredMemberGivesFullTolerance(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	g.members[2].loseDisk()
	g.members[2].start()
	g.run(2 * time.Second)
	g.members[0].crash()
	g.run(2 * time.Second)
	g.set("set b 1") // by 1 and 2
	g.members[0].start()
	g.run(time.Second)
	g.requireConverged()
}

func TestMajorityOfDisksLostStopsForEver(t *testing.T) {
	for _, bootstrap := range []bool{false, true} {
		t.Run(fmt.Sprintf("bootstrap=%v", bootstrap), func(t *testing.T) {
			g := formed(t, 3, Options{})
			g.set("set a 1")
			for _, m := range g.members[:2] {
				m.loseDisk()
				if bootstrap {
					m.identity.Phase = PhaseForming
				}
				m.start()
			}
			g.run(time.Minute)
			require.Nil(t, g.leader())
			for _, m := range g.members {
				ok, why := m.r.Ready()
				require.False(t, ok)
				require.Contains(t, why, "intact: 2", "member %d", m.index)
				require.Contains(t, why, "lost their disks: 0,1")
				require.Contains(t, why, "--force-new-group")
			}
		})
	}
}

// TestRecoveringMemberForgetsALeaderThatIsGone: a member that recovers behind a
// leader that then loses its disk as well says so, and does not go on as if it
// were still catching up.
func TestRecoveringMemberForgetsALeaderThatIsGone(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	m, leader := g.followers()[0], g.leader()
	other := g.followers()[1]
	m.loseDisk()
	m.start()
	g.awaitLog(m)
	other.crash() // nobody can let the member back now
	require.Eventually(t, func() bool {
		g.run(10 * time.Millisecond)
		return m.r.Status().HasLeader || m.identity.Phase == PhaseMember
	}, time.Second, time.Microsecond)
	require.Equal(t, PhaseRecovering, m.identity.Phase)
	leader.loseDisk()
	leader.start()
	other.start()
	g.run(20 * time.Second)
	for _, v := range g.members {
		ok, why := v.r.Ready()
		require.False(t, ok)
		require.Contains(t, why, "--force-new-group", "member %d", v.index)
	}
}

func TestAllDisksLostStopsForEver(t *testing.T) {
	g := formed(t, 3, Options{})
	for _, m := range g.members {
		m.loseDisk()
		m.start()
	}
	g.run(time.Minute)
	for _, m := range g.members {
		require.Nil(t, m.r.core)
		require.True(t, m.said("lost their disks: 0,1,2"), "%v", m.events)
	}
}

func TestRecoveringMemberThatKeepsItsDiskGoesOn(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	m := g.followers()[0]
	m.loseDisk()
	m.start()
	g.awaitLog(m)
	life := m.identity.Life
	require.Equal(t, PhaseRecovering, m.identity.Phase)
	m.crash()
	g.run(time.Second)
	m.start()
	g.run(2 * time.Second)
	require.Equal(t, PhaseMember, m.identity.Phase)
	require.Equal(t, life.Nonce, m.identity.Life.Nonce)
	g.requireConverged()
}

func TestDiskLostAgainWhileRecovering(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	for range 3 {
		m.loseDisk()
		m.start()
		g.run(150 * time.Millisecond)
	}
	g.run(2 * time.Second)
	require.Equal(t, PhaseMember, m.identity.Phase)
	g.set("set z 1")
	g.requireConverged()
}

func TestRecoveryBySnapshot(t *testing.T) {
	g := formed(t, 3, Options{SnapshotMinBytes: 2000, WindowBytes: 1})
	m := g.followers()[0]
	m.crash()
	for i := range 200 {
		g.set(fmt.Sprintf("set k%d %0100d", i%5, i))
	}
	g.run(2 * time.Second)
	m.loseDisk()
	m.start()
	g.run(3 * time.Second)
	require.True(t, m.said("snapshot installed"))
	require.Equal(t, PhaseMember, m.identity.Phase)
	g.requireConverged()
}

func TestStaleSurvivorAndTwoLostOfFiveAnswerNothing(t *testing.T) {
	g := formed(t, 5, Options{})
	stale := g.followers()[0]
	stale.crash()
	g.set("set a 1")
	lost := g.followers()[:2]
	for _, m := range g.members {
		if m.r != nil {
			m.crash()
		}
	}
	stale.start()
	for _, m := range lost {
		m.loseDisk()
		m.start()
	}
	g.run(20 * time.Second)
	require.Nil(t, g.leader())
	for _, m := range g.members {
		if m.r == nil {
			m.start()
		}
	}
	g.run(5 * time.Second)
	require.NotNil(t, g.leader())
	for _, m := range lost {
		require.Equal(t, PhaseMember, m.identity.Phase)
	}
	g.set("set b 1")
	g.requireConverged()
}

func TestOldCopyOfADiskIsALostDisk(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	g.run(time.Second)
	old, oldLog := m.identity, append([]Record(nil), m.log...)
	m.loseDisk()
	m.start()
	g.run(2 * time.Second)
	require.Equal(t, PhaseMember, m.identity.Phase)
	m.crash()
	m.identity, m.log = old, oldLog
	m.start()
	g.run(time.Second)
	require.NotEmpty(t, m.lost)
}

// awaitLog lets time pass for m alone, until it has been told what group it is
// in and no further.
func (g *rig) awaitLog(m *member) {
	g.t.Helper()
	for range 100 {
		g.now += 5 * time.Millisecond
		g.settle()
		if m.identity.HasLog() {
			return
		}
		m.r.Tick(m.time())
		m.carryOut()
	}
	g.t.Fatalf("member %d was not told what group it is in", m.index)
}

// TestNewcomerIsNotTakenForTheLeader: a process with an empty disk in the place of
// the leader asks around all the time. That is no sign that there is a leader.
func TestNewcomerIsNotTakenForTheLeader(t *testing.T) {
	g := formed(t, 3, Options{})
	lost := g.leader()
	lost.loseDisk()
	lost.start()
	g.filter = func(e paxos.Envelope) bool {
		g.members[e.To].r.Heard(e.From)
		_, told := e.Message.(paxos.FormGenesis)
		return !told
	}
	g.run(3 * time.Second)
	require.NotNil(t, g.leader(), "the others have chosen a leader")
	g.filter = nil
	g.run(2 * time.Second)
	require.Equal(t, PhaseMember, lost.identity.Phase)
	g.requireConverged()
}
