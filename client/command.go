package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"diskv/internal/resp"
	"diskv/shard"
)

// Value is a reply: see its fields. [Client.Do] returns error replies as errors.
type Value = resp.Value

// The kinds of values that the client itself looks at.
const (
	kindSimple = resp.KindSimple
	kindBulk   = resp.KindBulk
	kindInt    = resp.KindInt
	kindArray  = resp.KindArray
)

// Command is a command and what the client has to know about it.
type Command struct {
	// Args are its words, its name first. They are not used after the call.
	Args [][]byte
	// Key is which of Args decides which group the command goes to; its other keys
	// have to be in the same shard. 0: any group will do, for reads alone.
	Key int
	// Write: it changes something. It is executed exactly once then, by means of a
	// session; else it may be executed again when a reply is lost.
	Write bool
}

// Query returns a read whose first argument is its key, such as GET key.
func Query(words ...string) Command { return command(false, words) }

// Update returns a write whose first argument is its key, such as INCRBY key 5.
func Update(words ...string) Command { return command(true, words) }

func command(write bool, words []string) Command {
	c := Command{Write: write, Args: make([][]byte, len(words)), Key: min(1, max(len(words)-1, 0))}
	for i, w := range words {
		c.Args[i] = []byte(w)
	}
	return c
}

func (c *Command) key() []byte {
	if c.Key == 0 {
		return nil
	}
	return c.Args[c.Key]
}

// writes are the commands that change something, so that none is sent as a read.
var writes = map[string]bool{
	"APPEND": true, "COPY": true, "DECR": true, "DECRBY": true, "DEL": true, "EXPIRE": true, "EXPIREAT": true,
	"FLUSHALL": true, "FLUSHDB": true, "GETDEL": true, "GETEX": true, "GETSET": true, "INCR": true, "INCRBY": true,
	"INCRBYFLOAT": true, "MSET": true, "MSETNX": true, "PERSIST": true, "PEXPIRE": true, "PEXPIREAT": true,
	"PSETEX": true, "RENAME": true, "RENAMENX": true, "SET": true, "SETEX": true, "SETNX": true, "SETRANGE": true,
	"UNLINK": true, "DISKV.EXEC": true, "DISKV.ONCE": true,
}

func (c *Command) check() error {
	if len(c.Args) == 0 || len(c.Args[0]) == 0 {
		return errors.New("an empty command")
	}
	name := strings.ToUpper(string(c.Args[0]))
	switch {
	case c.Key < 0 || c.Key >= len(c.Args):
		return fmt.Errorf("%s: its key is said to be argument %d of %d", name, c.Key, len(c.Args)-1)
	case c.Write && c.Key == 0:
		return fmt.Errorf("%s: a write without a key cannot be executed exactly once: say which argument is its key", name)
	case c.Write && strings.HasPrefix(name, "DISKV."):
		return fmt.Errorf("%s cannot be sent as a write: the client has sessions of its own", name)
	case !c.Write && writes[name]:
		return fmt.Errorf("%s is a write, which must not be sent as a read: it might be executed twice", name)
	}
	return nil
}

// Do executes a command and returns its reply. An error reply is returned as an
// error, an [ErrorReply]. Writes are executed exactly once; see the package
// comment for their errors. All keys of a command have to be in one shard.
func (c *Client) Do(ctx context.Context, cmd Command) (Value, error) {
	if err := cmd.check(); err != nil {
		return Value{}, err
	}
	if cmd.Write {
		return c.write(ctx, cmd)
	}
	return c.read(ctx, cmd)
}

// read executes a command that may be executed more than once.
func (c *Client) read(ctx context.Context, cmd Command) (Value, error) {
	id := c.anyShard()
	if cmd.Key > 0 {
		id = shard.Of(cmd.key())
	}
	call := c.call(describe(cmd.Args[0], cmd.key()), laneRead, resp.AppendCommand(nil, cmd.Args...), id)
	return c.net.perform(ctx, call)
}

// Get returns the value of a key, and whether there is one.
func (c *Client) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	v, err := c.Do(ctx, Query("GET", key))
	switch {
	case err != nil:
		return nil, false, err
	case v.IsNull():
		return nil, false, nil
	case v.Kind != kindBulk:
		return nil, false, unexpected("GET", v)
	}
	return v.Str, true, nil
}

// Put sets the value of a key.
func (c *Client) Put(ctx context.Context, key string, value []byte) error {
	_, err := c.update(ctx, kindSimple, "SET", key, value)
	if errors.Is(err, ErrReplyNotKept) {
		return nil // it was OK
	}
	return err
}

// Append appends to the value of a key and returns its new length.
func (c *Client) Append(ctx context.Context, key string, value []byte) (length int64, err error) {
	v, err := c.update(ctx, kindInt, "APPEND", key, value)
	return v.Int, err
}

// Delete removes a key and tells whether there was one.
func (c *Client) Delete(ctx context.Context, key string) (was bool, err error) {
	v, err := c.update(ctx, kindInt, "DEL", key)
	return v.Int > 0, err
}

// update executes a write whose reply is of a kind.
func (c *Client) update(ctx context.Context, kind resp.Kind, name, key string, args ...[]byte) (Value, error) {
	v, err := c.Do(ctx, Command{Args: append([][]byte{[]byte(name), []byte(key)}, args...), Key: 1, Write: true})
	if err == nil && v.Kind != kind {
		err = unexpected(name, v)
	}
	return v, err
}
