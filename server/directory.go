package server

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"diskv/internal/resp"
	"diskv/shard"
)

// directory knows who leads the other groups, as far as was heard. It is what
// redirects and CLUSTER answers name; who is sent to a member that does not lead any
// more is sent on by that one.
type directory struct {
	own    shard.GroupID // not asked
	config func() *shard.Config
	out    *outbound

	mu      sync.Mutex
	leaders map[shard.GroupID]string
}

const (
	// directoryInterval is how often the groups are asked who leads them.
	directoryInterval = 500 * time.Millisecond
	// directoryTimeout bounds the question to one group.
	directoryTimeout = 2 * time.Second
)

// newDirectory returns the directory of the groups of a config, which may change.
func newDirectory(own shard.GroupID, config func() *shard.Config) *directory {
	return &directory{own: own, config: config, out: newOutbound(1 << 20), leaders: make(map[shard.GroupID]string)}
}

// members returns which member leads each group of a config, as far as is known.
func (d *directory) members(c *shard.Config) map[shard.GroupID]int {
	out := make(map[shard.GroupID]int)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range c.Groups {
		if i := slices.Index(g.Servers, d.leaders[g.ID]); i >= 0 {
			out[g.ID] = i
		}
	}
	return out
}

// leader returns the address of a group's leader, or of one of its members, or
// nothing if the config does not name the group.
func (d *directory) leader(c *shard.Config, id shard.GroupID) string {
	d.mu.Lock()
	addr := d.leaders[id]
	d.mu.Unlock()
	if addr != "" || c == nil {
		return addr
	}
	if g, ok := c.Group(id); ok && len(g.Servers) > 0 {
		return g.Servers[0]
	}
	return ""
}

// serves asks the leader of a group, if one is known, whether it serves a shard, and
// returns its address if it says so, else nothing.
func (d *directory) serves(group shard.GroupID, id shard.ID) string {
	d.mu.Lock()
	addr := d.leaders[group]
	d.mu.Unlock()
	if addr == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), servesTimeout)
	defer cancel()
	v, err := d.out.call(ctx, addr, [][]byte{[]byte("DISKV.SETTLED"), strconv.AppendUint(nil, uint64(id), 10)})
	if err != nil || len(v.Elems) < 7 || shard.GroupID(v.Elems[0].Int) != group || v.Elems[5].Int == 0 || v.Elems[6].Int == 0 {
		return ""
	}
	return addr
}

// servesTimeout bounds how long the answer to that may take: a client waits for it.
const servesTimeout = 200 * time.Millisecond

// run asks, again and again, until ctx ends.
func (d *directory) run(ctx context.Context) {
	defer d.out.close()
	ticker := time.NewTicker(directoryInterval)
	defer ticker.Stop()
	for {
		d.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// round asks every other group once, all at the same time.
func (d *directory) round(ctx context.Context) {
	config := d.config()
	if config == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	var asking sync.WaitGroup
	for _, g := range config.Groups {
		if g.ID == d.own {
			continue
		}
		asking.Go(func() {
			v, err := d.out.ask(ctx, g.Servers, [][]byte{[]byte("DISKV.SETTLED")})
			if err != nil || v.Kind != resp.KindArray || len(v.Elems) < 5 || shard.GroupID(v.Elems[0].Int) != g.ID {
				d.forget(g.ID)
				return
			}
			d.mu.Lock()
			d.leaders[g.ID] = string(v.Elems[4].Str)
			d.mu.Unlock()
		})
	}
	asking.Wait()
}

func (d *directory) forget(id shard.GroupID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.leaders, id)
}
