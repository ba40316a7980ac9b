package server

import (
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
)

// trackingMode is what a client has asked for with CLIENT TRACKING and CACHING.
type trackingMode struct {
	on, optIn, optOut, noLoop bool
	caching                   bool // CLIENT CACHING was said for the next command
}

const (
	errTrackingProtocol = "ERR CLIENT TRACKING needs RESP3 here: say HELLO 3 first (invalidations are sent on the connection itself, there is no REDIRECT)"
	errTrackingRedirect = "ERR CLIENT TRACKING with REDIRECT is not supported: use RESP3, which needs none"
	errTrackingBroad    = "ERR CLIENT TRACKING with BCAST is not supported: leave it out, and what the connection reads is tracked"
	errTrackingPrefix   = "ERR PREFIX option requires BCAST mode to be enabled"
	errTrackingBoth     = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errTrackingSwitch   = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	errCaching          = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errCachingYes       = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errCachingNo        = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

// clientTracking is CLIENT TRACKING ON | OFF [OPTIN] [OPTOUT] [NOLOOP].
func clientTracking(c *client, args [][]byte) {
	m := trackingMode{}
	for _, arg := range args[3:] {
		switch word := strings.ToUpper(string(arg)); word {
		case "OPTIN":
			m.optIn = true
		case "OPTOUT":
			m.optOut = true
		case "NOLOOP":
			m.noLoop = true
		case "REDIRECT", "BCAST", "PREFIX":
			c.fail(map[string]string{"REDIRECT": errTrackingRedirect, "BCAST": errTrackingBroad, "PREFIX": errTrackingPrefix}[word])
			return
		default:
			c.fail(errSyntax)
			return
		}
	}
	on, ok := onOff(args[2])
	old := c.state.tracking
	m.on = on
	switch {
	case !ok:
		c.fail(errSyntax)
	case !on:
		c.untrack()
		c.ok()
	case !c.node.holdsKeys():
		c.fail("ERR CLIENT TRACKING: this is a shardmaster, which holds no keys")
	case !c.state.resp3:
		c.fail(errTrackingProtocol)
	case m.optIn && m.optOut:
		c.fail(errTrackingBoth)
	case old.on && (m.optIn && old.optOut || m.optOut && old.optIn):
		c.fail(errTrackingSwitch)
	default:
		if !c.track(m) {
			c.fail("CLUSTERDOWN " + errStopped.Error())
			return
		}
		c.ok()
	}
}

// clientCaching is CLIENT CACHING YES | NO: for the next command, or transaction.
func clientCaching(c *client, args [][]byte) {
	m := &c.state.tracking
	word := strings.ToUpper(string(args[2]))
	switch {
	case !m.optIn && !m.optOut:
		c.fail(errCaching)
	case word != "YES" && word != "NO":
		c.fail(errSyntax)
	case word == "YES" && !m.optIn:
		c.fail(errCachingYes)
	case word == "NO" && !m.optOut:
		c.fail(errCachingNo)
	default:
		m.caching = true
		c.ok()
	}
}

// clientTrackingInfo is CLIENT TRACKINGINFO.
func clientTrackingInfo(c *client, _ [][]byte) {
	m := c.state.tracking
	flags := []string{"off"}
	if m.on {
		flags[0] = "on"
	}
	for _, f := range []struct {
		on   bool
		flag string
	}{{m.optIn, "optin"}, {m.caching && m.optIn, "caching-yes"}, {m.optOut, "optout"}, {m.caching && m.optOut, "caching-no"}, {m.noLoop, "noloop"}} {
		if f.on {
			flags = append(flags, f.flag)
		}
	}
	out := resp.AppendMap(nil, 3)
	out = resp.AppendBulkString(out, "flags")
	out = resp.AppendSet(out, len(flags))
	for _, f := range flags {
		out = resp.AppendBulkString(out, f)
	}
	out = resp.AppendBulkString(out, "redirect")
	out = resp.AppendInt(out, m.redirect())
	out = resp.AppendBulkString(out, "prefixes")
	c.reply(resp.AppendArray(out, 0))
}

func clientGetRedir(c *client, _ [][]byte) {
	c.out = resp.AppendInt(c.out, c.state.tracking.redirect())
}

// redirect returns the connection to which invalidations go: 0 for the client's own,
// -1 if there are none.
func (m trackingMode) redirect() int64 {
	if m.on {
		return 0
	}
	return -1
}

// track begins to track what the client reads. It returns false if the node stops.
func (c *client) track(m trackingMode) bool {
	tr := c.tracker
	if tr == nil {
		tr = newTracker(c.node.tracking)
	}
	err := c.node.do(func(r *replica.Replica) {
		tr.noLoop = m.noLoop
		tr.table.add(r, tr)
	})
	if err != nil {
		return false
	}
	if c.tracker == nil {
		c.tracker = tr
		go c.tell(tr)
	}
	c.state.tracking = m
	return true
}

// untrack ends that, and waits until nobody else writes to the connection. A client that
// does this forgets all that it holds.
func (c *client) untrack() {
	tr := c.tracker
	if tr == nil {
		return
	}
	_ = c.node.do(func(*replica.Replica) { tr.table.remove(tr) })
	c.release()
	close(tr.done)
	<-tr.ended
	c.tracker, c.state.tracking = nil, trackingMode{}
}

// endTracking is untrack for a client that is gone: nothing is sent any more.
func (c *client) endTracking() {
	if c.tracker != nil {
		c.shared.leave()
		_ = c.conn.Close()
		c.untrack()
	}
}

// tell tells the client what has become invalid, while its own goroutine has nothing to
// send.
func (c *client) tell(tr *tracker) {
	defer close(tr.ended)
	for {
		select {
		case <-tr.wake:
		case <-tr.done:
			return
		}
		tr.sending.Lock()
		ok := c.writeAll(appendUntold(nil, tr))
		tr.sending.Unlock()
		if !ok {
			c.hangUp() // half of something was sent, perhaps
			return
		}
	}
}

// hold keeps others from sending until the replies to come have been.
func (c *client) hold() {
	if c.tracker != nil && !c.holding {
		c.tracker.sending.Lock()
		c.holding = true
	}
}

func (c *client) release() {
	if c.holding {
		c.tracker.sending.Unlock()
		c.holding = false
	}
}

// keysPerPush bounds one message.
const keysPerPush = 1000

// appendUntold appends what a client is to be told.
func appendUntold(dst []byte, tr *tracker) []byte {
	keys, all := tr.take()
	if all {
		return appendInvalidation(dst, nil)
	}
	for len(keys) > 0 {
		n := min(len(keys), keysPerPush)
		dst = appendInvalidation(dst, keys[:n])
		keys = keys[n:]
	}
	return dst
}

// appendInvalidation appends a message that keys, or all if there are none, have become
// invalid.
func appendInvalidation(dst []byte, keys [][]byte) []byte {
	dst = resp.AppendPush(dst, 2)
	dst = resp.AppendBulkString(dst, "invalidate")
	if len(keys) == 0 {
		return resp.AppendNull(dst)
	}
	dst = resp.AppendArray(dst, len(keys))
	for _, key := range keys {
		dst = resp.AppendBulk(dst, key)
	}
	return dst
}

// cached returns the keys that the client may cache with the reply of a command. loose: it
// is no use to track them, since the reply may be an old one, or depends on keys that it
// does not name.
func (c *client) cached(args [][]byte) (keys [][]byte, loose bool) {
	m := &c.state.tracking
	if !m.on || m.optIn && !m.caching || m.optOut && m.caching {
		return nil, false
	}
	if loose = isOnce(args); loose {
		args = args[onceWords:]
	}
	keys, ranges := keysRead(args)
	return keys, loose || ranges
}

// keysRead returns the keys that a command reads and does not change, and whether it
// reads others between them.
func keysRead(args [][]byte) (keys [][]byte, ranges bool) {
	_, commands, ok := kv.ReadTransaction(args)
	if !ok {
		commands = [][][]byte{args}
	}
	for _, args := range commands {
		if spec, ok := kv.Find(args); ok && spec.Flags&kv.ReadOnly != 0 && spec.Group != "transactions" {
			keys = append(keys, spec.Keys(args)...)
			ranges = ranges || spec.Name == "diskv.range"
		}
	}
	return keys, ranges
}

// onceWords is how many words DISKV.ONCE has before the command in it.
const onceWords = 4

// isOnce tells whether a command is one of a session. Its reply may be one of long ago.
func isOnce(args [][]byte) bool {
	return len(args) > onceWords && strings.EqualFold(string(args[0]), "DISKV.ONCE")
}

// untracked has the client forget what it was just told by somebody who does not know
// when it changes: another member, or this one if it may lag. The reply is ready to be
// sent.
func (c *client) untracked(keys [][]byte) {
	if c.tracker == nil || len(keys) == 0 {
		return
	}
	c.hold()
	for _, key := range keys {
		c.tracker.invalidate(key)
	}
}

// write sends bytes to the client. It returns false if that failed.
func (c *client) write(b []byte) bool {
	if len(b) == 0 {
		return true // replies are turned off, perhaps
	}
	if c.shared.isShared() && len(b) <= flushBytes {
		n, err := c.shared.write(b)
		if err != nil {
			return false
		}
		c.noteWrite(n)
		if b = b[n:]; len(b) == 0 {
			return true
		}
	}
	c.shared.leave()
	return c.writeAll(b)
}

// writeAll is write for a goroutine that may wait until the client has room.
func (c *client) writeAll(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.node.opts.ReplyTimeout)); err != nil {
		return false
	}
	if c.node.clients.stopping.Load() { // looked at last, as in commandSource.Read
		_ = c.conn.SetWriteDeadline(time.Now().Add(stopTimeout))
	}
	n, err := c.conn.Write(b)
	c.noteWrite(n)
	return err == nil
}

func (c *client) noteWrite(n int) {
	c.node.clients.traffic.writes.Add(1)
	c.node.clients.traffic.bytesOut.Add(int64(n))
}
