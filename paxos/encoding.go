package paxos

import (
	"encoding/binary"
	"fmt"

	"diskv/internal/wire"
)

// EnvelopeVersion is the first byte of every encoded envelope. On the wire.
const EnvelopeVersion = 1

// MaxValueBytes bounds the value of one entry, on disk and on the wire.
const MaxValueBytes = 1 << 30

var le = binary.LittleEndian

// AppendEnvelope appends the encoding of e:
//
//	version u8 | kind u8 | from u8 | to u8 | cluster u64 | group u64 |
//	life: epoch u64, nonce u64 | vector | message
//
// The vector is a count byte and that many lives; zero where no vote is given.
func AppendEnvelope(dst []byte, e Envelope) []byte {
	dst = append(dst, EnvelopeVersion, byte(e.Message.kind()), byte(e.From), byte(e.To))
	dst = le.AppendUint64(dst, uint64(e.Cluster))
	dst = le.AppendUint64(dst, uint64(e.Group))
	dst = appendLife(dst, e.Life)
	dst = AppendVector(dst, e.Vector)
	return appendMessage(dst, e.Message)
}

// EnvelopeSize returns about how long the encoding of e is, and never less.
func EnvelopeSize(e Envelope) int {
	size := 256
	var entries []Entry
	switch m := e.Message.(type) {
	case Promise:
		entries = m.Entries
	case Accept:
		entries = m.Entries
	case SnapshotChunk:
		size += len(m.Data)
	case FormGenesis:
		size += MaxReplicas * 16
	}
	for _, en := range entries {
		size += ballotBytes + 1 + 4 + len(en.Value)
	}
	return size
}

// DecodeEnvelope reads what AppendEnvelope wrote. Values of entries alias b,
// which must not change afterwards.
func DecodeEnvelope(b []byte) (Envelope, error) {
	r := wire.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != EnvelopeVersion {
		return Envelope{}, fmt.Errorf("peer message: version %d, this program reads version %d: run the same release on every member", v, EnvelopeVersion)
	}
	kind := messageKind(r.Uint8())
	e := Envelope{From: readReplica(r), To: readReplica(r)}
	e.Cluster = ClusterID(r.Uint64())
	e.Group = GroupID(r.Uint64())
	e.Life = readLife(r)
	e.Vector = ReadVector(r)
	e.Message = readMessage(r, kind)
	if err := r.Close(); err != nil {
		return Envelope{}, fmt.Errorf("peer message of kind %d: %w", kind, err)
	}
	return e, nil
}

func appendMessage(dst []byte, m Message) []byte {
	switch m := m.(type) {
	case PreVote:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Commit))
	case PreVoteReply:
		dst = AppendBallot(dst, m.Ballot)
		dst = wire.AppendBool(dst, m.Granted)
		dst = AppendBallot(dst, m.Promised)
	case Prepare:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.From))
		dst = AppendBallot(dst, m.Handover)
	case Promise:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.From))
		dst = le.AppendUint64(dst, uint64(m.Commit))
		dst = le.AppendUint64(dst, uint64(m.LogStart))
		dst = le.AppendUint64(dst, uint64(m.Wall))
		dst = wire.AppendBool(dst, m.More)
		dst = le.AppendUint32(dst, uint32(len(m.Entries)))
		for _, e := range m.Entries {
			dst = AppendBallot(dst, e.Ballot)
			dst = append(dst, byte(e.Kind))
			dst = wire.AppendBytes(dst, e.Value)
		}
	case Nack:
		dst = AppendBallot(dst, m.Ballot)
		dst = AppendBallot(dst, m.Promised)
	case Accept:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Commit))
		dst = le.AppendUint64(dst, m.Round)
		dst = le.AppendUint64(dst, uint64(m.First))
		dst = le.AppendUint32(dst, uint32(len(m.Entries)))
		for _, e := range m.Entries {
			dst = append(dst, byte(e.Kind))
			dst = wire.AppendBytes(dst, e.Value)
		}
	case Accepted:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Through))
	case Heartbeat:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Commit))
		dst = le.AppendUint64(dst, m.Round)
	case HeartbeatAck:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, m.Round)
		dst = le.AppendUint64(dst, uint64(m.Held))
		dst = wire.AppendBool(dst, m.Gap)
	case Handover:
		dst = AppendBallot(dst, m.Ballot)
	case SnapshotChunk:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Slot))
		dst = append(dst, m.Digest[:]...)
		dst = le.AppendUint64(dst, m.Size)
		dst = le.AppendUint64(dst, m.Offset)
		dst = wire.AppendBytes(dst, m.Data)
	case SnapshotAck:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Slot))
		dst = append(dst, m.Digest[:]...)
		dst = le.AppendUint64(dst, m.Offset)
		dst = wire.AppendBool(dst, m.Installed)
	case FormHello:
		dst = append(dst, m.Size)
		dst = append(wire.AppendBool(dst, m.Lease), byte(m.Service))
		dst = wire.AppendBool(dst, m.Recovering)
		dst = le.AppendUint64(dst, m.Echo)
	case FormGenesis:
		dst = append(dst, m.Size)
		dst = append(wire.AppendBool(dst, m.Lease), byte(m.Service))
		dst = wire.AppendBool(dst, m.Led)
		dst = AppendVector(dst, m.Vector)
	case FormStored:
	case Progress:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, uint64(m.Held))
		dst = wire.AppendBool(dst, m.Gap)
	case RejoinNotice:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, m.Epoch)
		dst = appendLife(dst, m.Chosen)
	case RejoinRequest:
		dst = AppendBallot(dst, m.Ballot)
		dst = le.AppendUint64(dst, m.Prev)
	case Started:
		dst = AppendHolding(dst, m.Holding)
	case Remembered:
		dst = le.AppendUint64(dst, m.Nonce)
		dst = AppendHolding(dst, m.Holding)
	default:
		panic(fmt.Sprintf("paxos: no encoding for %T", m))
	}
	return dst
}

// readMessage reads the fields of a message of kind k. Faults stay in r.
func readMessage(r *wire.Reader, k messageKind) Message {
	switch k {
	case kindPreVote:
		return PreVote{Ballot: ReadBallot(r), Commit: Slot(r.Uint64())}
	case kindPreVoteReply:
		return PreVoteReply{Ballot: ReadBallot(r), Granted: r.Bool(), Promised: ReadBallot(r)}
	case kindPrepare:
		return Prepare{Ballot: ReadBallot(r), From: Slot(r.Uint64()), Handover: ReadBallot(r)}
	case kindPromise:
		m := Promise{
			Ballot: ReadBallot(r), From: Slot(r.Uint64()), Commit: Slot(r.Uint64()),
			LogStart: Slot(r.Uint64()), Wall: r.Int64(), More: r.Bool(),
		}
		n := r.Count(ballotBytes + 1 + 4)
		for i := range n {
			m.Entries = append(m.Entries, Entry{
				Slot: m.From + Slot(i), Ballot: ReadBallot(r), Kind: readKind(r), Value: r.Bytes(MaxValueBytes),
			})
		}
		return m
	case kindNack:
		return Nack{Ballot: ReadBallot(r), Promised: ReadBallot(r)}
	case kindAccept:
		m := Accept{Ballot: ReadBallot(r), Commit: Slot(r.Uint64()), Round: r.Uint64(), First: Slot(r.Uint64())}
		n := r.Count(1 + 4)
		for i := range n {
			m.Entries = append(m.Entries, Entry{
				Slot: m.First + Slot(i), Ballot: m.Ballot, Kind: readKind(r), Value: r.Bytes(MaxValueBytes),
			})
		}
		return m
	case kindAccepted:
		return Accepted{Ballot: ReadBallot(r), Through: Slot(r.Uint64())}
	case kindHeartbeat:
		return Heartbeat{Ballot: ReadBallot(r), Commit: Slot(r.Uint64()), Round: r.Uint64()}
	case kindHeartbeatAck:
		return HeartbeatAck{Ballot: ReadBallot(r), Round: r.Uint64(), Held: Slot(r.Uint64()), Gap: r.Bool()}
	case kindHandover:
		return Handover{Ballot: ReadBallot(r)}
	case kindSnapshotChunk:
		m := SnapshotChunk{Ballot: ReadBallot(r), Slot: Slot(r.Uint64())}
		copy(m.Digest[:], r.Fixed(len(m.Digest)))
		m.Size, m.Offset, m.Data = r.Uint64(), r.Uint64(), r.Bytes(maxChunkBytes)
		return m
	case kindSnapshotAck:
		m := SnapshotAck{Ballot: ReadBallot(r), Slot: Slot(r.Uint64())}
		copy(m.Digest[:], r.Fixed(len(m.Digest)))
		m.Offset, m.Installed = r.Uint64(), r.Bool()
		return m
	case kindFormHello:
		return FormHello{Size: r.Uint8(), Lease: r.Bool(), Service: Service(r.Uint8()), Recovering: r.Bool(), Echo: r.Uint64()}
	case kindFormGenesis:
		return FormGenesis{Size: r.Uint8(), Lease: r.Bool(), Service: Service(r.Uint8()), Led: r.Bool(), Vector: ReadVector(r)}
	case kindFormStored:
		return FormStored{}
	case kindProgress:
		return Progress{Ballot: ReadBallot(r), Held: Slot(r.Uint64()), Gap: r.Bool()}
	case kindRejoinNotice:
		return RejoinNotice{Ballot: ReadBallot(r), Epoch: r.Uint64(), Chosen: readLife(r)}
	case kindRejoinRequest:
		return RejoinRequest{Ballot: ReadBallot(r), Prev: r.Uint64()}
	case kindStarted:
		return Started{ReadHolding(r)}
	case kindRemembered:
		return Remembered{Nonce: r.Uint64(), Holding: ReadHolding(r)}
	}
	r.Fail(fmt.Errorf("%w: message kind %d", wire.ErrBadValue, k))
	return nil
}

// maxChunkBytes bounds the data of one SnapshotChunk.
const maxChunkBytes = 4 << 20

// ballotBytes is the length of an encoded ballot.
const ballotBytes = 9

// AppendBallot appends round u64 | replica u8.
func AppendBallot(dst []byte, b Ballot) []byte {
	dst = le.AppendUint64(dst, b.Round)
	return append(dst, byte(b.Replica))
}

// ReadBallot reads what AppendBallot wrote.
func ReadBallot(r *wire.Reader) Ballot {
	return Ballot{Round: r.Uint64(), Replica: readReplica(r)}
}

func readReplica(r *wire.Reader) ReplicaID {
	id := r.Uint8()
	if id >= MaxReplicas {
		r.Fail(fmt.Errorf("%w: replica %d, the highest is %d", wire.ErrBadValue, id, MaxReplicas-1))
		return 0
	}
	return ReplicaID(id)
}

func readKind(r *wire.Reader) Kind {
	k := Kind(r.Uint8())
	if !k.valid() {
		r.Fail(fmt.Errorf("%w: entry kind %d", wire.ErrBadValue, k))
	}
	return k
}

func appendLife(dst []byte, l Life) []byte {
	dst = le.AppendUint64(dst, l.Epoch)
	return le.AppendUint64(dst, l.Nonce)
}

func readLife(r *wire.Reader) Life { return Life{Epoch: r.Uint64(), Nonce: r.Uint64()} }

// AppendHolding appends boot u64 | boot id u64 | last slot u64 | promised ballot.
func AppendHolding(dst []byte, h Holding) []byte {
	dst = le.AppendUint64(dst, h.Boot)
	dst = le.AppendUint64(dst, h.BootID)
	dst = le.AppendUint64(dst, uint64(h.Last))
	return AppendBallot(dst, h.Promised)
}

// ReadHolding reads what AppendHolding wrote.
func ReadHolding(r *wire.Reader) Holding {
	return Holding{Boot: r.Uint64(), BootID: r.Uint64(), Last: Slot(r.Uint64()), Promised: ReadBallot(r)}
}

// AppendVector appends a count byte and the lives up to the last one that is
// not zero.
func AppendVector(dst []byte, v Vector) []byte {
	n := len(v)
	for n > 0 && v[n-1] == (Life{}) {
		n--
	}
	dst = append(dst, byte(n))
	for _, l := range v[:n] {
		dst = appendLife(dst, l)
	}
	return dst
}

// ReadVector reads what AppendVector wrote.
func ReadVector(r *wire.Reader) Vector {
	var v Vector
	n := int(r.Uint8())
	if n > len(v) {
		r.Fail(fmt.Errorf("%w: vector of %d lives, at most %d", wire.ErrBadValue, n, len(v)))
		return v
	}
	for i := range n {
		v[i] = readLife(r)
	}
	if n > 0 && v[n-1] == (Life{}) {
		r.Fail(fmt.Errorf("%w: vector of %d lives with nothing at its end", wire.ErrBadValue, n))
	}
	return v
}

// AppendEntry appends the encoding of e in the log:
//
//	slot u64 | ballot | kind u8 | value, up to the end
func AppendEntry(dst []byte, e Entry) []byte {
	dst = le.AppendUint64(dst, uint64(e.Slot))
	dst = AppendBallot(dst, e.Ballot)
	dst = append(dst, byte(e.Kind))
	return append(dst, e.Value...)
}

// DecodeEntry reads what AppendEntry wrote. The value aliases b.
func DecodeEntry(b []byte) (Entry, error) {
	r := wire.NewReader(b)
	e := Entry{Slot: Slot(r.Uint64()), Ballot: ReadBallot(r), Kind: readKind(r)}
	e.Value = r.Fixed(r.Len())
	if r.Err() == nil && (e.Slot == 0 || !e.Ballot.Valid()) {
		r.Fail(fmt.Errorf("%w: entry of slot %d under ballot %v", wire.ErrBadValue, e.Slot, e.Ballot))
	}
	if err := r.Close(); err != nil {
		return Entry{}, fmt.Errorf("log entry: %w", err)
	}
	return e, nil
}

// hardStateVersion is the first byte of an encoded HardState. On disk.
const hardStateVersion = 1

// AppendHardState appends the encoding of h in the log:
//
//	version u8 | promised ballot | commit u64 | recovering u8 | vector
func AppendHardState(dst []byte, h HardState) []byte {
	dst = append(dst, hardStateVersion)
	dst = AppendBallot(dst, h.Promised)
	dst = le.AppendUint64(dst, uint64(h.Commit))
	dst = wire.AppendBool(dst, h.Recovering)
	return AppendVector(dst, h.Vector)
}

// DecodeHardState reads what AppendHardState wrote.
func DecodeHardState(b []byte) (HardState, error) {
	r := wire.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != hardStateVersion {
		return HardState{}, fmt.Errorf("hard state: version %d, this program reads version %d: start the release that wrote it", v, hardStateVersion)
	}
	h := HardState{Promised: ReadBallot(r), Commit: Slot(r.Uint64()), Recovering: r.Bool(), Vector: ReadVector(r)}
	if err := r.Close(); err != nil {
		return HardState{}, fmt.Errorf("hard state: %w", err)
	}
	return h, nil
}
