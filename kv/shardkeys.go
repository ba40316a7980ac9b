package kv

import (
	"diskv/internal/resp"
	"diskv/shard"
)

// clusterSubcommands are those of CLUSTER that need the state; a server has the others.
// They are queries about the keys of one shard that the group serves. Clients say slot.
var clusterSubcommands = []*Spec{
	{"countkeysinslot", 3, ReadOnly | Stale, 0, 0, 0, "cluster", "3.0.0", "O(N) where N is the number of keys that have expired and are not yet removed.", "Return the number of local keys in the specified hash slot", nil, countKeysInShard},
	{"getkeysinslot", 4, ReadOnly | Stale, 0, 0, 0, "cluster", "3.0.0", "O(N) where N is the number of requested keys", "Return local key names in the specified hash slot", nil, keysInShard},
}

// countKeysInShard is CLUSTER COUNTKEYSINSLOT shard: 0 for one that is served elsewhere.
func countKeysInShard(c *call) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	if n < 0 || n >= shard.Count {
		c.fail(errShard)
		return
	}
	if c.checking() {
		return
	}
	keys := 0
	if d := c.s.shards[n]; d != nil {
		keys = d.items.Len()
		d.ascendExpired(c.now, func(d deadline) bool {
			c.alive(d.at) // which it is not; but does log time say so?
			keys--
			return !c.open
		})
	}
	c.out = resp.AppendInt(c.out, int64(keys))
}

// keysInShard is CLUSTER GETKEYSINSLOT shard count: the first keys, bounded like SCAN.
func keysInShard(c *call) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	count, ok := c.integer(3)
	if !ok {
		return
	}
	if n < 0 || n >= shard.Count || count < 0 {
		c.fail(errShardOrCount)
		return
	}
	if c.checking() {
		return
	}
	var found []byte // encoded
	keys := int64(0)
	count = min(count, scanMaxKeys)
	c.s.shards.ascendPrefix(shard.ID(n), shard.ID(n), nil, func(it item) bool {
		if keys == count || len(found) > scanMaxReply || c.open {
			return false
		}
		if c.alive(it.expiry) {
			found = resp.AppendBulk(found, it.key())
			keys++
		}
		return true
	})
	c.out = append(resp.AppendArray(c.out, int(keys)), found...)
}
