package sim

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
	"diskv/replica"
)

// TestSameSeedSameRun: a run is decided by its seed, event by event; and telling
// about it changes nothing.
func TestSameSeedSameRun(t *testing.T) {
	traces := make(map[uint64]uint64)
	for seed := uint64(1); seed <= 10; seed++ {
		var told bytes.Buffer
		o := Options{Seed: seed, Ops: 300, Groups: seed > 8}
		first := Run(o)
		o.Trace = &told
		second := Run(o)
		require.NoError(t, first.Err)
		require.Equal(t, first, second, "seed %d", seed)
		require.NotZero(t, told.Len())
		require.NotContains(t, traces, first.Trace, "seeds differ")
		traces[first.Trace] = seed
	}
}

// TestChecksBite breaks the driver's rules, and what a member does with its
// outputs, one at a time. The checks must see each.
func TestChecksBite(t *testing.T) {
	tests := []struct {
		name  string
		wreck func(*replica.Output)
		want  string // in the error
	}{
		{
			name: "votes leave before their sync",
			wreck: func(o *replica.Output) {
				o.Messages, o.AfterSync = append(o.Messages, o.AfterSync...), nil
			},
			want: "on its disk",
		},
		{
			name: "entries do not get into the log",
			wreck: func(o *replica.Output) {
				kept := o.Records[:0]
				for _, r := range o.Records {
					if r.Kind == replica.RecordState {
						kept = append(kept, r)
					}
				}
				o.Records = kept
			},
			want: "not on its disk",
		},
		{
			name: "a commit index that is too high",
			wreck: func(o *replica.Output) {
				for i, e := range o.Messages {
					if m, ok := e.Message.(paxos.Accept); ok {
						m.Commit = m.First
						o.Messages[i].Message = m
					}
				}
			},
			want: "is chosen, which it is not",
		},
		{
			name: "a value that is changed on its way",
			wreck: func(o *replica.Output) {
				for i, e := range o.Messages {
					if m, ok := e.Message.(paxos.Accept); ok && e.To == 0 {
						m.Entries = append([]paxos.Entry{{Slot: m.First, Kind: paxos.KindNoop}}, m.Entries[1:]...)
						o.Messages[i].Message = m
					}
				}
			},
			want: "has two values under ballot",
		},
		{
			name: "a promise that leaves something out",
			wreck: func(o *replica.Output) {
				for i, e := range o.AfterSync {
					if m, ok := e.Message.(paxos.Promise); ok {
						m.Entries, m.More = nil, false
						o.AfterSync[i].Message = m
					}
				}
			},
			want: "does not report slot",
		},
		{
			name: "an executed command answered as refused",
			wreck: func(o *replica.Output) {
				for i, r := range o.Replies {
					if r.Outcome == replica.Done && !r.Token.(*attempt).op.once {
						o.Replies[i].Outcome = replica.NotLeader
					}
				}
			},
			want: "which was applied before",
		},
		{
			name: "a refused command answered as executed",
			wreck: func(o *replica.Output) {
				for i, r := range o.Replies {
					if r.Outcome == replica.NotLeader && !r.Token.(*attempt).reads() {
						o.Replies[i].Outcome, o.Replies[i].Data = replica.Done, []byte("+OK\r\n")
					}
				}
			},
			want: "which no member has applied",
		},
		{
			name: "a read of a state that is old",
			wreck: func(o *replica.Output) {
				for i, r := range o.Replies {
					if r.Outcome == replica.Done && r.Token.(*attempt).reads() {
						o.Replies[i].Data = []byte("_\r\n")
					}
				}
			},
			want: "is not linearizable",
		},
		{
			name: "a log that is dropped before its snapshot is there",
			wreck: func(o *replica.Output) {
				if o.Snapshot != nil {
					o.DropLog, o.Snapshot = o.Snapshot.Header.Slot, nil
				}
			},
			want: "replay",
		},
		{
			name: "a vote of a member that has lost its disk",
			wreck: func(o *replica.Output) {
				for i, e := range o.Messages {
					if m, ok := e.Message.(paxos.Progress); ok {
						o.Messages[i].Message = paxos.HeartbeatAck{Ballot: m.Ballot, Held: m.Held}
					}
				}
			},
			want: "has lost its disk and sends",
		},
		{
			name: "a member let back with a life that was not chosen",
			wreck: func(o *replica.Output) {
				if o.Identity != nil && o.Identity.State == nil {
					o.Identity.Identity.Life.Epoch++
				}
			},
			want: "which was never chosen",
		},
		{
			name: "a good disk that is called lost",
			wreck: func(o *replica.Output) {
				if len(o.Replies) > 0 {
					o.Lost = "no reason"
				}
			},
			want: "is told that its disk is lost, which it is not",
		},
		{
			name: "messages of new leaders that never leave",
			wreck: func(o *replica.Output) {
				kept := o.Messages[:0]
				for _, e := range o.Messages {
					if _, ok := e.Message.(paxos.Heartbeat); !ok {
						kept = append(kept, e)
					}
				}
				o.Messages = kept
			},
			want: "after the faults have stopped",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var first error
			for seed := uint64(1); seed <= 60; seed++ {
				res := Run(Options{Seed: seed, Ops: 300, sabotage: tt.wreck})
				if res.Err == nil {
					continue
				}
				if first == nil {
					first = res.Err
				}
				if bytes.Contains([]byte(res.Err.Error()), []byte(tt.want)) {
					return
				}
			}
			require.ErrorContains(t, first, tt.want)
		})
	}
}

// TestSchedule: events happen in the order of their times, and those of one time
// in the order in which they were asked for.
func TestSchedule(t *testing.T) {
	var s schedule
	var got []int
	note := func(n int) func() { return func() { got = append(got, n) } }
	s.after(2*time.Second, note(4))
	s.after(time.Second, note(2))
	s.after(time.Second, func() {
		note(3)()
		s.after(time.Second, note(5)) // asked for after the other event of that time
		s.after(-time.Second, note(6))
	})
	s.after(0, note(1))
	for s.next() {
		require.LessOrEqual(t, s.now, 2*time.Second)
	}
	require.Equal(t, []int{1, 2, 3, 6, 4, 5}, got)
}

// TestMissing: a mark that was not set is found.
func TestMissing(t *testing.T) {
	var m, all Marks
	for i := range all {
		all[i] = 1
	}
	all[MarkGap] = 0
	require.Equal(t, []Mark{MarkGap}, all.Missing(true))
	m[MarkGap]++
	all.Add(&m)
	require.Empty(t, all.Missing(true))
	for i := range Mark(len(all)) {
		require.NotEmpty(t, i.String())
	}
}
