package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"diskv/internal/wire"
)

// Create writes a snapshot into dir, which must exist, and returns it when it is
// durable and was read back. It calls write once, in the same goroutine; write
// calls add for each record, in the order in which [Reader.Next] is to return
// them. add copies record, which may be empty and has at most [MaxRecord] bytes.
//
// Until the last step the file has a temporary name; if anything fails, an
// error of write and add included, it is removed and the directory is as it was.
// (If the very last flush, that of the directory, fails, the new file has its
// name already and is whole, but a power cut may take the name back.)
// A snapshot of the same slot is replaced. Older ones stay until [Clean].
func Create(dir string, h Header, write func(add func(record []byte) error) error) (Info, error) {
	return create(osDisk{}, dir, h, write)
}

func create(d disk, dir string, h Header, write func(add func(record []byte) error) error) (Info, error) {
	if len(h.State) > MaxState {
		return Info{}, fmt.Errorf("create snapshot at slot %d: state of %d bytes, at most %d: %w", h.Slot, len(h.State), MaxState, ErrTooLarge)
	}
	temp := tempPath(dir, h.Slot)
	f, err := d.create(temp)
	if err != nil {
		return Info{}, fmt.Errorf("create snapshot at slot %d: %w", h.Slot, err)
	}
	published := false
	defer func() {
		// Also when write panics. What cannot be removed now goes with Clean.
		_ = f.Close()
		if !published {
			_ = d.remove(temp)
		}
	}()

	written, err := fill(f, h, write)
	if err != nil {
		return Info{}, fmt.Errorf("create snapshot at slot %d: %w", h.Slot, err)
	}
	// Before it gets its name, not after: a file that the disk gives back
	// otherwise than it was written never counts.
	f.forget()
	info, err := verify(temp, f)
	if err != nil {
		return Info{}, fmt.Errorf("create snapshot at slot %d: reading back: %w", h.Slot, err)
	}
	if info.Digest != written.digest {
		return Info{}, fmt.Errorf("create snapshot at slot %d: %w", h.Slot,
			&CorruptionError{File: temp, Reason: "reading back gives another digest than was written"})
	}
	info.Path = Path(dir, h.Slot)
	if err := publish(d, temp, info.Path); err != nil {
		return Info{}, fmt.Errorf("create snapshot at slot %d: %w", h.Slot, err)
	}
	published = true
	return info, nil
}

// fill writes a whole snapshot to an empty file and flushes it.
func fill(f file, h Header, write func(add func(record []byte) error) error) (footer, error) {
	w := &writer{f: f, pace: pacer{f: f}, sum: sha256.New()}
	if err := w.write(appendHeader(nil, h)); err != nil {
		return footer{}, err
	}
	err := write(w.add)
	if err == nil {
		err = w.err // write may have overlooked it
	}
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		err = w.end()
	}
	w.err = errAddLate
	if err != nil {
		return footer{}, err
	}
	return w.foot, f.sync()
}

var errAddLate = errors.New("add was called after the function that it was given to had returned")

// writer turns records into blocks.
type writer struct {
	f    file
	pace pacer
	sum  hash.Hash // of everything written
	off  int64     // bytes written
	raw  []byte    // the next block of whole records, uncompressed
	out  []byte    // a block as it is written; reused
	foot footer
	err  error // the first failure; nothing is written after it
}

func (w *writer) add(record []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(record) > MaxRecord {
		w.err = fmt.Errorf("record of %d bytes, at most %d: %w", len(record), MaxRecord, ErrTooLarge)
		return w.err
	}
	if len(w.raw)+lengthSize+len(record) > maxBlock {
		if w.err = w.flush(); w.err != nil {
			return w.err
		}
	}
	w.foot.records++
	w.foot.rawBytes += uint64(len(record))
	if lengthSize+len(record) > maxBlock {
		w.err = w.long(record)
		return w.err
	}
	w.raw = wire.AppendBytes(w.raw, record)
	return nil
}

// long writes a record that no block can hold.
func (w *writer) long(record []byte) error {
	const first = maxBlock - lengthSize
	w.raw = binary.LittleEndian.AppendUint32(w.raw[:0], uint32(len(record)))
	w.raw = append(w.raw, record[:first]...)
	err := w.block(blockLong, w.raw)
	w.raw = w.raw[:0]
	for rest := record[first:]; err == nil && len(rest) > 0; {
		n := min(len(rest), maxBlock)
		err = w.block(blockMore, rest[:n])
		rest = rest[n:]
	}
	return err
}

// flush writes the records that are waiting.
func (w *writer) flush() error {
	if len(w.raw) == 0 {
		return nil
	}
	err := w.block(blockRecords, w.raw)
	w.raw = w.raw[:0]
	return err
}

func (w *writer) block(kind blockType, raw []byte) error {
	if w.out == nil {
		w.out = make([]byte, blockHeadSize+s2.MaxEncodedLen(maxBlock))
	}
	h := blockHead{kind: kind, codec: codecS2, raw: len(raw), rawSum: crc32.Checksum(raw, castagnoli)}
	body := w.out[blockHeadSize:]
	h.stored = len(s2.Encode(body, raw))
	if h.stored >= h.raw {
		h.codec, h.stored = codecStored, copy(body, raw)
	}
	appendBlockHead(w.out[:0], h)
	block := w.out[:blockHeadSize+h.stored]
	sealBlock(block, w.off)
	w.foot.blocks++
	return w.write(block)
}

// end writes the footer.
func (w *writer) end() error {
	w.foot.size = uint64(w.off) + footerSize
	counts := appendFooterCounts(nil, w.foot)
	w.sum.Write(counts)
	w.sum.Sum(w.foot.digest[:0])
	return w.write(appendFooterEnd(counts, w.foot.digest))
}

func (w *writer) write(b []byte) error {
	w.sum.Write(b)
	if _, err := w.f.WriteAt(b, w.off); err != nil {
		return err
	}
	w.off += int64(len(b))
	return w.pace.wrote(w.off)
}
