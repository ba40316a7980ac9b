package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// TestBatching: while one batch is being synced the next one gathers, and no
// timer has a part in it.
func TestBatching(t *testing.T) {
	g := formed(t, 3, Options{})
	lead := g.leader()
	lead.slow = true
	before := lead.r.core.Last()
	lead.propose("set a 1")
	require.Equal(t, before+1, lead.r.core.Last(), "the first goes at once")
	for i := range 5 {
		lead.propose(fmt.Sprintf("set b %d", i))
	}
	require.Equal(t, before+1, lead.r.core.Last())
	require.Equal(t, 5, lead.r.Status().Queued)
	require.Equal(t, 1, lead.r.Status().Undecided)

	g.settle()
	require.Zero(t, lead.outcome("set a 1"), "not before the leader's own sync")
	require.True(t, lead.sync())
	require.Equal(t, before+2, lead.r.core.Last(), "all that gathered, in one slot")
	lead.slow = false
	g.settle()
	for i := range 5 {
		require.Equal(t, Reply{Token: fmt.Sprintf("set b %d", i), Outcome: Done, Data: fmt.Append(nil, i+2), Slot: before + 2},
			lead.replies[fmt.Sprintf("set b %d", i)], "each its own reply, in order")
	}
	require.Zero(t, lead.r.proposals.bytes)
	g.requireConverged()
}

// TestBatchBytes: a batch is bounded, but for a command that is larger alone.
func TestBatchBytes(t *testing.T) {
	g := formed(t, 1, Options{MaxBatchBytes: 100, MaxUnsynced: 8})
	lead := g.leader()
	before := lead.r.core.Last()
	big := "set big " + strings.Repeat("x", 300)
	lead.propose("set a 1"+strings.Repeat("0", 33), "set b 2"+strings.Repeat("0", 33), "set c 3"+strings.Repeat("0", 33), big, "set d 4")
	require.Equal(t, before+4, lead.r.core.Last(), "two small ones, one, the large one, the last")
	g.settle()
	require.Equal(t, Done, lead.outcome(big))
	require.Equal(t, []byte("5"), lead.replies["set d 4"].Data)
}

func TestOverloaded(t *testing.T) {
	g := formed(t, 3, Options{MaxQueueBytes: 30})
	lead := g.leader()
	lead.slow = true
	lead.propose("set a 1 "+strings.Repeat("1", 40), "set b 2", "set c 3")
	require.Zero(t, lead.outcome("set a 1 "+strings.Repeat("1", 40)), "one alone is never too large")
	require.Equal(t, Overloaded, lead.outcome("set b 2"))
	lead.slow = false
	g.settle()
	lead.propose("set b 3")
	g.settle()
	require.Equal(t, Done, lead.outcome("set b 3"), "room again")
	require.Equal(t, "3", lead.machine().items["b"].value, "what was refused was not executed")
}

func TestNotLeader(t *testing.T) {
	g := formed(t, 3, Options{})
	f := g.followers()[0]
	f.propose("set a 1")
	f.read("r", "get a")
	require.Equal(t, NotLeader, f.outcome("set a 1"))
	require.Equal(t, NotLeader, f.outcome("r"))
	id, known, leading := f.r.Leader()
	require.True(t, known)
	require.False(t, leading)
	require.Equal(t, g.leader().index, id)
}

// TestDeposed follows commands of a leader that is cut off: what had no slot
// was not executed and says so; what had one is undecided until a later leader
// has decided the slot.
func TestDeposed(t *testing.T) {
	// Two commands; each has a slot, or the second has none. A leader's first slot is its
	// own opening, so it is the second that another command can take.
	setup := func(t *testing.T, slots int) (*rig, *member) {
		t.Helper()
		g := formed(t, 3, Options{RequestTimeout: time.Minute, MaxUnsynced: slots})
		old := g.leader()
		old.slow = true
		old.propose("set a slot")
		old.propose("set a queue")
		return g, old
	}
	next := func(g *rig, old *member) *member {
		g.isolate(old)
		g.run(2 * time.Second)
		m := g.leader()
		require.NotSame(g.t, old, m)
		return m
	}
	t.Run("the next leader proposes it again", func(t *testing.T) {
		g, old := setup(t, 1)
		g.settle() // it reaches the others; the answers are lost with the leader
		lead := next(g, old)
		require.Equal(t, NotLeader, old.outcome("set a queue"))
		require.Zero(t, old.outcome("set a slot"), "undecided, as far as the old leader knows")
		require.Equal(t, "slot", lead.machine().items["a"].value)
		old.slow = false
		g.heal()
		g.run(time.Second)
		require.Equal(t, Done, old.outcome("set a slot"), "its own value: it can tell by the ballot in it")
		require.Equal(t, []byte("1"), old.replies["set a slot"].Data)
		g.requireConverged()
	})
	t.Run("another value takes the slot", func(t *testing.T) {
		g, old := setup(t, 2)
		g.network = nil // nobody hears of it
		lead := next(g, old)
		lead.propose("set a other")
		g.settle()
		require.Equal(t, Done, lead.outcome("set a other"))
		old.slow = false
		g.heal()
		g.run(time.Second)
		require.Equal(t, NotLeader, old.outcome("set a slot"), "decided: it was not executed and never will be")
		require.Equal(t, NotLeader, old.outcome("set a queue"))
		require.Equal(t, "other", old.machine().items["a"].value)
		g.requireConverged()
	})
	t.Run("nobody wants anything of the next leader", func(t *testing.T) {
		g, old := setup(t, 1)
		g.network = nil
		next(g, old)
		old.slow = false
		g.heal()
		g.run(time.Second)
		require.Equal(t, NotLeader, old.outcome("set a slot"), "the next leader has decided the slot all the same")
		require.Empty(t, old.machine().items)
		g.requireConverged()
	})
	t.Run("the same command of another life is another value", func(t *testing.T) {
		g, old := setup(t, 2)
		g.network = nil
		lead := next(g, old)
		lead.propose("set a queue") // same bytes, another origin
		g.settle()
		require.Equal(t, Done, lead.outcome("set a queue"))
		old.slow = false
		g.heal()
		g.run(time.Second)
		require.Equal(t, NotLeader, old.outcome("set a queue"))
		require.Equal(t, 1, old.machine().commands)
	})
	t.Run("its disk is stuck", func(t *testing.T) {
		g, old := setup(t, 1)
		g.network = nil
		next(g, old)
		g.heal()
		g.run(time.Minute + time.Second)
		require.Equal(t, Unknown, old.outcome("set a slot"))
		require.Zero(t, old.r.Status().Undecided)
	})
}

// TestTimeouts: a leader without a majority ends what waits. Nothing of it may
// be called failed once it has a slot.
func TestTimeouts(t *testing.T) {
	g := formed(t, 3, Options{RequestTimeout: 100 * time.Millisecond})
	lead := g.leader()
	lead.slow = true
	lead.propose("set a slot")
	lead.propose("set a queue")
	lead.read("r", "get a")
	g.isolate(lead)
	g.run(50 * time.Millisecond)
	require.Empty(t, lead.replies)
	g.run(100 * time.Millisecond)
	require.Equal(t, Unknown, lead.outcome("set a slot"))
	require.Equal(t, NotLeader, lead.outcome("set a queue"), "it has no slot and gets none")
	require.Equal(t, NotLeader, lead.outcome("r"))
	require.Zero(t, lead.r.Status().Queued)
	require.Zero(t, lead.r.proposals.bytes)
	require.Empty(t, lead.r.reads.groups)
}

// TestSnapshotOverProposals: a snapshot says what the effect of commands is,
// and not what they were answered.
func TestSnapshotOverProposals(t *testing.T) {
	g := formed(t, 3, Options{RequestTimeout: time.Minute, SnapshotMinBytes: 2000, WindowBytes: 1})
	old := g.leader()
	old.propose("set a slot")
	g.network = nil
	g.isolate(old)
	g.run(2 * time.Second)
	lead := g.leader()
	for i := range 100 {
		g.set(fmt.Sprintf("set k%d %d", i%5, i))
	}
	g.run(3 * time.Second)
	require.Greater(t, lead.r.core.LogStart(), old.r.core.Last()+1)
	g.heal()
	g.run(2 * time.Second)
	require.True(t, old.said("snapshot installed"))
	require.Equal(t, Unknown, old.outcome("set a slot"))
	g.requireConverged()
}

func TestHandOver(t *testing.T) {
	g := formed(t, 3, Options{})
	old := g.leader()
	g.set("set a 1")
	require.True(t, old.r.HandOver())
	old.propose("set b 2")
	require.Equal(t, 1, old.r.Status().Queued, "no slot any more")
	g.settle()
	lead := g.leader()
	require.NotSame(t, old, lead)
	require.Equal(t, NotLeader, old.outcome("set b 2"), "safe to send to the next leader")
	require.False(t, old.r.HandOver(), "it leads no more")
	g.set("set c 3")
	g.requireConverged()
	require.NotContains(t, lead.machine().items, "b")

	forming := newRig(t, 3, Options{})
	forming.startAll()
	require.False(t, forming.members[0].r.HandOver())
}

// TestStatus: what operators see of a leader and of a follower.
func TestStatus(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	g.run(100 * time.Millisecond)
	lead := g.leader()
	s := lead.r.Status()
	require.Equal(t, "leader", s.Role)
	require.Equal(t, lead.index, s.Leader)
	require.Equal(t, []paxos.Slot{1, 1, 1, 1}, []paxos.Slot{s.Commit, s.Applied, s.Last, s.LogStart})
	require.Len(t, s.Members, 3)
	for _, m := range s.Members {
		require.Equal(t, paxos.Slot(1), m.Match)
		require.Less(t, m.Silence, 100*time.Millisecond)
	}
	for _, d := range s.Disks {
		require.True(t, d.Votes)
		require.True(t, d.Heard)
		require.Less(t, d.Silence, 100*time.Millisecond)
		require.EqualValues(t, 1, d.Boot)
	}
	require.EqualValues(t, 1, s.Elections)
	require.EqualValues(t, 1, s.LeaderChanges)
	follower := g.followers()[0].r.Status()
	require.Empty(t, follower.Members)
	require.True(t, follower.Disks[lead.index].Votes)
	require.Zero(t, follower.Elections)
	require.EqualValues(t, 1, follower.LeaderChanges)
	now, ok := lead.r.LeaderTime()
	require.True(t, ok)
	require.InDelta(t, lead.time().Wall, now, float64(time.Second))
	g.isolate(lead)
	g.run(time.Second)
	ok, why := lead.r.Ready()
	require.False(t, ok)
	require.Contains(t, why, "no leader: fewer than 2 of 3 members can be reached")
	g.run(2 * time.Second)
	for i, d := range lead.r.Status().Disks {
		require.Equal(t, i == int(lead.index), d.Votes, "the others were not heard for a while")
		require.False(t, d.Lost)
	}
	require.EqualValues(t, 1, g.leader().r.Status().Elections)
}

// TestStatusOfALostDisk: everybody who hears of it knows, and what epoch it has then.
func TestStatusOfALostDisk(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	victim := g.followers()[0]
	victim.loseDisk()
	lost := func(m *member) bool { return m.r.Status().Disks[victim.index].Lost }
	g.filter = func(e paxos.Envelope) bool {
		_, request := e.Message.(paxos.RejoinRequest)
		return !request
	}
	victim.start()
	g.run(time.Second)
	require.True(t, lost(g.leader()))
	require.True(t, lost(victim))
	require.False(t, victim.r.Status().Disks[victim.index].Votes)
	g.filter = nil
	g.run(2 * time.Second)
	require.False(t, lost(g.leader()), "it was let back")
	require.False(t, lost(victim))
	for _, m := range []*member{g.leader(), victim} {
		d := m.r.Status().Disks[victim.index]
		require.True(t, d.Votes)
		require.EqualValues(t, 1, d.Epoch)
	}
}
