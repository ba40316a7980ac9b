package shardmaster

import (
	"cmp"
	"slices"

	"diskv/shard"
)

// balance changes the owners of c so that its groups, of which there is at least
// one, own every shard and their sizes differ by at most one, with the fewest moves.
//
// With n groups everybody may keep Count/n shards, and Count%n of them one more:
// those that hold the most, so that nobody gives away what it could keep. What a
// group owns beyond that, its highest shards, and what nobody in c owns is dealt out
// in order, to the groups in order of their ids. So rows of shards stay long.
func balance(c *shard.Config) {
	n := len(c.Groups)
	place := make(map[shard.GroupID]int, n)
	for i, g := range c.Groups {
		place[g.ID] = i
	}
	held := make([]int, n)
	for _, owner := range c.Owner {
		if i, ok := place[owner]; ok {
			held[i]++
		}
	}
	bySize := make([]int, n)
	for i := range bySize {
		bySize[i] = i
	}
	slices.SortStableFunc(bySize, func(a, b int) int { return cmp.Compare(held[b], held[a]) })
	target := make([]int, n)
	for rank, i := range bySize {
		target[i] = shard.Count / n
		if rank < shard.Count%n {
			target[i]++
		}
	}

	kept := make([]int, n)
	var free []int
	for id, owner := range c.Owner {
		if i, ok := place[owner]; ok && kept[i] < target[i] {
			kept[i]++
		} else {
			free = append(free, id)
		}
	}
	for i, g := range c.Groups {
		for ; kept[i] < target[i]; kept[i]++ {
			c.Owner[free[0]] = g.ID
			free = free[1:]
		}
	}
}
