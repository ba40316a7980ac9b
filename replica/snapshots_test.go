package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

// logSize is about what the log of m takes on disk.
func (m *member) logSize() int64 {
	var n int64
	for _, rec := range m.log {
		n += recordCost(rec)
	}
	return n
}

// fill has n commands of about 100 bytes executed, on few keys.
func (g *rig) fill(n int) {
	g.t.Helper()
	for range n {
		g.set(fmt.Sprintf("set k%d %s%d", g.leader().machine().commands%4, strings.Repeat("v", 90), g.leader().machine().commands))
		g.run(10 * time.Millisecond)
	}
}

// TestSnapshotWhenDue: a log that has outgrown the data is covered by a snapshot
// and dropped, everywhere, and what is left restores the state.
func TestSnapshotWhenDue(t *testing.T) {
	g := formed(t, 3, Options{SnapshotMinBytes: 4000, IdleTime: time.Hour})
	g.fill(200)
	g.run(100 * time.Millisecond)
	for _, m := range g.members {
		require.NotEmpty(t, m.snapshots)
		require.Len(t, m.snapshots, 1, "old ones are dropped")
		require.Less(t, m.logSize(), int64(12_000), "member %d", m.index)
		require.Greater(t, m.r.core.LogStart(), paxos.Slot(100))
		require.Equal(t, m.r.core.LogStart()-1, m.r.Status().Snapshot.Slot)
	}
	before := g.leader().machine().items
	for _, m := range g.members {
		m.crash()
	}
	g.startAll()
	g.run(2 * time.Second)
	g.requireConverged()
	require.Equal(t, before, g.leader().machine().items)
}

// TestSnapshotWhenIdle: a group at rest tidies up a log that is no longer small
// beside the data, though it is not due yet; one that is small is left alone.
func TestSnapshotWhenIdle(t *testing.T) {
	g := formed(t, 3, Options{SnapshotMinBytes: 40_000, IdleTime: time.Second})
	g.fill(3)
	g.run(3 * time.Second)
	require.Empty(t, g.members[1].snapshots, "not worth it")
	g.fill(80)
	require.Empty(t, g.members[1].snapshots, "not due, and busy")
	g.run(3 * time.Second)
	for _, m := range g.members {
		require.Len(t, m.snapshots, 1)
		require.Less(t, m.logSize(), int64(1000))
	}
	n := g.members[1].outputs
	slot := g.members[1].r.Status().Snapshot.Slot
	g.run(time.Minute)
	require.Equal(t, slot, g.members[1].r.Status().Snapshot.Slot, "once is enough")
	require.NotZero(t, n)
}

// TestSnapshotWhenIdleOfManyBytes: what a pause is worth is measured by the data.
func TestSnapshotWhenIdleOfManyBytes(t *testing.T) {
	g := formed(t, 3, Options{})
	for i := range 40 {
		g.set(fmt.Sprintf("set key%d %s", i, strings.Repeat("v", 1000)))
	}
	g.run(3 * time.Second)
	slot := g.leader().r.Status().Snapshot.Slot
	require.NotZero(t, slot, "by default too")
	g.fill(20) // some 4 KiB, below a quarter of the data
	g.run(3 * time.Second)
	require.Equal(t, slot, g.leader().r.Status().Snapshot.Slot, "not worth it")
	g.fill(60)
	g.run(3 * time.Second)
	require.Greater(t, g.leader().r.Status().Snapshot.Slot, slot)
	for _, m := range g.members {
		require.Less(t, m.logSize(), int64(1000))
	}
}

// TestSnapshotStagger: the members do not all write at once, and the leader is
// the last, whoever it is.
func TestSnapshotStagger(t *testing.T) {
	for leading := range 7 {
		g := newRig(t, 7, Options{SnapshotMinBytes: 1 << 20})
		g.startAll()
		seen := map[int64]bool{}
		for i, m := range g.members {
			m.r.leading = i == leading
			due := m.r.snapshotDue()
			require.GreaterOrEqual(t, due, int64(1<<20))
			require.Less(t, due, int64(2<<20))
			require.False(t, seen[due])
			seen[due] = true
		}
		for i, m := range g.members {
			if i != leading {
				require.Less(t, m.r.snapshotDue(), g.members[leading].r.snapshotDue())
			}
		}
	}
}

// TestSnapshotFails: a full disk costs a warning and a later attempt. Nothing is
// dropped.
func TestSnapshotFails(t *testing.T) {
	g := formed(t, 1, Options{SnapshotMinBytes: 2000, IdleTime: time.Hour})
	m := g.leader()
	m.failSaves = true
	g.fill(30)
	require.True(t, m.said("snapshot could not be written"))
	require.Empty(t, m.snapshots)
	require.Equal(t, paxos.Slot(1), m.r.core.LogStart())
	warnings := 0
	for _, e := range m.events {
		if e.Warn {
			warnings++
		}
	}
	require.Equal(t, 1, warnings, "not tried again at once")
	m.failSaves = false
	g.run(snapshotRetry + time.Second)
	require.Len(t, m.snapshots, 1, "what it would have covered still counts")
	require.Greater(t, m.r.core.LogStart(), paxos.Slot(1))
}

// laggard returns a group in which a follower was cut off until the others'
// logs no longer hold what it lacks.
func laggard(t *testing.T) (g *rig, lead, behind *member) {
	t.Helper()
	g = formed(t, 3, Options{SnapshotMinBytes: 2000, WindowBytes: 1})
	g.fill(5)
	behind = g.followers()[0]
	g.isolate(behind)
	g.fill(60)
	lead = g.leader()
	require.Greater(t, lead.r.core.LogStart(), behind.r.core.Last()+1)
	return g, lead, behind
}

func TestTransfer(t *testing.T) {
	g, lead, behind := laggard(t)
	g.heal()
	g.run(time.Second)
	require.True(t, lead.said("sending a snapshot"))
	require.True(t, lead.said("snapshot sent"))
	require.True(t, behind.said("snapshot installed"))
	sent := 0
	for _, e := range lead.events {
		if e.Text == "sending a snapshot" {
			sent++
		}
	}
	require.Equal(t, 1, sent, "once")
	g.requireConverged()
	require.Less(t, behind.logSize(), int64(6000), "what the snapshot covers is gone from its log too")

	// What it restores from is the snapshot and its own log.
	state := behind.machine().state()
	behind.crash()
	behind.start()
	g.requireConverged()
	require.Equal(t, state, behind.machine().state())
}

// TestTransferResumes: a receiver that dies in the middle asks for the rest.
func TestTransferResumes(t *testing.T) {
	g := formed(t, 3, Options{SnapshotMinBytes: 2000, WindowBytes: 1})
	behind := g.followers()[0]
	g.isolate(behind)
	big := strings.Repeat("x", 3<<20) // several chunks
	g.set("set big " + big)
	g.run(3 * time.Second)
	g.fill(20)
	g.run(3 * time.Second)
	lead := g.leader()
	require.Greater(t, lead.r.core.LogStart(), behind.r.core.Last()+1)
	g.heal()
	var offsets []uint64
	chunks := 0
	g.filter = func(e paxos.Envelope) bool {
		if c, ok := e.Message.(paxos.SnapshotChunk); ok && len(c.Data) > 0 {
			offsets = append(offsets, c.Offset)
			chunks++
			return chunks != 3 // one is lost on the way
		}
		return true
	}
	for chunks < 3 {
		g.run(10 * time.Millisecond)
	}
	behind.crash()
	g.run(200 * time.Millisecond)
	behind.start()
	g.run(3 * time.Second)
	require.True(t, behind.said("snapshot installed"))
	require.Equal(t, []uint64{0, chunkBytes, 2 * chunkBytes, 2 * chunkBytes, 3 * chunkBytes}, offsets, "nothing is sent twice but what was lost")
	g.filter = nil
	g.requireConverged()
}

// TestTransferPins: while a snapshot is being sent neither its file nor the log
// above it is dropped, though newer ones are taken. That has a bound in time
// and in bytes.
func TestTransferPins(t *testing.T) {
	for _, bound := range []string{"time", "bytes"} {
		t.Run(bound, func(t *testing.T) {
			g, lead, behind := laggard(t)
			g.filter = func(e paxos.Envelope) bool {
				ack, ok := e.Message.(paxos.SnapshotAck)
				return !ok || ack.Installed // it never answers
			}
			g.heal()
			g.run(300 * time.Millisecond)
			pinned := lead.r.snapshots.sending[behind.index]
			require.NotNil(t, pinned)
			slot := pinned.info.Slot
			g.fill(20)
			require.Contains(t, lead.snapshots, slot)
			require.Equal(t, slot+1, lead.r.core.LogStart())
			if bound == "time" {
				g.run(transferTimeout)
			} else {
				g.fill(120)
			}
			require.True(t, lead.said("transfer of a snapshot given up"))
			g.run(time.Second)
			g.fill(40)
			require.NotContains(t, lead.snapshots, slot)
			require.Greater(t, lead.r.core.LogStart(), slot+1)
			g.filter = nil
			g.run(5 * time.Second)
			g.requireConverged()
		})
	}
}

// TestTransferOfLostFile: a sender that cannot read its file says so and offers
// the newest again, and one whose leadership ends stops.
func TestTransferOfLostFile(t *testing.T) {
	g, lead, behind := laggard(t)
	lead.slowTasks = true
	g.heal()
	g.run(300 * time.Millisecond)
	require.NotEmpty(t, lead.tasks)
	lead.tasks = nil
	task := SnapshotReadTask{For: behind.index, Slot: lead.r.snapshots.sending[behind.index].info.Slot}
	lead.r.SnapshotRead(task, nil, errDiskFull)
	lead.carryOut()
	require.True(t, lead.said("snapshot could not be read"))
	lead.slowTasks = false
	g.run(3 * time.Second)
	require.True(t, behind.said("snapshot installed"))
	g.requireConverged()

	lead.r.SnapshotRead(task, nil, nil) // late: nobody asked any more
	require.Empty(t, lead.r.Output().Messages)
}

// TestTransferEndsWithLeadership: the next leader offers its own.
func TestTransferEndsWithLeadership(t *testing.T) {
	g, lead, behind := laggard(t)
	g.filter = func(e paxos.Envelope) bool { _, chunk := e.Message.(paxos.SnapshotChunk); return !chunk }
	g.heal()
	g.run(300 * time.Millisecond)
	require.NotNil(t, lead.r.snapshots.sending[behind.index])
	g.isolate(lead)
	g.run(2 * time.Second)
	require.Nil(t, lead.r.snapshots.sending[behind.index])
	g.heal()
	g.filter = nil
	g.run(2 * time.Second)
	g.requireConverged()
}

// TestAbandonedTransfer: a receiver that is not fed any more takes snapshots of
// its own again.
func TestAbandonedTransfer(t *testing.T) {
	g, lead, behind := laggard(t)
	g.heal()
	g.filter = func(e paxos.Envelope) bool {
		c, ok := e.Message.(paxos.SnapshotChunk)
		return !ok || len(c.Data) == 0
	}
	g.run(300 * time.Millisecond)
	require.NotNil(t, behind.r.snapshots.incoming)
	lead.r.endTransfer(behind.index)
	lead.r.snapshots.sending[behind.index] = nil
	g.filter = func(e paxos.Envelope) bool { _, chunk := e.Message.(paxos.SnapshotChunk); return !chunk }
	g.run(transferTimeout - time.Second)
	require.NotNil(t, behind.r.snapshots.incoming)
	g.run(2 * time.Second)
	require.Nil(t, behind.r.snapshots.incoming)
}

// TestBadSnapshot: what was received and is not what was offered is not used.
func TestBadSnapshot(t *testing.T) {
	tests := []struct {
		name  string
		write func(b *member, in *incoming)
		said  string
	}{
		{"could not be written", func(b *member, _ *incoming) { b.r.SnapshotWritten(0, nil, errDiskFull) }, "snapshot could not be received"},
		{"of another slot", func(b *member, in *incoming) {
			h := SnapshotHeader{Slot: in.info.Slot + 1, State: paxos.AppendHardState(nil, paxos.HardState{})}
			b.r.SnapshotWritten(in.info.Size, &LoadedSnapshot{Header: h, Machine: newTestMachine()}, nil)
		}, "not the one that was offered"},
		{"of another release", func(b *member, in *incoming) {
			h := SnapshotHeader{Slot: in.info.Slot, State: []byte{99}}
			b.r.SnapshotWritten(in.info.Size, &LoadedSnapshot{Header: h, Machine: newTestMachine()}, nil)
		}, "not of this release"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _, behind := laggard(t)
			behind.slowTasks = true
			g.heal()
			g.run(300 * time.Millisecond)
			in := behind.r.snapshots.incoming
			require.True(t, in != nil && in.busy)
			state := behind.machine().state()
			behind.tasks = nil
			tt.write(behind, in)
			behind.carryOut()
			require.True(t, behind.said(tt.said))
			require.Equal(t, state, behind.machine().state())
			behind.slowTasks = false
			g.run(3 * time.Second)
			g.requireConverged()
		})
	}
}
