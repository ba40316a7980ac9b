package kv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"diskv/internal/wire"
)

// hardMaxValue is how many bytes a value can have whatever a command's limit
// says: what RESP can carry.
const hardMaxValue = 512 << 20

// Command is what goes through the log.
//
// Its encoding, all numbers little-endian:
//
//	0  version   1 byte, 1
//	1  flags     1 byte: 1 = in a session; the rest is zero
//	2  maxValue  4 bytes
//	6  session   16 bytes: birth, random; 8 bytes of seq     only in a session
//	   count     4 bytes
//	   args      count times: 4 bytes of length, bytes
type Command struct {
	// Session and Seq make it an operation that is applied once. The zero Session
	// means none.
	Session SessionID
	Seq     uint64 // number of the operation in its session, from 1 on
	// MaxValue is how many bytes a value can become by this command. The leader's
	// process stamps its option, so that every replica decides alike; 0 is 512 MiB.
	MaxValue uint32
	Args     [][]byte // name and arguments
}

// On disk and on the wire.
const (
	commandVersion = 1
	commandSession = 1 << 0 // flag
	maxCommandArg  = hardMaxValue
	minEncodedArg  = 4

	commandHead         = 1 + 1 + 4 // version, flags, maxValue
	commandSessionBytes = 16 + 8    // behind the head, in a session
)

const maxRetainedArgs = 1024

var (
	errVersion = errors.New("unknown version")
	errFlags   = errors.New("unknown flags")
	errNoArgs  = errors.New("no arguments")
	errSession = errors.New("no session or number where one is due")
)

// Append appends the encoding of c to dst. Queries are encoded in the same way.
func (c *Command) Append(dst []byte) []byte {
	flags := byte(0)
	if c.Session.IsValid() {
		flags |= commandSession
	}
	dst = append(dst, commandVersion, flags)
	dst = binary.LittleEndian.AppendUint32(dst, c.MaxValue)
	if flags&commandSession != 0 {
		dst = c.Session.append(dst)
		dst = binary.LittleEndian.AppendUint64(dst, c.Seq)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c.Args)))
	for _, arg := range c.Args {
		dst = wire.AppendBytes(dst, arg)
	}
	return dst
}

// DecodeCommand is the inverse of [Command.Append]. The arguments alias b.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	if err := c.decode(b); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	return c, nil
}

// decode sets c from its encoding. It uses the memory of c.Args again.
func (c *Command) decode(b []byte) error {
	*c = Command{Args: c.Args[:0]}
	r := wire.NewReader(b)
	if r.Uint8() != commandVersion {
		r.Fail(errVersion)
	}
	flags := r.Uint8()
	if flags&^commandSession != 0 {
		r.Fail(errFlags)
	}
	c.MaxValue = r.Uint32()
	if flags&commandSession != 0 {
		c.Session = readSessionID(r)
		c.Seq = r.Uint64()
		if !c.Session.IsValid() || c.Seq == 0 {
			r.Fail(errSession)
		}
	}
	n := r.Count(minEncodedArg)
	if n == 0 {
		r.Fail(errNoArgs)
	}
	for range n {
		c.Args = append(c.Args, r.Bytes(maxCommandArg))
	}
	return r.Close()
}

// release forgets the arguments, so that the batch that they alias is not held.
func (c *Command) release() {
	clear(c.Args)
	if cap(c.Args) > maxRetainedArgs {
		c.Args = nil
	}
	c.Args = c.Args[:0]
}

// limit returns how many bytes a value can become.
func (c *Command) limit() int {
	if c.MaxValue == 0 || c.MaxValue > hardMaxValue {
		return hardMaxValue
	}
	return int(c.MaxValue)
}
