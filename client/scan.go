package client

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"diskv/internal/resp"
)

// scanCount is about how many keys one SCAN looks at.
const scanCount = 1000

// Scan yields the keys that match a pattern as Redis has them, "" for all, group
// by group. A key that is there from beginning to end is yielded at least once,
// unless its shard moves meanwhile. An error is the last that is yielded.
func (c *Client) Scan(ctx context.Context, match string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, err := c.Groups(ctx); err != nil {
			yield("", err)
			return
		}
		c.routes.mu.Lock()
		groups := slices.Clone(c.routes.groups)
		c.routes.mu.Unlock()
		for _, g := range groups {
			if !c.scanGroup(ctx, g, match, yield) {
				return
			}
		}
	}
}

// scanGroup yields the keys of a group. It returns false when nobody wants more.
func (c *Client) scanGroup(ctx context.Context, g *group, match string, yield func(string, error) bool) bool {
	for cursor := "0"; ; {
		words := []string{"SCAN", cursor, "COUNT", strconv.Itoa(scanCount)}
		if match != "" {
			words = append(words, "MATCH", match)
		}
		v, err := c.net.perform(ctx, &call{
			what: "SCAN", lane: onLaneRead, encoded: resp.AppendCommand(nil, Query(words...).Args...),
			target: func() *group { return g },
			moved: func(reply string) bool {
				addr, ok := parseMoved(reply)
				return ok && g.lead(addr)
			},
			learn: c.learner.learn,
		})
		if err == nil && (v.Kind != kindArray || len(v.Elems) != 2) {
			err = unexpected("SCAN", v)
		}
		if err != nil {
			yield("", fmt.Errorf("scan: %w", err))
			return false
		}
		for _, key := range v.Elems[1].Elems {
			if !yield(string(key.Str), nil) {
				return false
			}
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			return true
		}
	}
}
