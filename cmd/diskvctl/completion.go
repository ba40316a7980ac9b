package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"diskv/internal/cli"
	"diskv/server"
)

func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print what makes a shell complete commands",
		Long: `Print what makes a shell complete commands, flags and the numbers of groups:

  source <(diskvctl completion bash)
  source <(diskvctl completion zsh)
  diskvctl completion fish | source`,
		Args: cli.Arguments(1, 1), ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.out)
			case "fish":
				return cmd.Root().GenFishCompletion(a.out, true)
			}
			return cli.Usage("shell %q: there are bash, zsh and fish", args[0])
		},
	}
}

// groupNumbers completes the number of a group as the argument at a place.
func (a *app) groupNumbers(place int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) != place || a.environment(cmd) != nil {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		m, err := a.openMasters(ctx)
		if err != nil {
			return nil, none
		}
		defer m.close()
		config, err := m.master.Newest(ctx)
		if err != nil {
			return nil, none
		}
		var out []cobra.Completion
		for _, g := range config.Groups {
			out = append(out, cobra.CompletionWithDesc(strconv.FormatUint(uint64(g.ID), 10), cli.Count(config.Held(g.ID), "shard")))
		}
		return out, none
	}
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cli.Arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return a.result("diskvctl "+server.Version, map[string]any{"version": server.Version})
		},
	}
}
