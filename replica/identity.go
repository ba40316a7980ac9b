package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"diskv/internal/wire"
	"diskv/paxos"
)

// Phase is how far a replica has come in being a member of its group. On disk.
type Phase uint8

// The phases. Zero is invalid.
const (
	PhaseForming    Phase = 1 // formatted; the group has not formed, as far as this replica knows
	PhaseMember     Phase = 2 // a voter
	PhaseRecovering Phase = 3 // lost its disk; catches up and does not vote
)

func (p Phase) String() string {
	switch p {
	case PhaseForming:
		return "forming"
	case PhaseMember:
		return "member"
	case PhaseRecovering:
		return "recovering"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Identity says whose directory a data directory is. It is the content of the
// file IDENTITY.
type Identity struct {
	Cluster paxos.ClusterID // zero while forming
	Group   paxos.GroupID
	Index   paxos.ReplicaID
	Size    int  // members of the group
	Lease   bool // reads by leader lease, for the whole group
	Service paxos.Service
	Phase   Phase
	Life    paxos.Life
	Boot    uint64 // count of process starts
	BootID  uint64 // random, drawn at each start
	LogID   uint64 // of the log in wal/; zero while forming
}

// identityMagic and identityVersion begin the file. On disk.
const (
	identityMagic   = "DISKVID\x00"
	identityVersion = 1
	identityBytes   = 8 + 1 + 3 + 4 + 7*8 + 8 + 4
)

// ErrIdentity is wrapped by every error about a damaged IDENTITY.
var ErrIdentity = errors.New("IDENTITY is damaged")

// identitySumBytes is the length of the checksum of all before, with which the file
// ends in every version: so damage is told from a newer release. On disk.
const identitySumBytes = 4

// AppendIdentity appends the content of the file:
//
//	magic 8 | version u8 | phase u8 | index u8 | size u8 | lease u8 | service u8 | 2 zero |
//	cluster u64 | group u64 | epoch u64 | nonce u64 | boot u64 | boot id u64 |
//	log id u64 | reserved u64, zero | crc32c u32 of all before
func AppendIdentity(dst []byte, id Identity) []byte {
	start := len(dst)
	dst = append(dst, identityMagic...)
	dst = append(dst, identityVersion, byte(id.Phase), byte(id.Index), byte(id.Size))
	dst = append(wire.AppendBool(dst, id.Lease), byte(id.Service), 0, 0)
	for _, v := range []uint64{
		uint64(id.Cluster), uint64(id.Group), id.Life.Epoch, id.Life.Nonce, id.Boot, id.BootID, id.LogID, 0,
	} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DecodeIdentity reads what AppendIdentity wrote. Damage gives an error that
// wraps [ErrIdentity]; a newer version gives one that does not.
func DecodeIdentity(b []byte) (Identity, error) {
	if len(b) < len(identityMagic)+1+identitySumBytes || string(b[:len(identityMagic)]) != identityMagic {
		return Identity{}, fmt.Errorf("%w: it does not begin as one", ErrIdentity)
	}
	sum := len(b) - identitySumBytes
	if binary.LittleEndian.Uint32(b[sum:]) != crc32.Checksum(b[:sum], castagnoli) {
		return Identity{}, fmt.Errorf("%w: its checksum is wrong", ErrIdentity) // of a flipped version, too
	}
	if v := b[len(identityMagic)]; v > identityVersion {
		return Identity{}, fmt.Errorf("IDENTITY has format version %d, this program reads version %d: start a release that is at least as new as the one that wrote it", v, identityVersion)
	}
	if len(b) != identityBytes {
		return Identity{}, fmt.Errorf("%w: %d bytes, want %d", ErrIdentity, len(b), identityBytes)
	}
	r := wire.NewReader(b[len(identityMagic):sum])
	version := r.Uint8()
	id := Identity{Phase: Phase(r.Uint8()), Index: paxos.ReplicaID(r.Uint8()), Size: int(r.Uint8()), Lease: r.Bool(), Service: paxos.Service(r.Uint8())}
	zero := r.Fixed(2)
	id.Cluster = paxos.ClusterID(r.Uint64())
	id.Group = paxos.GroupID(r.Uint64())
	id.Life = paxos.Life{Epoch: r.Uint64(), Nonce: r.Uint64()}
	id.Boot, id.BootID, id.LogID = r.Uint64(), r.Uint64(), r.Uint64()
	reserved := r.Uint64()
	if err := r.Close(); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	if version != identityVersion || string(zero) != "\x00\x00" || reserved != 0 {
		return Identity{}, fmt.Errorf("%w: reserved bytes are in use", ErrIdentity)
	}
	if err := id.valid(); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return id, nil
}

// HasLog reports whether there is a log, which holds what this replica has seen
// of its group. A replica without one knows nothing yet: its group has not
// formed, or it has lost its disk and has not been told what group it is in.
func (id Identity) HasLog() bool { return id.LogID != 0 }

// valid reports what in id cannot be.
func (id Identity) valid() error {
	switch {
	case id.Size < 1 || id.Size > paxos.MaxReplicas:
		return fmt.Errorf("group of %d members, 1 to %d are possible", id.Size, paxos.MaxReplicas)
	case int(id.Index) >= id.Size:
		return fmt.Errorf("index %d in a group of %d", id.Index, id.Size)
	case id.Service > paxos.ServiceShardmaster:
		return fmt.Errorf("unknown service %d", uint8(id.Service))
	case id.Phase < PhaseForming || id.Phase > PhaseRecovering:
		return fmt.Errorf("unknown phase %d", id.Phase)
	case id.Life.Nonce == 0:
		return errors.New("no nonce")
	case id.Phase == PhaseMember && (id.Cluster == 0 || id.LogID == 0):
		return errors.New("a member without a cluster or a log")
	case id.Phase == PhaseForming && id.LogID != 0, id.LogID != 0 && id.Cluster == 0:
		return errors.New("a log without a cluster")
	}
	return nil
}
