package compat

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// goRedis is the store of the scenarios.
type goRedis struct{ redis.UniversalClient }

func (s goRedis) Set(ctx context.Context, key, value string) error {
	return s.UniversalClient.Set(ctx, key, value, 0).Err()
}

func (s goRedis) Get(ctx context.Context, key string) (string, error) {
	return s.UniversalClient.Get(ctx, key).Result()
}

func (s goRedis) Incr(ctx context.Context, key string) (int64, error) {
	return s.UniversalClient.Incr(ctx, key).Result()
}

func (s goRedis) IncrAll(ctx context.Context, keys []string) ([]int64, error) {
	cmds, err := s.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Incr(ctx, key)
		}
		return nil
	})
	var all []int64
	for _, cmd := range cmds {
		all = append(all, cmd.(*redis.IntCmd).Val())
	}
	return all, err
}

func TestGoRedisCluster(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	// One address is enough to find the others.
	db := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.addrs()[1:2]})
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Ping(ctx).Err())

	keys := keysOf("go:", 100)
	require.Len(t, c.owners(t, keys), 2, "the keys are in both groups")

	t.Run("set and get", func(t *testing.T) {
		for _, key := range keys {
			require.NoError(t, db.Set(ctx, key, "value of "+key, 0).Err())
		}
		for _, key := range keys {
			value, err := db.Get(ctx, key).Result()
			require.NoError(t, err)
			require.Equal(t, "value of "+key, value)
		}
		require.ErrorIs(t, db.Get(ctx, "nothing").Err(), redis.Nil)
		n, err := db.Append(ctx, keys[0], "!").Result()
		require.NoError(t, err)
		require.EqualValues(t, len("value of go:0!"), n)
		n, err = db.Del(ctx, keys[0]).Result()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})

	t.Run("counters", func(t *testing.T) {
		for i := range int64(10) {
			n, err := db.Incr(ctx, "counter").Result()
			require.NoError(t, err)
			require.Equal(t, i+1, n)
		}
		n, err := db.DecrBy(ctx, "counter", 4).Result()
		require.NoError(t, err)
		require.EqualValues(t, 6, n)
		require.NoError(t, db.Set(ctx, "word", "abc", 0).Err())
		require.ErrorContains(t, db.Incr(ctx, "word").Err(), "not an integer")
	})

	t.Run("pipeline", func(t *testing.T) {
		var gets []*redis.StringCmd
		_, err := db.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.Set(ctx, key, "piped "+key, 0)
			}
			for _, key := range keys {
				gets = append(gets, p.Get(ctx, key))
			}
			return nil
		})
		require.NoError(t, err)
		for i, get := range gets {
			require.Equal(t, "piped "+keys[i], get.Val())
		}
	})

	t.Run("several keys with a tag", func(t *testing.T) {
		require.NoError(t, db.MSet(ctx, "{user}name", "ada", "{user}born", 1815).Err())
		values, err := db.MGet(ctx, "{user}name", "{user}born", "{user}none").Result()
		require.NoError(t, err)
		require.Equal(t, []any{"ada", "1815", nil}, values)
		n, err := db.Exists(ctx, "{user}name", "{user}born").Result()
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
	})

	t.Run("expiry", func(t *testing.T) {
		require.NoError(t, db.Set(ctx, "session", "x", time.Hour).Err())
		ttl, err := db.TTL(ctx, "session").Result()
		require.NoError(t, err)
		require.InDelta(t, time.Hour.Seconds(), ttl.Seconds(), 60)
		set, err := db.SetNX(ctx, "lock", "me", 50*time.Millisecond).Result()
		require.NoError(t, err)
		require.True(t, set)
		require.Eventually(t, func() bool {
			set, err := db.SetNX(ctx, "lock", "you", time.Minute).Result()
			return err == nil && set
		}, patience, 10*time.Millisecond, "the lock runs out")
	})

	t.Run("scan of every master", func(t *testing.T) {
		var mu sync.Mutex
		found := make(map[string]int)
		masters := 0
		require.NoError(t, db.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			it := master.Scan(ctx, 0, "go:*", 7).Iterator()
			mu.Lock()
			defer mu.Unlock()
			masters++
			for it.Next(ctx) {
				found[it.Val()]++
			}
			return it.Err()
		}))
		require.Equal(t, 2, masters)
		require.Len(t, found, len(keys))
		for key, n := range found {
			require.Equal(t, 1, n, key)
		}
		size, err := db.DBSize(ctx).Result()
		require.NoError(t, err)
		require.GreaterOrEqual(t, size, int64(len(keys)))
	})

	t.Run("what it shows", func(t *testing.T) {
		shards, err := db.ClusterShards(ctx).Result()
		require.NoError(t, err)
		require.Len(t, shards, 2)
		commands, err := db.Command(ctx).Result()
		require.NoError(t, err)
		require.EqualValues(t, 1, commands["get"].FirstKeyPos)
		require.True(t, commands["get"].ReadOnly)
		info, err := db.Info(ctx, "replication").Result()
		require.NoError(t, err)
		require.Contains(t, info, "role:")
	})

	t.Run("reads of replicas", func(t *testing.T) {
		for _, o := range []redis.ClusterOptions{{ReadOnly: true}, {RouteByLatency: true}, {RouteRandomly: true}} {
			o.Addrs = c.addrs()
			db := redis.NewClusterClient(&o)
			for i := range 30 {
				require.NoError(t, db.Set(ctx, keys[i], i, 0).Err())
				require.Eventually(t, func() bool {
					got, err := db.Get(ctx, keys[i]).Result()
					require.NoError(t, err)
					return got == strconv.Itoa(i)
				}, patience, time.Millisecond, "followers lag, and not for long")
			}
			require.NoError(t, db.Close())
		}
	})

	t.Run("transactions", func(t *testing.T) {
		cmds, err := db.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "{tx}a", "1", 0)
			p.Incr(ctx, "{tx}a")
			p.Get(ctx, "{tx}a")
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, "2", cmds[2].(*redis.StringCmd).Val())

		// What the documentation of the library shows for Watch.
		increment := func() error {
			return db.Watch(ctx, func(tx *redis.Tx) error {
				n, err := tx.Get(ctx, "{tx}n").Int()
				if err != nil && !errors.Is(err, redis.Nil) {
					return err
				}
				_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					p.Set(ctx, "{tx}n", n+1, 0)
					return nil
				})
				return err
			}, "{tx}n")
		}
		var working sync.WaitGroup
		for range 4 {
			working.Go(func() {
				for done := 0; done < 25; {
					switch err := increment(); {
					case err == nil:
						done++
					case !errors.Is(err, redis.TxFailedErr):
						t.Errorf("increment: %v", err)
						return
					}
				}
			})
		}
		working.Wait()
		n, err := db.Get(ctx, "{tx}n").Int()
		require.NoError(t, err)
		require.Equal(t, 100, n)
	})

	t.Run("shards move", func(t *testing.T) { c.countWhileShardsMove(t, goRedis{db}) })
	t.Run("a leader is killed", func(t *testing.T) { c.outliveALeader(t, goRedis{db}, true) })

	t.Run("a leader is killed and stays away", func(t *testing.T) {
		// go-redis does not look for another master when one cannot be reached, but
		// asks who the masters are once a minute, or when it is redirected.
		db := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.addrs(), ClusterStateReloadInterval: time.Second})
		t.Cleanup(func() { _ = db.Close() })
		c.outliveALeader(t, goRedis{db}, false)
	})
}
