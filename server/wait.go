package server

import (
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
)

// waitHandlers are what waits for other members to have what a connection has written.
var waitHandlers = []handler{
	{&kv.Spec{Name: "wait", Arity: 3, Flags: kv.NoScript, Group: "generic", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Waits until so many followers have on their disks what the connection has written."}, wait},
	{&kv.Spec{Name: "waitaof", Arity: 4, Flags: kv.NoScript, Group: "generic", Since: "7.2.0", Complexity: "O(1)",
		Summary: "Waits until so many members have on their disks what the connection has written."}, waitAOF},
}

// wait is WAIT numreplicas timeout. A write that was answered is on the disks of a
// majority; this is for who wants to know of more.
func wait(c *client, args [][]byte) {
	want, ok := resp.ParseInt(args[1])
	if !ok {
		c.fail("ERR value is not an integer or out of range")
		return
	}
	if timeout, ok := c.parseMillis(args[2]); ok {
		if n, ok := c.awaitFollowers(want, timeout); ok {
			c.out = resp.AppendInt(c.out, n)
		}
	}
}

// waitAOF is WAITAOF numlocal numreplicas timeout. What is answered is on the leader's
// disk.
func waitAOF(c *client, args [][]byte) {
	local, ok := resp.ParseInt(args[1])
	if !ok || local < 0 || local > 1 {
		c.fail("ERR value is out of range, must be between 0 and 1")
		return
	}
	want, ok := resp.ParseInt(args[2])
	if !ok || want < 0 {
		c.fail("ERR value is out of range, must be positive")
		return
	}
	if timeout, ok := c.parseMillis(args[3]); ok {
		if n, ok := c.awaitFollowers(want, timeout); ok {
			c.out = resp.AppendArray(c.out, 2)
			c.out = resp.AppendInt(c.out, 1)
			c.out = resp.AppendInt(c.out, n)
		}
	}
}

// awaitFollowers waits, until the timeout, until so many followers are known to hold
// durably all that this connection has written, and returns how many do. It fails if this
// member does not lead: a follower does not know what the others hold.
func (c *client) awaitFollowers(want int64, timeout time.Duration) (n int64, ok bool) {
	var slot paxos.Slot
	_ = c.node.do(func(r *replica.Replica) { // if the node ends, followersWith says so
		s := r.Status()
		slot = c.written(&s)
	})
	c.waitWhile(timeout, func() bool {
		n, ok = c.node.followersWith(slot)
		return !ok || n >= want || c.executing // as in Redis, nothing waits in a transaction
	})
	if !ok {
		c.fail("ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable" +
			" (which is not the default) writes to replicas are just local and are not propagated.")
	}
	return n, ok
}

// written returns a slot at or behind which is nothing that the connection has written, as
// a member that leads knows it. Of what was passed on the slot is not known, but that
// it is in the log of whoever leads since.
func (c *client) written(s *replica.Status) paxos.Slot {
	if c.wroteAway {
		return max(c.wrote, s.Last, 1)
	}
	return max(c.wrote, 1)
}

// followersWith counts the followers that hold everything up to a slot durably, as far
// as this member has heard. leading is false if it does not lead.
func (n *Node) followersWith(slot paxos.Slot) (count int64, leading bool) {
	err := n.do(func(r *replica.Replica) {
		members := r.Status().Members
		leading = len(members) > 0
		for i, m := range members {
			if i != n.opts.Index && m.Match >= slot {
				count++
			}
		}
	})
	return count, leading && err == nil
}
