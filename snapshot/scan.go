package snapshot

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"

	"diskv/internal/wire"
)

// scanner walks over the blocks of one file and verifies everything on the way:
// first both ends, then block by block, and at the end the counts and the
// digest. It never holds more than a block.
type scanner struct {
	info Info
	foot footer
	src  blockSource
	sum  hash.Hash
	body []byte // the stored bytes of a compressed block; reused

	blocks   uint64
	records  uint64
	rawBytes uint64
	missing  int // bytes that the current long record still lacks
}

// newScanner checks the ends of a file.
func newScanner(path string, f file) (*scanner, error) {
	size, err := f.size()
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return scan(path, f, size)
}

// scan checks the ends of a snapshot that r holds in its first size bytes.
func scan(path string, r io.ReaderAt, size int64) (*scanner, error) {
	head, h, err := readHeader(path, r, size)
	if err != nil {
		return nil, err
	}
	end := size - footerSize
	if end < int64(len(head)) {
		return nil, &CorruptionError{File: path, Offset: int64(len(head)), Reason: fmt.Sprintf("the file of %d bytes ends inside the footer", size)}
	}
	tail := make([]byte, footerSize)
	if err := readAt(path, r, tail, end); err != nil {
		return nil, err
	}
	foot, err := decodeFooter(tail)
	if err == nil {
		err = foot.check(end-int64(len(head)), size)
	}
	if err != nil {
		return nil, &CorruptionError{File: path, Offset: end, Reason: err.Error()}
	}
	s := &scanner{
		info: Info{Path: path, Header: h, Size: size, Records: foot.records, RawBytes: foot.rawBytes, Digest: foot.digest},
		foot: foot,
		src:  newBlockSource(path, r, int64(len(head)), end),
		sum:  sha256.New(),
	}
	s.sum.Write(head)
	return s, nil
}

// readHeader returns the bytes of the header and what they say.
func readHeader(path string, r io.ReaderAt, size int64) ([]byte, Header, error) {
	if size < minFile {
		return nil, Header{}, &CorruptionError{File: path, Offset: size, Reason: fmt.Sprintf("the file ends after %d bytes; the shortest snapshot has %d", size, minFile)}
	}
	return readHeaderOnly(path, r, size)
}

// readHeaderOnly is readHeader for a file of which only the front is there.
func readHeaderOnly(path string, r io.ReaderAt, size int64) ([]byte, Header, error) {
	head := make([]byte, min(size, headerFixedSize))
	if err := readAt(path, r, head, 0); err != nil {
		return nil, Header{}, err
	}
	n, err := headerSize(head)
	if err == nil && int64(n) > size {
		err = fmt.Errorf("the file of %d bytes ends inside the header", size)
	}
	var h Header
	if err == nil {
		head = append(head, make([]byte, n-len(head))...)
		if err := readAt(path, r, head, 0); err != nil {
			return nil, Header{}, err
		}
		h, err = decodeHeader(head)
	}
	switch {
	case errors.Is(err, ErrVersion):
		return nil, Header{}, fmt.Errorf("snapshot %s: %w", path, err)
	case err != nil:
		return nil, Header{}, &CorruptionError{File: path, Reason: err.Error()}
	}
	return head, h, nil
}

// readAt fills b. A file that is shorter than it was a moment ago is corrupt.
func readAt(path string, r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return &CorruptionError{File: path, Offset: off + int64(n), Reason: "the file became shorter while it was read"}
	}
	return fmt.Errorf("snapshot %s at offset %d: %w", path, off, err)
}

// next returns the raw bytes of the next block in buf, which has room for
// maxBlock, or io.EOF after everything was verified.
func (s *scanner) next(buf []byte) (blockType, []byte, error) {
	at := s.src.off
	h, head, err := s.src.head()
	if errors.Is(err, io.EOF) {
		return 0, nil, s.finish()
	}
	if err != nil {
		return 0, nil, err
	}
	raw := buf[:h.raw]
	stored := raw
	if h.codec == codecS2 {
		if s.body == nil {
			s.body = make([]byte, maxBlock)
		}
		stored = s.body[:h.stored]
	}
	if err := s.src.body(at, h, head, stored); err != nil {
		return 0, nil, err
	}
	s.sum.Write(head)
	s.sum.Write(stored)
	if h.codec == codecS2 {
		if err := expand(raw, stored); err != nil {
			return 0, nil, s.src.corrupt(at, err)
		}
	}
	if crc32.Checksum(raw, castagnoli) != h.rawSum {
		return 0, nil, s.src.corrupt(at, fmt.Errorf("block's raw bytes: %w", errChecksum))
	}
	if err := s.count(h.kind, raw); err != nil {
		return 0, nil, s.src.corrupt(at, err)
	}
	return h.kind, raw, nil
}

// expand decompresses stored into raw, which it must fill.
func expand(raw, stored []byte) error {
	n, err := s2.DecodedLen(stored)
	if err != nil {
		return fmt.Errorf("block: %w", err)
	}
	if n != len(raw) {
		return fmt.Errorf("block decompresses to %d bytes, not %d", n, len(raw))
	}
	if _, err := s2.Decode(raw, stored); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	return nil
}

// count checks that a block continues what stands before it, and counts what is
// in it.
func (s *scanner) count(kind blockType, raw []byte) error {
	s.blocks++
	if (kind == blockMore) != (s.missing > 0) {
		return fmt.Errorf("block type %d where a long record lacks %d bytes", kind, s.missing)
	}
	r := wire.NewReader(raw)
	switch kind {
	case blockRecords:
		for r.Len() > 0 {
			n := len(r.Bytes(MaxRecord))
			if err := r.Err(); err != nil {
				return fmt.Errorf("records of a block: %w", err)
			}
			s.records++
			s.rawBytes += uint64(n)
		}
	case blockLong:
		n := r.Uint32()
		if err := r.Err(); err != nil {
			return fmt.Errorf("long record: %w", err)
		}
		if lengthSize+uint64(n) <= maxBlock || n > MaxRecord || len(raw) != maxBlock {
			return fmt.Errorf("long record of %d bytes, the first %d here: %w", n, r.Len(), wire.ErrBadValue)
		}
		s.records++
		s.rawBytes += uint64(n)
		s.missing = int(n) - r.Len()
	case blockMore:
		if len(raw) != min(s.missing, maxBlock) {
			return fmt.Errorf("%d bytes of a long record that lacks %d: %w", len(raw), s.missing, wire.ErrBadValue)
		}
		s.missing -= len(raw)
	}
	if s.records > s.foot.records || s.rawBytes > s.foot.rawBytes {
		return fmt.Errorf("more than the %d records of %d bytes that the footer counts", s.foot.records, s.foot.rawBytes)
	}
	return nil
}

// finish compares the whole with the footer.
func (s *scanner) finish() error {
	s.sum.Write(appendFooterCounts(nil, s.foot))
	var digest [32]byte
	s.sum.Sum(digest[:0])
	switch {
	case s.missing > 0:
		return s.src.corrupt(s.src.end, fmt.Errorf("the last record lacks %d bytes", s.missing))
	case s.blocks != s.foot.blocks || s.records != s.foot.records || s.rawBytes != s.foot.rawBytes:
		return s.src.corrupt(s.src.end, fmt.Errorf("%d blocks, %d records, %d bytes where the footer counts %d, %d, %d",
			s.blocks, s.records, s.rawBytes, s.foot.blocks, s.foot.records, s.foot.rawBytes))
	case digest != s.foot.digest:
		return s.src.corrupt(s.src.end, errors.New("the digest of the file does not match"))
	}
	return io.EOF
}

// all verifies what is left.
func (s *scanner) all() error {
	buf := make([]byte, maxBlock)
	for {
		_, _, err := s.next(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// blockSource takes blocks off a file, as they are stored.
type blockSource struct {
	path     string
	in       *bufio.Reader
	off, end int64 // where the next block starts, and where the last one ends
	headBuf  [blockHeadSize]byte
}

func newBlockSource(path string, r io.ReaderAt, off, end int64) blockSource {
	return blockSource{path: path, in: bufio.NewReaderSize(io.NewSectionReader(r, off, end-off), 64<<10), off: off, end: end}
}

// head reads the head of the next block, or returns io.EOF behind the last one.
func (b *blockSource) head() (blockHead, []byte, error) {
	left := b.end - b.off
	if left == 0 {
		return blockHead{}, nil, io.EOF
	}
	if left < blockHeadSize {
		return blockHead{}, nil, b.corrupt(b.off, fmt.Errorf("%d bytes are left, too few for a block", left))
	}
	if err := b.read(b.headBuf[:]); err != nil {
		return blockHead{}, nil, err
	}
	h, err := decodeBlockHead(b.headBuf[:])
	if err != nil {
		return blockHead{}, nil, b.corrupt(b.off, err)
	}
	if int64(h.stored) > left-blockHeadSize {
		return blockHead{}, nil, b.corrupt(b.off, fmt.Errorf("block of %d bytes where %d are left", h.stored, left-blockHeadSize))
	}
	return h, b.headBuf[:], nil
}

// body reads and checks the stored bytes of the block whose head, at offset at,
// was read last.
func (b *blockSource) body(at int64, h blockHead, head, stored []byte) error {
	if err := b.read(stored); err != nil {
		return err
	}
	if blockSum(at, head, stored) != h.sum {
		return b.corrupt(at, fmt.Errorf("block: %w", errChecksum))
	}
	b.off = at + blockHeadSize + int64(len(stored))
	return nil
}

func (b *blockSource) read(p []byte) error {
	_, err := io.ReadFull(b.in, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.corrupt(b.off, errors.New("the file became shorter while it was read"))
	}
	if err != nil {
		return fmt.Errorf("snapshot %s at offset %d: %w", b.path, b.off, err)
	}
	return nil
}

func (b *blockSource) corrupt(at int64, reason error) error {
	return &CorruptionError{File: b.path, Offset: at, Reason: reason.Error()}
}

// intactFront returns how much of the front of a file that is still being
// received, of the first size bytes at most, is a header and whole blocks that
// check. A crash may have left anything behind it, or in its place.
func intactFront(path string, r io.ReaderAt, size int64) (int64, error) {
	var damaged *CorruptionError
	head, _, err := readHeaderOnly(path, r, size)
	if errors.As(err, &damaged) || errors.Is(err, ErrVersion) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	src := newBlockSource(path, r, int64(len(head)), size)
	stored := make([]byte, maxBlock)
	for {
		at := src.off
		h, head, err := src.head()
		if err == nil {
			err = src.body(at, h, head, stored[:h.stored])
		}
		if errors.Is(err, io.EOF) || errors.As(err, &damaged) {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
