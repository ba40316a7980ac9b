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
	"diskv/shard"
	"diskv/shardmaster"
)

// state is what is replicated: a key/value store, or the shardmasters' configs.
type state interface {
	Begin(slot uint64, logTime int64)
	Apply(dst, command []byte) []byte
	Query(dst []byte, now int64, query []byte) (reply []byte, ok bool)
	Bytes() int64
	LogTime() int64
	Digest() [sha256.Size]byte
}

// machine is a state with an observer in front: every slot that is applied adds to
// a hash of the whole history, which is in the snapshots too.
type machine struct {
	state
	store   *kv.Store            // the state of a group that holds keys
	masters *shardmaster.Machine // the state of the shardmasters
	check   *checker
	node    *node

	// Of a store: where it stands with the shards, as it says itself.
	handover kv.Handover
	version  uint64
	config   *shard.Config

	slot    uint64
	logTime int64
	history uint64 // of everything up to slot
	open    bool   // the batch of slot may not be over
	empty   bool   // no command came in it so far
}

func newMachine(n *node) *machine {
	m := &machine{check: n.w.check, node: n}
	switch n.w.service {
	case paxos.ServiceShardmaster:
		m.masters = shardmaster.New()
	case paxos.ServiceSharded:
		m.store = kv.NewSharded(n.w.id)
	default:
		m.store = kv.New()
	}
	m.observe()
	return m
}

// observe has the machine observe what it holds.
func (m *machine) observe() {
	if m.masters != nil {
		m.state = m.masters
		return
	}
	m.state = m.store
	m.look()
}

// look has the machine see where the store stands.
func (m *machine) look() {
	m.handover, m.version = m.store.Handover(), m.store.HandoverVersion()
	m.config = m.handover.Config
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
	m.state.Begin(slot, logTime)
}

// Apply implements replica.StateMachine.
func (m *machine) Apply(dst, command []byte) []byte {
	m.empty = false
	m.mix(hash(command))
	start := len(dst)
	dst = m.state.Apply(dst, command)
	m.logTime = max(m.logTime, m.LogTime()) // shards bring the time of the group that they come from
	m.check.executed(m, command, dst[start:])
	return dst
}

// Query implements replica.StateMachine.
func (m *machine) Query(dst []byte, now int64, query []byte) ([]byte, bool) {
	reply, ok := m.state.Query(dst, now, query)
	if !ok {
		m.node.w.mark(MarkTimeEntry)
	} else if m.node.w.service == paxos.ServiceSharded && !wrongShard(reply[len(dst):]) {
		m.node.w.moves.read(m, m.check.commandOf(query))
	}
	return reply, ok
}

// Image implements replica.StateMachine.
func (m *machine) Image() replica.Image {
	m.close()
	i := &image{slot: m.slot, logTime: m.logTime, history: m.history}
	if m.masters != nil {
		i.Image = m.masters.Image()
	} else {
		i.Image = m.store.Image()
	}
	return i
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
	m.check.state(m.node, paxos.Slot(m.slot), m.Digest())
}

// image is a machine at one slot.
type image struct {
	replica.Image
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
	return i.Image.Records(add)
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
	next := func() ([]byte, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		first := rest[0]
		rest = rest[1:]
		return first, nil
	}
	var err error
	if n.w.service == paxos.ServiceShardmaster {
		m.masters, err = shardmaster.Restore(next)
	} else {
		m.store, err = kv.Restore(next)
	}
	if err != nil {
		return nil, err
	}
	m.observe()
	return m, nil
}

// encodeSnapshot makes the file of a snapshot:
//
//	slot u64 | log time i64 | state | records
func encodeSnapshot(h replica.SnapshotHeader, img replica.Image) ([]byte, error) {
	var b []byte
	for _, v := range []uint64{uint64(h.Slot), uint64(h.LogTime)} {
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
		Slot: paxos.Slot(r.Uint64()), LogTime: r.Int64(), State: r.Bytes(maxField),
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
