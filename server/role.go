package server

import (
	"strconv"

	"diskv/internal/resp"
	"diskv/kv"
)

// roleHandlers are ROLE.
var roleHandlers = []handler{
	{&kv.Spec{Name: "role", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast, Group: "server", Since: "2.8.12", Complexity: "O(1)",
		Summary: "Tells whether the member leads or follows."}, role},
}

// role is ROLE: offsets are slots; see infoReplication.
func role(c *client, _ [][]byte) {
	n := c.node
	s, err := n.Status()
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	if s.Role == "leader" {
		followers := n.connectedFollowers(&s)
		c.out = resp.AppendArray(c.out, 3)
		c.out = resp.AppendBulkString(c.out, "master")
		c.out = resp.AppendInt(c.out, int64(s.Commit))
		c.out = resp.AppendArray(c.out, len(followers))
		for _, i := range followers {
			host, port := hostPort(n.peerAddr(paxosID(i)))
			c.out = resp.AppendArray(c.out, 3)
			for _, text := range []string{host, strconv.Itoa(port), strconv.FormatUint(uint64(s.Members[i].Match), 10)} {
				c.out = resp.AppendBulkString(c.out, text)
			}
		}
		return
	}
	host, port, state := "", 0, "connect"
	if s.HasLeader {
		host, port = hostPort(n.peerAddr(s.Leader))
		state = "connected"
		if s.Role == "recovering" {
			state = "sync"
		}
	}
	c.out = resp.AppendArray(c.out, 5)
	c.out = resp.AppendBulkString(c.out, "slave")
	c.out = resp.AppendBulkString(c.out, host)
	c.out = resp.AppendInt(c.out, int64(port))
	c.out = resp.AppendBulkString(c.out, state)
	c.out = resp.AppendInt(c.out, int64(s.Applied))
}
