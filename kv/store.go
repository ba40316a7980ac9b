package kv

import (
	"math"

	"github.com/google/btree"

	"diskv/internal/resp"
	"diskv/shard"
)

// How many keys and sessions whose time has come are removed at the start of a
// batch, and with every command. A command makes at most one key that expires, so
// removal keeps up with any load, and a million keys of one deadline stall
// nobody. Every replica has to do the same: changing the numbers is a new format.
const (
	reapPerBatch   = 512
	reapPerCommand = 2
)

// nanosPerMilli: log time is in ns, the times of keys and sessions in ms.
const nanosPerMilli = 1_000_000

// Store holds the keys and sessions of a group.
//
// Invariants:
//  1. a shard's deadlines has one entry for every item with an expiry, and no other;
//     the store's has one entry for every shard with deadlines, the first of them
//  2. a shard's bytes is the sum of the sizes of its items, the store's that of all
//     items and sessions, those that leave or arrive included, and of the removals;
//     sessionBytes, keys and expires are sums of what is served
//  3. no deadline and no end of a session is before due
//  4. log time never goes back
//  5. what an image may read is not changed: it has no shard of this generation
//  6. a shard that is not served holds nothing in shards, and 0 in removed
//  7. awaited are the shards in incoming, each in one stream; a stream awaits one at
//     least; served and awaited are together those that the config gives to group;
//     leaving are the shards in leaving, which the config gives to the group there
//  8. no config is taken while a shard is awaited, so every stream is of config
//  9. of one config and group the batches in outgoing are numbered from 0 on; the last
//     one is final if and only if nothing leaves for that group with that config
//  10. a key that is not as it was at a slot, or was not here then, has a later one in
//     changed; or it is not here, and its shard has a later one in removed
type Store struct {
	shards    shardArray
	removed   removals
	deadlines *btree.BTreeG[shardDeadline]
	sessions  *btree.BTreeG[session]
	keys      int // in all shards
	expires   int // of the keys, those with an expiry

	generation uint64 // goes up with every image
	empty      empty

	slot    uint64
	logTime int64 // ns since the Unix epoch
	due     int64 // ms: before it there is nothing to remove

	bytes        int64
	sessionBytes int64

	// The hand-over of shards. Images share the slice outgoing and what it points to.
	group     shard.GroupID // 0: a plain group, which serves every shard
	states    [shard.Count]ShardState
	config    *shard.Config // nil before the first
	incoming  []incoming    // by source
	leaving   []leaving     // with the present config and not frozen, by group
	outgoing  []*Outgoing   // by config, group and batch
	headBytes int64         // of their records in an image, without keys and sessions
	version   uint64        // of what Handover says

	// Known to this process only, no part of the state.
	observer Observer // of this process only, no part of the state
	reaping  bool     // what is removed has expired

	cursors cursors // of SCAN
	drawn   uint64  // how often RANDOMKEY has drawn

	// Scratch, so that a command allocates for what it stores and for nothing else.
	decoded      Command
	call         call
	anticipation anticipation
}

// New returns an empty store of a plain group, which serves every shard.
func New() *Store {
	s := &Store{
		deadlines: btree.NewG(degree, shardDeadlineLess),
		sessions:  newSessions(),
		due:       math.MaxInt64,
		empty:     newEmpty(),
	}
	for id := range s.states {
		s.states[id] = Served
	}
	return s
}

// Begin starts the batch at slot. logTime, in ns since the Unix epoch, is the time
// by which its commands are judged; one that would go back counts as the time of
// the last batch. Some of what has expired is removed here.
func (s *Store) Begin(slot uint64, logTime int64) {
	s.slot = slot
	s.logTime = max(s.logTime, logTime)
	s.reap(reapPerBatch)
}

// now returns the log time in ms.
func (s *Store) now() int64 { return s.logTime / nanosPerMilli }

// reap removes up to n sessions and keys whose time has come.
func (s *Store) reap(n int) {
	now := s.now()
	if now < s.due {
		return
	}
	s.reaping = true
	defer func() { s.reaping = false }()
	for ; n > 0; n-- {
		if oldest, ok := s.sessions.Min(); ok && oldest.id.expired(now) {
			s.sessions.DeleteMin()
			s.sessionBytes -= oldest.size()
			s.bytes -= oldest.size()
			continue
		}
		next, ok := s.deadlines.Min()
		if !ok || next.at > now {
			break
		}
		first, _ := s.shards[next.shard].deadlines.Min()
		s.remove(next.shard, first.key)
	}
	s.due = s.nextDue()
}

// nextDue returns the ms at which something will have to be removed.
func (s *Store) nextDue() int64 {
	due := int64(math.MaxInt64)
	if first, ok := s.deadlines.Min(); ok {
		due = first.at
	}
	if oldest, ok := s.sessions.Min(); ok {
		due = min(due, oldest.id.end())
	}
	return due
}

// Apply executes one command in log order, as [Command.Append] encoded it, and
// appends its reply to dst, in RESP3. The command may be changed by the caller
// afterwards: what is stored is copied. What cannot be decoded or is not allowed
// gets an error reply, the same on every replica.
func (s *Store) Apply(dst, command []byte) []byte {
	s.reap(reapPerCommand)
	if len(command) > 0 && command[0] == handoverVersion {
		return s.applyHandover(dst, command)
	}
	defer s.decoded.release()
	cmd := &s.decoded
	if err := cmd.decode(command); err != nil {
		return resp.AppendError(dst, "ERR malformed command in the log: "+err.Error())
	}
	a, refusal := admit(cmd.Args)
	if a.keyed && !s.states[a.shard].Serves() {
		return s.wrongShard(dst, a.shard) // before the session: it records nothing
	}
	if !cmd.Session.IsValid() {
		dst, _ = s.execute(dst, cmd, a, refusal)
		return dst
	}
	return s.applyOnce(dst, cmd, a, refusal)
}

// execute runs a command that was decoded and looked at. executed is false if it was
// refused before it began.
func (s *Store) execute(dst []byte, cmd *Command, a admission, refusal string) (reply []byte, executed bool) {
	switch {
	case refusal != "":
	case a.spec.run == nil && a.transaction == nil:
		refusal = errNested
	case a.spec.Flags&queryOnly != 0:
		refusal = errQueryOnly
	case cmd.Session.IsValid() && !a.keyed:
		refusal = errOnceKeyless
	}
	if refusal != "" {
		return resp.AppendError(dst, refusal), false
	}
	now := s.now()
	c := s.start(call{s: s, args: cmd.Args, out: dst, shard: a.shard, logged: true, log: now, now: now, maxValue: cmd.limit()}, a)
	return c.out, true
}

// start executes c: a command, or the commands of a transaction.
func (s *Store) start(c call, a admission) call {
	if a.transaction != nil {
		return s.transact(c, a.transaction)
	}
	return s.run(c, a.spec)
}

// run executes c, in memory that is used for all calls.
func (s *Store) run(c call, spec *Spec) call {
	s.call = c
	spec.run(&s.call)
	c = s.call
	s.call = call{}
	return c
}

// Query executes a read, encoded like a command without a session, and appends
// its reply to dst, in RESP3. now, in ns since the Unix epoch, is the reader's
// estimate of the time; one before log time counts as log time. ok is false, and
// dst unchanged, if the answer depends on a key whose time lies between log time
// and now: a time entry of at least now has to be chosen and applied first; the
// same query with the same now succeeds then.
func (s *Store) Query(dst []byte, now int64, query []byte) (reply []byte, ok bool) {
	defer s.decoded.release()
	if err := s.decoded.decode(query); err != nil {
		return resp.AppendError(dst, "ERR malformed query: "+err.Error()), true
	}
	a, refusal := admit(s.decoded.Args)
	if refusal == "" && (a.spec.run == nil && a.transaction == nil || a.write) {
		refusal = errNotARead
	}
	if refusal != "" {
		return resp.AppendError(dst, refusal), true
	}
	if a.keyed && !s.states[a.shard].Serves() {
		return s.wrongShard(dst, a.shard), true
	}
	c := s.start(call{
		s: s, args: s.decoded.Args, out: dst, shard: a.shard,
		log: s.now(), now: max(s.logTime, now) / nanosPerMilli, maxValue: s.decoded.limit(),
	}, a)
	if c.open {
		return dst, false
	}
	return c.out, true
}

// Slot returns the slot that the last Begin named.
func (s *Store) Slot() uint64 { return s.slot }

// LogTime returns the log time, in ns since the Unix epoch.
func (s *Store) LogTime() int64 { return s.logTime }

// Keys returns how many keys are held in the shards that are served, expired ones
// that are not yet removed included.
func (s *Store) Keys() int { return s.keys }

// Expires returns how many of the keys have a time to live.
func (s *Store) Expires() int { return s.expires }

// Sessions returns how many sessions are remembered.
func (s *Store) Sessions() int { return s.sessions.Len() }

// KeysIn returns how many keys of a shard are held, as [Store.Keys] counts.
func (s *Store) KeysIn(id shard.ID) int {
	if d := s.shards[id]; d != nil {
		return d.items.Len()
	}
	return 0
}

// Bytes returns how many bytes the records of an image would have, to within a
// small part. It costs nothing.
func (s *Store) Bytes() int64 { return s.bytes + s.headBytes + imageOverhead }

// NextExpiry returns the log time, in ns since the Unix epoch, from which on a
// batch would find something to remove. ok is false if that will never be. A
// leader that is idle may choose a time entry then, so that memory is freed
// without traffic.
func (s *Store) NextExpiry() (at int64, ok bool) {
	due := s.nextDue()
	if due > math.MaxInt64/nanosPerMilli {
		return 0, false // later than log time can say
	}
	return due * nanosPerMilli, true
}
