package compat

import (
	"fmt"
	"testing"

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
				require.Equal(t, "OK", tool(t, m, "redis-cli", "set", key, fmt.Sprint(i)))
				require.Equal(t, fmt.Sprint(i), tool(t, m, "redis-cli", "get", key))
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
