package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"diskv/handover"
	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
	"diskv/shard"
	"diskv/shardmaster"
)

// call is a command that a member of one group, or the operator, sends to members of
// another one: to one after the other until one knows the answer. It does what
// diskvd's outbound connections do.
type call struct {
	w     *world
	from  *group // nil: the operator
	dice  dice
	args  [][]byte
	queue []*node
	hops  int
	done  func(resp.Value, error)
}

// Bounds of a call.
const (
	maxHops     = 3
	callTimeout = 500 * time.Millisecond // of one attempt
)

var errNoAnswer = errors.New("no answer")

// ask makes a call.
func (w *world) ask(c call) {
	c.w = w
	c.dice.Shuffle(len(c.queue), func(i, j int) { c.queue[i], c.queue[j] = c.queue[j], c.queue[i] })
	c.next(resp.Value{}, errNoAnswer)
}

// next asks the next member, or gives up with what the last one said.
func (c *call) next(v resp.Value, err error) {
	if len(c.queue) == 0 {
		c.done(v, err)
		return
	}
	to := c.queue[0]
	c.queue = c.queue[1:]
	w := c.w
	ended := false
	end := func(v resp.Value, err error) {
		if !ended {
			ended = true
			c.take(v, err)
		}
	}
	w.after(callTimeout, func() { end(resp.Value{}, errNoAnswer) })
	copies := 1
	if !w.calm && c.dice.chance(to.w.plan.double) {
		copies = 2
		w.mark(MarkCallDoubled)
	}
	for range copies {
		if c.lost(to) {
			continue
		}
		w.after(c.delay(to), func() {
			taken := to.serve(c.args, func(reply []byte) {
				if c.lost(to) {
					return
				}
				w.after(c.delay(to), func() {
					w.trace.note(w.now, noteReply, uint64(to.w.id)<<8|uint64(to.id), fingerprint(reply))
					end(parseReply(reply))
				})
			})
			if !taken {
				w.after(to.w.net.clientDelay(), func() { end(resp.Value{}, errNoAnswer) })
			}
		})
	}
}

// lost reports whether a message between the two groups does not arrive.
func (c *call) lost(to *node) bool {
	w := c.w
	if w.calm {
		return false
	}
	if to.w.apart || c.from != nil && c.from.apart || c.dice.chance(to.w.plan.loss) {
		w.mark(MarkCallLost)
		return true
	}
	return false
}

func (c *call) delay(to *node) time.Duration {
	t := to.w.net.clientDelay()
	if !c.w.calm && c.dice.chance(to.w.plan.tail) {
		t += c.dice.around(to.w.plan.late)
	}
	return t
}

// take looks at an answer. One that names another member is followed.
func (c *call) take(v resp.Value, err error) {
	if err == nil && v.Kind != resp.KindError {
		c.done(v, nil)
		return
	}
	if words := strings.Fields(string(v.Str)); err == nil && len(words) == 3 && words[0] == "MOVED" && c.hops < maxHops {
		c.hops++
		if to := c.w.nodeAt(words[2]); to != nil {
			c.queue = append([]*node{to}, c.queue...)
		}
	}
	c.next(v, err)
}

func parseReply(b []byte) (resp.Value, error) {
	return resp.NewReplyReader(bytes.NewReader(b), resp.ReplyOptions{}).ReadReply()
}

// address is where a member listens. Each has two of them, so that a group can be
// given new ones.
func (n *node) address(second bool) string {
	port := 1
	if second {
		port = 2
	}
	return fmt.Sprintf("g%d-%d:%d", n.w.id, n.id, port)
}

// nodeAt returns the member at an address, or nil.
func (w *world) nodeAt(address string) *node {
	for _, g := range w.groups {
		for _, n := range g.nodes {
			if address == n.address(false) || address == n.address(true) {
				return n
			}
		}
	}
	return nil
}

// move has the mover of a group's leader look at where the group stands, and carries
// out what it wants.
func (n *node) move() {
	m := n.rep.Machine().(*machine)
	_, _, leading := n.rep.Leader()
	out := n.mover.Step(n.clock.read(n.w.now).Mono, leading, m.handover)
	for _, req := range out.Requests {
		n.carry(req)
	}
	for _, command := range out.Propose {
		n.rep.Propose(nil, command)
		n.w.proposed = append(n.w.proposed[max(0, len(n.w.proposed)-maxProposed+1):], command)
	}
	if leading && !n.w.calm && n.dice.chance(n.w.stray) {
		n.propose()
	}
}

// maxProposed bounds what is kept of what a group's leaders have proposed.
const maxProposed = 30

// propose proposes once more what a leader of the group has proposed some time ago,
// or a config whose turn has not come: the log has to judge these.
func (n *node) propose() {
	w := n.w
	m := n.rep.Machine().(*machine)
	switch {
	case m.config != nil && n.dice.chance(0.3):
		if next := m.config.Num + 1 + uint64(n.dice.IntN(2)); next < uint64(len(w.moves.configs)) {
			w.mark(MarkStray)
			n.rep.Propose(nil, kv.AppendTakeConfig(nil, w.moves.configs[next], nil))
		}
	case len(w.proposed) > 0:
		w.mark(MarkStray)
		n.rep.Propose(nil, w.proposed[n.dice.IntN(len(w.proposed))])
	}
}

// carry carries out a request of the mover.
func (n *node) carry(req handover.Request) {
	var to []*node
	if req.Servers == nil {
		to = append(to, n.w.masters.nodes...)
	}
	for _, s := range req.Servers {
		node := n.w.nodeAt(s)
		if node == nil {
			n.w.fail("member %d asks %q, where nobody is", n.id, s)
			return
		}
		to = append(to, node)
	}
	n.w.trace.note(n.w.now, noteAsk, uint64(n.w.id)<<8|uint64(n.id), fingerprint(resp.AppendCommand(nil, req.Args...)))
	if n.w.verbose() {
		n.w.printf("member %d asks %q of %q", n.id, req.Args, req.Servers)
	}
	life := n.life
	n.w.ask(call{from: n.w, dice: n.dice, args: req.Args, queue: to, done: func(v resp.Value, err error) {
		if n.life == life {
			n.put(func(*replica.Replica) { n.mover.Answered(req.ID, v, err) })
		}
	}})
}

// serve gives a command of another group to the process. It reports false if there
// is none. Reply is called at most once.
func (n *node) serve(args [][]byte, reply func([]byte)) bool {
	if n.rep == nil {
		return false
	}
	fail := func(text string) { reply(resp.AppendError(nil, text)) }
	n.put(func(r *replica.Replica) {
		m := r.Machine().(*machine)
		switch name := string(args[0]); {
		case m.masters != nil:
			n.configure(m.masters, args, reply)
		case name == "DISKV.PULL":
			n.pull(m, args, reply, fail)
		case name == "DISKV.SETTLED":
			reply(n.standing(m))
		default:
			fail("ERR unknown command " + name)
		}
	})
	return true
}

// pull is DISKV.PULL config group cursor limit. What is frozen may be read while the
// store goes on.
func (n *node) pull(m *machine, args [][]byte, reply func([]byte), fail func(string)) {
	config, _ := resp.ParseInt(args[1])
	to, _ := resp.ParseInt(args[2])
	limit, _ := resp.ParseInt(args[4])
	batch, err := kv.CursorBatch(args[3])
	if err != nil {
		n.w.fail("member %d: cursor: %v", n.id, err)
		return
	}
	frozen, ok := m.store.Outgoing(uint64(config), shard.GroupID(to), batch)
	waits := slices.ContainsFunc(m.store.Handover().Outgoing, func(d kv.Departure) bool {
		return d.Config == uint64(config) && d.To.ID == shard.GroupID(to) && d.Waiting > 0
	})
	st := n.rep.Status()
	switch {
	case !ok && waits && n.led:
		n.w.mark(MarkBatchWanted)
		n.mover.Wanted(uint64(config), shard.GroupID(to), batch)
		fail(handover.CodeNotYet + " the batch is not frozen yet")
	case !ok && waits && st.HasLeader && st.Leader != n.id:
		fail("MOVED 0 " + n.w.nodes[st.Leader].address(false))
	case !ok && waits:
		fail(handover.CodeNotYet + " the batch is not frozen here")
	case ok:
		if !n.led {
			n.w.mark(MarkPulledFromFollower)
		}
		n.later(n.dice.between(0, 2*time.Millisecond), func() {
			chunk, err := frozen.Chunk(args[3], int(limit))
			if err != nil {
				n.w.fail("member %d: chunk: %v", n.id, err)
				return
			}
			reply(resp.AppendBulk(nil, chunk))
		})
	case m.config != nil && m.config.Num >= uint64(config):
		n.w.mark(MarkPulledTooLate)
		fail(handover.CodeGone + " nothing is kept here")
	default:
		n.w.mark(MarkPulledTooEarly)
		fail(handover.CodeNotYet + " the config has not been applied here")
	}
}

// standing is the answer to DISKV.SETTLED.
func (n *node) standing(m *machine) []byte {
	h := &m.handover
	drained, at := int64(0), uint64(0)
	if len(h.Outgoing) == 0 {
		drained = 1
	}
	if h.Config != nil {
		at = h.Config.Num
	}
	leader, leads := "", int64(0)
	if st := n.rep.Status(); st.HasLeader {
		leader = n.w.nodes[st.Leader].address(false)
	}
	if n.led {
		leads = 1
	}
	out := resp.AppendArray(nil, 6)
	for _, v := range []int64{int64(n.w.id), int64(h.Settled), drained, int64(at)} {
		out = resp.AppendInt(out, v)
	}
	return resp.AppendInt(resp.AppendBulkString(out, leader), leads)
}

// configure gives a command to a shardmaster.
func (n *node) configure(m *shardmaster.Machine, args [][]byte, reply func([]byte)) {
	p, refusal := shardmaster.Prepare(args)
	if refusal != nil {
		n.w.fail("member %d: %q: %s", n.id, args, refusal)
		return
	}
	if p.Fixed {
		if known, ok := m.Known(nil, p.Encoded); ok {
			if !n.led {
				n.w.mark(MarkConfigFromFollower)
			}
			reply(known)
			return
		}
	}
	if p.Write {
		n.rep.Propose(reply, p.Encoded)
	} else {
		n.rep.Read(reply, p.Encoded)
	}
}

// answerCall answers a command of another group.
func (n *node) answerCall(r replica.Reply, reply func([]byte)) {
	switch st := n.rep.Status(); {
	case r.Outcome == replica.Done:
		reply(bytes.Clone(r.Data))
	case r.Outcome == replica.NotLeader && st.HasLeader && st.Leader != n.id:
		reply(resp.AppendError(nil, "MOVED 0 "+n.w.nodes[st.Leader].address(false)))
	case r.Outcome == replica.NotLeader:
		reply(resp.AppendError(nil, "CLUSTERDOWN no leader"))
	case r.Outcome == replica.Overloaded:
		n.w.mark(MarkOverloaded)
		reply(resp.AppendError(nil, "TRYAGAIN too much is waiting"))
	default:
		reply(resp.AppendError(nil, "UNKNOWNRESULT"))
	}
}

// groupFacts is what the shardmasters say of a group.
type groupFacts struct {
	id       shard.GroupID
	standing string
	settled  uint64
	drained  bool
}

// groupsOf asks a shardmaster's state for its table of groups.
func groupsOf(m *shardmaster.Machine) []groupFacts {
	p, _ := shardmaster.Prepare(words(shardmaster.Name, "groups"))
	b, _ := m.Query(nil, 0, p.Encoded)
	v, err := parseReply(b)
	if err != nil {
		panic(fmt.Sprintf("sim: groups: %v", err))
	}
	var out []groupFacts
	for _, g := range v.Elems {
		out = append(out, groupFacts{
			id: shard.GroupID(g.Elems[0].Int), standing: string(g.Elems[1].Str),
			settled: uint64(g.Elems[3].Int), drained: g.Elems[4].Int == 1,
		})
	}
	return out
}

func words(s ...string) [][]byte {
	var out [][]byte
	for _, w := range s {
		out = append(out, []byte(w))
	}
	return out
}

func describeConfig(c *shard.Config) string {
	s := ""
	for _, g := range c.Groups {
		s += fmt.Sprintf(" group %d: %d shards;", g.ID, c.Held(g.ID))
	}
	return s
}

// number is a number as a word of a command.
func number[T ~uint64 | ~uint16](n T) string { return strconv.FormatUint(uint64(n), 10) }
