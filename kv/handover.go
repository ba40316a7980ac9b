package kv

import (
	"encoding/binary"
	"fmt"

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
const (
	handoverVersion = 0x81

	handoverTake    = 1 // 0 is invalid
	handoverInstall = 2
	handoverRelease = 3

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

// AppendRelease appends the command that drops what was kept for a group since a
// config. Only when that group has everything installed may it be proposed. The
// reply is OK, also if there is nothing to drop.
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
		r.Fail(errReserved)
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
)

// String returns the state's name.
func (st ShardState) String() string { return [...]string{"elsewhere", "awaited", "served"}[st] }

// Handover is how far a group is with the configs.
type Handover struct {
	Group  shard.GroupID
	Config *shard.Config // nil before the first; never changed
	// Settled is the newest config of which every shard that it gave to this group
	// is installed; 0 before the first.
	Settled  uint64
	Incoming []Incoming // what is awaited, by source
	Outgoing []Leaving  // what is kept for others, by config and group
}

// Incoming is a stream of shards from another group. The config is the present one:
// no other has any.
type Incoming struct {
	Config uint64
	From   shard.Group // with the newest addresses that the configs have told
	Cursor []byte      // where it stands; never changed
	Shards int         // that are not served yet
}

// Leaving is what is kept for another group until that has it.
type Leaving struct {
	Config uint64
	To     shard.Group // with the newest addresses that the configs have told
	Shards int
	Bytes  int64 // of the keys and values, about
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
		h.Outgoing = append(h.Outgoing, Leaving{
			Config: o.config, To: s.newest(o.to), Shards: len(o.shards), Bytes: o.bytes,
		})
	}
	return h
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
