package sim

import (
	"fmt"
	"strings"

	"diskv/paxos"
	"diskv/replica"
)

// describe puts a replica's status into a line.
func describe(st *replica.Status) string {
	leader := "no leader"
	if st.HasLeader {
		leader = fmt.Sprintf("leader %d", st.Leader)
	}
	s := fmt.Sprintf("%s, %s, ballot %v, commit %d, applied %d, last %d, log from %d, snapshot %d, queued %d, undecided %d",
		st.Role, leader, st.Ballot, st.Commit, st.Applied, st.Last, st.LogStart, st.Snapshot.Slot, st.Queued, st.Undecided)
	for id, m := range st.Members {
		s += fmt.Sprintf("; member %d has %d, silent %v", id, m.Match, m.Silence)
	}
	return s
}

// maxTold bounds what is told of one message, in bytes.
const maxTold = 300

// describeMessage puts a message into a line.
func describeMessage(m paxos.Message) string {
	text := strings.TrimPrefix(fmt.Sprintf("%T%+v", m, m), "paxos.")
	if len(text) > maxTold {
		text = text[:maxTold] + " ..."
	}
	return text
}
