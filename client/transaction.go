package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"diskv/shard"
)

// Txn is commands that are executed in one go, in one shard, if nobody has changed the
// keys that it watches:
//
//	for {
//		txn, err := c.Watch(ctx, "balance")
//		balance, _, err := c.Get(ctx, "balance")
//		txn.Do(client.Update("SET", "balance", next(balance)))
//		replies, ok, err := txn.Exec(ctx)
//		if err != nil || ok {
//			return err
//		}
//	}
//
// It is for one goroutine at a time, and for one Exec.
type Txn struct {
	c        *Client
	keys     []string // that are watched
	token    []byte   // as they were then
	commands []Command
}

var (
	errTxnKeys  = errors.New("a transaction needs a key: watch one, or add a command that has one")
	errTxnShard = errors.New("all keys of a transaction have to be in one shard: use a {tag} in them")
)

// Watch begins a transaction that is executed only if none of the keys changes from now
// on: read what it depends on after this. Without keys it is executed in any case. The
// keys have to be in one shard.
func (c *Client) Watch(ctx context.Context, keys ...string) (*Txn, error) {
	t := &Txn{c: c, keys: keys}
	if len(keys) == 0 {
		return t, nil
	}
	v, err := c.Do(ctx, Query(append([]string{"DISKV.WATCH"}, keys...)...))
	switch {
	case err != nil:
		return nil, err
	case v.Kind != kindBulk:
		return nil, unexpected("DISKV.WATCH", v)
	}
	t.token = v.Str
	return t, nil
}

// Do adds a command.
func (t *Txn) Do(cmd Command) { t.commands = append(t.commands, cmd) }

// Exec executes the commands and returns their replies, an error reply ([Value.Err]) in the place of
// a command that failed: the others are executed all the same. Executed is false, and
// nothing was, if a watched key may have changed; that is possible, too, when it does
// not exist and another key of its shard was removed. Errors are those of
// [Client.Do]: the whole is executed exactly once, or the error says otherwise.
func (t *Txn) Exec(ctx context.Context) (replies []Value, executed bool, err error) {
	cmd, err := t.command()
	if err != nil {
		return nil, false, fmt.Errorf("transaction: not executed: %w", err)
	}
	var v Value
	if cmd.Write {
		v, err = t.c.write(ctx, cmd)
	} else {
		v, err = t.c.read(ctx, cmd)
	}
	switch {
	case err != nil:
		return nil, false, err
	case v.IsNull():
		return nil, false, nil
	case v.Kind != kindArray || len(v.Elems) != len(t.commands):
		return nil, false, unexpected("DISKV.EXEC", v)
	}
	return v.Elems, true, nil
}

// command returns the transaction as one command: DISKV.EXEC key numwatched [token key
// ...], and for each command numargs name [arg ...].
func (t *Txn) command() (Command, error) {
	whole := Command{Key: 1, Args: [][]byte{[]byte("DISKV.EXEC"), nil, strconv.AppendInt(nil, int64(len(t.keys)), 10)}}
	has := false
	take := func(key []byte) error {
		if has && shard.Of(key) != shard.Of(whole.Args[1]) {
			return errTxnShard
		}
		if !has {
			has, whole.Args[1] = true, key
		}
		return nil
	}
	for _, key := range t.keys {
		if err := take([]byte(key)); err != nil {
			return Command{}, err
		}
		whole.Args = append(whole.Args, t.token, []byte(key))
	}
	for i := range t.commands {
		cmd := &t.commands[i]
		if err := cmd.check(); err != nil {
			return Command{}, err
		}
		if cmd.Key > 0 {
			if err := take(cmd.key()); err != nil {
				return Command{}, err
			}
		}
		whole.Write = whole.Write || cmd.Write
		whole.Args = append(append(whole.Args, strconv.AppendInt(nil, int64(len(cmd.Args)), 10)), cmd.Args...)
	}
	if !has {
		return Command{}, errTxnKeys
	}
	return whole, nil
}
