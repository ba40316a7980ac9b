package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"diskv/internal/cli"
	"diskv/shard"
)

// checkGroup refuses a group that the config does not have.
func checkGroup(c *shard.Config, id shard.GroupID) error {
	if _, ok := c.Group(id); ok {
		return nil
	}
	if len(c.Groups) == 0 {
		return fmt.Errorf("group %d is not in config %d, which has no groups: join one first", id, c.Num)
	}
	var ids []string
	for _, g := range c.Groups {
		ids = append(ids, fmt.Sprint(g.ID))
	}
	return fmt.Errorf("group %d is not in config %d: there are %s", id, c.Num, strings.Join(ids, ", "))
}

// checkJoin refuses a group whose members are not what they are said to be.
func checkJoin(id shard.GroupID, members []member, masters []string) error {
	for i := range members {
		m := &members[i]
		if m.err != nil {
			continue // a minority may be down
		}
		switch {
		case m.info["service"] != "sharded":
			return fmt.Errorf("%s is a member of a %s group: start it with --shardmasters %s", m.address, m.info["service"], strings.Join(masters, ","))
		case m.number("group") != uint64(id):
			return fmt.Errorf("%s is a member of group %s, not of group %d", m.address, m.info["group"], id)
		case m.number("members") != uint64(len(members)):
			return fmt.Errorf("%s says that group %d has %s members, not %d: name all of them", m.address, id, m.info["members"], len(members))
		case m.number("member") != uint64(i):
			return fmt.Errorf("%s is member %s of its group, not %d: name them in the order of --peers", m.address, m.info["member"], i)
		}
	}
	return checkQuorum(id, members)
}

// checkQuorum refuses a group that does not serve.
func checkQuorum(id shard.GroupID, members []member) error {
	if readyCount(members) >= quorum(len(members)) {
		return nil
	}
	var why []string
	for i := range members {
		m := &members[i]
		switch {
		case m.err != nil:
			why = append(why, m.err.Error())
		case !m.ready():
			why = append(why, fmt.Sprintf("%s is not ready: %s", m.address, m.info["not_ready_because"]))
		}
	}
	return fmt.Errorf("group %d is not up, so no shard could move: %d of its %s are ready, %d are needed: %s (--force to go on)",
		id, readyCount(members), cli.Count(len(members), "member"), quorum(len(members)), strings.Join(why, "; "))
}

// checkParties refuses a change in which a group would have to take part that is not
// up.
func checkParties(ctx context.Context, m *masters, before, after *shard.Config) error {
	var parties []shard.GroupID
	for _, mv := range movesBetween(before, after) {
		for _, id := range []shard.GroupID{mv.From, mv.To} {
			if id != 0 && !slices.Contains(parties, id) {
				parties = append(parties, id)
			}
		}
	}
	slices.Sort(parties)
	for _, id := range parties {
		g, ok := after.Group(id)
		if !ok {
			g, _ = before.Group(id) // it leaves
		}
		if err := checkQuorum(id, probe(ctx, m.client, g.Servers)); err != nil {
			return err
		}
	}
	return nil
}
