package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
)

// clientHandlers are CLIENT.
var clientHandlers = []handler{
	container(&kv.Spec{Name: "client", Arity: -2, Flags: kv.NoScript | kv.Loading | kv.Stale, Group: "connection", Since: "2.4.0",
		Complexity: "O(N) where N is the number of connections, for those that look at others; else O(1)", Summary: "Describes and controls connections."}, nil, clientSubcommands...),
}

// clientSubcommands are those of CLIENT.
var clientSubcommands = []subcommand{
	{name: "caching", arity: 3, since: "6.0.0", summary: "Has the next command's keys tracked, or not.", run: clientCaching, usage: []string{
		"CACHING (YES|NO)", "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes."}},
	{name: "getredir", arity: 2, since: "6.0.0", summary: "Returns the connection that invalidations are sent to: this one, or none.", run: clientGetRedir, usage: []string{
		"GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled."}},
	{name: "getname", arity: 2, since: "2.6.9", summary: "Returns the name of the connection.", run: clientGetName, usage: []string{
		"GETNAME", "    Return the name of the current connection."}},
	{name: "id", arity: 2, since: "5.0.0", summary: "Returns the number of the connection.", run: clientID, usage: []string{
		"ID", "    Return the ID of the current connection."}},
	{name: "info", arity: 2, since: "6.2.0", summary: "Describes the connection.", run: clientInfo, usage: []string{
		"INFO", "    Return information about the current client connection."}},
	{name: "kill", flags: kv.Admin, arity: -3, since: "2.4.0", summary: "Closes connections.", run: clientKill, usage: []string{
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Kill connections by type.",
		"    * USER <username>", "      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)", "      Skip killing current connection (default: yes).",
		"    * ID <client-id>", "      Kill the connection of that number.",
		"    * MAXAGE <seconds>", "      Kill connections that are at least so old."}},
	{name: "list", flags: kv.Admin, arity: -2, since: "2.4.0", summary: "Describes connections.", run: clientList, usage: []string{
		"LIST [options ...]", "    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Return clients of specified type.",
		"    * ID <client-id> [<client-id> ...]", "      Return the clients of these numbers."}},
	{name: "no-evict", flags: kv.Admin, arity: 3, since: "7.0.0", summary: "Keeps the connection from being closed to save memory; none ever is.", run: clientNoEvict, usage: []string{
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction."}},
	{name: "no-touch", arity: 3, since: "7.2.0", summary: "Keeps reads from counting as uses of a key.", run: clientNoTouch, usage: []string{
		"NO-TOUCH (ON|OFF)", "    Will not touch LRU/LFU stats when this mode is on."}},
	{name: "reply", arity: 3, since: "3.2.0", summary: "Turns replies on and off.", run: clientReply, usage: []string{
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection."}},
	{name: "setinfo", arity: 4, since: "7.2.0", summary: "Tells what library the client is.", run: clientSetInfo, usage: []string{
		"SETINFO <option> <value>", "    Set client meta attr. Options are:",
		"    * LIB-NAME: the client lib name.", "    * LIB-VER: the client lib version."}},
	{name: "setname", arity: 3, since: "2.6.9", summary: "Names the connection.", run: clientSetName, usage: []string{
		"SETNAME <name>", "    Assign the name <name> to the current connection."}},
	{name: "tracking", arity: -3, since: "6.0.0", summary: "Tells the connection when what it has read changes.", run: clientTracking, usage: []string{
		"TRACKING (ON|OFF) [OPTIN] [OPTOUT] [NOLOOP]", "    Control server assisted client side caching."}},
	{name: "trackinginfo", arity: 2, since: "6.2.0", summary: "Describes how the connection is tracked.", run: clientTrackingInfo, usage: []string{
		"TRACKINGINFO", "    Report tracking status for the current connection."}},
}

const errSyntax = "ERR syntax error"

// clientNames is what errors call them.
const clientNames = "Client names"

// maxName bounds what a connection is called, and what its library is, in bytes: CLIENT
// LIST shows those of all connections at once.
const maxName = 1024

// wrongName returns the error of a name that a connection or, as what, its library cannot
// have, or nothing.
func wrongName(what, s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("ERR %s cannot be longer than %d bytes", what, maxName)
	}
	for _, b := range []byte(s) {
		if b < '!' || b > '~' {
			return "ERR " + what + " cannot contain spaces, newlines or special characters."
		}
	}
	return ""
}

func clientID(c *client, _ [][]byte) { c.out = resp.AppendInt(c.out, int64(c.id)) }

func clientGetName(c *client, _ [][]byte) {
	if c.state.name == "" {
		c.reply(resp.AppendNull(nil))
		return
	}
	c.out = resp.AppendBulkString(c.out, c.state.name)
}

func clientSetName(c *client, args [][]byte) {
	name := string(args[2])
	if wrong := wrongName(clientNames, name); wrong != "" {
		c.fail(wrong)
		return
	}
	c.state.name = name
	c.ok()
}

func clientSetInfo(c *client, args [][]byte) {
	attr := strings.ToLower(string(args[2]))
	value := string(args[3])
	wrong := wrongName(attr, value)
	switch {
	case attr != "lib-name" && attr != "lib-ver":
		c.fail("ERR Unrecognized option '" + string(args[2][:min(len(args[2]), 128)]) + "'")
	case wrong != "":
		c.fail(wrong)
	case attr == "lib-name":
		c.state.libName = value
		c.ok()
	default:
		c.state.libVersion = value
		c.ok()
	}
}

// onOff reads ON or OFF.
func onOff(arg []byte) (on, ok bool) {
	switch strings.ToUpper(string(arg)) {
	case "ON":
		return true, true
	case "OFF":
		return false, true
	}
	return false, false
}

func clientNoEvict(c *client, args [][]byte) { c.toggle(&c.state.noEvict, args[2]) }
func clientNoTouch(c *client, args [][]byte) { c.toggle(&c.state.noTouch, args[2]) }

func (c *client) toggle(flag *bool, arg []byte) {
	on, ok := onOff(arg)
	if !ok {
		c.fail(errSyntax)
		return
	}
	*flag = on
	c.ok()
}

func clientReply(c *client, args [][]byte) {
	switch strings.ToUpper(string(args[2])) {
	case "ON":
		c.mute = muteNothing
		c.ok()
	case "OFF":
		c.mute = muteAll
	case "SKIP":
		if c.mute != muteAll {
			c.mute = muteNext
		}
	default:
		c.fail(errSyntax)
	}
}

func clientInfo(c *client, _ [][]byte) {
	c.show()
	c.reply(resp.AppendVerbatim(nil, "txt", c.describe(time.Now())+"\n"))
}

// kinds are the words for TYPE; no connection is of any kind but the first.
var kinds = []string{"normal", "master", "replica", "slave", "pubsub"}

// kindOf reads a TYPE, or answers that there is none such.
func (c *client) kindOf(arg []byte) (normal, ok bool) {
	i := slices.Index(kinds, strings.ToLower(string(arg)))
	if i < 0 {
		c.fail("ERR Unknown client type '" + string(arg[:min(len(arg), 128)]) + "'")
	}
	return i == 0, i >= 0
}

func clientList(c *client, args [][]byte) {
	wanted := func(*client) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 4 && strings.EqualFold(string(args[2]), "TYPE"):
		normal, ok := c.kindOf(args[3])
		if !ok {
			return
		}
		wanted = func(*client) bool { return normal }
	case len(args) > 3 && strings.EqualFold(string(args[2]), "ID"):
		ids := make(map[uint64]bool)
		for _, a := range args[3:] {
			id, ok := resp.ParseInt(a)
			if !ok || id < 1 {
				c.fail("ERR Invalid client ID")
				return
			}
			ids[uint64(id)] = true
		}
		wanted = func(o *client) bool { return ids[o.id] }
	default:
		c.fail(errSyntax)
		return
	}
	c.show()
	now := time.Now()
	var w strings.Builder
	for _, o := range c.node.clients.all() {
		if wanted(o) {
			w.WriteString(o.describe(now))
			w.WriteByte('\n')
		}
	}
	c.reply(resp.AppendVerbatim(nil, "txt", w.String()))
}

// victims says which connections CLIENT KILL closes.
type victims struct {
	id          uint64 // zero: any
	addr, laddr string
	none        bool // no connection is of the kind or of the user
	skipMe      bool
	maxAge      time.Duration
}

func clientKill(c *client, args [][]byte) {
	old := len(args) == 3
	v := victims{skipMe: !old}
	if old {
		v.addr = string(args[2])
	} else if !c.readVictims(&v, args[2:]) {
		return
	}
	n := 0
	for _, o := range c.node.clients.all() {
		if !v.includes(c, o) {
			continue
		}
		n++
		if o == c {
			c.quit = true // with its reply
		} else {
			o.hangUp()
		}
	}
	switch {
	case !old:
		c.out = resp.AppendInt(c.out, int64(n))
	case n == 0:
		c.fail("ERR No such client")
	default:
		c.ok()
	}
}

// readVictims reads the filters, or answers what is wrong with them.
func (c *client) readVictims(v *victims, args [][]byte) bool {
	if len(args)%2 != 0 {
		c.fail(errSyntax)
		return false
	}
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch n, isInt := resp.ParseInt(value); strings.ToUpper(string(args[i])) {
		case "ID":
			if !isInt || n < 1 {
				c.fail("ERR client-id should be greater than 0")
				return false
			}
			v.id = uint64(n)
		case "TYPE":
			normal, ok := c.kindOf(value)
			if !ok {
				return false
			}
			v.none = v.none || !normal
		case "ADDR":
			v.addr = string(value)
		case "LADDR":
			v.laddr = string(value)
		case "USER":
			if !isUser(value) {
				c.fail("ERR No such user '" + string(value[:min(len(value), 128)]) + "'")
				return false
			}
		case "SKIPME":
			yes := strings.EqualFold(string(value), "yes")
			if !yes && !strings.EqualFold(string(value), "no") {
				c.fail(errSyntax)
				return false
			}
			v.skipMe = yes
		case "MAXAGE":
			if !isInt {
				c.fail("ERR maxage is not an integer or out of range")
				return false
			}
			if n <= 0 {
				c.fail("ERR maxage should be greater than 0")
				return false
			}
			v.maxAge = time.Duration(min(n, 1<<32)) * time.Second
		default:
			c.fail(errSyntax)
			return false
		}
	}
	return true
}

// includes tells whether a connection is to be closed for by.
func (v *victims) includes(by, o *client) bool {
	return !v.none && (v.id == 0 || v.id == o.id) && (v.addr == "" || v.addr == o.addr) &&
		(v.laddr == "" || v.laddr == o.laddr) && (!v.skipMe || o != by) && time.Since(o.since) >= v.maxAge
}
