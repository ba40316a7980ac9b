package shardmaster

import (
	"bytes"
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/shard"
)

// Name is the RESP command, in lower case.
const Name = "diskv.shards"

// Prepared is a command that has nothing wrong in itself.
type Prepared struct {
	// Encoded is what goes through the log, or, if not Write, into a query.
	Encoded []byte
	// Write: it has to go through the log.
	Write bool
	// Growing: it may make the state larger.
	Growing bool
	// Fixed: it asks for a config by its number, and [Machine.Known] of any replica
	// that has applied that config may answer.
	Fixed bool
}

// Prepare checks a command, DISKV.SHARDS and its arguments, as far as that can be
// done without the state. refusal is nil, or the error reply. It may be called by any
// goroutine.
func Prepare(args [][]byte) (p Prepared, refusal []byte) {
	if len(args) < 2 || !bytes.EqualFold(args[0], []byte(Name)) {
		return Prepared{}, resp.AppendError(nil, "ERR wrong number of arguments for '"+Name+"' command")
	}
	c, text := parse(args[1], args[2:])
	if text == "" {
		if err := c.check(); err != nil {
			text = "ERR " + err.Error()
		}
	}
	if text != "" {
		return Prepared{}, resp.AppendError(nil, text)
	}
	return Prepared{
		Encoded: c.encode(),
		Write:   c.op.isWrite(),
		Growing: c.op.isWrite() && c.op != opPassed, // which lets configs be dropped
		Fixed:   c.op == opQuery && c.numbered,
	}, nil
}

// parse reads a subcommand, or returns the text of the error.
func parse(sub []byte, args [][]byte) (c command, text string) {
	name := strings.ToLower(string(sub[:min(len(sub), 32)]))
	var ok bool
	switch name {
	case "join", "leave", "move", "balance":
		if args, ok = c.condition(args); !ok {
			return c, errNumber
		}
	}
	n := len(args)
	fits := false
	switch name {
	case "join":
		c.op, fits = opJoin, n >= 2
	case "leave":
		c.op, fits = opLeave, n == 1
	case "move":
		c.op, fits = opMove, n == 2
	case "balance":
		c.op, fits = opBalance, n == 0
	case "passed":
		c.op, fits = opPassed, n == 3
	case "query":
		c.op, fits = opQuery, n <= 1
	case "groups":
		c.op, fits = opGroups, n == 0
	default:
		return c, fmt.Sprintf("ERR unknown subcommand '%.128s': there are JOIN, LEAVE, MOVE, BALANCE, QUERY, GROUPS and PASSED", sub)
	}
	if !fits {
		return c, fmt.Sprintf("ERR wrong number of arguments for '%s|%s' command", Name, name)
	}
	return c, c.arguments(args)
}

const (
	errNumber = "ERR config number is not an integer from 0 on"
	errGroup  = "ERR group number is not an integer from 1 on"
	errShards = "ERR shards are not a number or a range: write 5, or 0-99"
	errDrain  = "ERR drained must be 0 or 1"
)

// condition takes IF num off the end of the arguments. An address is never IF.
func (c *command) condition(args [][]byte) (rest [][]byte, ok bool) {
	n := len(args)
	if n < 2 || !bytes.EqualFold(args[n-2], []byte("if")) {
		return args, true
	}
	return args[:n-2], c.number(args[n-1])
}

func (c *command) number(arg []byte) bool {
	num, ok := resp.ParseInt(arg)
	c.num, c.numbered = uint64(num), true
	return ok && num >= 0
}

// arguments reads what is left, whose number is right.
func (c *command) arguments(args [][]byte) (text string) {
	switch c.op {
	case opMove:
		if !c.rangeOf(args[0]) {
			return errShards
		}
		args = args[1:]
	case opQuery:
		if len(args) > 0 && !c.number(args[0]) {
			return errNumber
		}
		return ""
	case opBalance, opGroups:
		return ""
	case opJoin, opLeave, opPassed:
	}
	gid, ok := resp.ParseInt(args[0])
	if !ok || gid < 0 { // 0 has an error of its own
		return errGroup
	}
	c.group = shard.GroupID(gid)
	args = args[1:]
	switch c.op {
	case opJoin:
		for _, a := range args {
			c.servers = append(c.servers, string(a[:min(len(a), shard.MaxAddress+1)]))
		}
	case opPassed:
		if !c.number(args[0]) {
			return errNumber
		}
		if len(args[1]) != 1 || args[1][0] != '0' && args[1][0] != '1' {
			return errDrain
		}
		c.drained = args[1][0] == '1'
	default:
	}
	return ""
}

// rangeOf reads first[-last].
func (c *command) rangeOf(arg []byte) bool {
	from, to, isRange := bytes.Cut(arg, []byte("-"))
	if !isRange {
		to = from
	}
	first, ok1 := resp.ParseInt(from)
	last, ok2 := resp.ParseInt(to)
	if !ok1 || !ok2 || first < 0 || first > 0xffff || last < 0 || last > 0xffff {
		return false
	}
	c.shards = shard.Range{First: shard.ID(first), Last: shard.ID(last)}
	return true
}
