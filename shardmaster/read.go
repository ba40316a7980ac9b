package shardmaster

import (
	"fmt"
	"strconv"

	"diskv/internal/record"
	"diskv/internal/wire"
	"diskv/shard"
)

// Words returns a command in the log as an operator would say it behind
// DISKV.SHARDS, for tools that read a log: JOIN 2 10.0.0.4:7379, say.
func Words(encoded []byte) ([]string, error) {
	c, err := decodeCommand(encoded)
	if err != nil {
		return nil, err
	}
	words := []string{opWords[c.op]}
	if fields[c.op]&hasShards != 0 {
		words = append(words, c.shards.String())
	}
	if fields[c.op]&hasGroup != 0 {
		words = append(words, strconv.FormatUint(uint64(c.group), 10))
	}
	words = append(words, c.servers...)
	if c.numbered {
		if c.op.isWrite() && c.op != opPassed {
			words = append(words, "IF")
		}
		words = append(words, strconv.FormatUint(c.num, 10))
	}
	if c.op == opPassed {
		words = append(words, map[bool]string{false: "0", true: "1"}[c.drained])
	}
	return words, nil
}

var opWords = map[op]string{
	opJoin: "JOIN", opLeave: "LEAVE", opMove: "MOVE", opBalance: "BALANCE", opPassed: "PASSED",
	opQuery: "QUERY", opGroups: "GROUPS",
}

// ReadImageRecord says in words what a record of an [Image] is, for tools that look
// into a snapshot. [Restore] is what checks a whole image.
func ReadImageRecord(b []byte) (string, error) {
	in := wire.NewReader(b)
	kind, count := record.ReadHead(in)
	word := ""
	switch kind {
	case recordState:
		word = fmt.Sprintf("state of slot %d", in.Uint64())
	case recordConfig:
		c, err := shard.DecodeConfig(in.Fixed(in.Len()))
		if err != nil {
			return "", err
		}
		word = fmt.Sprintf("config %d", c.Num)
		for _, g := range c.Groups {
			word += fmt.Sprintf(" group=%d:%d", g.ID, c.Held(g.ID))
		}
	case recordGroups:
		word = fmt.Sprintf("groups, %d", count)
	case recordEnd:
		word = "end"
	default:
		in.Fail(errKind)
	}
	return word, in.Err()
}
