package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"diskv/client"
	"diskv/internal/cli"
	"diskv/shard"
)

// configJSON is a config for programs.
type configJSON struct {
	Config uint64      `json:"config"`
	Groups []groupJSON `json:"groups"`
	Nobody []string    `json:"nobody,omitempty"` // shards without an owner
}

type groupJSON struct {
	Group   shard.GroupID `json:"group"`
	Shards  int           `json:"shards"`
	Ranges  []string      `json:"ranges"`
	Servers []string      `json:"servers"`
}

func jsonOf(c *shard.Config) configJSON {
	out := configJSON{Config: c.Num, Groups: []groupJSON{}, Nobody: texts(c.Ranges(0))}
	for _, g := range c.Groups {
		out.Groups = append(out.Groups, groupJSON{g.ID, c.Held(g.ID), texts(c.Ranges(g.ID)), g.Servers})
	}
	return out
}

func texts(ranges []shard.Range) []string {
	out := make([]string, len(ranges))
	for i, r := range ranges {
		out[i] = r.String()
	}
	return out
}

// brief joins ranges for people, of whom nobody reads hundreds.
func brief(ranges []shard.Range) string { return briefTexts(texts(ranges)) }

func briefTexts(t []string) string {
	const most = 4
	if len(t) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(t[:most], " "), len(t)-most)
	}
	return strings.Join(t, " ")
}

func (a *app) shardQuery() *cobra.Command {
	return &cobra.Command{
		Use: "query [CONFIG]", Short: "Print which group owns which shard", Args: cli.Arguments(0, 1),
		Long: "Print the newest config, or the one of a number: which group owns which shard. Old\nconfigs are kept as long as a group may need them. Exit status 3: there is none.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			num := uint64(0)
			if len(args) > 0 {
				var err error
				if num, err = strconv.ParseUint(args[0], 10, 63); err != nil {
					return cli.Usage("config %q: must be a number from 0 on", args[0])
				}
			}
			m, err := a.openMasters(ctx)
			if err != nil {
				return err
			}
			defer m.close()
			var c *shard.Config
			if len(args) > 0 {
				c, err = m.master.Query(ctx, num)
			} else {
				c, err = m.master.Newest(ctx)
			}
			var reply client.ErrorReply
			if errors.As(err, &reply) && (reply.Code() == "NOTYET" || reply.Code() == "COMPACTED") {
				return fmt.Errorf("config %d: %w: %w", num, errNotFound, err)
			}
			if err != nil {
				return err
			}
			return a.printConfig(c)
		},
	}
}

func (a *app) printConfig(c *shard.Config) error {
	if a.json {
		return a.printJSON(jsonOf(c))
	}
	if _, err := fmt.Fprintf(a.out, "config %d\n", c.Num); err != nil {
		return err
	}
	var rows [][]string
	if n := c.Held(0); n > 0 {
		rows = append(rows, []string{"nobody", strconv.Itoa(n), brief(c.Ranges(0))})
	}
	for _, g := range c.Groups {
		rows = append(rows, []string{fmt.Sprint(g.ID), strconv.Itoa(c.Held(g.ID)), brief(c.Ranges(g.ID)), strings.Join(g.Servers, " ")})
	}
	return cli.Table(a.out, []string{"GROUP", "SHARDS", "RANGES", "SERVERS"}, rows)
}
