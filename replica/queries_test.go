package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

func TestReads(t *testing.T) {
	for _, lease := range []bool{false, true} {
		t.Run(fmt.Sprintf("lease %v", lease), func(t *testing.T) {
			g := newRig(t, 3, Options{})
			for _, m := range g.members {
				m.identity.Lease = lease
			}
			g.startAll()
			g.run(3 * time.Second)
			g.set("set a 1")
			lead := g.leader()
			slots := lead.r.core.Last()
			lead.read("r1", "get a")
			lead.read("r2", "get b")
			if lease {
				require.Equal(t, Done, lead.outcome("r1"), "no message is needed")
			} else {
				require.Zero(t, lead.outcome("r1"), "not before a majority has confirmed the leader")
			}
			g.settle()
			require.Equal(t, "1", string(lead.replies["r1"].Data))
			require.Equal(t, "nil", string(lead.replies["r2"].Data))
			require.Equal(t, slots, lead.r.core.Last(), "reads write nothing")

			// A write that was answered is seen by every later read.
			for i := range 20 {
				g.set(fmt.Sprintf("set a v%d", i))
				lead.read(fmt.Sprint("s", i), "get a")
				g.settle()
				require.Equal(t, fmt.Sprint("v", i), string(lead.replies[fmt.Sprint("s", i)].Data))
			}

			g.isolate(lead)
			g.run(300 * time.Millisecond)
			lead.read("late", "get a")
			g.run(time.Second)
			require.Equal(t, NotLeader, lead.outcome("late"), "an isolated leader answers nothing")
		})
	}
}

// TestTimeEntry: a read that meets something that expires between log time and
// now first gets log time moved on, so that no replica ever says otherwise.
func TestTimeEntry(t *testing.T) {
	g := formed(t, 3, Options{})
	lead := g.leader()
	now, _ := lead.r.LeaderTime()
	deadline := now + int64(time.Second)
	g.set(fmt.Sprintf("set a 1 %d", deadline))
	slots := lead.r.core.Last()

	lead.read("early", "get a")
	g.settle()
	require.Equal(t, "1", string(lead.replies["early"].Data))
	require.Equal(t, slots, lead.r.core.Last())

	g.run(1100 * time.Millisecond)
	require.Less(t, lead.r.logTime, deadline, "log time stands still without batches")
	lead.read("r1", "get a")
	lead.read("r2", "get a")
	g.settle()
	require.Equal(t, "nil", string(lead.replies["r1"].Data))
	require.Equal(t, "nil", string(lead.replies["r2"].Data))
	require.Equal(t, slots+1, lead.r.core.Last(), "one time entry for both")
	require.GreaterOrEqual(t, lead.r.logTime, deadline)

	lead.read("r3", "get a")
	g.settle()
	require.Equal(t, "nil", string(lead.replies["r3"].Data))
	require.Equal(t, slots+1, lead.r.core.Last(), "expired for good")
	g.requireConverged()
}

// TestTimeEntryOfDeposedLeader: a query that waits for a time entry is refused
// when the leadership ends, and nothing is answered twice.
func TestTimeEntryOfDeposedLeader(t *testing.T) {
	g := formed(t, 3, Options{})
	lead := g.leader()
	now, _ := lead.r.LeaderTime()
	g.set(fmt.Sprintf("set a 1 %d", now+int64(time.Second)))
	g.run(1100 * time.Millisecond)
	lead.slow = true
	lead.read("r", "get a")
	g.settle()
	require.NotZero(t, lead.r.reads.slot, "the time entry waits for the leader's disk")
	require.Zero(t, lead.outcome("r"))
	g.isolate(lead)
	g.run(time.Second)
	require.Equal(t, NotLeader, lead.outcome("r"))
	lead.slow = false
	g.heal()
	g.requireConverged()

	// During a hand-over no time entry can be proposed.
	lead = g.leader()
	now, _ = lead.r.LeaderTime()
	g.set(fmt.Sprintf("set b 1 %d", now+int64(time.Second)))
	g.run(1100 * time.Millisecond)
	require.True(t, lead.r.HandOver())
	lead.read("q", "get b")
	g.settle()
	require.Equal(t, NotLeader, lead.outcome("q"))
}

// TestLogTime: whoever leads, log time never goes back, moves on with the
// monotonic clock, and is never ahead of what two of three clocks say.
func TestLogTime(t *testing.T) {
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		for wrong := range 3 {
			t.Run(fmt.Sprintf("clock of member %d is %v off", wrong, off), func(t *testing.T) {
				g := newRig(t, 3, Options{})
				g.members[wrong].wall = int64(off)
				g.startAll()
				g.run(2 * time.Second)
				led := map[int]bool{}
				for round := range 8 {
					lead := g.leader()
					led[int(lead.index)] = true
					g.set(fmt.Sprintf("set a %d", round))
					before := lead.r.logTime
					g.run(500 * time.Millisecond)
					g.set(fmt.Sprintf("set b %d", round))
					require.Equal(t, int64(500*time.Millisecond), lead.r.logTime-before, "as time passes, while one leads")
					require.LessOrEqual(t, lead.r.logTime, epochWall+int64(g.now), "what the right clocks say")
					if round == 4 {
						// Somebody sets the clock while the group runs.
						g.members[wrong].wall = -int64(off)
					}
					g.isolate(lead)
					g.run(2 * time.Second)
					g.heal()
					g.run(time.Second)
				}
				require.Greater(t, len(led), 1, "several have led")
				g.requireConverged() // the machine refuses a log time that goes back
			})
		}
	}
}

// TestLogTimeOfAdopted: a new leader may propose before it has applied what it
// took over, with clocks that were set back: log time still does not.
func TestLogTimeOfAdopted(t *testing.T) {
	g := formed(t, 3, Options{MaxUnsynced: 8})
	g.set("set a 1")
	g.run(10 * time.Second)
	old := g.leader()
	old.slow = true
	old.propose("set b 1")
	g.settle()
	g.isolate(old)
	g.filter = func(e paxos.Envelope) bool { _, accept := e.Message.(paxos.Accept); return !accept }
	for _, m := range g.members {
		m.wall -= int64(time.Hour)
	}
	g.run(2 * time.Second)
	lead := g.leader()
	require.NotSame(t, old, lead)
	require.NotContains(t, lead.machine().items, "b", "taken over, and not applied")
	now, _ := lead.r.LeaderTime()
	lead.propose("set c 1")
	g.filter = nil
	g.run(3 * time.Second)
	require.Equal(t, Done, lead.outcome("set c 1"))
	require.Less(t, now, lead.r.logTime, "the time of b counts for c")
	old.slow = false
	g.heal()
	g.requireConverged()
}

// TestLogTimeFollowsTheMachine: a command may move log time on, as shards from
// another group do. Every member follows, also one that replays, nothing goes back,
// and the leader's clock goes on from there.
func TestLogTimeFollowsTheMachine(t *testing.T) {
	g := formed(t, 3, Options{})
	lead := g.leader()
	now, _ := lead.r.LeaderTime()
	ahead := now + int64(time.Hour)
	g.set(fmt.Sprintf("jump %d", ahead))
	g.run(100 * time.Millisecond)
	for _, n := range g.members {
		require.Equal(t, ahead, n.r.Status().LogTime)
	}
	g.run(time.Second)
	after, _ := lead.r.LeaderTime()
	require.GreaterOrEqual(t, after, ahead+int64(time.Second), "time goes on")
	g.set("set a 1")
	require.Greater(t, lead.r.logTime, ahead)
	follower := g.followers()[0]
	follower.crash()
	follower.start()
	g.run(time.Second)
	require.Equal(t, lead.r.logTime, follower.r.logTime)
	g.requireConverged()
}

// TestAllowanceDefersTheLastQueries: queries whose replies would take too much memory
// together are not executed, and those are the last, also when one waits for a time
// entry.
func TestAllowanceDefersTheLastQueries(t *testing.T) {
	g := formed(t, 3, Options{})
	lead := g.leader()
	now, _ := lead.r.LeaderTime()
	g.set("set a 0123456789")
	g.set(fmt.Sprintf("set short 1 %d", now+int64(time.Second)))
	ask := func(names string, allow *Allowance, queries ...string) []Outcome {
		for i, q := range queries {
			lead.r.ReadWithin(fmt.Sprint(names, i), []byte(q), allow)
		}
		lead.carryOut()
		g.settle()
		var out []Outcome
		for i := range queries {
			out = append(out, lead.outcome(fmt.Sprint(names, i)))
		}
		return out
	}
	require.Equal(t, []Outcome{Done, Done, Deferred, Deferred}, ask("x", &Allowance{Bytes: 15}, "get a", "get a", "get a", "get b"),
		"the reply that exceeds it is given")
	require.Equal(t, []Outcome{Done, Done}, ask("y", nil, "get a", "get a"))

	g.run(1100 * time.Millisecond)
	require.Equal(t, []Outcome{Done, Done, Done, Deferred}, ask("z", &Allowance{Bytes: 15}, "get a", "get short", "get a", "get a"))
	require.Equal(t, "nil", string(lead.replies["z1"].Data))
}

// TestReadApplied: every member that follows answers from a slot that it has applied; one
// without a leader, or without its disk, does not.
func TestReadApplied(t *testing.T) {
	g := formed(t, 3, Options{})
	g.set("set a 1")
	g.run(time.Second)
	lead, follower := g.leader(), g.followers()[0]
	read := func(m *member) string {
		reply, ok := m.r.ReadApplied([]byte("get a"))
		if !ok {
			return "refused"
		}
		return string(reply)
	}
	require.Equal(t, "1", read(follower))
	require.Equal(t, "1", read(lead))

	now, _ := lead.r.LeaderTime()
	g.set(fmt.Sprintf("set a 2 %d", now+int64(time.Second)))
	g.run(1100 * time.Millisecond)
	require.Equal(t, "2", read(follower), "it is there as of the slot's log time")

	g.isolate(follower)
	g.set("set a 3")
	require.Equal(t, "2", read(follower), "it lags")
	g.run(5 * time.Second)
	require.Equal(t, "refused", read(follower), "it hears of no leader")
	g.heal()
	g.requireConverged()
	require.Equal(t, "3", read(follower))

	follower.crash()
	follower.loseDisk()
	follower.start()
	refused := false
	for i := 0; follower.identity.Phase != PhaseMember; i++ {
		require.Less(t, i, 500, "it is let back")
		require.Equal(t, "refused", read(follower), "it recovers: it may have applied less than it has shown")
		refused = refused || follower.r.core != nil && follower.r.core.Applied() > 0
		g.run(10 * time.Millisecond)
	}
	require.True(t, refused, "also when it has applied something")
	g.requireConverged()
	require.Equal(t, "3", read(follower))
}
