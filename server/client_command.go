package server

import (
	"strings"

	"diskv/internal/resp"
	"diskv/kv"
)

// clientHandlers are CLIENT.
var clientHandlers = []handler{
	{&kv.Spec{Name: "client", Arity: -2, Flags: kv.Stale, Group: "connection", Since: "2.4.0", Complexity: "O(1)",
		Summary: "Names the connection."}, clientCommand},
}

// clientCommand is CLIENT ID, GETNAME, SETNAME and SETINFO.
func clientCommand(c *client, args [][]byte) {
	switch sub := strings.ToUpper(string(args[1])); {
	case sub == "ID" && len(args) == 2:
		c.out = resp.AppendInt(c.out, int64(c.id))
	case sub == "GETNAME" && len(args) == 2:
		if c.name == "" {
			c.reply(resp.AppendNull(nil))
			return
		}
		c.out = resp.AppendBulkString(c.out, c.name)
	case sub == "SETNAME" && len(args) == 3:
		if !validName(string(args[2])) {
			c.fail(errClientName)
			return
		}
		c.name = string(args[2])
		c.out = resp.AppendSimple(c.out, "OK")
	case sub == "SETINFO" && len(args) == 4:
		c.out = resp.AppendSimple(c.out, "OK")
	case sub == "ID", sub == "GETNAME", sub == "SETNAME", sub == "SETINFO":
		c.wrongArguments("client|" + strings.ToLower(sub))
	default:
		c.unknownSubcommand(args)
	}
}

const errClientName = "ERR Client names cannot contain spaces, newlines or special characters."

func validName(s string) bool {
	for _, b := range []byte(s) {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}
