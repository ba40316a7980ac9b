package shardmaster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"diskv/internal/wire"
	"diskv/shard"
)

// op is what a command does. On disk and on the wire; 0 is invalid.
type op uint8

const (
	opJoin    op = 1
	opLeave   op = 2
	opMove    op = 3
	opBalance op = 4
	opPassed  op = 5
	opQuery   op = 6 // from here on: reads
	opGroups  op = 7
)

// isWrite tells whether the command goes through the log.
func (o op) isWrite() bool { return o < opQuery }

// command is what goes through the log, or into a query.
//
// Its encoding, all numbers little-endian; what a command does not have is zero:
//
//	0   version  1 byte, 1
//	1   op       1 byte: 1 join, 2 leave, 3 move, 4 balance, 5 passed, 6 query, 7 groups
//	2   flags    1 byte: 1 = num counts (IF num, QUERY num, PASSED), 2 = drained
//	3   reserved 1 byte, zero
//	4   group    8 bytes
//	12  num      8 bytes: of a config
//	20  first    2 bytes: shard
//	22  last     2 bytes: shard
//	24  servers  4 bytes: how many; each: length 4 bytes, bytes
type command struct {
	op       op
	numbered bool // num counts
	drained  bool
	group    shard.GroupID
	num      uint64
	shards   shard.Range
	servers  []string
}

const (
	commandVersion = 1

	flagNumbered = 1 << 0
	flagDrained  = 1 << 1
)

// maxNumber bounds groups and configs: they have to fit a RESP integer.
const maxNumber = math.MaxInt64

var (
	errVersion = errors.New("unknown version")
	errFlags   = errors.New("unknown flags, or reserved bytes that are not zero")
)

func (c *command) encode() []byte {
	flags := byte(0)
	if c.numbered {
		flags |= flagNumbered
	}
	if c.drained {
		flags |= flagDrained
	}
	dst := []byte{commandVersion, byte(c.op), flags, 0}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.group))
	dst = binary.LittleEndian.AppendUint64(dst, c.num)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c.shards.First))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c.shards.Last))
	return appendServers(dst, c.servers)
}

// decodeCommand is the inverse of encode, for commands with nothing wrong in
// themselves. It keeps nothing of b.
func decodeCommand(b []byte) (command, error) {
	r := wire.NewReader(b)
	if r.Uint8() != commandVersion {
		r.Fail(errVersion)
	}
	c := command{op: op(r.Uint8())}
	flags, reserved := r.Uint8(), r.Uint8()
	if flags&^(flagNumbered|flagDrained) != 0 || reserved != 0 {
		r.Fail(errFlags)
	}
	c.numbered, c.drained = flags&flagNumbered != 0, flags&flagDrained != 0
	c.group, c.num = shard.GroupID(r.Uint64()), r.Uint64()
	c.shards = shard.Range{First: shard.ID(r.Uint16()), Last: shard.ID(r.Uint16())}
	c.servers = readServers(r)
	err := r.Close()
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return command{}, fmt.Errorf("decode command: %w", err)
	}
	return c, nil
}

func appendServers(dst []byte, servers []string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(servers)))
	for _, a := range servers {
		dst = wire.AppendBytes(dst, []byte(a))
	}
	return dst
}

func readServers(r *wire.Reader) []string {
	n := r.Count(4)
	if n > shard.MaxServers {
		r.Fail(fmt.Errorf("%w: %d servers, at most %d", wire.ErrTooLong, n, shard.MaxServers))
		return nil
	}
	var servers []string
	for range n {
		servers = append(servers, string(r.Bytes(shard.MaxAddress)))
	}
	return servers
}

// check reports what is wrong with a command in itself.
func (c *command) check() error {
	has := fields[c.op]
	switch {
	case has == 0:
		return fmt.Errorf("unknown operation %d", c.op)
	case c.num > maxNumber:
		return fmt.Errorf("config number %d is out of range", c.num)
	case !c.numbered && c.num != 0, c.numbered && has&hasNum == 0, c.op == opPassed && !c.numbered,
		has&hasGroup == 0 && c.group != 0, c.drained && c.op != opPassed,
		has&hasShards == 0 && c.shards != shard.Range{}, has&hasServers == 0 && c.servers != nil:
		return errors.New("a field that the operation does not have, or lacks")
	case has&hasGroup != 0 && c.group == 0:
		return errors.New("group 0 is nobody: groups have numbers from 1 on")
	case c.group > maxNumber:
		return fmt.Errorf("group %d: numbers go up to %d", c.group, uint64(maxNumber))
	case c.shards.First > c.shards.Last || c.shards.Last >= shard.Count:
		return fmt.Errorf("shards %d-%d: must be from 0 to %d, the lower one first", c.shards.First, c.shards.Last, shard.Count-1)
	case has&hasServers != 0:
		return shard.CheckServers(c.servers)
	}
	return nil
}

// fields says which fields an operation has.
var fields = [...]uint8{
	opJoin:    hasAny | hasNum | hasGroup | hasServers,
	opLeave:   hasAny | hasNum | hasGroup,
	opMove:    hasAny | hasNum | hasGroup | hasShards,
	opBalance: hasAny | hasNum,
	opPassed:  hasAny | hasNum | hasGroup,
	opQuery:   hasAny | hasNum,
	opGroups:  hasAny,
	255:       0,
}

const (
	hasAny uint8 = 1 << iota
	hasNum
	hasGroup
	hasShards
	hasServers
)
