package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/replica"
)

func TestWhatTheGroupCanStillLose(t *testing.T) {
	voter := replica.DiskStatus{Votes: true, Heard: true}
	down := replica.DiskStatus{Heard: true, Silence: 12300 * time.Millisecond}
	never := replica.DiskStatus{}
	lost := replica.DiskStatus{Heard: true, Lost: true}
	for _, tt := range []struct {
		name    string
		disks   []replica.DiskStatus
		state   string
		canLose int
		text    string
	}{
		{"all of three", []replica.DiskStatus{voter, voter, voter}, groupSafe, 1,
			"3 of 3 members vote, and 2 are needed. One more may fail, its machine or its disk, and the group goes on."},
		{"one of three is down", []replica.DiskStatus{voter, down, voter}, groupAtRisk, 0,
			"2 of 3 members vote, and 2 are needed. No other may fail: the group would stop until one is back. Member 1 has not been heard for 12s."},
		{"two of three are down", []replica.DiskStatus{voter, down, never}, groupStopped, 0,
			"1 of 3 members vote, and 2 are needed. Nothing can be written until more are heard." +
				" Member 1 has not been heard for 12s. Member 2 has not been heard since this one was started."},
		{"all of five", []replica.DiskStatus{voter, voter, voter, voter, voter}, groupSafe, 2,
			"5 of 5 members vote, and 3 are needed. 2 more may fail, their machines or their disks, and the group goes on."},
		{"a disk of five is lost", []replica.DiskStatus{voter, voter, lost, voter, voter}, groupSafe, 1,
			"4 of 5 members vote, and 3 are needed. One more may fail, its machine or its disk, and the group goes on." +
				" Member 2 has lost its disk and gets everything back; it does not vote yet."},
		{"two of two", []replica.DiskStatus{voter, voter}, groupAtRisk, 0,
			"2 of 2 members vote, and 2 are needed. No other may fail: the group would stop until one is back."},
		{"one", []replica.DiskStatus{voter}, groupAtRisk, 0,
			"A single node: while it is down nothing is answered, and its disk holds the only copy."},
	} {
		var s Status
		s.Identity.Size, s.HasLeader, s.Disks = len(tt.disks), true, tt.disks
		s.Members = make([]replica.MemberStatus, len(tt.disks))
		require.Equal(t, outlook{State: tt.state, CanLose: &tt.canLose, Text: tt.text}, outlookOf(&s, "a:1"), tt.name)
	}

	var s Status
	s.Identity.Size, s.Disks = 3, []replica.DiskStatus{voter, voter, voter}
	s.Why = "no leader: fewer than 2 of 3 members can be reached"
	require.Equal(t, outlook{State: groupStopped, Text: "Stopped: nothing is answered. No leader: fewer than 2 of 3 members can be reached."}, outlookOf(&s, ""))
	s.Role, s.Why = "forming", "the group has not formed: waiting for all 3 members to be started with --bootstrap"
	require.Equal(t, "Nothing is answered yet. The group has not formed: waiting for all 3 members to be started with --bootstrap.", outlookOf(&s, "").Text)
	s.Role = "follower"
	s.HasLeader, s.Leader = true, 2
	require.Equal(t, outlook{State: groupUnknown, Text: "Member 2 leads, at c:3. It hears all members and knows what the group can still lose."}, outlookOf(&s, "c:3"))
}
