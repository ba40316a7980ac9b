package replica

import (
	"encoding/binary"
	"fmt"

	"diskv/internal/wire"
	"diskv/paxos"
)

// batchVersion is the first byte of every batch. On disk and on the wire.
const batchVersion = 1

// batchHeaderBytes is the length of a batch without its commands.
const batchHeaderBytes = 1 + 9 + 8 + 4

// batch is the value of a slot: commands, with the leader's time, and the
// ballot under which the value was first proposed. A later leader may propose
// it again under its own ballot; the origin tells whether what was chosen in a
// slot is what this replica had proposed there.
type batch struct {
	origin   paxos.Ballot
	time     int64 // ns since the Unix epoch
	commands [][]byte
}

// appendBatch appends the encoding of b:
//
//	version u8 | origin ballot | time i64 | count u32 | commands: length u32, bytes
func appendBatch(dst []byte, b batch) []byte {
	dst = append(dst, batchVersion)
	dst = paxos.AppendBallot(dst, b.origin)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.time))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.commands)))
	for _, c := range b.commands {
		dst = wire.AppendBytes(dst, c)
	}
	return dst
}

// decodeBatch reads what appendBatch wrote. The commands alias value.
func decodeBatch(value []byte) (batch, error) {
	r := wire.NewReader(value)
	if v := r.Uint8(); r.Err() == nil && v != batchVersion {
		return batch{}, fmt.Errorf("batch: version %d, this program reads version %d: start the release that wrote it", v, batchVersion)
	}
	b := batch{origin: paxos.ReadBallot(r), time: r.Int64()}
	n := r.Count(4)
	b.commands = make([][]byte, n)
	for i := range b.commands {
		b.commands[i] = r.Bytes(paxos.MaxValueBytes)
	}
	if err := r.Close(); err != nil {
		return batch{}, fmt.Errorf("batch: %w", err)
	}
	return b, nil
}
