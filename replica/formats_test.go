package replica

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
	"diskv/paxos"
)

var testIdentity = Identity{
	Cluster: 0x0123456789abcdef, Group: 7, Index: 2, Size: 3, Lease: true, Service: paxos.ServiceSharded, Phase: PhaseMember,
	Life: paxos.Life{Epoch: 1, Nonce: 0x1111111111111111}, Boot: 4, BootID: 0x2222222222222222, LogID: 0x3333333333333333,
}

func TestIdentityGolden(t *testing.T) {
	want := golden.Hex(`
		4449534b56494400    // magic, "DISKVID" and 0
		01 02 02 03         // version, member, index, size
		01 01 0000          // lease, service, reserved
		efcdab8967452301    // cluster
		0700000000000000    // group
		0100000000000000    // epoch
		1111111111111111    // nonce
		0400000000000000    // boot
		2222222222222222    // boot id
		3333333333333333    // log id
		0000000000000000    // reserved
		6771812a            // CRC-32C
	`)
	got := AppendIdentity(nil, testIdentity)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got))
	back, err := DecodeIdentity(want)
	require.NoError(t, err)
	require.Equal(t, testIdentity, back)
}

// TestIdentityDamage: no bit of the file may be wrong, and none missing.
func TestIdentityDamage(t *testing.T) {
	good := AppendIdentity(nil, testIdentity)
	for i := range good {
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			_, err := DecodeIdentity(bad)
			require.Error(t, err, "byte %d, bit %d", i, bit)
			if i != len(identityMagic) {
				require.ErrorIs(t, err, ErrIdentity)
			}
		}
	}
	for n := range good {
		_, err := DecodeIdentity(good[:n])
		require.ErrorIs(t, err, ErrIdentity, "cut at %d", n)
	}
	_, err := DecodeIdentity(append(good, 0))
	require.ErrorIs(t, err, ErrIdentity)
}

// TestIdentityRefuses: the checksum is right, and the content cannot be.
func TestIdentityRefuses(t *testing.T) {
	seal := func(b []byte) []byte {
		sum := len(b) - 4
		binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[:sum], castagnoli))
		return b
	}
	t.Run("a newer version says which release is needed, and is no damage", func(t *testing.T) {
		b := AppendIdentity(nil, testIdentity)
		b[8] = identityVersion + 1
		_, err := DecodeIdentity(b)
		require.ErrorIs(t, err, ErrIdentity, "a flipped version is damage")
		_, err = DecodeIdentity(seal(append(b, "and more"...)))
		require.NotErrorIs(t, err, ErrIdentity)
		require.ErrorContains(t, err, "format version 2, this program reads version 1: start a release")
	})
	for _, at := range []int{14, 15, 16 + 7*8, 16 + 7*8 + 7} {
		b := AppendIdentity(nil, testIdentity)
		b[at] = 1
		_, err := DecodeIdentity(seal(b))
		require.ErrorIs(t, err, ErrIdentity)
		require.ErrorContains(t, err, "reserved bytes are in use")
	}
	b := AppendIdentity(nil, testIdentity)
	b[8] = 0
	_, err := DecodeIdentity(seal(b))
	require.ErrorIs(t, err, ErrIdentity, "version 0")
	b = AppendIdentity(nil, testIdentity)
	b[12] = 2
	_, err = DecodeIdentity(seal(b))
	require.ErrorIs(t, err, wire.ErrBadValue, "a lease that is neither")

	for _, tt := range []struct {
		want   string
		change func(id *Identity)
	}{
		{"group of 0 members", func(id *Identity) { id.Size = 0 }},
		{"group of 8 members", func(id *Identity) { id.Size = 8 }},
		{"index 3 in a group of 3", func(id *Identity) { id.Index = 3 }},
		{"unknown service 3", func(id *Identity) { id.Service = 3 }},
		{"unknown phase 0", func(id *Identity) { id.Phase = 0 }},
		{"unknown phase 4", func(id *Identity) { id.Phase = 4 }},
		{"no nonce", func(id *Identity) { id.Life.Nonce = 0 }},
		{"a member without a cluster or a log", func(id *Identity) { id.Cluster = 0 }},
		{"a member without a cluster or a log", func(id *Identity) { id.LogID = 0 }},
	} {
		id := testIdentity
		tt.change(&id)
		_, err := DecodeIdentity(AppendIdentity(nil, id))
		require.ErrorIs(t, err, ErrIdentity)
		require.ErrorContains(t, err, tt.want)
	}
}

var testMemory = peerMemory{
	{nonce: 0x1111111111111111, Holding: paxos.Holding{Boot: 4, BootID: 0x2222222222222222, Last: 9, Promised: paxos.Ballot{Round: 3, Replica: 2}}},
	{},
	{nonce: 5},
}

func TestPeersGolden(t *testing.T) {
	want := golden.Hex(`
		4449534b56504500    // magic, "DISKVPE" and 0
		01 03 000000000000  // version, members, reserved
		efcdab8967452301    // cluster
		1111111111111111    // member 0: nonce
		0400000000000000 2222222222222222 // boot, boot id
		0900000000000000    // last slot
		0300000000000000 02 // promised ballot
		0000000000000000    // member 1: nothing
		0000000000000000 0000000000000000 0000000000000000 0000000000000000 00
		0500000000000000    // member 2
		0000000000000000 0000000000000000 0000000000000000 0000000000000000 00
		15e0090b            // CRC-32C
	`)
	got := encodePeers(testIdentity.Cluster, &testMemory)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got))
	cluster, back, err := decodePeers(want)
	require.NoError(t, err)
	require.Equal(t, testIdentity.Cluster, cluster)
	require.Equal(t, testMemory, back)
}

// TestPeersDamage: no bit of the file may be wrong, and none missing.
func TestPeersDamage(t *testing.T) {
	good := encodePeers(7, &testMemory)
	for i := range good {
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			_, _, err := decodePeers(bad)
			require.Error(t, err, "byte %d, bit %d", i, bit)
		}
	}
	for n := range good {
		_, _, err := decodePeers(good[:n])
		require.Error(t, err, "cut at %d", n)
	}
	_, _, err := decodePeers(append(good, 0))
	require.Error(t, err)
}

func TestBatchGolden(t *testing.T) {
	b := Batch{Origin: paxos.Ballot{Round: 3, Replica: 2}, Time: -2, Commands: [][]byte{[]byte("hi"), {}}}
	want := golden.Hex(`
		01                  // version
		0300000000000000 02 // origin
		feffffffffffffff    // time
		02000000            // commands
		02000000 6869
		00000000
	`)
	require.Equal(t, want, appendBatch(nil, b))
	back, err := ReadBatch(want)
	require.NoError(t, err)
	require.Equal(t, b, back)
	require.Len(t, appendBatch(nil, Batch{}), batchHeaderBytes)
	for n := range want {
		_, err := ReadBatch(want[:n])
		require.Error(t, err, "cut at %d", n)
	}
	_, err = ReadBatch(append(want, 0))
	require.ErrorIs(t, err, wire.ErrTrailing)
	want[0] = 2
	_, err = ReadBatch(want)
	require.ErrorContains(t, err, "version 2, this program reads version 1")
	// A count that the input cannot hold costs nothing.
	_, err = ReadBatch(append(appendBatch(nil, Batch{})[:18], 0xff, 0xff, 0xff, 0xff))
	require.ErrorIs(t, err, wire.ErrShort)
}

func TestEntryRecordGolden(t *testing.T) {
	e := paxos.Entry{Slot: 9, Ballot: paxos.Ballot{Round: 3, Replica: 2}, Kind: paxos.KindBatch, Value: []byte("hi")}
	rec := entryRecord(e, 8)
	require.Equal(t, Record{Kind: RecordEntry, Slot: 9, Payload: golden.Hex(`
		0800000000000000    // commit index that rides along
		0900000000000000    // slot
		0300000000000000 02 // ballot
		02                  // batch
		6869                // value
	`)}, rec)
	back, err := ReadEntry(rec)
	require.NoError(t, err)
	require.Equal(t, AcceptedEntry{Entry: e, Commit: 8}, back)
	rec.Slot = 10
	_, err = ReadEntry(rec)
	require.ErrorContains(t, err, "filed under slot 10")
	require.Equal(t, []RecordKind{1, 2}, []RecordKind{RecordState, RecordEntry}, "on disk")
}

func FuzzDecodeIdentity(f *testing.F) {
	f.Add(AppendIdentity(nil, testIdentity))
	f.Add(AppendIdentity(nil, Identity{Size: 1, Phase: PhaseForming, Life: paxos.Life{Nonce: 1}}))
	f.Add([]byte(identityMagic + "\x02"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if id, err := DecodeIdentity(in); err == nil {
			require.Equal(t, in, AppendIdentity(nil, id))
		}
	})
}

func FuzzDecodePeers(f *testing.F) {
	f.Add(encodePeers(7, &testMemory))
	f.Add(encodePeers(0, &peerMemory{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		// A fuzzer does not find checksums.
		in = binary.LittleEndian.AppendUint32(in, crc32.Checksum(in, castagnoli))
		if cluster, m, err := decodePeers(in); err == nil {
			require.Equal(t, in, encodePeers(cluster, &m))
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(appendBatch(nil, Batch{}))
	f.Add(appendBatch(nil, Batch{Origin: paxos.Ballot{Round: 1, Replica: 6}, Time: 5, Commands: [][]byte{[]byte("a"), {}, []byte("bcd")}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ReadBatch(in)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(b.Commands), len(in)/4, "memory is bounded by the input")
		require.Equal(t, in, appendBatch(nil, b))
	})
}

func FuzzDecodeEntryRecord(f *testing.F) {
	rec := entryRecord(paxos.Entry{Slot: 9, Ballot: paxos.Ballot{Round: 1}, Kind: paxos.KindBatch, Value: []byte("v")}, 8)
	f.Add(uint64(9), rec.Payload)
	f.Add(uint64(1), entryRecord(paxos.Entry{Slot: 1, Ballot: paxos.Ballot{Round: 1}, Kind: paxos.KindNoop}, 0).Payload)
	f.Fuzz(func(t *testing.T, slot uint64, in []byte) {
		rec := Record{Kind: RecordEntry, Slot: paxos.Slot(slot), Payload: in}
		if e, err := ReadEntry(rec); err == nil {
			require.Equal(t, rec, entryRecord(e.Entry, e.Commit))
		}
	})
}
