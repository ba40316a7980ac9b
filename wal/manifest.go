package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"diskv/internal/wire"
)

// MANIFEST says which segments there are, so that one that vanished is damage
// and not a shorter log. It is replaced as a whole: written under another name,
// synced, renamed, the directory synced. Little-endian:
//
//	 0       8    10    12       16     24      32       40        48      56      64    68
//	+-------+----+-----+--------+------+-------+--------+---------+-------+-------+-----+
//	| magic | v  |flags|   0    |log id| first | newest | durable | clean | clean | CRC |
//	|       |    |     |        |      |       |        |         |segment| size  |     |
//	+-------+----+-----+--------+------+-------+--------+---------+-------+-------+-----+
const (
	manifestMagic   = "dkvwalmf" // on disk
	manifestVersion = 1          // on disk
	manifestSize    = 68         // on disk
	manifestSuspect = 1          // on disk: bit in flags

	manifestName = "MANIFEST"     // on disk
	manifestTemp = "MANIFEST.new" // on disk
)

// manifest is the content of MANIFEST.
//
// Invariants:
//  1. 1 <= first <= newest, and every segment from first to newest has its
//     directory and file on the disk before MANIFEST names it.
//  2. Every segment below newest has a durable header; newest may be empty.
//  3. Nothing is written into a segment above newest.
type manifest struct {
	logID   uint64
	first   uint64
	newest  uint64
	durable uint64 // every record up to it was durable when this was written
	suspect bool   // an end was cut that a power cut does not explain

	// When the log was last closed the tail was cleanSegment, and its cleanSize
	// bytes were synced without an error; 0 and 0 if it never was. A longer one
	// was written to since, a shorter one is damaged.
	cleanSegment uint64
	cleanSize    int64
}

func (m manifest) encode() []byte {
	b := make([]byte, 0, manifestSize)
	b = append(b, manifestMagic...)
	b = binary.LittleEndian.AppendUint16(b, manifestVersion)
	var flags uint16
	if m.suspect {
		flags |= manifestSuspect
	}
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, m.logID)
	b = binary.LittleEndian.AppendUint64(b, m.first)
	b = binary.LittleEndian.AppendUint64(b, m.newest)
	b = binary.LittleEndian.AppendUint64(b, m.durable)
	b = binary.LittleEndian.AppendUint64(b, m.cleanSegment)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.cleanSize))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeManifest(b []byte) (manifest, error) {
	if len(b) != manifestSize {
		return manifest{}, fmt.Errorf("%d bytes long, not %d", len(b), manifestSize)
	}
	sum := binary.LittleEndian.Uint32(b[manifestSize-4:])
	if sum != crc32.Checksum(b[:manifestSize-4], castagnoli) {
		return manifest{}, errors.New("the checksum is wrong")
	}
	r := wire.NewReader(b[:manifestSize-4])
	magic, version, flags, reserved := r.Fixed(len(manifestMagic)), r.Uint16(), r.Uint16(), r.Uint32()
	m := manifest{
		logID: r.Uint64(), first: r.Uint64(), newest: r.Uint64(), durable: r.Uint64(),
		suspect: flags&manifestSuspect != 0, cleanSegment: r.Uint64(), cleanSize: r.Int64(),
	}
	switch {
	case r.Close() != nil:
		return manifest{}, r.Err()
	case string(magic) != manifestMagic:
		return manifest{}, fmt.Errorf("it does not begin with %q", manifestMagic)
	case version != manifestVersion:
		return manifest{}, fmt.Errorf("it has version %d, this program knows %d", version, manifestVersion)
	case flags&^manifestSuspect != 0 || reserved != 0:
		return manifest{}, fmt.Errorf("unknown flags %#x, reserved %#x", flags, reserved)
	case m.first == 0 || m.first > m.newest || m.cleanSize < 0:
		return manifest{}, fmt.Errorf("it names segments %d to %d, closed at size %d", m.first, m.newest, m.cleanSize)
	}
	return m, nil
}

// replace makes m the MANIFEST of dir, durably. If it fails with errSync, either
// the old or the new one may be found later, and nothing may be built on the
// new one; after another error the old one is still in place.
func (m manifest) replace(d *disk, dir string) error {
	temp := filepath.Join(dir, manifestTemp)
	if err := d.writeFile(temp, m.encode()); err != nil {
		return fmt.Errorf("new %s: %w", manifestName, err)
	}
	if err := d.rename(temp, filepath.Join(dir, manifestName)); err != nil {
		return fmt.Errorf("new %s: %w", manifestName, err)
	}
	return d.syncDir(dir)
}

// readManifest returns the MANIFEST of dir. A damaged one is a CorruptionError.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, manifestName)
	f, err := openRegular(path)
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, manifestSize+1))
	if err != nil {
		return manifest{}, fmt.Errorf("read %s: %w", path, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return manifest{}, &CorruptionError{File: path, Reason: err.Error()}
	}
	return m, nil
}
