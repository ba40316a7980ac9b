package kv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"diskv/internal/resp"
	"diskv/internal/wire"
	"diskv/shard"
)

// Codes of the errors that only the hand-over of shards has: the first word of the
// reply.
const (
	// CodeWrongShard: the group does not serve the shard of the keys. Not executed.
	// The shard and the number of the group's config, 0 if it has none, follow.
	CodeWrongShard = "WRONGSHARD"
	// CodeStaleConfig: the config is not the next one, or its turn has not come.
	CodeStaleConfig = "STALECONFIG"
	// CodeStaleChunk: the incoming stream does not stand where the chunk begins, or
	// there is none.
	CodeStaleChunk = "STALECHUNK"
	// CodeStaleFreeze: the batch is not the next one that has to leave for the group.
	CodeStaleFreeze = "STALEFREEZE"
	// CodeTooEarly: shards have yet to leave for the group of which everything is to be
	// dropped. Nobody proposes that.
	CodeTooEarly = "TOOEARLY"
	// CodeBadChunk: the chunk is not what the stream can go on with. Nobody sends
	// such a one; it would have been damaged on its way.
	CodeBadChunk = "BADCHUNK"
)

// The commands of the hand-over, in the log. All numbers are little-endian:
//
//	0  version   1 byte, 0x81: no command of a client begins with it
//	1  kind      1 byte
//	2  reserved  2 bytes, zero
//
// and by its kind:
//
//	take config  config u32 + bytes, previous u32 + bytes (empty: none)
//	install      config u64, from u64, chunk u32 + bytes
//	release      config u64, to u64
//	freeze       config u64, to u64, batch u32, bytes i64
const (
	handoverVersion = 0x81

	handoverTake    = 1 // 0 is invalid
	handoverInstall = 2
	handoverRelease = 3
	handoverFreeze  = 4

	// maxEncodedConfig is what an encoded config can have.
	maxEncodedConfig = 4 << 20
)

func appendHandover(dst []byte, kind byte) []byte { return append(dst, handoverVersion, kind, 0, 0) }

// AppendTakeConfig appends the command with which a group takes the next config. A
// store without a config, or one that owns nothing and has missed some, needs to
// know the one before, too: where its shards were. It takes none in which it owned
// a shard. Else previous is nil.
//
// The reply is OK, or CodeStaleConfig.
func AppendTakeConfig(dst []byte, config, previous *shard.Config) []byte {
	dst = appendHandover(dst, handoverTake)
	dst = wire.AppendBytes(dst, config.Append(nil))
	if previous == nil {
		return wire.AppendBytes(dst, nil)
	}
	return wire.AppendBytes(dst, previous.Append(nil))
}

// AppendInstall appends the command that installs the next chunk of the stream of
// a config from a group. The reply is OK, CodeStaleChunk or CodeBadChunk.
func AppendInstall(dst []byte, config uint64, from shard.GroupID, chunk []byte) []byte {
	dst = appendHandover(dst, handoverInstall)
	dst = binary.LittleEndian.AppendUint64(dst, config)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(from))
	return wire.AppendBytes(dst, chunk)
}

// AppendFreeze appends the command that freezes the next batch of the shards that a
// config takes from the group for another one, when that is ready for it: the smallest
// of them, so many that they have about as many bytes as told, or as the sessions that
// go with every batch if those are more. Numbers of batches begin with 0. The reply is
// OK or CodeStaleFreeze.
func AppendFreeze(dst []byte, config uint64, to shard.GroupID, batch uint32, bytes int64) []byte {
	dst = appendHandover(dst, handoverFreeze)
	dst = binary.LittleEndian.AppendUint64(dst, config)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(to))
	dst = binary.LittleEndian.AppendUint32(dst, batch)
	return binary.LittleEndian.AppendUint64(dst, uint64(bytes))
}

// AppendRelease appends the command that drops what was kept for a group since a
// config. Only when that group has everything installed may it be proposed. The
// reply is OK, also if there is nothing to drop, or CodeTooEarly.
func AppendRelease(dst []byte, config uint64, to shard.GroupID) []byte {
	dst = appendHandover(dst, handoverRelease)
	dst = binary.LittleEndian.AppendUint64(dst, config)
	return binary.LittleEndian.AppendUint64(dst, uint64(to))
}

// applyHandover executes a command of the hand-over.
func (s *Store) applyHandover(dst, command []byte) []byte {
	r := wire.NewReader(command)
	r.Uint8()
	kind := r.Uint8()
	if r.Uint16() != 0 {
		r.Fail(wire.ErrReserved)
	}
	var apply func(dst []byte) []byte
	switch kind {
	case handoverTake:
		config, previous := r.Bytes(maxEncodedConfig), r.Bytes(maxEncodedConfig)
		apply = func(dst []byte) []byte { return s.decodeAndTake(dst, config, previous) }
	case handoverInstall:
		config, from, chunk := r.Uint64(), shard.GroupID(r.Uint64()), r.Bytes(hardMaxValue+MaxChunk)
		apply = func(dst []byte) []byte { return s.install(dst, config, from, chunk) }
	case handoverRelease:
		config, to := r.Uint64(), shard.GroupID(r.Uint64())
		apply = func(dst []byte) []byte { return s.release(dst, config, to) }
	case handoverFreeze:
		config, to, batch, bytes := r.Uint64(), shard.GroupID(r.Uint64()), r.Uint32(), r.Int64()
		apply = func(dst []byte) []byte { return s.freeze(dst, config, to, batch, bytes) }
	default:
		r.Fail(errKind)
	}
	if err := r.Close(); err != nil {
		return resp.AppendError(dst, "ERR malformed hand-over command in the log: "+err.Error())
	}
	if s.group == 0 {
		return resp.AppendError(dst, "ERR this group has no configs: it serves every shard")
	}
	return apply(dst)
}

// wrongShard appends the refusal of a command whose shard is not served here.
func (s *Store) wrongShard(dst []byte, id shard.ID) []byte {
	return resp.AppendError(dst, fmt.Sprintf("%s %d %d", CodeWrongShard, id, s.configNum()))
}

func (s *Store) configNum() uint64 {
	if s.config == nil {
		return 0
	}
	return s.config.Num
}

// ShardState is what a shard is to a group.
type ShardState uint8

// The states of a shard.
const (
	Elsewhere ShardState = iota // another group's, or nobody's
	Awaited                     // this group's in its config, and not installed yet
	Served                      // this group answers for it
	Leaving                     // this group answers for it, and its config gives it to another one
)

// Serves tells whether the group answers for the shard.
func (st ShardState) Serves() bool { return st >= Served }

// String returns the state's name.
func (st ShardState) String() string {
	return [...]string{"elsewhere", "awaited", "served", "leaving"}[st]
}

// Handover is how far a group is with the configs.
type Handover struct {
	Group  shard.GroupID
	Config *shard.Config // nil before the first; never changed
	// Settled is the newest config of which every shard that it gave to this group
	// is installed; 0 before the first.
	Settled  uint64
	Incoming []Incoming  // what is awaited, by source
	Outgoing []Departure // what leaves for others, or is kept for them, by config and group
}

// Incoming is a stream of shards from another group. The config is the present one:
// no other has any.
type Incoming struct {
	Config uint64
	From   shard.Group // with the newest addresses that the configs have told
	Cursor []byte      // where it stands; never changed
	Shards int         // that are not served yet
}

// Departure is what a config takes from the group for another one, until that has it.
type Departure struct {
	Config  uint64
	To      shard.Group // with the newest addresses that the configs have told
	Batches int         // that were frozen
	Shards  int         // in them
	Bytes   int64       // of their keys and values, about
	Waiting int         // shards that are not frozen yet: this group serves them
}

// Handover returns how far the store is with the configs. The zero Handover is that
// of a plain group.
func (s *Store) Handover() Handover {
	h := Handover{Group: s.group, Config: s.config, Settled: s.configNum()}
	if len(s.incoming) > 0 {
		h.Settled--
	}
	for _, in := range s.incoming {
		h.Incoming = append(h.Incoming, Incoming{
			Config: s.config.Num, From: s.newest(in.from), Cursor: in.cursor, Shards: in.awaited.len(),
		})
	}
	for _, o := range s.outgoing {
		d := h.departure(o.config, s.newest(o.to))
		d.Batches++
		d.Shards += len(o.shards)
		d.Bytes += o.bytes
	}
	for i := range s.leaving {
		to, _ := s.config.Group(s.leaving[i].to)
		h.departure(s.config.Num, to).Waiting = s.leaving[i].waiting.len()
	}
	return h
}

// departure returns the departure of a config for a group, a new one if need be. In a
// store's outgoing each has its place already, those of the present config last.
func (h *Handover) departure(config uint64, to shard.Group) *Departure {
	i, ok := slices.BinarySearchFunc(h.Outgoing, to.ID, func(d Departure, to shard.GroupID) int {
		return cmp.Or(cmp.Compare(d.Config, config), cmp.Compare(d.To.ID, to))
	})
	if !ok {
		h.Outgoing = slices.Insert(h.Outgoing, i, Departure{Config: config, To: to})
	}
	return &h.Outgoing[i]
}

// newest returns a group as the present config has it, or else as it was.
func (s *Store) newest(g shard.Group) shard.Group {
	if now, ok := s.config.Group(g.ID); ok {
		return now
	}
	return g
}

// HandoverVersion returns a number that goes up whenever [Store.Handover] or a
// [Store.ShardState] may have changed, also when a store is replaced by one that was
// restored from a later image. It means nothing to other processes.
func (s *Store) HandoverVersion() uint64 { return s.version }

// changesPerSlot leaves room for the changes within one slot.
const changesPerSlot = 1 << 20

// handoverChanged notes a change of what [Store.Handover] says.
func (s *Store) handoverChanged() {
	s.version = max(s.version+1, s.slot*changesPerSlot)
	s.headBytes = s.handoverHeadBytes()
}

// ShardState returns what a shard is to this group.
func (s *Store) ShardState(id shard.ID) ShardState { return s.states[id] }

// AwaitedFrom returns the group from which an awaited shard comes, or 0.
func (s *Store) AwaitedFrom(id shard.ID) shard.GroupID {
	for i := range s.incoming {
		if s.incoming[i].awaited.has(id) {
			return s.incoming[i].from.ID
		}
	}
	return 0
}
