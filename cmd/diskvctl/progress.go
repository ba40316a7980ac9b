package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"diskv/client"
	"diskv/internal/cli"
	"diskv/shard"
)

// settleInterval is how often the groups are asked how far they are.
const settleInterval = 100 * time.Millisecond

// standing is how far a group is with the configs.
type standing struct {
	id      shard.GroupID
	leaving bool
	settled uint64 // it has every shard that the configs up to this one gave it
	drained bool   // and nobody has to fetch anything from it
	config  uint64 // the config that it has taken; 0: not known
	awaited uint64 // how many shards are on their way to it
}

// awaitSettled waits until every group has what config num gives it and, if a group
// leaves, that one has nothing left. It tells on standard error how that goes.
func (a *app) awaitSettled(ctx context.Context, m *masters, num uint64, leaving shard.GroupID) error {
	told := ""
	for {
		state, err := a.unsettled(ctx, m, num, leaving)
		if err == nil && state == "" {
			return nil
		}
		if err != nil {
			state = err.Error()
		}
		if state != told && ctx.Err() == nil {
			_, _ = fmt.Fprintf(a.err, "config %d: %s\n", num, state)
			told = state
		}
		select {
		case <-ctx.Done():
			if told != "" {
				told = ": " + told
			}
			return fmt.Errorf("config %d: %w%s", num, errUnsettled, told)
		case <-time.After(settleInterval):
		}
	}
}

// unsettled returns in words what is not yet where config num has it, or nothing.
func (a *app) unsettled(ctx context.Context, m *masters, num uint64, leaving shard.GroupID) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	states, err := m.standings(ctx)
	if err != nil {
		return "", err
	}
	var waits []string
	settled := 0
	for _, s := range states {
		switch {
		case s.leaving && s.id != leaving:
			continue
		case s.settled < num && s.config >= num:
			waits = append(waits, fmt.Sprintf("group %d awaits %s", s.id, cli.Count(int(s.awaited), "shard")))
		case s.settled < num && s.config > 0:
			waits = append(waits, fmt.Sprintf("group %d is at config %d", s.id, s.config))
		case s.settled < num:
			waits = append(waits, fmt.Sprintf("group %d has not said that it has taken it", s.id))
		case s.leaving && !s.drained:
			waits = append(waits, fmt.Sprintf("group %d is not drained", s.id))
		case s.leaving: // the shardmasters forget it when no other needs its word
			waits = append(waits, fmt.Sprintf("group %d is drained, but others may still keep shards for it", s.id))
		default:
			settled++
		}
	}
	if len(waits) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d of %s settled; %s", settled, cli.Count(settled+len(waits), "group"), strings.Join(waits, ", ")), nil
}

// standings returns how far all groups are: what the shardmasters know, and what the
// groups say themselves, which is newer.
func (m *masters) standings(ctx context.Context) ([]standing, error) {
	groups, err := m.master.Groups(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]standing, len(groups))
	for i, g := range groups {
		out[i] = standing{id: g.ID, leaving: g.Leaving, settled: g.Settled, drained: g.Drained}
		if own, ok := m.ask(ctx, g); ok && own.settled >= g.Settled {
			own.leaving = g.Leaving
			out[i] = own
		}
	}
	return out, nil
}

// ask asks the members of a group how far it is. What one has
// applied is chosen, so any may answer; the one that is furthest knows most.
func (m *masters) ask(ctx context.Context, g client.GroupState) (standing, bool) {
	out, found := standing{id: g.ID}, false
	for _, one := range probe(ctx, m.client, g.Servers) {
		if one.err != nil || one.number("group") != uint64(g.ID) {
			continue
		}
		if settled := one.number("config_settled"); !found || settled > out.settled || one.number("config") > out.config {
			out.settled, out.config = settled, one.number("config")
			out.drained, out.awaited = one.number("handovers_outgoing") == 0, one.number("shards_awaited")
			found = true
		}
	}
	return out, found
}
