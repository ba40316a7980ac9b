package shardmaster

import (
	"bytes"
	"errors"

	"diskv/internal/resp"
	"diskv/shard"
)

// Preview returns the config that a change would make of c, if nothing happens before:
// for tools that show what would move. args are those of the command, DISKV.SHARDS
// JOIN and so on. If the change changes nothing the result is c. The error has the
// text of the refusal. Groups that have left and still hold something are not in a
// config, so they are not considered.
func Preview(c *shard.Config, args [][]byte) (*shard.Config, error) {
	p, refusal := Prepare(args)
	if refusal != nil {
		return nil, refused(refusal)
	}
	if !p.Growing {
		return nil, errors.New("not a change of the config")
	}
	encoded := c.Append(nil)
	m := &Machine{first: c.Num, kept: [][]byte{encoded}, newest: c, bytes: keptSize(encoded)}
	for _, g := range c.Groups {
		m.groups = append(m.groups, group{id: g.ID, servers: g.Servers, joined: c.Num, settled: c.Num})
		m.bytes += m.groups[len(m.groups)-1].size()
	}
	if err := m.fault(); err != nil {
		return nil, err
	}
	reply := m.Apply(nil, p.Encoded)
	if reply[0] == byte(resp.KindError) {
		return nil, refused(reply)
	}
	return m.newest, nil
}

// refused is the error that an error reply is.
func refused(reply []byte) error { return resp.ErrorReply(bytes.TrimSpace(reply[1:])) }
