package kv

import (
	"fmt"

	"diskv/internal/wire"
	"diskv/shard"
)

// IsHandover tells whether a command in the log is one of the hand-over, and none
// of a client's.
func IsHandover(command []byte) bool { return len(command) > 0 && command[0] == handoverVersion }

// HandoverCommand is what a command of the hand-over says, for tools that read a log.
type HandoverCommand struct {
	// Name is "take", "install", "release", "freeze", or "kind N" for one that this reader does
	// not know.
	Name string
	// Config is the number of the config that it is about.
	Config uint64
	// Group is the source of an install, the target of a release and of a freeze.
	Group shard.GroupID
	// Batch is the number of the batch that is frozen, BatchBytes how many bytes its
	// shards are to have, about.
	Batch      uint32
	BatchBytes int64
	// Taken is the config that is taken, Previous the one before it, if it is there.
	Taken, Previous *shard.Config
	// Chunk is the head of the chunk that is installed, ChunkBytes how long that is.
	// The cursors in it alias the command.
	Chunk      *ChunkHead
	ChunkBytes int
}

// ReadHandover reads a command of the hand-over.
func ReadHandover(command []byte) (HandoverCommand, error) {
	r := wire.NewReader(command)
	if r.Uint8() != handoverVersion {
		r.Fail(errVersion)
	}
	kind := r.Uint8()
	if r.Uint16() != 0 {
		r.Fail(wire.ErrReserved)
	}
	h := HandoverCommand{}
	switch kind {
	case handoverTake:
		h.Name = "take"
		config, previous := r.Bytes(maxEncodedConfig), r.Bytes(maxEncodedConfig)
		if r.Err() == nil {
			h.readConfigs(r, config, previous)
		}
	case handoverInstall:
		h.Name, h.Config, h.Group = "install", r.Uint64(), shard.GroupID(r.Uint64())
		chunk := r.Bytes(hardMaxValue + MaxChunk)
		h.ChunkBytes = len(chunk)
		// One that does not hold together is refused by every member alike.
		if head, err := ReadChunkHead(chunk); err == nil {
			h.Chunk = &head
		}
	case handoverRelease:
		h.Name, h.Config, h.Group = "release", r.Uint64(), shard.GroupID(r.Uint64())
	case handoverFreeze:
		h.Name, h.Config, h.Group = "freeze", r.Uint64(), shard.GroupID(r.Uint64())
		h.Batch, h.BatchBytes = r.Uint32(), r.Int64()
	default:
		h.Name = fmt.Sprintf("kind %d", kind)
		r.Fixed(r.Len())
	}
	if err := r.Close(); err != nil {
		return HandoverCommand{}, fmt.Errorf("hand-over command: %w", err)
	}
	return h, nil
}

func (h *HandoverCommand) readConfigs(r *wire.Reader, config, previous []byte) {
	var err error
	if h.Taken, err = shard.DecodeConfig(config); err != nil {
		r.Fail(err)
		return
	}
	h.Config = h.Taken.Num
	if len(previous) > 0 {
		if h.Previous, err = shard.DecodeConfig(previous); err != nil {
			r.Fail(err)
		}
	}
}
