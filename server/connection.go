package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
)

// connectionHandlers are the commands about the connection that they come on.
var connectionHandlers = []handler{
	{&kv.Spec{Name: "ping", Arity: -1, Flags: kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the server's liveliness response."}, ping},
	{&kv.Spec{Name: "echo", Arity: 2, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the given string."}, echo},
	{&kv.Spec{Name: "quit", Arity: -1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast | kv.NoAuth, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Closes the connection."}, quit},
	{&kv.Spec{Name: "auth", Arity: -2, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast | kv.NoAuth, Group: "connection", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Logs in; there are no passwords, and one user."}, auth},
	{&kv.Spec{Name: "reset", Arity: 1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast | kv.NoAuth, Group: "connection", Since: "6.2.0",
		Complexity: "O(1)", Summary: "Makes the connection as good as new."}, reset},
	{&kv.Spec{Name: "time", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "server", Since: "2.6.0", Complexity: "O(1)",
		Summary: "Returns the time of the member that is asked."}, timeCommand},
	{&kv.Spec{Name: "select", Arity: 2, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Changes the selected database; there is one, number 0."}, selectDB},
	{&kv.Spec{Name: "hello", Arity: -1, Flags: kv.NoScript | kv.Loading | kv.Stale | kv.Fast | kv.NoAuth, Group: "connection", Since: "6.0.0", Complexity: "O(1)",
		Summary: "Chooses the version of the protocol."}, hello},
	{&kv.Spec{Name: "readonly", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Allows reads of a follower, which may lag."}, readOnly},
	{&kv.Spec{Name: "readwrite", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
		Summary: "Takes READONLY back."}, readWrite},
	{&kv.Spec{Name: "diskv.forwarded", Arity: 1, Flags: kv.Admin | kv.Stale | kv.NoMulti, Group: "diskv", Since: "0.1.0", Complexity: "O(1)",
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
		c.fail("ERR value is not an integer or out of range")
	case n == 0:
		c.ok()
	case c.node.clustered():
		c.fail("ERR SELECT is not allowed in cluster mode")
	default:
		c.fail("ERR DB index is out of range")
	}
}

// timeCommand is TIME: the clock of this member, not the log's time.
func timeCommand(c *client, _ [][]byte) {
	now := time.Now().UnixMicro()
	c.out = resp.AppendArray(c.out, 2)
	c.out = resp.AppendBulkString(c.out, strconv.FormatInt(now/1e6, 10))
	c.out = resp.AppendBulkString(c.out, strconv.FormatInt(now%1e6, 10))
}

// Errors of logging in. There is one user, "default", who needs no password.
const (
	errNoPassword = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errWrongUser  = "WRONGPASS invalid username-password pair or user is disabled."
)

// isUser tells whether there is a user of that name.
func isUser(name []byte) bool { return string(name) == "default" }

// auth is AUTH [username] password.
func auth(c *client, args [][]byte) {
	switch {
	case len(args) > 3:
		c.fail("ERR syntax error")
	case len(args) == 2:
		c.fail(errNoPassword)
	case !isUser(args[1]):
		c.fail(errWrongUser)
	default:
		c.ok()
	}
}

// reset is RESET.
func reset(c *client, _ [][]byte) {
	c.untrack()
	c.state = clientState{libName: c.state.libName, libVersion: c.state.libVersion, noEvict: c.state.noEvict, noTouch: c.state.noTouch}
	c.mute = muteNothing
	c.forget()
	c.out = resp.AppendSimple(c.out, "RESET")
}

// hello is HELLO [protover [AUTH username password] [SETNAME name]].
func hello(c *client, args [][]byte) {
	resp3, name := c.state.resp3, c.state.name
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
			if !isUser(args[i+1]) {
				c.fail(errWrongUser)
				return
			}
			i += 3
		case opt == "SETNAME" && i+1 < len(args):
			name = string(args[i+1])
			if wrong := wrongName(clientNames, name); wrong != "" {
				c.fail(wrong)
				return
			}
			i += 2
		default:
			c.fail(fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", args[i]))
			return
		}
	}
	if !resp3 {
		c.untrack() // RESP2 has no messages that nobody asked for
	}
	c.state.resp3, c.state.name = resp3, name
	proto, role := int64(2), "replica"
	if c.state.resp3 {
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

// readOnly is READONLY: from now on a follower answers reads from what it has applied.
func readOnly(c *client, _ [][]byte) { c.allowStale(true) }

// readWrite is READWRITE.
func readWrite(c *client, _ [][]byte) { c.allowStale(false) }

func (c *client) allowStale(allow bool) {
	if !c.node.clustered() {
		c.fail("ERR This instance has cluster support disabled")
		return
	}
	c.state.readOnly = allow
	c.ok()
}
