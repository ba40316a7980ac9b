package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/shard"
)

func (a *app) shard() *cobra.Command {
	c := &cobra.Command{
		Use: "shard", Short: "Say which group owns which shard, and change it",
		Long: `Say which group owns which of the 16384 shards, and change it. --addr may name
shardmasters or members of any group. A change is refused at once if it cannot
work, for instance if a group that would have to take part is not up.`,
		Args: cli.NoCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.shardJoin(), a.shardLeave(), a.shardMove(), a.shardBalance(), a.shardQuery())
	return c
}

// parseGroup reads the number of a group.
func parseGroup(s string) (shard.GroupID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, cli.Usage("group %q: must be a number from 1 on", s)
	}
	return shard.GroupID(n), nil
}

// parseRange reads a shard, or first-last.
func parseRange(s string) (shard.Range, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first > last || last >= shard.Count {
		return shard.Range{}, cli.Usage("shards %q: must be a number or a range such as 0-99, up to %d", s, shard.Count-1)
	}
	return shard.Range{First: shard.ID(first), Last: shard.ID(last)}, nil
}

// splitAddresses returns addresses that were given with spaces or commas between.
func splitAddresses(args []string) []string {
	var out []string
	for _, arg := range args {
		for a := range strings.SplitSeq(arg, ",") {
			out = append(out, strings.TrimSpace(a))
		}
	}
	return out
}

func (a *app) shardJoin() *cobra.Command {
	ch := &change{app: a}
	c := &cobra.Command{
		Use: "join GROUP ADDRESS...", Short: "Make a group a member of the cluster", Args: cli.Arguments(2, 1+shard.MaxServers),
		Long: `Make a group a member of the cluster and give it its share of the shards. The
addresses are those of its members, in the order of their --peers, with spaces or
commas between. Of a group that is a member already it changes the addresses.`,
		Example: "  diskvctl shard join 2 10.0.0.4:7379 10.0.0.5:7379 10.0.0.6:7379",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseGroup(args[0])
			if err != nil {
				return err
			}
			servers := splitAddresses(args[1:])
			if err := shard.CheckServers(servers); err != nil {
				return cli.UsageError{Err: err}
			}
			ch.words = append([]string{"JOIN", args[0]}, servers...)
			ch.apply = func(ctx context.Context, m *masters, num uint64) (uint64, error) {
				return m.master.If(num).Join(ctx, id, servers)
			}
			ch.refuse = func(ctx context.Context, m *masters, _ *shard.Config) error {
				return checkJoin(id, probe(ctx, m.client, servers), m.addrs)
			}
			return ch.run(cmd.Context())
		},
	}
	ch.flags(c)
	return c
}

func (a *app) shardLeave() *cobra.Command {
	ch := &change{app: a}
	c := &cobra.Command{
		Use: "leave GROUP", Short: "Give a group's shards to the others", Args: cli.Arguments(1, 1), ValidArgsFunction: a.groupNumbers(0),
		Long: `Take a group out of the cluster and give its shards to the others. Its processes
have to run on until it is drained, which is waited for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseGroup(args[0])
			if err != nil {
				return err
			}
			ch.words, ch.leaving = []string{"LEAVE", args[0]}, id
			ch.apply = func(ctx context.Context, m *masters, num uint64) (uint64, error) {
				return m.master.If(num).Leave(ctx, id)
			}
			ch.refuse = func(_ context.Context, _ *masters, c *shard.Config) error { return checkGroup(c, id) }
			return ch.run(cmd.Context())
		},
	}
	ch.flags(c)
	return c
}

func (a *app) shardMove() *cobra.Command {
	ch := &change{app: a}
	c := &cobra.Command{
		Use: "move SHARD[-LAST] GROUP", Short: "Give shards to a group", Args: cli.Arguments(2, 2), ValidArgsFunction: a.groupNumbers(1),
		Long: `Give one shard, or a range of them, to a group. They stay there until the next
join, leave or balance.`,
		Example: "  diskvctl shard move 0-99 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			shards, err := parseRange(args[0])
			if err != nil {
				return err
			}
			id, err := parseGroup(args[1])
			if err != nil {
				return err
			}
			ch.words = []string{"MOVE", shards.String(), args[1]}
			ch.apply = func(ctx context.Context, m *masters, num uint64) (uint64, error) {
				return m.master.If(num).Move(ctx, shards, id)
			}
			ch.refuse = func(_ context.Context, _ *masters, c *shard.Config) error { return checkGroup(c, id) }
			return ch.run(cmd.Context())
		},
	}
	ch.flags(c)
	return c
}

func (a *app) shardBalance() *cobra.Command {
	ch := &change{app: a, words: []string{"BALANCE"}}
	c := &cobra.Command{
		Use: "balance", Short: "Even out how many shards the groups own", Args: cli.Arguments(0, 0),
		Long: "Even out how many shards the groups own, with the fewest moves. It undoes what move\nhas done.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ch.apply = func(ctx context.Context, m *masters, num uint64) (uint64, error) {
				return m.master.If(num).Balance(ctx)
			}
			return ch.run(cmd.Context())
		},
	}
	ch.flags(c)
	return c
}
