package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// ReadChunk returns the bytes of a file from off on, at most limit of them and
// fewer only at its end; none if off is the end. The slice belongs to the
// caller. The sender of a transfer calls it with growing offsets; it keeps
// nothing open in between, so a file that goes away is an error that matches
// fs.ErrNotExist.
func ReadChunk(path string, off int64, limit int) ([]byte, error) {
	f, err := osDisk{}.open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot chunk: %w", err)
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		return nil, fmt.Errorf("snapshot chunk: %w", err)
	}
	if off < 0 || off > size || limit < 0 {
		return nil, fmt.Errorf("snapshot chunk: offset %d, limit %d: not in %s, which has %d bytes", off, limit, path, size)
	}
	b := make([]byte, min(int64(limit), size-off))
	if err := readAt(path, f, b, off); err != nil {
		return nil, err
	}
	return b, nil
}

// Incoming is the receiving side of a transfer. The bytes go to a file that
// bears slot, digest and size in its name, so that a transfer goes on where it
// was after [Incoming.Close], a restart or a crash. It is used by one goroutine
// at a time, and there is one per directory.
type Incoming struct {
	d      disk
	dir    string
	part   string
	f      file // nil when closed
	pace   pacer
	slot   uint64
	digest [32]byte
	size   int64
	off    int64
}

// Receive starts the transfer of the snapshot at slot whose file has this
// digest and size in bytes, or continues it: what is there already and checks,
// by whole blocks, is kept. Transfers of other snapshots at or below slot, which
// this one makes useless, are removed.
func Receive(dir string, slot uint64, digest [32]byte, size int64) (*Incoming, error) {
	return receive(osDisk{}, dir, slot, digest, size)
}

func receive(d disk, dir string, slot uint64, digest [32]byte, size int64) (*Incoming, error) {
	if size < minFile {
		return nil, fmt.Errorf("receive snapshot at slot %d: a size of %d bytes was announced; the shortest snapshot has %d", slot, size, minFile)
	}
	part := partPath(dir, slot, digest, size)
	if err := dropOthers(d, dir, slot, filepath.Base(part)); err != nil {
		return nil, fmt.Errorf("receive snapshot at slot %d: %w", slot, err)
	}
	f, err := d.edit(part)
	if err != nil {
		return nil, fmt.Errorf("receive snapshot at slot %d: %w", slot, err)
	}
	in := &Incoming{d: d, dir: dir, part: part, f: f, slot: slot, digest: digest, size: size}
	if err := in.resume(); err != nil {
		_ = f.Close() // the file is as it was
		return nil, fmt.Errorf("receive snapshot at slot %d: %w", slot, err)
	}
	return in, nil
}

// dropOthers removes the transfers at or below slot but one.
func dropOthers(d disk, dir string, slot uint64, but string) error {
	names, err := d.list(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if other, ok := partSlot(name); ok && other <= slot && name != but {
			if err := d.remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// resume finds out where to go on.
func (in *Incoming) resume() error {
	have, err := in.f.size()
	if err != nil {
		return err
	}
	body := min(have, in.size-footerSize)
	in.off, err = intactFront(in.part, in.f, body)
	if err != nil {
		return err
	}
	if in.off == in.size-footerSize && have >= in.size {
		tail := make([]byte, footerSize)
		if err := readAt(in.part, in.f, tail, in.off); err != nil {
			return err
		}
		if _, err := decodeFooter(tail); err == nil {
			in.off = in.size
		}
	}
	in.pace = pacer{f: in.f, started: in.off}
	return in.f.truncate(in.off)
}

// Slot returns the slot of the snapshot that is being received.
func (in *Incoming) Slot() uint64 { return in.slot }

// Offset returns how many bytes are there, which is where the next Write has to
// start.
func (in *Incoming) Offset() int64 { return in.off }

// Size returns how many bytes there will be.
func (in *Incoming) Size() int64 { return in.size }

// Write appends b, which it does not keep. Bytes that do not start at
// [Incoming.Offset], because a chunk came twice, say, are refused with
// [ErrNotContiguous] and change nothing. After another error, that of a full
// disk, say, the same bytes can be written again.
func (in *Incoming) Write(off int64, b []byte) error {
	switch {
	case in.f == nil:
		return in.fail(ErrClosed)
	case off != in.off:
		return in.fail(fmt.Errorf("%d bytes at offset %d, expected at %d: %w", len(b), off, in.off, ErrNotContiguous))
	case int64(len(b)) > in.size-off:
		return in.fail(fmt.Errorf("%d bytes at offset %d of %d: %w", len(b), off, in.size, ErrTooLarge))
	}
	if _, err := in.f.WriteAt(b, off); err != nil {
		return in.fail(err)
	}
	if err := in.pace.wrote(off + int64(len(b))); err != nil {
		// What the disk refused, memory may still show: nothing of it counts.
		return in.fail(errors.Join(err, in.discard()))
	}
	in.off += int64(len(b))
	return nil
}

// Finish verifies the whole, makes it durable and gives it its final name. It
// may be called when Offset is Size; before that it returns [ErrIncomplete] and
// changes nothing. If the bytes are not the snapshot that was announced they
// are removed, and the error is a [*CorruptionError]: the transfer has to start
// anew. Either way the Incoming is closed.
func (in *Incoming) Finish() (Info, error) {
	if in.f == nil {
		return Info{}, in.fail(ErrClosed)
	}
	if in.off != in.size {
		return Info{}, in.fail(fmt.Errorf("%d of %d bytes are here: %w", in.off, in.size, ErrIncomplete))
	}
	if err := in.f.sync(); err != nil {
		return Info{}, in.fail(errors.Join(err, in.discard()))
	}
	in.f.forget()
	info, err := in.verify()
	var damaged *CorruptionError
	if errors.As(err, &damaged) || errors.Is(err, ErrVersion) {
		return Info{}, in.fail(errors.Join(err, in.discard()))
	}
	if err == nil {
		info.Path = Path(in.dir, in.slot)
		err = publish(in.d, in.part, info.Path)
	}
	err = errors.Join(err, in.Close())
	if err != nil {
		return Info{}, in.fail(err)
	}
	return info, nil
}

func (in *Incoming) verify() (Info, error) {
	info, err := verify(in.part, in.f)
	if err != nil {
		return Info{}, err
	}
	if info.Digest != in.digest {
		return Info{}, &CorruptionError{File: in.part, Offset: info.Size - footerSize + digestOffset,
			Reason: fmt.Sprintf("digest %x was received, %x announced", info.Digest, in.digest)}
	}
	return info, checkSlot(in.part, info, in.slot)
}

// Close ends the transfer and keeps what was received, so that it can go on
// later. Closing twice is fine.
func (in *Incoming) Close() error {
	if in.f == nil {
		return nil
	}
	err := in.f.Close()
	in.f = nil
	return err
}

// Abort ends the transfer and removes what was received. After Finish or Close
// it does nothing.
func (in *Incoming) Abort() error {
	if in.f == nil {
		return nil
	}
	if err := in.discard(); err != nil {
		return in.fail(err)
	}
	return nil
}

func (in *Incoming) discard() error {
	return errors.Join(in.Close(), in.d.remove(in.part))
}

func (in *Incoming) fail(err error) error {
	return fmt.Errorf("receive snapshot at slot %d: %w", in.slot, err)
}
