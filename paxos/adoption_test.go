package paxos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHighestBallotIsAdopted: of the values that the quorum holds in a slot, the
// candidate's own included, the one of the highest ballot is proposed again, in
// whatever order the promises arrive.
func TestHighestBallotIsAdopted(t *testing.T) {
	entry := func(round uint64, id ReplicaID, value string) []Entry {
		return []Entry{{Slot: 1, Ballot: Ballot{round, id}, Kind: KindBatch, Value: []byte(value)}}
	}
	tests := []struct {
		name          string
		own           uint64 // round of the own value, "own"; none if zero
		first, second []Entry
		want          string
	}{
		{name: "the later report", first: entry(2, 3, "low"), second: entry(3, 3, "high"), want: "high"},
		{name: "the earlier report", first: entry(3, 3, "high"), second: entry(2, 3, "low"), want: "high"},
		{name: "by replica in one round", first: entry(3, 4, "high"), second: entry(3, 3, "low"), want: "high"},
		{name: "the only report", second: entry(2, 3, "low"), want: "low"},
		{name: "a report above the own value", own: 2, first: entry(3, 3, "high"), want: "high"},
		{name: "the own value above the reports", own: 4, first: entry(2, 3, "low"), second: entry(3, 3, "high"), want: "own"},
		{name: "the own value alone", own: 2, want: "own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testCore(t, 5)
			if tt.own != 0 {
				step(c, 4, Accept{Ballot: Ballot{tt.own, 4}, Round: 1, First: 1, Entries: entry(tt.own, 4, "own")})
			}
			step(c, 4, PreVoteReply{Promised: Ballot{9, 4}}) // its own ballot is above that
			c.Durable(c.Ready().Sync)
			c.Tick(10*time.Second, 0)
			b := Ballot{10, 0}
			step(c, 1, PreVoteReply{Ballot: b, Granted: true})
			step(c, 2, PreVoteReply{Ballot: b, Granted: true})
			c.Durable(c.Ready().Sync)
			step(c, 1, Promise{Ballot: b, From: 1, LogStart: 1, Entries: tt.first})
			step(c, 2, Promise{Ballot: b, From: 1, LogStart: 1, Entries: tt.second})
			require.Equal(t, Leader, c.Role())
			rd := c.Ready()
			require.Len(t, rd.Entries, 1)
			require.Equal(t, Entry{Slot: 1, Ballot: b, Kind: KindBatch, Value: []byte(tt.want)}, rd.Entries[0])
		})
	}
}
