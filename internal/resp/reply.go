package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Defaults and limits of a [ReplyReader].
const (
	DefaultMaxReply = 1 << 30 // bytes
	DefaultMaxElems = 1 << 20
	maxDepth        = 32       // how deep a reply may be nested
	maxLine         = 64 << 10 // bytes of a reply that is a line
)

// ReplyOptions are the limits of a [ReplyReader]. A zero field means its default.
type ReplyOptions struct {
	MaxReply int64 // bytes of all the strings in a reply
	MaxElems int   // values in a reply, nested ones included
	Buffer   int   // bytes; by default 16 KiB
}

// ReplyReader reads replies, of RESP2 and RESP3. It is for one goroutine at a
// time.
//
// Any error is final: where the next reply begins is not known any more.
type ReplyReader struct {
	in    *bufio.Reader
	opt   ReplyOptions
	elems int   // values that the present reply may still have
	size  int64 // bytes that its strings have so far
	err   error
}

// NewReplyReader returns a reader of the replies in src.
func NewReplyReader(src io.Reader, opt ReplyOptions) *ReplyReader {
	if opt.MaxReply <= 0 {
		opt.MaxReply = DefaultMaxReply
	}
	if opt.MaxElems <= 0 {
		opt.MaxElems = DefaultMaxElems
	}
	if opt.Buffer <= 0 {
		opt.Buffer = 16 << 10
	}
	return &ReplyReader{in: bufio.NewReaderSize(src, opt.Buffer), opt: opt}
}

// Buffered returns how many bytes have arrived that belong to further replies.
func (r *ReplyReader) Buffered() int { return r.in.Buffered() }

// ReadReply returns the next reply, which may be a push message. The Value
// belongs to the caller. An error reply is a Value too ([Value.Err]); the error
// is a [*ProtocolError], a [*LimitError], io.EOF between two replies,
// io.ErrUnexpectedEOF within one, or that of the source.
func (r *ReplyReader) ReadReply() (Value, error) {
	if r.err != nil {
		return Value{}, r.err
	}
	r.elems, r.size = r.opt.MaxElems, 0
	if _, err := r.in.Peek(1); err != nil {
		r.err = err
		if !errors.Is(err, io.EOF) {
			r.err = fmt.Errorf("read reply: %w", err)
		}
		return Value{}, r.err
	}
	v, err := r.value(0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = fmt.Errorf("read reply: %w", err)
		return Value{}, r.err
	}
	return v, nil
}

// line returns the next line without its CRLF. It is valid until the next read.
func (r *ReplyReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(long) > maxLine {
				return nil, &ProtocolError{"too big reply line"}
			}
			line, err = r.in.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, &ProtocolError{"malformed reply line"}
	}
	return line[:len(line)-2], nil
}

// value reads a value and the attributes before it, which it drops.
func (r *ReplyReader) value(depth int) (Value, error) {
	for {
		v, err := r.frame(depth)
		if err != nil || v.Kind != KindAttribute {
			return v, err
		}
	}
}

func (r *ReplyReader) frame(depth int) (Value, error) {
	if r.elems--; r.elems < 0 {
		return Value{}, &ProtocolError{fmt.Sprintf("more than %d values in a reply", r.opt.MaxElems)}
	}
	line, err := r.line()
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Kind(line[0])}
	text := line[1:]
	switch v.Kind {
	case KindSimple, KindError, KindBigNumber:
		v.Str, err = bytes.Clone(text), r.account(int64(len(text)))
		return v, err
	case KindBulk, KindBulkError, KindVerbatim:
		return r.bulk(v, text)
	case KindArray, KindSet, KindPush, KindMap, KindAttribute:
		return r.aggregate(v, text, depth)
	case KindInt, KindDouble, KindBool, KindNull:
		return scalar(v, text)
	}
	return v, &ProtocolError{fmt.Sprintf("unexpected reply type '%s'", printable(line[0]))}
}

// scalar reads a value that is its line.
func scalar(v Value, text []byte) (Value, error) {
	ok := false
	switch v.Kind {
	case KindInt:
		v.Int, ok = ParseInt(bytes.TrimPrefix(text, []byte("+")))
	case KindDouble:
		var err error
		v.Double, err = strconv.ParseFloat(string(text), 64)
		ok = err == nil
	case KindBool:
		ok = len(text) == 1 && (text[0] == 't' || text[0] == 'f')
		v.Int = boolNumber(text)
	default:
		ok = len(text) == 0
	}
	if !ok {
		return v, &ProtocolError{"malformed reply"}
	}
	return v, nil
}

// account counts n bytes of strings against the limit.
func (r *ReplyReader) account(n int64) error {
	if r.size += n; r.size > r.opt.MaxReply {
		return &LimitError{"reply", r.size, r.opt.MaxReply}
	}
	return nil
}

func (r *ReplyReader) bulk(v Value, text []byte) (Value, error) {
	n, ok := ParseInt(text)
	if ok && n == -1 && v.Kind == KindBulk {
		return Value{Kind: KindNull}, nil
	}
	if !ok || n < 0 || n > DefaultMaxBulk {
		return v, &ProtocolError{"invalid bulk length"}
	}
	if err := r.account(n); err != nil {
		return v, err
	}
	b := make([]byte, 0, firstSize(n))
	for int64(len(b)) < n {
		var err error
		if b, err = readMore(r.in, b, n); err != nil {
			return v, err
		}
	}
	var end [2]byte
	if _, err := io.ReadFull(r.in, end[:]); err != nil {
		return v, err
	}
	if err := checkCRLF(end[:]); err != nil {
		return v, err
	}
	switch v.Kind {
	case KindBulkError:
		v.Kind = KindError
	case KindVerbatim:
		if len(b) < 4 || b[3] != ':' {
			return v, &ProtocolError{"malformed verbatim string"}
		}
		v.Format, b = string(b[:3]), b[4:]
	}
	v.Str = b
	return v, nil
}

func (r *ReplyReader) aggregate(v Value, text []byte, depth int) (Value, error) {
	n, ok := ParseInt(text)
	if ok && n == -1 && v.Kind == KindArray {
		return Value{Kind: KindNull}, nil
	}
	if !ok || n < 0 || n > int64(r.opt.MaxElems) {
		return v, &ProtocolError{"invalid multibulk length"}
	}
	if depth == maxDepth {
		return v, &ProtocolError{"reply nested too deep"}
	}
	if v.Kind == KindMap || v.Kind == KindAttribute {
		n *= 2
	}
	if n > 0 {
		v.Elems = make([]Value, 0, min(n, 64))
	}
	for range n {
		e, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Elems = append(v.Elems, e)
	}
	return v, nil
}
