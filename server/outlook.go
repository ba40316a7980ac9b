package server

import (
	"fmt"
	"strings"
	"time"

	"diskv/replica"
)

// outlook is what the group can still lose, as far as a member knows.
type outlook struct {
	// State is one of the words below.
	State string `json:"state"`
	// CanLose is how many more members may fail before the group stops; null where it
	// is not known.
	CanLose *int   `json:"can_lose"`
	Text    string `json:"text"` // the same in words
}

// The states of a group.
const (
	groupSafe    = "safe"    // a member may fail
	groupAtRisk  = "at-risk" // it serves, but no other member may fail
	groupStopped = "stopped" // it does not serve
	groupUnknown = "unknown" // the leader knows
)

// outlookOf judges what a member knows. leader is the address of the one that leads.
func outlookOf(s *Status, leader string) outlook {
	size, leads := s.Identity.Size, s.Members != nil
	switch {
	case s.Role == "forming":
		return outlook{State: groupStopped, Text: "Nothing is answered yet. " + sentence(s.Why)}
	case !s.HasLeader:
		return outlook{State: groupStopped, Text: "Stopped: nothing is answered. " + sentence(s.Why)}
	case !leads:
		return outlook{State: groupUnknown, Text: fmt.Sprintf("Member %d leads, at %s. It hears all members and knows what the group can still lose.", s.Leader, leader)}
	case size == 1:
		return outlook{State: groupAtRisk, CanLose: new(int), Text: "A single node: while it is down nothing is answered, and its disk holds the only copy."}
	}
	voting := 0
	var others []string
	for i, d := range s.Disks {
		if d.Votes {
			voting++
		} else {
			others = append(others, absence(i, d))
		}
	}
	needed := size/2 + 1
	canLose := max(voting-needed, 0)
	o := outlook{State: groupSafe, CanLose: &canLose}
	o.Text = fmt.Sprintf("%d of %d members vote, and %d are needed. ", voting, size, needed)
	switch {
	case voting < needed:
		o.State = groupStopped
		o.Text += "Nothing can be written until more are heard. "
	case canLose == 0:
		o.State = groupAtRisk
		o.Text += "No other may fail: the group would stop until one is back. "
	case canLose == 1:
		o.Text += "One more may fail, its machine or its disk, and the group goes on. "
	default:
		o.Text += fmt.Sprintf("%d more may fail, their machines or their disks, and the group goes on. ", canLose)
	}
	o.Text = strings.TrimSpace(o.Text + strings.Join(others, " "))
	return o
}

// absence says why a member does not vote.
func absence(member int, d replica.DiskStatus) string {
	switch {
	case d.Lost:
		return fmt.Sprintf("Member %d has lost its disk and gets everything back; it does not vote yet.", member)
	case !d.Heard:
		return fmt.Sprintf("Member %d has not been heard since this one was started.", member)
	default:
		return fmt.Sprintf("Member %d has not been heard for %v.", member, d.Silence.Round(time.Second))
	}
}

// sentence makes a sentence of a text that is a part of one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}
