package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

func TestForming(t *testing.T) {
	for _, size := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			g := newRig(t, size, Options{})
			g.startAll()
			ok, why := g.members[0].r.Ready()
			require.False(t, ok)
			require.Contains(t, why, "has not formed")
			require.Equal(t, "forming", g.members[0].r.Status().Role)
			g.run(2 * time.Second)
			logs := map[uint64]bool{}
			for _, m := range g.members {
				id := m.r.Identity()
				require.Equal(t, m.identity, id, "what is in use is what was stored")
				require.Equal(t, PhaseMember, id.Phase)
				require.NotZero(t, id.Cluster)
				require.Equal(t, g.members[0].r.Identity().Cluster, id.Cluster)
				logs[id.LogID] = true
				require.True(t, m.said("group has formed"))
				for i := range size {
					require.Equal(t, paxos.Life{Nonce: uint64(i) + 1}, m.r.core.HardState().Vector[i])
				}
				ok, why := m.r.Ready()
				require.True(t, ok, why)
			}
			require.Len(t, logs, size, "every log has a name of its own")
			g.set("set a 1")
			g.requireConverged()
		})
	}
}

// TestFormingNeedsAll: two of three are not enough, and the third may come late.
func TestFormingNeedsAll(t *testing.T) {
	g := newRig(t, 3, Options{})
	g.members[0].start()
	g.members[2].start()
	g.run(10 * time.Second)
	require.Equal(t, PhaseForming, g.members[0].identity.Phase)
	require.Equal(t, PhaseForming, g.members[2].identity.Phase)
	g.members[1].start()
	g.run(2 * time.Second)
	g.set("set a 1")
	g.requireConverged()
}

// TestFormingThroughCrashes: any member may die before or after it has stored
// the genesis, and any messages may be lost; with all members up it forms once.
func TestFormingThroughCrashes(t *testing.T) {
	for victim := range paxos.ReplicaID(3) {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("member %d dies %s it has stored the genesis", victim, when), func(t *testing.T) {
				g := newRig(t, 3, Options{})
				m := g.members[victim]
				deaths := 0
				once := func() bool { deaths++; return deaths == 1 }
				if when == "before" {
					m.crashBefore = once
				} else {
					m.crashAfter = once
				}
				g.startAll()
				g.run(time.Second)
				require.Nil(t, m.r)
				if when == "after" {
					require.Equal(t, PhaseMember, m.identity.Phase)
				}
				m.start()
				g.run(2 * time.Second)
				require.NotNil(t, g.leader())
				g.set("set a 1")
				g.requireConverged()
				for _, o := range g.members {
					require.Equal(t, g.members[0].identity.Cluster, o.identity.Cluster)
				}
			})
		}
	}
	t.Run("every other message is lost", func(t *testing.T) {
		g := newRig(t, 5, Options{})
		n := 0
		g.filter = func(paxos.Envelope) bool { n++; return n%2 == 0 }
		g.startAll()
		g.run(3 * time.Second)
		g.filter = nil
		g.run(2 * time.Second)
		g.set("set a 1")
		g.requireConverged()
	})
}

// TestFormingWithOtherSettings: members that were started with different sizes
// or read options do not form a group, and each says once what is different.
func TestFormingWithOtherSettings(t *testing.T) {
	tests := []struct {
		name   string
		change func(id *Identity)
	}{
		{"size", func(id *Identity) { id.Size = 5 }},
		{"lease", func(id *Identity) { id.Lease = true }},
		{"service", func(id *Identity) { id.Service = paxos.ServiceSharded }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 3, Options{})
			tt.change(&g.members[1].identity)
			g.startAll()
			g.run(2 * time.Second)
			for _, m := range g.members {
				require.Equal(t, PhaseForming, m.r.Identity().Phase)
				warned := 0
				for _, e := range m.events {
					if e.Warn {
						warned++
						require.Contains(t, e.Text, "other settings")
						require.Contains(t, e.Text, "start all with the same --peers, --read and --shardmasters")
					}
				}
				if m.index == 1 {
					require.Equal(t, 2, warned, "once for each of the others")
				} else {
					require.Equal(t, 1, warned)
				}
			}
		})
	}
}

// TestFormedWithOtherSettings: a member that comes late with another option is
// told by the group that has formed without noticing.
func TestFormedWithOtherSettings(t *testing.T) {
	g := newRig(t, 3, Options{})
	late := g.members[2]
	late.crashBefore = func() bool { return true }
	g.startAll()
	g.run(time.Second)
	require.Nil(t, late.r)
	late.crashBefore = nil
	late.identity.Lease = true
	late.start()
	g.network = append(g.network, paxos.Envelope{
		Cluster: g.members[0].identity.Cluster, Group: 5, From: 0, To: 2, Life: g.members[0].identity.Life,
		Message: paxos.FormGenesis{Size: 3, Vector: g.members[0].r.core.HardState().Vector},
	})
	g.run(time.Second)
	require.True(t, late.said("the group has formed with other settings"))
	require.Equal(t, PhaseForming, late.identity.Phase)
}

// TestSecondBeginning: a member that lost its disk and is started with
// --bootstrap once more does not become a voter, and the members that lost
// theirs cannot form the group again while one survivor tells them.
func TestSecondBeginning(t *testing.T) {
	for _, lost := range [][]int{{1}, {0}, {0, 1}} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			g := formed(t, 3, Options{})
			g.set("set a 1")
			cluster := g.members[2].identity.Cluster
			for _, i := range lost {
				m := g.members[i]
				m.crash()
				m.format(uint64(100 + i))
				m.start()
			}
			g.run(3 * time.Second)
			for _, i := range lost {
				m := g.members[i]
				if len(lost) == 1 {
					require.True(t, m.said("this member has lost its disk"))
					require.Equal(t, PhaseMember, m.identity.Phase, "let back")
					require.EqualValues(t, 1, m.identity.Life.Epoch)
					require.Equal(t, cluster, m.identity.Cluster)
					continue
				}
				require.NotEqual(t, PhaseMember, m.identity.Phase)
				ok, why := m.r.Ready()
				require.False(t, ok)
				require.Contains(t, why, "lost their disks: 0,1")
			}
			require.Equal(t, cluster, g.members[2].identity.Cluster)
			if len(lost) == 1 {
				g.set("set b 2")
			} else {
				require.Nil(t, g.leader(), "one survivor is no majority")
			}
		})
	}
}

// TestStrangers: what is of another cluster or group, or not for this member,
// is dropped.
func TestStrangers(t *testing.T) {
	g := formed(t, 3, Options{})
	m := g.followers()[0]
	before := m.r.Status()
	high := paxos.Ballot{Round: 99, Replica: g.leader().index}
	for _, e := range []paxos.Envelope{
		{Cluster: 1, Group: 5, From: high.Replica, To: m.index, Message: paxos.Heartbeat{Ballot: high}},
		{Cluster: m.identity.Cluster, Group: 6, From: high.Replica, To: m.index, Message: paxos.Heartbeat{Ballot: high}},
		{Cluster: m.identity.Cluster, Group: 5, From: high.Replica, To: 5, Message: paxos.Heartbeat{Ballot: high}},
		{Cluster: m.identity.Cluster, Group: 5, From: 5, To: m.index, Message: paxos.Heartbeat{Ballot: high}},
		{Cluster: m.identity.Cluster, Group: 5, From: m.index, To: m.index, Message: paxos.Heartbeat{Ballot: high}},
		{Cluster: 77, Group: 5, From: 0, To: m.index, Message: paxos.FormGenesis{Size: 3}},
	} {
		m.r.Receive(e)
	}
	require.Equal(t, before, m.r.Status())
}
