package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"diskv/internal/resp"
	"diskv/shard"
)

// Options are a client's settings. Zero values stand for the defaults.
type Options struct {
	// Dial connects to "host:port" or "unix:/path". The default uses net.Dialer.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Connections is how many connections there are to each member for reads, as
	// many for writes, and as many for shards on their way. Default 2.
	Connections int
	// MaxWrites is how many writes may be under way at once, further ones wait.
	// Each needs a session, which the cluster remembers for an hour. Default 1024.
	MaxWrites int
	// MaxReplyBytes bounds one reply. Default 256 MiB.
	MaxReplyBytes int64
	// DialTimeout bounds the making of a connection. Default 2 s.
	DialTimeout time.Duration
	// StallTimeout is how long a connection on which something is awaited may be
	// silent until it counts as lost. Default 10 s, which is above the time after
	// which a server says that an outcome is unknown.
	StallTimeout time.Duration
}

func (o *Options) setDefaults() {
	if o.Dial == nil {
		o.Dial = dialAddress
	}
	if o.Connections <= 0 {
		o.Connections = 2
	}
	if o.MaxWrites <= 0 {
		o.MaxWrites = 1024
	}
	if o.MaxReplyBytes <= 0 {
		o.MaxReplyBytes = 256 << 20
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 2 * time.Second
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 10 * time.Second
	}
}

// Client is a client of a cluster. It is safe for concurrent use.
type Client struct {
	net      *network
	routes   *routes
	learner  *learner
	sessions sessions
	writing  chan struct{} // has room for MaxWrites
}

// Open connects to a cluster through any of its members, "host:port" or
// "unix:/path"; one that answers is enough. ctx bounds the opening alone.
func Open(ctx context.Context, addrs ...string) (*Client, error) {
	return Options{}.Open(ctx, addrs...)
}

// Open is [Open] with settings.
func (o Options) Open(ctx context.Context, addrs ...string) (*Client, error) {
	if err := checkAddresses(addrs); err != nil {
		return nil, err
	}
	o.setDefaults()
	n := newNetwork(o)
	c := &Client{
		net: n, routes: newRoutes(),
		sessions: sessions{use: sessionUse, stop: sessionStop},
		writing:  make(chan struct{}, o.MaxWrites),
	}
	c.learner = &learner{net: n, routes: c.routes, seeds: addrs, kick: make(chan struct{}, 1)}
	if err := c.learner.describe(ctx); err != nil {
		n.close()
		return nil, fmt.Errorf("no member answers: %w", err)
	}
	n.start(c.learner.run)
	return c, nil
}

func checkAddresses(addrs []string) error {
	if len(addrs) == 0 {
		return errors.New("no address: name at least one member of the cluster")
	}
	for _, a := range addrs {
		if err := shard.CheckAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all connections. What is under way fails with [ErrClosed], and
// writes that were sent with [ErrUnknownOutcome] as well. No goroutine is left
// when it returns.
func (c *Client) Close() { c.net.close() }

// call returns a command that goes to the group of a shard.
func (c *Client) call(what string, lane int, encoded []byte, id shard.ID) *call {
	return &call{
		what: what, encoded: encoded,
		lane:   func() int { return c.routes.lane(id, lane) },
		target: func() *group { return c.routes.group(id) },
		moved: func(reply string) bool {
			addr, ok := parseMoved(reply)
			if ok && c.routes.moved(id, addr) {
				c.learner.learn(nil)
			}
			return ok
		},
		learn:  c.learner.learn,
		moving: func(is bool) { c.routes.setMoving(id, is) },
	}
}

// anyShard returns a shard whose group is known, for what any group can answer.
func (c *Client) anyShard() shard.ID {
	for i := range c.routes.of {
		if c.routes.of[i].Load() != nil {
			return shard.ID(i)
		}
	}
	return 0
}

// Ask sends one command to one member, once, and returns its reply: for questions
// about that member, such as INFO. It follows no redirect and is not for writes.
func (c *Client) Ask(ctx context.Context, addr string, words ...string) (Value, error) {
	return c.net.ask(ctx, addr, Query(words...))
}

func (n *network) ask(ctx context.Context, addr string, cmd Command) (Value, error) {
	if err := cmd.check(); err != nil {
		return Value{}, err
	}
	v, _, err := n.exchange(ctx, addr, laneRead, resp.AppendCommand(nil, cmd.Args...), nil)
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return v, fmt.Errorf("%s: %w", addr, err)
	}
	return v, nil
}

// Group is a replica group as the client knows it.
type Group struct {
	Leader  string // the member that is taken for the leader
	Members []string
	Shards  []shard.Range // ascending
}

// Groups asks the cluster how it is and returns its groups, by their first shard.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	// The learner's goroutine has its own turn; this asks like a new one.
	fresh := &learner{net: c.net, routes: c.routes, seeds: c.learner.seeds}
	if err := fresh.describe(ctx); err != nil {
		return nil, fmt.Errorf("no member answers: %w", err)
	}
	return c.routes.describe(), nil
}
