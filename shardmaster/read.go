package shardmaster

import (
	"strconv"
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
	if c.drained {
		words = append(words, "DRAINED")
	}
	return words, nil
}

var opWords = map[op]string{
	opJoin: "JOIN", opLeave: "LEAVE", opMove: "MOVE", opBalance: "BALANCE", opPassed: "PASSED",
	opQuery: "QUERY", opGroups: "GROUPS",
}
