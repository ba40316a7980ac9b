package replica

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"diskv/internal/wire"
	"diskv/paxos"
)

// peers is what a replica remembers of the other members' disks, so that it can
// tell one that holds less now that it is an old copy. It is a best effort: no
// argument for safety rests on it. It must not cry wolf either, so only that
// counts as remembered which was durable when it was said.
type peers struct {
	memory  peerMemory
	dirty   bool          // memory has changed since it was last stored
	storeAt time.Duration // when small changes are worth a write
	asked   members       // have started, and are answered when that is noted
	storing *storing

	// About the own disk.
	told  members // have answered since this process started
	sayAt time.Duration
	// start is what the own disk held when the process started, or nothing if
	// this replica was no voter then, and said is that and what was
	// acknowledged to a member since: the most that it can remember.
	start paxos.Holding
	said  [paxos.MaxReplicas]paxos.Holding
}

// members is a set of members.
type members [paxos.MaxReplicas]bool

// storing is a memory on its way to the disk.
type storing struct {
	memory peerMemory
	answer members // once it is there
}

// peerMemory is the content of the file PEERS.
type peerMemory [paxos.MaxReplicas]rememberedDisk

// rememberedDisk is the most that was heard of a disk. A zero nonce stands for
// nothing.
type rememberedDisk struct {
	nonce uint64
	paxos.Holding
}

const (
	// startedInterval is how often a replica says again that it has started to
	// those that have not answered.
	startedInterval = time.Second
	// peersInterval is how often what members acknowledge is noted on disk. A
	// start is noted at once.
	peersInterval = 10 * time.Second
)

// hear takes what a message says that its sender's disk holds durably.
func (d *rememberedDisk) hear(h paxos.Holding) bool {
	old := *d
	if h.BootID != 0 && (d.BootID == 0 || h.Boot > d.Boot) { // not every message tells
		d.Boot, d.BootID = h.Boot, h.BootID
	}
	grow(&d.Holding, h)
	return *d != old
}

// grow raises slot and ballot of h to those of o.
func grow(h *paxos.Holding, o paxos.Holding) {
	h.Last = max(h.Last, o.Last)
	if h.Promised.Less(o.Promised) {
		h.Promised = o.Promised
	}
}

// acknowledges returns what a message says that its sender's disk holds durably.
func acknowledges(m paxos.Message) (paxos.Holding, bool) {
	switch m := m.(type) {
	case paxos.Accepted:
		return paxos.Holding{Last: m.Through, Promised: m.Ballot}, true
	case paxos.Promise:
		return paxos.Holding{Promised: m.Ballot}, true
	case paxos.Prepare:
		return paxos.Holding{Promised: m.Ballot}, true
	case paxos.Started:
		return m.Holding, true
	}
	return paxos.Holding{}, false
}

// startPeers begins to tell the others that this voter has started. What a
// replica that has just become a voter holds need not be durable yet.
func (r *Replica) startPeers(durable bool) {
	p := &r.peers
	p.start = paxos.Holding{Boot: r.id.Boot, BootID: r.id.BootID}
	if durable {
		p.start.Last, p.start.Promised = r.core.Last(), r.core.Promised()
	}
	for i := range p.said {
		p.said[i] = p.start
	}
	p.told = members{}
	p.sayAt, p.storeAt = r.now.Mono, r.now.Mono+peersInterval
	r.tickPeers()
}

// tickPeers repeats what was not answered, and notes now and then what was heard.
func (r *Replica) tickPeers() {
	p := &r.peers
	if r.id.Phase == PhaseMember && r.now.Mono >= p.sayAt {
		p.sayAt = r.now.Mono + startedInterval
		for id := range paxos.ReplicaID(r.id.Size) {
			if id != r.id.Index && !p.told[id] {
				r.send(id, paxos.Started{Holding: p.start})
			}
		}
	}
	if p.dirty && r.now.Mono >= p.storeAt {
		r.storePeers()
	}
}

// noteAcknowledged takes note of what this replica acknowledges to others.
func (r *Replica) noteAcknowledged(messages []paxos.Envelope) {
	for _, e := range messages {
		if h, ok := acknowledges(e.Message); ok {
			grow(&r.peers.said[e.To], h)
		}
	}
}

// hearPeer takes note of what a member says that its disk holds, if that is the
// disk that was last chosen to be the member's.
func (r *Replica) hearPeer(e paxos.Envelope, h paxos.Holding) {
	if !r.isDiskOf(e) {
		return
	}
	d := &r.peers.memory[e.From]
	if d.nonce != e.Life.Nonce {
		*d = rememberedDisk{nonce: e.Life.Nonce}
	}
	if d.hear(h) {
		r.peers.dirty = true
	}
}

func (r *Replica) isDiskOf(e paxos.Envelope) bool {
	return r.core.Lives()[e.From].Nonce == e.Life.Nonce
}

// onStarted answers a member that has started, with what is remembered of its
// disk, once that is noted.
func (r *Replica) onStarted(e paxos.Envelope) {
	if !r.isDiskOf(e) {
		return // it is told by a leader, or this replica lags
	}
	if p := &r.peers; p.dirty || p.storing != nil {
		p.asked[e.From] = true
		r.storePeers()
	} else {
		r.answerStarted(e.From, p.memory[e.From])
	}
}

func (r *Replica) answerStarted(to paxos.ReplicaID, d rememberedDisk) {
	r.send(to, paxos.Remembered{Nonce: d.nonce, Holding: d.Holding})
}

// storePeers has the memory stored, unless that is under way.
func (r *Replica) storePeers() {
	p := &r.peers
	if p.storing != nil {
		return
	}
	p.storing = &storing{memory: p.memory, answer: p.asked}
	p.asked, p.dirty, p.storeAt = members{}, false, r.now.Mono+peersInterval
	r.out.Peers = encodePeers(r.id.Cluster, &p.memory)
}

// PeersStored answers the Peers of an Output. After an error nothing has changed,
// and it is tried again when a member asks again, or later.
func (r *Replica) PeersStored(err error) {
	p := &r.peers
	stored := p.storing
	p.storing = nil
	if err != nil {
		p.dirty, p.asked = true, members{}
		r.warn("what is remembered of the other members' disks could not be noted", "error", err.Error())
		return
	}
	for id, answer := range stored.answer {
		if answer {
			r.answerStarted(paxos.ReplicaID(id), stored.memory[id])
		}
	}
	if p.asked != (members{}) {
		r.storePeers()
	}
}

// onRemembered compares what a member remembers of this disk with the most that
// it can: if it is more, this disk is an old copy.
func (r *Replica) onRemembered(from paxos.ReplicaID, m paxos.Remembered) {
	if r.id.Phase != PhaseMember || m.Nonce != r.id.Life.Nonce {
		return
	}
	r.peers.told[from] = true
	said := r.peers.said[from]
	var what string
	switch {
	case m.Boot > r.id.Boot, m.Boot == r.id.Boot && m.BootID != r.id.BootID:
		what = fmt.Sprintf("start %d of this disk, and this one, number %d, is another", m.Boot, r.id.Boot)
	case m.Last > said.Last:
		what = fmt.Sprintf("slot %d in this log, which ended at slot %d", m.Last, said.Last)
	case said.Promised.Less(m.Promised):
		what = fmt.Sprintf("that this disk promised ballot %v, which promised %v", m.Promised, said.Promised)
	default:
		return
	}
	r.core.LoseDisk(fmt.Sprintf("member %d remembers %s; it is an old copy", from, what))
}

// peersMagic and peersVersion begin the file PEERS. On disk.
const (
	peersMagic   = "DISKVPE\x00"
	peersVersion = 1
)

// encodePeers returns the content of the file PEERS:
//
//	magic 8 | version u8 | count u8 | reserved 6, zero | cluster u64 |
//	count times: nonce u64, boot u64, boot id u64, last slot u64, promised ballot |
//	crc32c u32 of all before
//
// The count is that of the members up to the last of which something is known.
func encodePeers(cluster paxos.ClusterID, m *peerMemory) []byte {
	n := len(m)
	for n > 0 && m[n-1] == (rememberedDisk{}) {
		n--
	}
	dst := []byte(peersMagic)
	dst = append(dst, peersVersion, byte(n), 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(cluster))
	for _, d := range m[:n] {
		dst = binary.LittleEndian.AppendUint64(dst, d.nonce)
		dst = paxos.AppendHolding(dst, d.Holding)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// decodePeers reads what encodePeers wrote.
func decodePeers(b []byte) (paxos.ClusterID, peerMemory, error) {
	var m peerMemory
	sum := len(b) - 4
	if sum < 0 || binary.LittleEndian.Uint32(b[sum:]) != crc32.Checksum(b[:sum], castagnoli) {
		return 0, m, fmt.Errorf("PEERS: its checksum is wrong")
	}
	r := wire.NewReader(b[:sum])
	magic, version, n, zero := r.Fixed(8), r.Uint8(), int(r.Uint8()), r.Fixed(6)
	cluster := paxos.ClusterID(r.Uint64())
	if r.Err() == nil && (string(magic) != peersMagic || version != peersVersion || string(zero) != "\x00\x00\x00\x00\x00\x00" || n > len(m)) {
		r.Fail(fmt.Errorf("%w: version %d with %d members", wire.ErrBadValue, version, n))
	}
	for i := 0; i < n && r.Err() == nil; i++ {
		m[i] = rememberedDisk{nonce: r.Uint64(), Holding: paxos.ReadHolding(r)}
	}
	if r.Err() == nil && n > 0 && m[n-1] == (rememberedDisk{}) {
		r.Fail(fmt.Errorf("%w: %d members with nothing at their end", wire.ErrBadValue, n))
	}
	if err := r.Close(); err != nil {
		return 0, peerMemory{}, fmt.Errorf("PEERS: %w", err)
	}
	return cluster, m, nil
}

// CheckPeers reports what is wrong with the content of the file PEERS. To a replica
// a wrong one is as good as none.
func CheckPeers(content []byte) error {
	_, _, err := decodePeers(content)
	return err
}

// restorePeers puts in the content of the file PEERS. What cannot be read, or is of
// another cluster, is as good as nothing.
func (r *Replica) restorePeers(content []byte) {
	if len(content) == 0 {
		return
	}
	cluster, m, err := decodePeers(content)
	switch {
	case err != nil:
		r.warn("what was remembered of the other members' disks is lost", "error", err.Error())
	case cluster == r.id.Cluster:
		r.peers.memory = m
	}
}
