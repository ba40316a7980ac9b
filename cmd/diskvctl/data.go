package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"diskv/client"
	"diskv/internal/cli"
)

func (a *app) get() *cobra.Command {
	raw := false
	c := &cobra.Command{
		Use: "get KEY", Short: "Print the value of a key", Args: cli.Arguments(1, 1),
		Long: "Print the value of a key. The read is linearizable. Exit status 3: there is no such key.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ctx, done, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			value, ok, err := c.Get(ctx, args[0])
			switch {
			case err != nil:
				return err
			case !ok:
				return fmt.Errorf("key %q: %w", args[0], errNotFound)
			case a.json:
				return a.printJSON(struct {
					Key   string `json:"key"`
					Value text   `json:"value"`
				}{args[0], textOf(value)})
			case !raw:
				value = append(value, '\n')
			}
			_, err = a.out.Write(value)
			return err
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "print the value alone, without a line break behind it")
	return c
}

// value returns the argument that is a value, or else standard input.
func (a *app) value(args []string) ([]byte, error) {
	if len(args) > 1 {
		return []byte(args[1]), nil
	}
	b, err := io.ReadAll(a.in)
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return b, nil
}

const onceText = `It is executed exactly once, whatever crashes meanwhile. If the time is over
before its outcome is known, the exit status is 4: it may have been executed, or not.`

func (a *app) set() *cobra.Command {
	return &cobra.Command{
		Use: "set KEY [VALUE]", Short: "Set a key", Args: cli.Arguments(1, 2),
		Long: "Set a key to a value; without VALUE, to what standard input holds.\n\n" + onceText,
		RunE: a.withValue(func(ctx context.Context, c *client.Client, key string, value []byte) error {
			if err := c.Put(ctx, key, value); err != nil {
				return err
			}
			return a.result("OK", map[string]any{"ok": true})
		}),
	}
}

// withValue is a command that does something with a key and a value.
func (a *app) withValue(do func(ctx context.Context, c *client.Client, key string, value []byte) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		value, err := a.value(args)
		if err != nil {
			return err
		}
		c, ctx, done, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		return do(ctx, c, args[0], value)
	}
}

func (a *app) append() *cobra.Command {
	return &cobra.Command{
		Use: "append KEY [VALUE]", Short: "Append to the value of a key", Args: cli.Arguments(1, 2),
		Long: "Append to the value of a key and print its new length; without VALUE, append what\nstandard input holds.\n\n" + onceText,
		RunE: a.withValue(func(ctx context.Context, c *client.Client, key string, value []byte) error {
			n, err := c.Append(ctx, key, value)
			if err != nil {
				return err
			}
			return a.result(fmt.Sprint(n), map[string]any{"length": n})
		}),
	}
}

func (a *app) del() *cobra.Command {
	return &cobra.Command{
		Use: "del KEY...", Short: "Delete keys", Args: cli.Arguments(1, -1),
		Long: "Delete keys, one after the other, and print how many there were. Exit status 3: there\nwas none.\n\n" + onceText,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ctx, done, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			n := 0
			for _, key := range args {
				was, err := c.Delete(ctx, key)
				if err != nil {
					return fmt.Errorf("%w (%d deleted before)", err, n)
				}
				if was {
					n++
				}
			}
			if err := a.result(fmt.Sprint(n), map[string]any{"deleted": n}); err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("keys to delete: %w", errNotFound)
			}
			return nil
		},
	}
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

func (a *app) scan() *cobra.Command {
	match, limit := "", 0
	c := &cobra.Command{
		Use: "scan", Short: "Print the keys", Args: cli.Arguments(0, 0),
		Long: "Print the keys, group by group, one on a line; with --json, each as a JSON string on a\nline. While shards move, a key may come twice or not at all.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return cli.Usage("--limit %d: must not be negative", limit)
			}
			c, _, done, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := a.printKeys(cmd, c, match, limit); !errors.Is(err, errEnough) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&match, "match", "", "`pattern` that keys have to match, such as user:*")
	c.Flags().IntVar(&limit, "limit", 0, "highest `number` of keys; 0: all")
	return c
}

func (a *app) printKeys(cmd *cobra.Command, c *client.Client, match string, limit int) error {
	n := 0
	for key, err := range c.Scan(cmd.Context(), match) {
		if err != nil {
			return err
		}
		if limit > 0 && n == limit {
			return errEnough
		}
		n++
		line := key
		if a.json {
			line = jsonString(key)
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return err
		}
	}
	return nil
}

// result prints the outcome of a command, for people or for programs.
func (a *app) result(line string, v any) error {
	if a.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}
