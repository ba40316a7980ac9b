package server

import (
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// connectionHandlers are the commands about the connection that they come on.
var connectionHandlers = []handler{
	{&kv.Spec{Name: "ping", Arity: -1, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the server's liveliness response."}, ping},
	{&kv.Spec{Name: "echo", Arity: 2, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the given string."}, echo},
	{&kv.Spec{Name: "quit", Arity: -1, Flags: kv.Fast | kv.NoAuth, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Closes the connection."}, quit},
	{&kv.Spec{Name: "select", Arity: 2, Flags: kv.Fast | kv.Stale, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Changes the selected database; there is one, number 0."}, selectDB},
	{&kv.Spec{Name: "hello", Arity: -1, Flags: kv.Fast | kv.NoAuth | kv.Stale, Group: "connection", Since: "6.0.0", Complexity: "O(1)",
		Summary: "Chooses the version of the protocol."}, hello},
	{&kv.Spec{Name: "readonly", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Allows reads of a replica that lags; there are none, and reads go to the leader all the same."}, readOnly},
	{&kv.Spec{Name: "readwrite", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Takes READONLY back."}, readOnly},
	{&kv.Spec{Name: "diskv.forwarded", Arity: 1, Flags: kv.Admin | kv.Stale, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
		Summary: "Tells that another member forwards its clients' commands on this connection."}, forwarded},
}

func ping(c *client, args [][]byte) {
	switch len(args) {
	case 1:
		c.out = resp.AppendSimple(c.out, "PONG")
	case 2:
		c.out = resp.AppendBulk(c.out, args[1])
	default:
		c.wrongArguments("ping")
	}
}

func echo(c *client, args [][]byte) { c.out = resp.AppendBulk(c.out, args[1]) }

func quit(c *client, _ [][]byte) {
	c.out = resp.AppendSimple(c.out, "OK")
	c.quit = true
}

func selectDB(c *client, args [][]byte) {
	n, ok := resp.ParseInt(args[1])
	switch {
	case !ok:
		c.fail("ERR invalid DB index")
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.out = resp.AppendSimple(c.out, "OK")
	}
}

// hello is HELLO [protover [AUTH username password] [SETNAME name]].
func hello(c *client, args [][]byte) {
	resp3, name := c.resp3, c.name
	if len(args) > 1 {
		v, ok := resp.ParseInt(args[1])
		if !ok {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if v != 2 && v != 3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		resp3 = v == 3
	}
	for i := 2; i < len(args); {
		switch opt := strings.ToUpper(string(args[i])); {
		case opt == "AUTH" && i+2 < len(args):
			c.fail("ERR Client sent AUTH, but no password is set. Did you mean AUTH <username> <password>?")
			return
		case opt == "SETNAME" && i+1 < len(args):
			name = string(args[i+1])
			if !validName(name) {
				c.fail(errClientName)
				return
			}
			i += 2
		default:
			c.fail(fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", args[i]))
			return
		}
	}
	c.resp3, c.name = resp3, name
	proto, role := int64(2), "replica"
	if c.resp3 {
		proto = 3
	}
	if rt := c.node.route.Load(); rt.leading {
		role = "master"
	}
	out := resp.AppendMap(nil, 7)
	out = resp.AppendBulkString(out, "server")
	out = resp.AppendBulkString(out, "redis")
	out = resp.AppendBulkString(out, "version")
	out = resp.AppendBulkString(out, redisVersion)
	out = resp.AppendBulkString(out, "proto")
	out = resp.AppendInt(out, proto)
	out = resp.AppendBulkString(out, "id")
	out = resp.AppendInt(out, int64(c.id))
	out = resp.AppendBulkString(out, "mode")
	out = resp.AppendBulkString(out, c.node.redisMode())
	out = resp.AppendBulkString(out, "role")
	out = resp.AppendBulkString(out, role)
	out = resp.AppendBulkString(out, "modules")
	out = resp.AppendArray(out, 0)
	c.reply(out)
}

// redisVersion is the version of Redis whose replies the server gives.
const redisVersion = "7.0.0"

// redisMode returns what a Redis client should take the server for.
func (n *Node) redisMode() string {
	if n.clustered() {
		return "cluster"
	}
	return "standalone"
}

// readOnly is READONLY and READWRITE. Every read is linearizable here: a follower
// answers MOVED to who would be content with less, too.
func readOnly(c *client, _ [][]byte) {
	if !c.node.clustered() {
		c.fail("ERR This instance has cluster support disabled")
		return
	}
	c.out = resp.AppendSimple(c.out, "OK")
}
