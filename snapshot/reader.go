package snapshot

import (
	"errors"
	"fmt"

	"diskv/internal/wire"
)

// Reader reads the records of one snapshot. It is used by one goroutine at a
// time; a goroutine of its own reads, checks and decompresses ahead.
type Reader struct {
	f    file
	scan *scanner
	info Info

	ahead *lookAhead // nil until the first Next
	block block      // the one that rest is part of
	rest  wire.Reader
	err   error // what every further Next returns
}

// Open opens a snapshot and checks both ends of the file: magic, version,
// header, footer and length. Damage is a [*CorruptionError], a newer format an
// error that matches [ErrVersion]. The Reader must be closed.
func Open(path string) (*Reader, error) { return openReader(osDisk{}, path) }

func openReader(d disk, path string) (*Reader, error) {
	f, err := d.open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	s, err := newScanner(path, f)
	if err != nil {
		_ = f.Close() // opened for reading: there is nothing to lose
		return nil, err
	}
	return &Reader{f: f, scan: s, info: s.info}, nil
}

// Verify reads a whole snapshot and checks everything in it, in less than a
// megabyte of memory. Errors are those of [Open] and [Reader.Next].
func Verify(path string) (Info, error) {
	f, err := osDisk{}.open(path)
	if err != nil {
		return Info{}, fmt.Errorf("snapshot: %w", err)
	}
	defer f.Close()
	return verify(path, f)
}

func verify(path string, f file) (Info, error) {
	s, err := newScanner(path, f)
	if err != nil {
		return Info{}, err
	}
	return s.info, s.all()
}

// Header returns what the snapshot is of. Its State belongs to the Reader.
func (r *Reader) Header() Header { return r.info.Header }

// Info describes the snapshot, as the ends of the file have it.
func (r *Reader) Info() Info { return r.info }

// Next returns the next record, which is valid until the next call of Next or
// Close. It returns io.EOF only after the whole file was verified; before that,
// nothing that was returned may be relied on. Damage is a [*CorruptionError];
// after an error every call returns the same.
func (r *Reader) Next() ([]byte, error) {
	for r.err == nil {
		if r.rest.Len() > 0 {
			// The scanner has been through the lengths: this cannot fail.
			return r.rest.Bytes(MaxRecord), r.rest.Err()
		}
		if r.ahead == nil {
			r.ahead = startLookAhead(r.scan)
		}
		b := r.take()
		switch {
		case b.err != nil:
			r.err = b.err
		case b.kind == blockRecords:
			r.rest = *wire.NewReader(b.raw)
		case b.kind == blockLong:
			return r.long(b.raw)
		}
	}
	return nil, r.err
}

// take gives back the block in use and returns the next one.
func (r *Reader) take() block {
	if r.block.raw != nil {
		r.ahead.free <- r.block.raw[:maxBlock]
	}
	r.block = <-r.ahead.ready
	return r.block
}

// long puts together a record that spans blocks. Memory is taken as the bytes
// come, twice as much each time, and not on account of the length alone.
func (r *Reader) long(first []byte) ([]byte, error) {
	head := wire.NewReader(first)
	total := int(head.Uint32())
	record := make([]byte, 0, min(total, 4*maxBlock))
	record = append(record, head.Fixed(head.Len())...)
	for len(record) < total {
		b := r.take()
		if b.err != nil {
			r.err = b.err
			return nil, r.err
		}
		if cap(record)-len(record) < len(b.raw) {
			grown := make([]byte, len(record), min(total, 2*cap(record)))
			copy(grown, record)
			record = grown
		}
		record = append(record, b.raw...)
	}
	return record, nil
}

// Close releases the file and waits for the goroutine that reads ahead.
func (r *Reader) Close() error {
	if errors.Is(r.err, ErrClosed) {
		return nil
	}
	r.err = fmt.Errorf("snapshot %s: %w", r.info.Path, ErrClosed)
	r.rest = wire.Reader{}
	if r.ahead != nil {
		r.ahead.close()
	}
	return r.f.Close()
}

// block is one that was verified, or the end.
type block struct {
	kind blockType
	raw  []byte
	err  error // io.EOF, as it is, when everything was verified
}

// lookAhead verifies and decompresses blocks while earlier ones are in use.
type lookAhead struct {
	ready chan block
	free  chan []byte // buffers of maxBlock bytes
	stop  chan struct{}
	done  chan struct{}
}

// blocksAhead is how many buffers go round.
const blocksAhead = 6

func startLookAhead(s *scanner) *lookAhead {
	a := &lookAhead{
		ready: make(chan block, blocksAhead),
		free:  make(chan []byte, blocksAhead),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go a.run(s)
	return a
}

func (a *lookAhead) run(s *scanner) {
	defer close(a.done)
	made := 0 // buffers: a small file needs few
	for {
		var buf []byte
		if made < blocksAhead && len(a.free) == 0 {
			buf = make([]byte, maxBlock)
			made++
		}
		if buf == nil {
			select {
			case <-a.stop:
				return
			case buf = <-a.free:
			}
		}
		// ready has room for every buffer, and for the end, which takes the
		// place of one.
		var b block
		b.kind, b.raw, b.err = s.next(buf)
		a.ready <- b
		if b.err != nil {
			return
		}
	}
}

func (a *lookAhead) close() {
	close(a.stop)
	<-a.done
}
