package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"diskv/internal/wire"
)

// The format on disk. All numbers are little-endian; every CRC is CRC32C.
//
//	header                                  block
//	 0  8  magic "diskvsnp"                  0  1  type: 1 records, 2 long record, 3 more of it
//	 8  2  version                           1  1  codec: 1 stored, 2 S2
//	10  2  reserved, zero                    2  2  reserved, zero
//	12  4  CRC of bytes 0 to 12              4  4  raw length, 1 to 256 KiB
//	16  4  length n of the state             8  4  stored length m
//	20  8  cluster                          12  4  CRC of the raw bytes
//	28  8  group                            16  4  CRC of the block's file offset (8 bytes),
//	36  8  slot                                    bytes 0 to 16, and the stored bytes
//	44  8  config                           20  m  stored bytes
//	52  8  log time
//	60  n  state                            footer
//	 .  4  CRC of all of the above           0  8  magic "diskvend"
//	                                         8  8  number of blocks
//	                                        16  8  number of records
//	                                        24  8  sum of the lengths of the records
//	                                        32  8  length of the file
//	                                        40 32  SHA-256 of the file up to here
//	                                        72  4  CRC of bytes 0 to 72
//
// The first 16 bytes of the header are the same in every version, so that a
// newer format is told from a damaged file.
const (
	headerMagic = "diskvsnp" // on disk
	footerMagic = "diskvend" // on disk
	version     = 1          // on disk

	prefixSize      = 16 // on disk: magic, version and their CRC
	headerFixedSize = 60 // on disk: the header without state and CRC
	blockHeadSize   = 20 // on disk
	footerSize      = 76 // on disk
	digestOffset    = 40 // on disk: of the digest in the footer
	crcSize         = 4  // on disk
	lengthSize      = 4  // on disk: what stands before a record

	// maxBlock is the largest raw length of a block. On disk.
	maxBlock = 256 << 10
	// minFile is the length of a snapshot of nothing.
	minFile = headerFixedSize + crcSize + footerSize
)

// blockType says what the raw bytes of a block are. On disk; 0 is invalid.
type blockType uint8

const (
	blockRecords blockType = 1 // whole records, each behind its 32-bit length
	blockLong    blockType = 2 // 32-bit length of a record that no block can hold, and its first bytes
	blockMore    blockType = 3 // the next bytes of that record, and nothing else
)

// codec says how the bytes of a block are stored. On disk; 0 is invalid.
type codec uint8

const (
	codecStored codec = 1 // as they are, where S2 would not make them shorter
	codecS2     codec = 2 // one S2 block, shorter than the raw bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errChecksum = errors.New("checksum does not match")

func appendHeader(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, headerMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.State)))
	dst = binary.LittleEndian.AppendUint64(dst, h.Cluster)
	dst = binary.LittleEndian.AppendUint64(dst, h.Group)
	dst = binary.LittleEndian.AppendUint64(dst, h.Slot)
	dst = binary.LittleEndian.AppendUint64(dst, h.Config)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.LogTime))
	dst = append(dst, h.State...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// headerSize reads the length of a whole header from its first
// headerFixedSize bytes, after it has checked magic and version.
func headerSize(b []byte) (int, error) {
	r := wire.NewReader(b)
	magic := r.Fixed(len(headerMagic))
	v := r.Uint16()
	reserved := r.Uint16()
	sum := r.Uint32()
	n := r.Uint32()
	if err := r.Err(); err != nil {
		return 0, err
	}
	switch {
	case string(magic) != headerMagic:
		return 0, fmt.Errorf("header starts with %q, not with %q: not a snapshot", magic, headerMagic)
	case sum != crc32.Checksum(b[:prefixSize-crcSize], castagnoli):
		return 0, fmt.Errorf("magic and version: %w", errChecksum)
	case v > version:
		return 0, fmt.Errorf("version %d, highest known %d: %w", v, version, ErrVersion)
	case v == 0 || reserved != 0:
		return 0, fmt.Errorf("version %d, reserved bytes %#x: %w", v, reserved, wire.ErrBadValue)
	case n > MaxState:
		return 0, fmt.Errorf("state: %w: %d bytes, at most %d", wire.ErrTooLong, n, MaxState)
	}
	return headerFixedSize + int(n) + crcSize, nil
}

// decodeHeader reads a header that takes up all of b. State is copied.
func decodeHeader(b []byte) (Header, error) {
	size, err := headerSize(b)
	if err != nil {
		return Header{}, err
	}
	r := wire.NewReader(b)
	r.Fixed(prefixSize + 4)
	h := Header{
		Cluster: r.Uint64(),
		Group:   r.Uint64(),
		Slot:    r.Uint64(),
		Config:  r.Uint64(),
		LogTime: r.Int64(),
	}
	state := r.Fixed(size - headerFixedSize - crcSize)
	sum := r.Uint32()
	if err := r.Close(); err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	if sum != crc32.Checksum(b[:size-crcSize], castagnoli) {
		return Header{}, fmt.Errorf("header: %w", errChecksum)
	}
	h.State = append([]byte(nil), state...)
	return h, nil
}

// blockHead is what stands before the stored bytes of a block.
type blockHead struct {
	kind   blockType
	codec  codec
	raw    int    // length of the raw bytes
	stored int    // length of the stored bytes
	rawSum uint32 // CRC of the raw bytes
	sum    uint32 // CRC of offset, head and stored bytes
}

// appendBlockHead appends a head with sum left to [sealBlock].
func appendBlockHead(dst []byte, h blockHead) []byte {
	dst = append(dst, byte(h.kind), byte(h.codec), 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.raw))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.stored))
	dst = binary.LittleEndian.AppendUint32(dst, h.rawSum)
	return binary.LittleEndian.AppendUint32(dst, 0)
}

// sealBlock puts the checksum into a whole block that is to stand at offset.
func sealBlock(block []byte, offset int64) {
	sum := blockSum(offset, block[:blockHeadSize], block[blockHeadSize:])
	binary.LittleEndian.PutUint32(block[blockHeadSize-crcSize:], sum)
}

// blockSum covers the offset too, so that a block that belongs elsewhere does
// not pass.
func blockSum(offset int64, head, stored []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(offset))
	sum := crc32.Update(0, castagnoli, at[:])
	sum = crc32.Update(sum, castagnoli, head[:blockHeadSize-crcSize])
	return crc32.Update(sum, castagnoli, stored)
}

func decodeBlockHead(b []byte) (blockHead, error) {
	r := wire.NewReader(b)
	h := blockHead{kind: blockType(r.Uint8()), codec: codec(r.Uint8())}
	reserved := r.Uint16()
	raw, stored := r.Uint32(), r.Uint32()
	h.rawSum, h.sum = r.Uint32(), r.Uint32()
	if err := r.Close(); err != nil {
		return blockHead{}, fmt.Errorf("block head: %w", err)
	}
	switch {
	case h.kind < blockRecords || h.kind > blockMore:
		return blockHead{}, fmt.Errorf("block type %d: %w", h.kind, wire.ErrBadValue)
	case reserved != 0:
		return blockHead{}, fmt.Errorf("block's reserved bytes %#x: %w", reserved, wire.ErrBadValue)
	case raw == 0 || raw > maxBlock:
		return blockHead{}, fmt.Errorf("block's raw length %d, at most %d: %w", raw, maxBlock, wire.ErrBadValue)
	case h.codec == codecStored && stored != raw,
		h.codec == codecS2 && (stored == 0 || stored >= raw),
		h.codec != codecStored && h.codec != codecS2:
		return blockHead{}, fmt.Errorf("block's codec %d with %d bytes stored for %d: %w", h.codec, stored, raw, wire.ErrBadValue)
	}
	h.raw, h.stored = int(raw), int(stored)
	return h, nil
}

// footer is the end of the file.
type footer struct {
	blocks   uint64
	records  uint64
	rawBytes uint64
	size     uint64
	digest   [32]byte
}

// appendFooterCounts appends the part of a footer that the digest covers.
func appendFooterCounts(dst []byte, f footer) []byte {
	dst = append(dst, footerMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, f.blocks)
	dst = binary.LittleEndian.AppendUint64(dst, f.records)
	dst = binary.LittleEndian.AppendUint64(dst, f.rawBytes)
	return binary.LittleEndian.AppendUint64(dst, f.size)
}

// appendFooterEnd appends the rest of a footer, all of which is counts so far.
func appendFooterEnd(counts []byte, digest [32]byte) []byte {
	counts = append(counts, digest[:]...)
	return binary.LittleEndian.AppendUint32(counts, crc32.Checksum(counts, castagnoli))
}

func decodeFooter(b []byte) (footer, error) {
	r := wire.NewReader(b)
	magic := r.Fixed(len(footerMagic))
	f := footer{
		blocks:   r.Uint64(),
		records:  r.Uint64(),
		rawBytes: r.Uint64(),
		size:     r.Uint64(),
	}
	copy(f.digest[:], r.Fixed(len(f.digest)))
	sum := r.Uint32()
	if err := r.Close(); err != nil {
		return footer{}, fmt.Errorf("footer: %w", err)
	}
	switch {
	case string(magic) != footerMagic:
		return footer{}, fmt.Errorf("footer starts with %q, not with %q: the file was cut or is not a snapshot", magic, footerMagic)
	case sum != crc32.Checksum(b[:footerSize-crcSize], castagnoli):
		return footer{}, fmt.Errorf("footer: %w", errChecksum)
	}
	return f, nil
}

// check says whether the counts can be those of a file whose blocks take up
// body bytes, so that nothing bigger is ever believed.
func (f footer) check(body, size int64) error {
	switch {
	case f.size != uint64(size):
		return fmt.Errorf("footer: file is %d bytes long, was written with %d", size, f.size)
	case f.blocks > uint64(body)/(blockHeadSize+1):
		return fmt.Errorf("footer: %d blocks do not fit into %d bytes", f.blocks, body)
	case f.records > f.blocks*(maxBlock/lengthSize):
		return fmt.Errorf("footer: %d records do not fit into %d blocks", f.records, f.blocks)
	case f.rawBytes > f.blocks*maxBlock:
		return fmt.Errorf("footer: records of %d bytes do not fit into %d blocks", f.rawBytes, f.blocks)
	}
	return nil
}
