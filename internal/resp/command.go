package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Defaults of [Options].
const (
	DefaultMaxBulk   = 512 << 20 // bytes; what Redis allows
	DefaultMaxArgs   = 1 << 20
	DefaultMaxInline = 64 << 10 // bytes
	DefaultBuffer    = 8 << 10  // bytes
)

// maxHead is how long a line with a length in it can be: no number needs more.
const maxHead = 32

// Options are the limits of a [CommandReader]. A zero field means its default.
type Options struct {
	MaxBulk    int64 // bytes of one argument; at most, and by default, DefaultMaxBulk
	MaxCommand int64 // bytes of all the arguments of a command; by default twice MaxBulk
	MaxArgs    int   // arguments of a command, its name included
	MaxInline  int   // bytes of an inline command
	Buffer     int   // bytes that are held per reader while nothing is being read
}

func (o Options) withDefaults() Options {
	if o.MaxBulk <= 0 || o.MaxBulk > DefaultMaxBulk {
		o.MaxBulk = DefaultMaxBulk
	}
	if o.MaxCommand <= 0 {
		o.MaxCommand = 2 * o.MaxBulk
	}
	if o.MaxArgs <= 0 {
		o.MaxArgs = DefaultMaxArgs
	}
	if o.MaxInline <= 0 {
		o.MaxInline = DefaultMaxInline
	}
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	o.Buffer = max(o.Buffer, 2*maxHead)
	return o
}

// CommandReader reads commands: arrays of bulk strings, and lines as one types
// them into telnet, with the quoting of redis-cli. It is for one goroutine at a
// time.
//
// A command that is in the buffer as a whole is copied out in one piece. Of one
// that is not, the finished arguments are put aside, and an argument larger than
// the buffer is read straight into memory of its own that grows as its bytes
// arrive.
//
// Invariants:
//  1. r <= r+pos <= w <= len(buf)
//  2. args[:spilled] are in arena or large, args[spilled:] in buf, from r on
//  3. want < 0 between commands; then bulk < 0, crlf is false and args is empty
type CommandReader struct {
	src io.Reader
	opt Options

	buf  []byte
	r, w int // buf[r:w] has arrived and is not consumed
	pos  int // of that, how much has been looked at

	want    int    // arguments still missing; negative: the command's head is
	bulk    int64  // bytes of the next argument; negative: its head is missing
	crlf    bool   // the CRLF behind a large argument is missing
	size    int64  // bytes of the arguments so far
	args    []span // arguments so far
	spilled int    // how many of them are not in buf
	arena   []byte
	large   [][]byte
	growing []byte   // the large argument that is being read
	inline  [][]byte // the arguments of an inline command

	done     bool  // a whole command was found and not yet taken
	skipping bool  // the command was refused: nothing of it is kept
	skip     int64 // bytes of its present argument still to be dropped
	pending  error // for the next ReadCommand
	broken   bool  // pending stays
}

// span says where an argument is: between two offsets in buf (from r on) or, once
// spilled, in arena; or, if end is negative, in large[start].
type span struct{ start, end int }

// NewCommandReader returns a reader of the commands in src.
func NewCommandReader(src io.Reader, opt Options) *CommandReader {
	opt = opt.withDefaults()
	return &CommandReader{src: src, opt: opt, buf: make([]byte, opt.Buffer), want: -1, bulk: -1}
}

// ReadCommand returns the next command, its name first; there is at least one
// argument. The result belongs to the caller: nothing of it is used again.
//
// A [*ProtocolError] stays. After a [*LimitError] the next call skips what is
// left of the refused command and goes on behind it. At the end of the input the
// error is io.EOF, within a command io.ErrUnexpectedEOF. Other errors are those
// of the source; after one that passes, such as a deadline, reading can go on.
func (c *CommandReader) ReadCommand() ([][]byte, error) {
	for !c.advance() {
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				if c.want >= 0 || c.w > c.r {
					return nil, io.ErrUnexpectedEOF
				}
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read command: %w", err)
		}
	}
	if err := c.pending; err != nil {
		if !c.broken {
			c.pending = nil
		}
		return nil, err
	}
	return c.take(), nil
}

// Ready tells whether ReadCommand would return, with a command or an error,
// from what has already arrived. A server that pipelines answers until it is
// false and flushes then.
func (c *CommandReader) Ready() bool { return c.advance() }

// Partial tells whether the beginning of a command has arrived and its end has
// not: whoever sends it owes the rest.
func (c *CommandReader) Partial() bool { return c.want >= 0 || c.w > c.r }

// advance looks at what has arrived until there is a command to take or an error
// to return.
func (c *CommandReader) advance() bool {
	for c.pending == nil && !c.done {
		whole, err := c.scan()
		if err != nil {
			c.refuse(err)
			return true
		}
		if !whole {
			return false
		}
		if c.skipping || len(c.args) == 0 && c.inline == nil {
			c.reset()
			continue
		}
		c.done = true
	}
	return true
}

// refuse drops the command that is being read and remembers why.
func (c *CommandReader) refuse(err error) {
	c.pending = err
	var limit *LimitError
	if !errors.As(err, &limit) {
		c.broken = true
		return
	}
	c.skipping = true
	c.skip = c.bulk + 2
	c.args, c.arena, c.large, c.spilled = c.args[:0], nil, nil, 0
	c.consume()
}

// consume gives up what has been looked at.
func (c *CommandReader) consume() {
	c.r += c.pos
	c.pos = 0
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// reset makes ready for the next command.
func (c *CommandReader) reset() {
	c.consume()
	c.want, c.bulk, c.size, c.spilled = -1, -1, 0, 0
	c.skipping, c.done = false, false
	c.arena, c.large, c.inline = nil, nil, nil
	if cap(c.args) > 1024 {
		c.args = nil
	}
	c.args = c.args[:0]
	if len(c.buf) > c.opt.Buffer && c.w == 0 { // it grew for an inline command
		c.buf = make([]byte, c.opt.Buffer)
	}
}

// take returns the command that was found.
func (c *CommandReader) take() [][]byte {
	if c.inline != nil {
		args := c.inline
		c.reset()
		return args
	}
	if c.spilled == 0 {
		c.arena = make([]byte, 0, c.size)
	}
	c.spill()
	args := make([][]byte, len(c.args))
	for i, s := range c.args {
		if s.end < 0 {
			args[i] = c.large[s.start]
			continue
		}
		args[i] = c.arena[s.start:s.end:s.end]
	}
	c.reset()
	return args
}

// spill moves the arguments so far out of the buffer.
func (c *CommandReader) spill() {
	in := c.buf[c.r:]
	for i := c.spilled; i < len(c.args); i++ {
		s := &c.args[i]
		start := len(c.arena)
		c.arena = append(c.arena, in[s.start:s.end]...)
		*s = span{start, len(c.arena)}
	}
	c.spilled = len(c.args)
	c.consume()
}

// scan looks at what has arrived. It returns true when that holds the rest of a
// command.
func (c *CommandReader) scan() (bool, error) {
	for {
		switch {
		case c.want < 0:
			if ok, err := c.scanHead(); !ok {
				return false, err
			}
		case c.crlf:
			in := c.buf[c.r+c.pos : c.w]
			if len(in) < 2 {
				return false, nil
			}
			if err := checkCRLF(in); err != nil {
				return false, err
			}
			c.pos += 2
			c.crlf = false
		case c.want == 0:
			return true, nil
		case c.bulk < 0:
			if ok, err := c.scanBulkHead(); !ok {
				return false, err
			}
		case c.skipping:
			n := min(c.skip, int64(c.w-c.r-c.pos))
			c.pos += int(n)
			c.skip -= n
			c.consume()
			if c.skip > 0 {
				return false, nil
			}
			c.bulk = -1
			c.want--
		default:
			in := c.buf[c.r+c.pos : c.w]
			if c.growing != nil || int64(len(in)) < c.bulk+2 {
				return false, nil
			}
			if err := checkCRLF(in[c.bulk:]); err != nil {
				return false, err
			}
			c.args = append(c.args, span{c.pos, c.pos + int(c.bulk)})
			c.pos += int(c.bulk) + 2
			c.bulk = -1
			c.want--
		}
	}
}

func checkCRLF(b []byte) error {
	if b[0] != '\r' || b[1] != '\n' {
		return &ProtocolError{"expected CRLF behind a bulk string"}
	}
	return nil
}

// scanHead looks for the head of a command, or for an inline command.
func (c *CommandReader) scanHead() (bool, error) {
	in := c.buf[c.r:c.w]
	if len(in) == 0 {
		return false, nil
	}
	if in[0] != '*' {
		return c.scanInline(in)
	}
	n, length, err := scanNumber(in, "invalid multibulk length")
	if length == 0 {
		return false, err
	}
	if n > int64(c.opt.MaxArgs) {
		return false, &ProtocolError{"invalid multibulk length"}
	}
	c.want = int(max(n, 0))
	c.pos = length
	return true, nil
}

func (c *CommandReader) scanInline(in []byte) (bool, error) {
	i := bytes.IndexByte(in[c.pos:], '\n')
	if i < 0 {
		if len(in) > c.opt.MaxInline {
			return false, &ProtocolError{"too big inline request"}
		}
		c.pos = len(in)
		return false, nil
	}
	end := c.pos + i
	if end > c.opt.MaxInline {
		return false, &ProtocolError{"too big inline request"}
	}
	args, ok := splitInline(in[:end])
	if !ok {
		return false, &ProtocolError{"unbalanced quotes in request"}
	}
	if len(args) > c.opt.MaxArgs {
		return false, &ProtocolError{"too big inline request"}
	}
	c.inline = args
	c.want = 0
	c.pos = end + 1
	return true, nil
}

// scanBulkHead looks for the head of an argument.
func (c *CommandReader) scanBulkHead() (bool, error) {
	in := c.buf[c.r+c.pos : c.w]
	if len(in) == 0 {
		return false, nil
	}
	if in[0] != '$' {
		return false, &ProtocolError{fmt.Sprintf("expected '$', got '%s'", printable(in[0]))}
	}
	n, length, err := scanNumber(in, "invalid bulk length")
	if length == 0 {
		return false, err
	}
	if n < 0 || n > DefaultMaxBulk {
		return false, &ProtocolError{"invalid bulk length"}
	}
	c.pos += length
	c.bulk = n
	if c.skipping {
		c.skip = n + 2
		return true, nil
	}
	c.size += n
	if n > c.opt.MaxBulk {
		return false, &LimitError{"argument", n, c.opt.MaxBulk}
	}
	if c.size > c.opt.MaxCommand {
		return false, &LimitError{"command", c.size, c.opt.MaxCommand}
	}
	return true, nil
}

// printable returns c as the client can be shown it.
func printable(c byte) string {
	if c < ' ' || c > '~' {
		return fmt.Sprintf("\\x%02x", c)
	}
	return string(rune(c))
}

// scanNumber reads a line of a type byte and a number. length is that of the
// whole line, 0 if it has not arrived yet or is wrong, as reason says.
func scanNumber(in []byte, reason string) (n int64, length int, err error) {
	i := bytes.IndexByte(in[:min(len(in), maxHead)], '\n')
	if i < 0 {
		if len(in) >= maxHead {
			return 0, 0, &ProtocolError{reason}
		}
		return 0, 0, nil
	}
	if in[i-1] != '\r' || i < 2 {
		return 0, 0, &ProtocolError{reason}
	}
	n, ok := ParseInt(in[1 : i-1])
	if !ok {
		return 0, 0, &ProtocolError{reason}
	}
	return n, i + 1, nil
}

// fill reads more of the source, once.
func (c *CommandReader) fill() error {
	if c.growing != nil || c.bulk+2 > int64(len(c.buf)) && !c.skipping {
		return c.fillLarge()
	}
	if c.r > 0 && c.w == len(c.buf) {
		c.compact()
	}
	if c.w == len(c.buf) {
		if c.want < 0 { // an inline command
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		} else {
			c.spill()
			c.compact()
		}
	}
	n, err := read(c.src, c.buf[c.w:])
	c.w += n
	return err
}

func (c *CommandReader) compact() {
	c.w = copy(c.buf, c.buf[c.r:c.w])
	c.r = 0
}

// fillLarge reads more of an argument that is larger than the buffer.
func (c *CommandReader) fillLarge() error {
	if c.growing == nil {
		c.spill()
		in := c.buf[c.r:c.w]
		in = in[:min(int64(len(in)), c.bulk)]
		c.growing = append(make([]byte, 0, firstSize(c.bulk)), in...)
		c.pos = len(in)
		c.consume()
	}
	if missing := c.bulk - int64(len(c.growing)); missing > 0 {
		var err error
		if c.growing, err = readMore(c.src, c.growing, c.bulk); err != nil {
			return err
		}
	}
	if int64(len(c.growing)) == c.bulk {
		c.args = append(c.args, span{len(c.large), -1})
		c.spilled++
		c.large = append(c.large, c.growing)
		c.growing = nil
		c.bulk = -1
		c.want--
		c.crlf = true
	}
	return nil
}

// firstSize is how much memory is taken for size bytes of which none has
// arrived.
func firstSize(size int64) int64 { return min(size, 64<<10) }

// readMore reads from src, once, behind b, that is to become size bytes. When b is
// full it doubles: memory is never more than twice what has arrived.
func readMore(src io.Reader, b []byte, size int64) ([]byte, error) {
	if len(b) == cap(b) {
		bigger := make([]byte, len(b), min(size, 2*int64(cap(b))))
		copy(bigger, b)
		b = bigger
	}
	n, err := read(src, b[len(b):min(int64(cap(b)), size)])
	return b[:len(b)+n], err
}

// read reads at least one byte, or returns an error. Bytes that come with an
// error count first: a source that failed says so again.
func read(src io.Reader, b []byte) (int, error) {
	for range 100 {
		n, err := src.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}
