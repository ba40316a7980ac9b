package compat

import (
	"fmt"
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
			return goRedis{db}
		})
	})

	t.Run("valkey-go", func(t *testing.T) {
		c.useEveryMember(t, "valkey", func(addr string) store {
			db, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
			require.NoError(t, err)
			t.Cleanup(db.Close)
			return valkeyGo{db}
		})
	})
}
