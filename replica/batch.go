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

// Batch is the value of an entry of kind paxos.KindBatch: commands, with the
// leader's time, and the ballot under which the value was first proposed. A later
// leader may propose it again under its own ballot; the origin tells whether what
// was chosen in a slot is what this replica had proposed there.
type Batch struct {
	Origin paxos.Ballot
	Time   int64 // ns since the Unix epoch
	// Commands are those of the state machine; none, and the batch moves only time.
	Commands [][]byte
}

// appendBatch appends the encoding of b:
//
//	version u8 | origin ballot | time i64 | count u32 | commands: length u32, bytes
func appendBatch(dst []byte, b Batch) []byte {
	dst = append(dst, batchVersion)
	dst = paxos.AppendBallot(dst, b.Origin)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Time))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.Commands)))
	for _, c := range b.Commands {
		dst = wire.AppendBytes(dst, c)
	}
	return dst
}

// ReadBatch reads the value of an entry of kind paxos.KindBatch. The commands alias
// it. The error says what is wrong with it, or that a newer release wrote it.
func ReadBatch(value []byte) (Batch, error) {
	r := wire.NewReader(value)
	if v := r.Uint8(); r.Err() == nil && v != batchVersion {
		return Batch{}, fmt.Errorf("batch: version %d, this program reads version %d: start the release that wrote it", v, batchVersion)
	}
	b := Batch{Origin: paxos.ReadBallot(r), Time: r.Int64()}
	n := r.Count(4)
	b.Commands = make([][]byte, n)
	for i := range b.Commands {
		b.Commands[i] = r.Bytes(paxos.MaxValueBytes)
	}
	if err := r.Close(); err != nil {
		return Batch{}, fmt.Errorf("batch: %w", err)
	}
	return b, nil
}
