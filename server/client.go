package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"diskv/internal/resp"
	"diskv/paxos"
	"diskv/replica"
	"diskv/shard"
)

// Limits of one client.
const (
	// maxRun is how many commands of a client are under way together.
	maxRun = 1024
	// keptRun is for how many commands a client keeps room between two runs.
	keptRun = 128
	// maxRunBytes bounds the same by their size.
	maxRunBytes = 4 << 20
	// flushBytes of replies are sent without waiting for more.
	flushBytes = 64 << 10
)

// client serves one connection of a RESP client.
type client struct {
	node   *Node
	conn   net.Conn
	shared *shared // nil: it has a goroutine of its own
	id     uint64
	reader *resp.CommandReader
	out    []byte // replies that were not sent yet
	quit   bool
	mute   mute
	state  clientState

	// For others to see.
	since       time.Time
	addr, laddr string
	fd          int
	shown       atomic.Pointer[clientState]
	last        atomic.Pointer[string] // name of the last command
	heard       atomic.Int64           // when bytes last came, in ns since since

	forwarded bool       // its commands were forwarded by another member
	passedOn  forwarding // commands for another member, as they gather
	tx        transaction
	executing bool // EXEC is being answered
	asking    bool // a reply is not for the client, or not as it is
	tracker   *tracker
	holding   bool // tracker.sending

	wrote     paxos.Slot // of the last write of this connection that was executed here
	wroteAway bool       // another member has executed some
	run       batch
	submit    input // of run
	runBytes  int
	runHeld   int // what the replies of its writes may have; see maxHeld
}

// newClient returns a client. It reads from conn by itself, unless it is shared.
func newClient(n *Node, conn net.Conn) *client {
	c := &client{node: n, conn: conn, id: n.clients.nextID.Add(1), since: time.Now(), fd: fileOf(conn)}
	c.addr, c.laddr = addresses(conn)
	c.show()
	c.reader = resp.NewCommandReader(&commandSource{client: c}, resp.Options{
		MaxBulk: int64(n.opts.MaxValueBytes), MaxCommand: int64(n.opts.MaxValueBytes) + commandOverhead,
	})
	c.run.done = make(chan struct{}, 1)
	c.submit = c.run.submit
	return c
}

// commandOverhead is what a command may hold besides its largest argument.
const commandOverhead = 1 << 20

// commandSource reads a client's connection. A client may be silent for as
// long as it likes between two commands, but not in the middle of one.
type commandSource struct {
	client *client
	timed  bool // a deadline is set
}

// Read reads what has arrived. The deadline is set before it looks whether the
// node is stopping, and the node does it the other way round: so no stop goes
// unnoticed.
func (s *commandSource) Read(b []byte) (int, error) {
	c := s.client
	n, err := s.read(b)
	c.heard.Store(int64(time.Since(c.since)))
	c.node.clients.traffic.reads.Add(1)
	c.node.clients.traffic.bytesIn.Add(int64(n))
	return n, err
}

func (s *commandSource) read(b []byte) (int, error) {
	c := s.client
	if c.shared != nil {
		return c.shared.read(b, c.reader.Partial())
	}
	if inside := c.reader.Partial(); inside || s.timed {
		var deadline time.Time
		if inside {
			deadline = time.Now().Add(c.node.opts.CommandTimeout)
		}
		if err := c.conn.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
		s.timed = inside
	}
	if c.node.clients.stopping.Load() {
		return 0, errStopped
	}
	return c.conn.Read(b)
}

// serve answers commands until the client is gone, sends what is not RESP, or
// the node stops.
func (c *client) serve() {
	defer c.endTracking()
	for !c.quit {
		args, err := c.reader.ReadCommand()
		switch {
		case err != nil:
			if !c.refuse(err) {
				return
			}
		case isHTTP(args):
			c.finishRun()
			c.fail("ERR this port speaks the Redis protocol and not HTTP: the status page and /metrics are at the address of --http")
			c.flush()
			return
		case c.mute == muteNothing:
			c.command(args)
		default:
			c.silently(args)
		}
		if !c.reader.Ready() || len(c.run.reqs) >= maxRun || c.runBytes >= maxRunBytes {
			c.finishRun()
		}
		if (!c.reader.Ready() || len(c.out) >= flushBytes || c.quit) && !c.flush() {
			return
		}
	}
}

// isHTTP reports whether a command is a line of an HTTP request: no more is read of such a
// connection, or a web page could have its visitor's browser send commands in the body.
func isHTTP(args [][]byte) bool {
	return bytes.EqualFold(args[0], []byte("POST")) || bytes.EqualFold(args[0], []byte("Host:"))
}

// silently runs a command that gets no reply, unless it turns replies on.
func (c *client) silently(args [][]byte) {
	c.finishRun()
	before := len(c.out)
	if c.mute == muteNext {
		c.mute = muteThis
	}
	c.command(args)
	c.finishRun()
	if c.mute != muteNothing {
		c.unreply(before)
	}
}

// unreply takes back the replies behind those of so many bytes, which a client that has
// turned replies off does not expect.
func (c *client) unreply(before int) {
	c.out = c.out[:min(before, len(c.out))]
	if c.mute == muteThis {
		c.mute = muteNothing
	}
}

// refuse answers what could not be read as a command, and reports whether the
// connection can go on.
func (c *client) refuse(err error) bool {
	c.finishRun()
	var limit *resp.LimitError
	var protocol *resp.ProtocolError
	switch {
	case errors.As(err, &limit):
		c.tx.failed = c.tx.open
		before := len(c.out)
		c.fail(fmt.Sprintf("ERR %v (--max-value-bytes)", limit))
		if c.mute != muteNothing {
			c.mute = max(c.mute, muteThis)
			c.unreply(before)
		}
		return true
	case errors.As(err, &protocol):
		c.fail("ERR " + protocol.Error())
		c.flush()
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.node.clients.stopping.Load():
		c.fail(fmt.Sprintf("ERR Protocol error: half a command and then nothing for %v", c.node.opts.CommandTimeout))
		c.flush()
	default: // the client is gone, or the node stops
		c.flush()
	}
	return false
}

// flush sends the replies that are ready, and behind them what a client that is tracked
// is to be told.
func (c *client) flush() bool {
	if c.tracker != nil && (len(c.out) > 0 || c.holding) && !c.executing {
		c.hold()
		c.out = appendUntold(c.out, c.tracker)
		defer c.release()
	}
	return c.send()
}

// send sends what is ready of the replies.
func (c *client) send() bool {
	ok := c.write(c.out)
	if cap(c.out) > 1<<20 {
		c.out = nil
	}
	c.out = c.out[:0]
	return ok
}

// command answers one command, or adds it to the run that is gathering.
func (c *client) command(args [][]byte) {
	c.dispatch(args)
	if m := &c.state.tracking; m.caching && !c.tx.open && !bytes.EqualFold(args[0], []byte("CLIENT")) {
		m.caching = false // it was for this command
	}
}

func (c *client) dispatch(args [][]byte) {
	if c.tx.open {
		c.shared.leave()
		if c.queue(args) {
			return
		}
	}
	if h, ok := c.node.service.handlers().of(args); ok {
		c.shared.leave()
		c.finishRun() // replies keep the order of the commands
		h.answer(c, args)
		c.show()
		return
	}
	c.execute(args)
}

// execute has a command on data executed: it adds it to the run that is gathering, or
// answers why not.
func (c *client) execute(args [][]byte) {
	p, refusal := c.node.service.prepare(c.node, args)
	if refusal != nil {
		c.node.metrics.refused(args[0])
		c.finishRun()
		c.reply(refusal)
		return
	}
	count := c.node.metrics.begin(p.spec)
	c.last.Store(&p.spec.Name)
	if p.keyed && c.node.onItsWay(p.shard) {
		c.finishRun() // the command waits, those before it need not
	}
	stale := false
	if !c.node.isHere(p.shard, p.keyed) {
		c.shared.leave() // to learn where it is may take a while
		if d := c.node.locate(p.shard, p.keyed); d != (destination{}) {
			stale = c.state.readOnly && !p.write && !c.watching(&p) && c.node.readsApplied(p.shard, p.keyed)
			if !stale {
				c.elsewhere(d, p, args, count)
				return
			}
		}
	}
	if p.growing && p.write && c.node.lowDisk.Load() {
		count.rejected()
		c.finishRun()
		c.fail(c.node.tooFull())
		return
	}
	if len(c.run.reqs) > 0 && (c.run.write != p.write || c.run.stale != stale) || len(c.passedOn.cmds) > 0 {
		c.finishRun()
	}
	if p.write {
		held := c.node.mayReturn(p.spec, args)
		if c.runHeld += held; c.runHeld > maxHeld {
			c.finishRun()
			c.runHeld = held
		}
	}
	c.run.write, c.run.stale = p.write, stale
	req := request{batch: &c.run, encoded: p.encoded, shard: p.shard, keyed: p.keyed, count: count}
	if c.tracker != nil {
		req.keys, req.loose = c.cached(args)
		req.loose = req.loose || stale
	}
	c.run.reqs = append(c.run.reqs, req)
	c.runBytes += len(p.encoded)
}

// elsewhere answers a command that is to be executed elsewhere, or has it executed there.
func (c *client) elsewhere(d destination, p prepared, args [][]byte, count counting) {
	if p.known {
		c.finishRun()
		if c.known(p.encoded) {
			count.done(false)
			return
		}
	}
	c.away(d, p.shard, args, p.write, count)
}

// tooFull says why a write is refused while the disk has too little space.
func (n *Node) tooFull() string {
	return fmt.Sprintf("MISCONF the disk of %s has less than %d bytes free (--min-free-bytes): writes that need more are refused until there is room",
		n.opts.Dir, n.opts.MinFreeBytes)
}

// moved says that the shard is served elsewhere.
func moved(id shard.ID, addr string) string { return "MOVED " + strconv.Itoa(int(id)) + " " + addr }

// known answers a query, if this member knows the answer without asking the others.
func (c *client) known(query []byte) bool {
	var reply []byte
	var ok bool
	if c.node.do(func(r *replica.Replica) { reply, ok = machineOf(r).known(nil, query) }) != nil || !ok {
		return false
	}
	c.reply(reply)
	return true
}

// finishRun has the run that has gathered executed, here or where it is passed on
// to, and answers it. There is never one of each.
func (c *client) finishRun() {
	c.finishForward()
	run := &c.run
	if len(run.reqs) == 0 {
		return
	}
	all, start := run.reqs, len(c.out)
	run.tracker = c.tracker
	for len(run.reqs) > 0 {
		c.hold()
		if !c.putRun() {
			for i := range run.reqs {
				run.reqs[i].count.rejected()
				c.fail("CLUSTERDOWN " + errStopped.Error() + "; the command was not executed")
			}
			break
		}
		run.reqs = run.reqs[c.outcomes():]
		if len(run.reqs) == 0 {
			break
		}
		// The replies so far are enough to hold at once.
		if c.mute != muteNothing {
			c.out = c.out[:start]
		} else if !c.flush() {
			c.quit = true
		}
		if c.quit {
			break
		}
	}
	clear(all)
	run.reqs = all[:0]
	if cap(run.reqs) > keptRun {
		run.reqs = nil
	}
	c.runBytes, c.runHeld = 0, 0
}

// putRun puts the run before the replica and waits until it has been executed, or the node
// has ended. It returns false if the node has ended before.
func (c *client) putRun() bool {
	if c.shared.isShared() {
		c.run.shared = c.shared
		return c.shared.execute()
	}
	c.run.shared = nil
	if !c.node.inbox.put(c.submit) {
		return false
	}
	select {
	case <-c.run.done:
	case <-c.node.ended:
	}
	return true
}

// outcomes answers the requests of the run that have come back executed or refused, and
// returns how many those are. The rest has to be put before the replica again.
func (c *client) outcomes() int {
	run := &c.run
	now := time.Since(c.node.started)
	for i := range run.reqs {
		req, start := &run.reqs[i], len(c.out)
		if req.outcome == replica.Deferred {
			return i
		}
		c.outcome(req, run.write)
		if req.loose || req.undone(run.write) {
			c.untracked(req.keys)
		}
		req.reply = nil
		if failed := isError(c.out[start:]); failed && req.undone(run.write) {
			req.count.rejected()
		} else {
			req.count.doneAt(now, failed)
			c.noteSlow(now-req.count.begun, func() [][]byte { return c.wordsOf(req) })
		}
		if run.write {
			c.wrote = max(c.wrote, req.slot)
		}
		c.relieve()
	}
	return len(run.reqs)
}

// relieve sends the replies that are ready, if they are many. There may be more to come of
// what was executed together, so nobody else may send yet.
func (c *client) relieve() {
	if len(c.out) >= maxReplies && c.mute == muteNothing && !c.asking {
		c.hold()
		if !c.send() {
			c.quit = true
		}
	}
}

// wordsOf returns a request as the client sent it, as far as that is known.
func (c *client) wordsOf(req *request) [][]byte {
	if words, ok := c.node.service.words(req.encoded); ok {
		return words
	}
	return [][]byte{[]byte(*c.last.Load())}
}

// outcome answers one request as the replica decided.
func (c *client) outcome(req *request, write bool) {
	switch {
	case req.outcome == replica.Done && !wrongShard(req.reply):
		c.reply(req.reply)
	case req.outcome == replica.Overloaded:
		c.fail("TRYAGAIN too many commands are waiting to be executed; this one was not")
	case req.undone(write): // the client may repeat it
		c.repeat(req)
	default:
		c.fail("UNKNOWNRESULT the command may have been executed, or may yet be: its outcome could not be learned in time")
	}
}

// repeat answers a command that was not executed with where it will be, now. A
// follower answers no data, not even its own: only the leader knows that it is new.
func (c *client) repeat(req *request) {
	c.shared.leave() // to learn where it is may take a while
	switch d := c.node.locate(req.shard, req.keyed); {
	case d.refusal != "":
		c.fail(d.refusal)
	case d.addr != "":
		moved := moved(req.shard, d.addr)
		if words, ok := c.node.service.words(req.encoded); ok && c.forwards() {
			c.follow(moved, resp.AppendCommand(nil, words...), req.batch.write)
			return
		}
		c.fail(moved)
	default:
		c.fail("TRYAGAIN leadership or a shard has gone and come back; the command was not executed")
	}
}

func whyDown(rt *route) string {
	if rt.why == "" {
		return "no leader: an election is under way"
	}
	return rt.why
}

// peerAddr returns the address of a member as clients are told it.
func (n *Node) peerAddr(id paxos.ReplicaID) string {
	if int(id) == n.opts.Index && n.opts.single() {
		return n.Addr() // the port may have been chosen by the system
	}
	return n.opts.Peers[id]
}

// reply appends a RESP3 reply in the version that the client speaks.
func (c *client) reply(resp3 []byte) {
	if isError(resp3) {
		c.node.clients.traffic.countError(resp3[1:])
	}
	if c.state.resp3 {
		c.out = append(c.out, resp3...)
	} else {
		c.out = resp.AppendRESP2(c.out, resp3)
	}
}

// isError tells whether replies begin with an error.
func isError(replies []byte) bool { return len(replies) > 0 && replies[0] == '-' }

func (c *client) fail(text string) {
	c.node.clients.traffic.countError([]byte(text))
	c.out = resp.AppendError(c.out, text)
}
