package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"diskv/client"
)

// masters is a connection to the shardmasters, however they were found.
type masters struct {
	client *client.Client // to any member, for questions
	master *client.Shardmaster
	addrs  []string
}

func (m *masters) close() {
	m.master.Close()
	m.client.Close()
}

var errPlain = errors.New("this group has no shardmasters: it owns every shard")

// openMasters finds the shardmasters: --addr may name them, or members of groups.
func (a *app) openMasters(ctx context.Context) (*masters, error) {
	c, err := client.Open(ctx, a.addrs()...)
	if err != nil {
		return nil, a.unreachable(err)
	}
	addrs, err := findMasters(probe(ctx, c, a.addrs()))
	if err != nil {
		c.Close()
		return nil, err
	}
	s, err := client.OpenShardmaster(ctx, addrs...)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("shardmasters: %w", err)
	}
	return &masters{client: c, master: s, addrs: addrs}, nil
}

// findMasters returns the addresses of the shardmasters from what members say.
func findMasters(members []member) ([]string, error) {
	var why error
	for i := range members {
		m := &members[i]
		if m.err != nil {
			why = errors.Join(why, m.err)
			continue
		}
		switch m.info["service"] {
		case "shardmaster":
			return m.fellows(), nil
		case "sharded":
			if list := m.info["shardmasters"]; list != "" {
				return slices.Collect(strings.SplitSeq(list, ",")), nil
			}
		default:
			why = fmt.Errorf("%s: %w", m.address, errPlain)
		}
	}
	if why == nil {
		why = errors.New("nobody names the shardmasters: give their addresses to --addr")
	}
	return nil, why
}
