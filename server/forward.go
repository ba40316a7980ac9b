package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
)

// forwarding is a run of commands of one client that are to be executed by another
// member, for clients that know nothing of clusters.
type forwarding struct {
	addr  string
	cmds  [][]byte // encoded
	write []bool
	count []counting
	bytes int
	held  int      // what the replies may have; see maxHeld
	keys  [][]byte // that the client may take the replies for
}

// forwardTimeout is how long another member may take to answer: longer than it may
// take to say that it does not know the outcome.
const forwardTimeout = 8 * time.Second

// newForwardLinks returns the connections on which commands are forwarded. They say
// so, since a member that is not right either must answer MOVED, and not send
// the command round in circles.
func newForwardLinks() *outbound {
	o := newOutbound(resp.DefaultMaxReply)
	o.greeting = [][][]byte{{[]byte("HELLO"), []byte("3")}, {[]byte("DISKV.FORWARDED")}}
	return o
}

// forwarded is DISKV.FORWARDED: what comes on this connection has been forwarded once.
func forwarded(c *client, _ [][]byte) {
	c.forwarded = true
	c.out = resp.AppendSimple(c.out, "OK")
}

// forwards tells whether the client's commands are passed on to where they belong.
func (c *client) forwards() bool { return c.node.forwardLinks != nil && !c.forwarded }

// forward adds a command to those that are passed on together.
func (c *client) forward(addr string, args [][]byte, write bool, count counting) {
	f := &c.passedOn
	held := 0
	if s, ok := kv.Find(args); ok {
		held = c.node.mayReturn(s, args)
	}
	if len(c.run.reqs) > 0 || f.addr != addr || len(f.cmds) >= maxRun || f.bytes >= maxRunBytes || f.held+held > maxHeld {
		c.finishRun()
	}
	f.held += held
	f.addr = addr
	encoded := resp.AppendCommand(nil, args...)
	f.cmds, f.write = append(f.cmds, encoded), append(f.write, write)
	f.count = append(f.count, count)
	f.bytes += len(encoded)
	if c.tracker != nil {
		keys, _ := c.cached(args)
		f.keys = append(f.keys, keys...)
	}
}

// finishForward passes the run on and answers it.
func (c *client) finishForward() {
	f := &c.passedOn
	if len(f.cmds) == 0 {
		return
	}
	c.shared.leave()
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	replies, err := c.node.forwardLinks.exchange(ctx, f.addr, f.cmds)
	for i := range f.cmds {
		start := len(c.out)
		if i < len(replies) {
			c.answerForwarded(ctx, f.cmds[i], f.write[i], replies[i])
			replies[i] = resp.Value{}
		} else {
			c.unanswered(f.addr, f.write[i], err)
		}
		f.count[i].done(isError(c.out[start:]))
		c.relieve()
	}
	c.untracked(f.keys)
	*f = forwarding{}
}

// answerForwarded passes a reply back. One that names another member, which leads
// since a moment ago, is followed: that the command was not executed is certain.
func (c *client) answerForwarded(ctx context.Context, cmd []byte, write bool, v resp.Value) {
	c.wroteAway = c.wroteAway || write
	for range maxHops {
		var reply resp.ErrorReply
		if !errors.As(v.Err(), &reply) {
			break
		}
		addr, ok := movedTo(reply)
		if !ok {
			break
		}
		next, err := c.node.forwardLinks.exchange(ctx, addr, [][]byte{cmd})
		if len(next) == 0 {
			c.unanswered(addr, write, err)
			return
		}
		v = next[0]
	}
	if strings.HasPrefix(string(v.Str), "MOVED ") && v.Kind == resp.KindError {
		c.fail("CLUSTERDOWN it is not settled who serves the key")
		return
	}
	c.reply(resp.AppendValue(nil, v))
}

// unanswered answers a command to which the member that it was passed on to gave no
// reply.
func (c *client) unanswered(addr string, write bool, err error) {
	if errors.Is(err, errNotSent) || !write {
		c.fail("CLUSTERDOWN member " + addr + " cannot be reached; the command was not executed")
		return
	}
	c.fail("UNKNOWNRESULT the command was passed on to " + addr + " and may have been executed: the answer did not come")
}

// follow has a command executed where MOVED says, in place of this member.
func (c *client) follow(moved string, cmd []byte, write bool) {
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	c.answerForwarded(ctx, cmd, write, resp.Value{Kind: resp.KindError, Str: []byte(moved)})
}
