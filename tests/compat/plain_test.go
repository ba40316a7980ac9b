package compat

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"
)

// TestClientsThatKnowNothingOfClusters has clients of one server talk to any member of
// a cluster that forwards.
func TestClientsThatKnowNothingOfClusters(t *testing.T) {
	c := startCluster(t, "--forward")

	t.Run("redis-cli", func(t *testing.T) {
		for i, m := range c.members() {
			for _, key := range keysOf("cli:", 4) {
				// It repeats nothing by itself, and an election may be under way.
				require.Eventually(t, func() bool { return tool(t, m, "redis-cli", "set", key, fmt.Sprint(i)) == "OK" }, patience, time.Millisecond)
				require.Eventually(t, func() bool { return tool(t, m, "redis-cli", "get", key) == fmt.Sprint(i) }, patience, time.Millisecond)
			}
		}
	})

	t.Run("go-redis", func(t *testing.T) {
		c.useEveryMember(t, "go", func(addr string) store {
			db := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { _ = db.Close() })
			return patient{goRedis{db}}
		})
	})

	t.Run("valkey-go", func(t *testing.T) {
		c.useEveryMember(t, "valkey", func(addr string) store {
			db, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true})
			require.NoError(t, err)
			t.Cleanup(db.Close)
			return patient{valkeyGo{db}}
		})
	})
}

// patient repeats what an election has kept from being executed, as users of clients
// have to that do not repeat it by themselves.
type patient struct{ store }

func (p patient) Set(ctx context.Context, key, value string) error {
	for {
		if err := p.store.Set(ctx, key, value); !refused(err) {
			return err
		}
	}
}

func (p patient) Get(ctx context.Context, key string) (string, error) {
	for {
		if value, err := p.store.Get(ctx, key); !refused(err) {
			return value, err
		}
	}
}

func (p patient) Incr(ctx context.Context, key string) (int64, error) {
	for {
		if n, err := p.store.Incr(ctx, key); !refused(err) {
			return n, err
		}
	}
}

func (p patient) IncrAll(ctx context.Context, keys []string) ([]int64, error) {
	all, err := p.store.IncrAll(ctx, keys)
	if !refused(err) {
		return all, err
	}
	for i, n := range all {
		if n == 0 {
			if all[i], err = p.Incr(ctx, keys[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func refused(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "CLUSTERDOWN no leader")
}
