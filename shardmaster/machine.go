package shardmaster

import (
	"fmt"

	"diskv/internal/resp"
	"diskv/shard"
)

// Codes of the errors that a caller branches on: the first word of the reply.
const (
	// CodeConfigChanged: the newest config is not the one that IF names. Not executed.
	CodeConfigChanged = "CONFIGCHANGED"
	// CodeNotYet: there is no config of that number yet.
	CodeNotYet = "NOTYET"
	// CodeCompacted: no group needs that config any more, and it was dropped.
	CodeCompacted = "COMPACTED"
)

// MaxKept is how many configs are kept at most for groups that are behind. Further
// changes, but for new addresses of a group, are refused until they have caught up.
// Every replica has to agree: changing the number is a new format.
const MaxKept = 1024

// Machine holds the configs and how far the groups are with them.
//
// Invariants:
//  1. the configs kept are numbered first, first+1, ... up to that of newest
//  2. the members in the table are the groups of newest, with the same servers
//  3. no group needs a config below first
//  4. every config is one that can be ([shard.Config.Check])
//  5. while there are groups, every shard has an owner
type Machine struct {
	first  uint64   // number of kept[0]
	kept   [][]byte // encoded configs, never empty; not changed once they are here
	newest *shard.Config
	groups []group // ascending by id
	bytes  int64   // of kept and groups in an image

	slot    uint64
	logTime int64 // ns since the Unix epoch
}

// New returns a machine with config 0.
func New() *Machine {
	m := &Machine{newest: &shard.Config{}}
	m.keep(m.newest)
	return m
}

// Begin starts the batch at slot. logTime is in ns since the Unix epoch; one that
// would go back counts as the time of the last batch.
func (m *Machine) Begin(slot uint64, logTime int64) {
	m.slot = slot
	m.logTime = max(m.logTime, logTime)
}

// Slot returns the slot that the last Begin named.
func (m *Machine) Slot() uint64 { return m.slot }

// LogTime returns the log time, in ns since the Unix epoch.
func (m *Machine) LogTime() int64 { return m.logTime }

// Newest returns the newest config. It is never changed: any goroutine may read it.
func (m *Machine) Newest() *shard.Config { return m.newest }

// Kept returns how many configs are kept.
func (m *Machine) Kept() int { return len(m.kept) }

// Apply executes one command in log order, as [Prepare] encoded it, and appends its
// reply to dst, in RESP3. What cannot be decoded or is not allowed gets an error
// reply, the same on every replica, and changes nothing.
func (m *Machine) Apply(dst, encoded []byte) []byte {
	c, err := decodeCommand(encoded)
	if err != nil {
		return resp.AppendError(dst, "ERR malformed command in the log: "+err.Error())
	}
	text := ""
	switch c.op {
	case opJoin, opLeave, opMove, opBalance:
		text = m.change(c)
	case opPassed:
		text = m.passed(c)
	case opQuery, opGroups:
		text = "ERR internal error: a read cannot go through the log"
	}
	if text != "" {
		return resp.AppendError(dst, text)
	}
	return resp.AppendInt(dst, int64(m.newest.Num))
}

// Query executes a read, as [Prepare] encoded it, and appends its reply to dst, in
// RESP3. ok is true: nothing here depends on the time.
func (m *Machine) Query(dst []byte, _ int64, query []byte) (reply []byte, ok bool) {
	c, err := decodeCommand(query)
	switch {
	case err != nil:
		return resp.AppendError(dst, "ERR malformed query: "+err.Error()), true
	case c.op == opGroups:
		return m.appendGroups(dst), true
	case c.op != opQuery:
		return resp.AppendError(dst, "ERR internal error: not a read"), true
	}
	if reply, ok := m.config(dst, c); ok {
		return reply, true
	}
	return resp.AppendError(dst, fmt.Sprintf("%s the newest config is %d, there is no config %d yet", CodeNotYet, m.newest.Num, c.num)), true
}

// Known is Query for a replica that may not be the leader: ok is false, and dst
// unchanged, unless query asks for a config by its number and the answer is one that
// can never change.
func (m *Machine) Known(dst, query []byte) (reply []byte, ok bool) {
	c, err := decodeCommand(query)
	if err != nil || c.op != opQuery || !c.numbered {
		return dst, false
	}
	return m.config(dst, c)
}

// config answers a query for a config that there is or was.
func (m *Machine) config(dst []byte, c command) (reply []byte, ok bool) {
	if !c.numbered {
		c.num = m.newest.Num
	}
	switch {
	case c.num > m.newest.Num:
		return dst, false
	case c.num < m.first:
		return resp.AppendError(dst, fmt.Sprintf("%s config %d was dropped when every group had passed it; the oldest that is kept is %d",
			CodeCompacted, c.num, m.first)), true
	}
	return resp.AppendBulk(dst, m.kept[c.num-m.first]), true
}

// check panics if an invariant does not hold: the mistake is this program's, and
// going on would spread it.
func (m *Machine) check() {
	if err := m.fault(); err != nil {
		panic("shardmaster: " + err.Error())
	}
}

// fault reports the first invariant that does not hold.
func (m *Machine) fault() error {
	if len(m.kept) == 0 || m.first+uint64(len(m.kept))-1 != m.newest.Num {
		return fmt.Errorf("%d configs from %d on, the newest is %d", len(m.kept), m.first, m.newest.Num)
	}
	if err := m.newest.Check(); err != nil {
		return err
	}
	if need := m.oldestNeeded(); need < m.first {
		return fmt.Errorf("config %d is needed, the oldest that is kept is %d", need, m.first)
	}
	if err := m.tableFault(); err != nil {
		return err
	}
	for id, owner := range m.newest.Owner {
		if owner == 0 && len(m.newest.Groups) > 0 {
			return fmt.Errorf("shard %d has no owner", id)
		}
	}
	return nil
}
