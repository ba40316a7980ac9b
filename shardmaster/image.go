package shardmaster

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"diskv/internal/record"
)

// The records of an image, in this order: state, one config record for each config
// kept, ascending, groups, end. All numbers are little-endian. Every record begins
// with
//
//	0  kind      1 byte
//	1  reserved  3 bytes, zero
//	4  count     4 bytes: of a state record the format, 1; of a config record 1; of a
//	             groups record its entries; of an end record zero
//
// and goes on, by its kind:
//
//	state   slot u64, log time i64 (ns)
//	config  the encoding of one
//	groups  count times, ascending: id u64, joined u64, left u64 (0: a member),
//	        settled u64, drained u8, zero u8, servers u32 times: length u32 + bytes
//	end     configs u64, groups u64: how many there were
//
// The kinds are none of a key/value store's, so that neither takes the other's.
const (
	recordState  = 33 // 0 is invalid
	recordConfig = 34
	recordGroups = 35
	recordEnd    = 36

	imageFormat   = 1
	groupOverhead = 4*8 + 2 + 4 // of an entry, beside its servers
	imageOverhead = 3*record.HeadBytes + 2*16
)

// Image is the state at one moment. Another goroutine may read it while the machine
// goes on.
type Image struct {
	kept    [][]byte
	groups  []group
	newest  uint64 // number of the last of kept
	slot    uint64
	logTime int64
}

// Config returns the number of the newest config.
func (i *Image) Config() uint64 { return i.newest }

// Image returns the present state. It copies a few bytes for each config and group.
func (m *Machine) Image() *Image {
	return &Image{kept: slices.Clone(m.kept), groups: slices.Clone(m.groups), newest: m.newest.Num, slot: m.slot, logTime: m.logTime}
}

// Bytes returns about how many bytes the records of an image would have.
func (m *Machine) Bytes() int64 { return m.bytes + imageOverhead }

func keptSize(encoded []byte) int64 { return record.HeadBytes + int64(len(encoded)) }

// size is what the group takes in an image.
func (g *group) size() int64 {
	n := int64(groupOverhead)
	for _, a := range g.servers {
		n += 4 + int64(len(a))
	}
	return n
}

// Records calls add with every record of the image, in order, and returns its first
// error. add must copy what it keeps.
func (i *Image) Records(add func(record []byte) error) error {
	buf := record.AppendHead(nil, recordState, imageFormat)
	buf = binary.LittleEndian.AppendUint64(buf, i.slot)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(i.logTime))
	if err := add(buf); err != nil {
		return err
	}
	for _, c := range i.kept {
		buf = append(record.AppendHead(buf[:0], recordConfig, 1), c...)
		if err := add(buf); err != nil {
			return err
		}
	}
	buf = record.AppendHead(buf[:0], recordGroups, uint32(len(i.groups)))
	for n := range i.groups {
		buf = i.groups[n].append(buf)
	}
	if err := add(buf); err != nil {
		return err
	}
	buf = record.AppendHead(buf[:0], recordEnd, 0)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(i.kept)))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(i.groups)))
	return add(buf)
}

func (g *group) append(dst []byte) []byte {
	for _, v := range []uint64{uint64(g.id), g.joined, g.left, g.settled} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	drained := byte(0)
	if g.drained {
		drained = 1
	}
	return appendServers(append(dst, drained, 0), g.servers)
}

// Digest returns a fingerprint of the whole state. Replicas that have applied the
// same slots have the same.
func (m *Machine) Digest() [sha256.Size]byte {
	return record.Digest(m.Image().Records)
}
