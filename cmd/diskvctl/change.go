package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"diskv/client"
	"diskv/internal/cli"
	"diskv/shard"
	"diskv/shardmaster"
)

// change is one change of the config, from the look at what it would do to the end
// of the moves.
type change struct {
	app     *app
	words   []string // of DISKV.SHARDS
	leaving shard.GroupID
	// refuse looks whether the change can work, beyond what the shardmasters refuse.
	refuse func(ctx context.Context, m *masters, c *shard.Config) error
	// apply makes the change if config num is the newest.
	apply func(ctx context.Context, m *masters, num uint64) (uint64, error)

	dryRun bool
	force  bool
	wait   time.Duration
}

func (ch *change) flags(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&ch.dryRun, "dry-run", false, "show what would move, and change nothing")
	f.DurationVar(&ch.wait, "wait", 10*time.Minute, "how long to wait for the data to have moved; 0: not at all")
	f.BoolVar(&ch.force, "force", false, "do not look whether the groups that take part are up")
}

// move is shards that go from one group to another.
type move struct {
	From   shard.GroupID `json:"from"`
	To     shard.GroupID `json:"to"`
	Shards int           `json:"shards"`
	Ranges []string      `json:"ranges"`
}

// movesBetween returns what moves from one config to the next.
func movesBetween(before, after *shard.Config) []move {
	type way struct{ from, to shard.GroupID }
	rows := make(map[way][]shard.Range)
	var last way
	for i := range shard.Count {
		id, w := shard.ID(i), way{before.Owner[i], after.Owner[i]}
		if r := rows[w]; i > 0 && w == last {
			r[len(r)-1].Last = id
		} else {
			rows[w] = append(r, shard.Range{First: id, Last: id})
		}
		last = w
	}
	out := []move{}
	for w, ranges := range rows {
		if w.from == w.to {
			continue
		}
		m := move{From: w.from, To: w.to, Ranges: texts(ranges)}
		for _, r := range ranges {
			m.Shards += int(r.Last-r.First) + 1
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b move) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out
}

// changeJSON is what a change tells programs.
type changeJSON struct {
	Before  uint64 `json:"config_before"`
	Config  uint64 `json:"config"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Moves   []move `json:"moves"`
	Settled bool   `json:"settled"`
}

func (ch *change) run(ctx context.Context) error {
	if ch.wait < 0 {
		return cli.Usage("--wait %v: must not be negative", ch.wait)
	}
	request, cancel := context.WithTimeout(ctx, ch.app.timeout)
	defer cancel()
	m, err := ch.app.openMasters(request)
	if err != nil {
		return err
	}
	defer m.close()
	before, err := m.master.Newest(request)
	if err != nil {
		return err
	}
	after, err := ch.preview(request, m, before)
	if err != nil {
		return err
	}
	out := changeJSON{Before: before.Num, Config: after.Num, DryRun: ch.dryRun, Moves: movesBetween(before, after)}
	if ch.dryRun {
		return ch.print(out, after)
	}
	if after.Num != before.Num {
		num, err := ch.apply(request, m, before.Num)
		if errors.Is(err, client.ErrConfigChanged) {
			return fmt.Errorf("somebody else has changed the config meanwhile, nothing was changed: look again (%w)", err)
		}
		if err != nil {
			return err
		}
		out.Config = num
	}
	if ch.wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, ch.wait)
		defer cancel()
		if err := ch.app.awaitSettled(waiting, m, out.Config, ch.leaving); err != nil {
			return err
		}
		out.Settled = true
	}
	return ch.print(out, after)
}

// preview returns the config that the change would make, or why it cannot work.
func (ch *change) preview(ctx context.Context, m *masters, before *shard.Config) (*shard.Config, error) {
	args := [][]byte{[]byte(shardmaster.Name)}
	for _, w := range ch.words {
		args = append(args, []byte(w))
	}
	if ch.refuse != nil && !ch.force {
		if err := ch.refuse(ctx, m, before); err != nil {
			return nil, err
		}
	}
	after, err := shardmaster.Preview(before, args)
	if err != nil {
		return nil, err
	}
	if ch.force {
		return after, nil
	}
	return after, checkParties(ctx, m, before, after)
}

func (ch *change) print(out changeJSON, after *shard.Config) error {
	a := ch.app
	if a.json {
		return a.printJSON(out)
	}
	if out.Config == out.Before {
		_, err := fmt.Fprintf(a.out, "nothing to do: config %d has it so already\n", out.Config)
		return err
	}
	var rows [][]string
	for _, m := range out.Moves {
		from := "nobody"
		if m.From != 0 {
			from = fmt.Sprint("group ", m.From)
		}
		rows = append(rows, []string{from, fmt.Sprint("group ", m.To), fmt.Sprint(m.Shards), briefTexts(m.Ranges)})
	}
	if len(rows) > 0 {
		if err := cli.Table(a.out, []string{"FROM", "TO", "SHARDS", "RANGES"}, rows); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintln(a.out, "no shard moves"); err != nil {
		return err
	}
	line := fmt.Sprintf("config %d is made", out.Config)
	switch {
	case ch.dryRun:
		line = fmt.Sprintf("this would be config %d, with %s; nothing was changed", out.Config, cli.Count(len(after.Groups), "group"))
	case out.Settled && ch.leaving != 0:
		line += fmt.Sprintf("; group %d is drained: its processes can be stopped", ch.leaving)
	case out.Settled:
		line += ", and every shard is where it belongs"
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}
