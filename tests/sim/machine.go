package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"diskv/internal/wire"
	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
)

// machine is the key/value store with an observer in front: every slot that is
// applied adds to a hash of the whole history, which is in the snapshots too.
type machine struct {
	store *kv.Store
	check *checker
	node  *node

	slot    uint64
	logTime int64
	history uint64 // of everything up to slot
	open    bool   // the batch of slot may not be over
	empty   bool   // no command came in it so far
}

func newMachine(n *node) *machine {
	return &machine{store: kv.New(), check: n.w.check, node: n}
}

// Begin implements replica.StateMachine.
func (m *machine) Begin(slot uint64, logTime int64) {
	m.close()
	if slot != m.slot+1 {
		m.node.w.fail("member %d applies slot %d behind slot %d", m.node.id, slot, m.slot)
	}
	if logTime < m.logTime {
		m.node.w.fail("member %d: log time goes back at slot %d, from %d to %d", m.node.id, slot, m.logTime, logTime)
	}
	m.slot, m.logTime, m.open, m.empty = slot, logTime, true, true
	m.mix(slot)
	m.mix(uint64(logTime))
	m.store.Begin(slot, logTime)
}

// Apply implements replica.StateMachine.
func (m *machine) Apply(dst, command []byte) []byte {
	m.empty = false
	m.mix(hash(command))
	m.check.executed(m.node, paxos.Slot(m.slot), command)
	return m.store.Apply(dst, command)
}

// LogTime implements replica.StateMachine.
func (m *machine) LogTime() int64 { return m.store.LogTime() }

// Query implements replica.StateMachine.
func (m *machine) Query(dst []byte, now int64, query []byte) ([]byte, bool) {
	reply, ok := m.store.Query(dst, now, query)
	if !ok {
		m.node.w.mark(MarkTimeEntry)
	}
	return reply, ok
}

// Bytes implements replica.StateMachine.
func (m *machine) Bytes() int64 { return m.store.Bytes() }

// Image implements replica.StateMachine.
func (m *machine) Image() replica.Image {
	m.close()
	return &image{store: m.store.Image(), slot: m.slot, logTime: m.logTime, history: m.history}
}

func (m *machine) mix(v uint64) { m.history = scramble(m.history, v) }

// close ends the batch that was begun last, if any, and has it compared with
// what the other members made of it.
func (m *machine) close() {
	if !m.open {
		return
	}
	m.open = false
	m.check.applied(m.node, paxos.Slot(m.slot), m.history)
	if m.slot%32 == 0 {
		m.compare()
	}
}

// compare compares the state with what the other members had at the same slot.
func (m *machine) compare() {
	m.close()
	m.check.state(m.node, paxos.Slot(m.slot), m.store.Digest())
}

// image is a machine at one slot.
type image struct {
	store   *kv.Image
	slot    uint64
	logTime int64
	history uint64
}

// Records implements replica.Image.
func (i *image) Records(add func([]byte) error) error {
	var head []byte
	for _, v := range []uint64{i.slot, uint64(i.logTime), i.history} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	if err := add(head); err != nil {
		return err
	}
	return i.store.Records(add)
}

// restoreMachine is the inverse of image.Records.
func restoreMachine(n *node, records [][]byte) (*machine, error) {
	if len(records) == 0 {
		return nil, errors.New("a snapshot without records")
	}
	r := wire.NewReader(records[0])
	m := &machine{check: n.w.check, node: n, slot: r.Uint64(), logTime: r.Int64(), history: r.Uint64()}
	if err := r.Close(); err != nil {
		return nil, err
	}
	rest := records[1:]
	store, err := kv.Restore(func() ([]byte, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		first := rest[0]
		rest = rest[1:]
		return first, nil
	})
	m.store = store
	return m, err
}

// encodeSnapshot makes the file of a snapshot:
//
//	slot u64 | config u64 | log time i64 | state | records
func encodeSnapshot(h replica.SnapshotHeader, img replica.Image) ([]byte, error) {
	var b []byte
	for _, v := range []uint64{uint64(h.Slot), h.Config, uint64(h.LogTime)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = wire.AppendBytes(b, h.State)
	err := img.Records(func(rec []byte) error {
		b = wire.AppendBytes(b, rec)
		return nil
	})
	return b, err
}

// maxField bounds a field of a snapshot file.
const maxField = 1 << 28

// decodeSnapshot loads what encodeSnapshot made.
func decodeSnapshot(n *node, file []byte) (*replica.LoadedSnapshot, error) {
	r := wire.NewReader(file)
	l := &replica.LoadedSnapshot{Header: replica.SnapshotHeader{
		Slot: paxos.Slot(r.Uint64()), Config: r.Uint64(), LogTime: r.Int64(), State: r.Bytes(maxField),
	}}
	var records [][]byte
	for r.Err() == nil && r.Len() > 0 {
		records = append(records, r.Bytes(maxField))
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	m, err := restoreMachine(n, records)
	if err != nil {
		return nil, fmt.Errorf("snapshot of slot %d: %w", l.Header.Slot, err)
	}
	l.Machine = m
	return l, nil
}

// digestOf names a file by its content.
func digestOf(file []byte) [sha256.Size]byte { return sha256.Sum256(file) }

// hash tells values apart. It is the same in every process, since it gets into
// snapshots and so into the trace.
func hash(b []byte) uint64 {
	h := uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		h = scramble(h, binary.LittleEndian.Uint64(b))
	}
	var tail [8]byte
	copy(tail[:], b)
	return scramble(h, binary.LittleEndian.Uint64(tail[:]))
}

// scramble adds v to the hash h.
func scramble(h, v uint64) uint64 {
	return bits.RotateLeft64((h^v)*0x9e3779b97f4a7c15, 29)
}
