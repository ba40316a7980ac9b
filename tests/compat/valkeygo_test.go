package compat

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valkey-io/valkey-go"
)

// valkeyGo is the store of the scenarios.
type valkeyGo struct{ valkey.Client }

func (s valkeyGo) Set(ctx context.Context, key, value string) error {
	return s.Do(ctx, s.B().Set().Key(key).Value(value).Build()).Error()
}

func (s valkeyGo) Get(ctx context.Context, key string) (string, error) {
	return s.Do(ctx, s.B().Get().Key(key).Build()).ToString()
}

func (s valkeyGo) Incr(ctx context.Context, key string) (int64, error) {
	return s.Do(ctx, s.B().Incr().Key(key).Build()).AsInt64()
}

func (s valkeyGo) IncrAll(ctx context.Context, keys []string) ([]int64, error) {
	var cmds []valkey.Completed
	for _, key := range keys {
		cmds = append(cmds, s.B().Incr().Key(key).Build())
	}
	var all []int64
	var first error
	for _, r := range s.DoMulti(ctx, cmds...) {
		n, err := r.AsInt64()
		if first == nil {
			first = err
		}
		all = append(all, n)
	}
	return all, first
}

// newValkey returns a client with the defaults, caching included.
func newValkey(t *testing.T, addrs ...string) valkey.Client {
	t.Helper()
	db, err := valkey.NewClient(valkey.ClientOption{InitAddress: addrs})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func TestValkeyGoCluster(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	db := newValkey(t, c.addrs()[1])
	require.NoError(t, db.Do(ctx, db.B().Ping().Build()).Error())
	require.Equal(t, valkey.ClientModeCluster, db.Mode())
	keys := keysOf("valkey:", 100)
	require.Len(t, c.owners(t, keys), 2, "the keys are in both groups")

	t.Run("set and get", func(t *testing.T) {
		s := valkeyGo{db}
		for _, key := range keys {
			require.NoError(t, s.Set(ctx, key, "value of "+key))
		}
		for _, key := range keys {
			value, err := s.Get(ctx, key)
			require.NoError(t, err)
			require.Equal(t, "value of "+key, value)
		}
		_, err := s.Get(ctx, "nothing")
		require.True(t, valkey.IsValkeyNil(err))
		n, err := db.Do(ctx, db.B().Append().Key(keys[0]).Value("!").Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, len("value of valkey:0!"), n)
		n, err = db.Do(ctx, db.B().Del().Key(keys[0]).Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	})

	t.Run("counters", func(t *testing.T) {
		s := valkeyGo{db}
		for i := range int64(10) {
			n, err := s.Incr(ctx, "counter")
			require.NoError(t, err)
			require.Equal(t, i+1, n)
		}
		require.NoError(t, s.Set(ctx, "word", "abc"))
		_, err := s.Incr(ctx, "word")
		require.ErrorContains(t, err, "not an integer")
	})

	t.Run("pipeline", func(t *testing.T) {
		var sets, gets []valkey.Completed
		for i, key := range keys {
			sets = append(sets, db.B().Set().Key(key).Value(strconv.Itoa(i)).Build())
			gets = append(gets, db.B().Get().Key(key).Build())
		}
		for _, r := range db.DoMulti(ctx, sets...) {
			require.NoError(t, r.Error())
		}
		for i, r := range db.DoMulti(ctx, gets...) {
			n, err := r.AsInt64()
			require.NoError(t, err)
			require.EqualValues(t, i, n)
		}
	})

	t.Run("several keys", func(t *testing.T) {
		set := db.B().Mset().KeyValue().KeyValue("{user}name", "ada").KeyValue("{user}born", "1815").Build()
		require.NoError(t, db.Do(ctx, set).Error())
		values, err := db.Do(ctx, db.B().Mget().Key("{user}name", "{user}born").Build()).AsStrSlice()
		require.NoError(t, err)
		require.Equal(t, []string{"ada", "1815"}, values)
		// The library divides what is in several shards.
		all, err := valkey.MGet(db, ctx, keys)
		require.NoError(t, err)
		require.Len(t, all, len(keys))
		for i, key := range keys {
			got := all[key]
			n, err := got.AsInt64()
			require.NoError(t, err)
			require.EqualValues(t, i, n)
		}
	})

	t.Run("expiry", func(t *testing.T) {
		require.NoError(t, db.Do(ctx, db.B().Set().Key("session").Value("x").Ex(time.Hour).Build()).Error())
		ttl, err := db.Do(ctx, db.B().Ttl().Key("session").Build()).AsInt64()
		require.NoError(t, err)
		require.InDelta(t, time.Hour.Seconds(), ttl, 60)
		lock := func(d time.Duration) error {
			return db.Do(ctx, db.B().Set().Key("lock").Value("me").Nx().Px(d).Build()).Error()
		}
		require.NoError(t, lock(50*time.Millisecond))
		require.Eventually(t, func() bool { return lock(time.Minute) == nil }, patience, 10*time.Millisecond, "the lock runs out")
	})

	t.Run("scan of every master", func(t *testing.T) {
		found := make(map[string]int)
		masters := 0
		for _, node := range db.Nodes() {
			role, err := node.Do(ctx, node.B().Info().Section("replication").Build()).ToString()
			require.NoError(t, err)
			if !strings.Contains(role, "role:master") {
				continue
			}
			masters++
			for cursor := uint64(0); ; {
				page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match("valkey:*").Count(7).Build()).AsScanEntry()
				require.NoError(t, err)
				for _, key := range page.Elements {
					found[key]++
				}
				if cursor = page.Cursor; cursor == 0 {
					break
				}
			}
		}
		require.Equal(t, 2, masters)
		require.Len(t, found, len(keys))
		for key, n := range found {
			require.Equal(t, 1, n, key)
		}
	})

	t.Run("reads of replicas", func(t *testing.T) {
		db, err := valkey.NewClient(valkey.ClientOption{
			InitAddress:    c.addrs(),
			SendToReplicas: func(cmd valkey.Completed) bool { return cmd.IsReadOnly() },
		})
		require.NoError(t, err)
		defer db.Close()
		s := valkeyGo{db}
		for i, key := range keys[:30] {
			require.NoError(t, s.Set(ctx, key, strconv.Itoa(i)))
			require.Eventually(t, func() bool {
				got, err := s.Get(ctx, key)
				require.NoError(t, err)
				return got == strconv.Itoa(i)
			}, patience, time.Millisecond, "followers lag, and not for long")
		}
	})

	t.Run("client-side caching", func(t *testing.T) {
		key := keys[7]
		s := valkeyGo{db}
		cached := func() valkey.ValkeyResult { return db.DoCache(ctx, db.B().Get().Key(key).Cache(), time.Minute) }
		require.NoError(t, s.Set(ctx, key, "one"))
		require.Eventually(t, func() bool { v := cached(); return v.IsCacheHit() }, patience, time.Millisecond)
		for n := range 50 {
			want := strconv.Itoa(n)
			require.NoError(t, s.Set(ctx, key, want))
			require.Eventually(t, func() bool {
				got, err := cached().ToString()
				require.NoError(t, err)
				return got == want
			}, time.Second, time.Millisecond, "what was cached is invalidated")
			require.Eventually(t, func() bool { v := cached(); return v.IsCacheHit() }, patience, time.Millisecond)
		}
		for range 2 {
			many := make([]valkey.CacheableTTL, 0, len(keys))
			for _, key := range keys {
				many = append(many, valkey.CT(db.B().Get().Key(key).Cache(), time.Minute))
			}
			for i, r := range db.DoMultiCache(ctx, many...) {
				require.NoError(t, r.Error(), keys[i])
			}
		}
		// A cached value goes when its time has come, with nobody asking for it.
		require.NoError(t, db.Do(ctx, db.B().Set().Key(key).Value("soon").Px(300*time.Millisecond).Build()).Error())
		require.Eventually(t, func() bool { got, err := cached().ToString(); return err == nil && got == "soon" }, time.Second, time.Millisecond)
		require.Eventually(t, func() bool { return valkey.IsValkeyNil(cached().Error()) }, 2*time.Second, time.Millisecond)
	})

	t.Run("transactions", func(t *testing.T) {
		count := func() error {
			return db.Dedicated(func(tx valkey.DedicatedClient) error {
				if err := tx.Do(ctx, tx.B().Watch().Key("{n}").Build()).Error(); err != nil {
					return err
				}
				n, err := tx.Do(ctx, tx.B().Get().Key("{n}").Build()).AsInt64()
				if err != nil && !valkey.IsValkeyNil(err) {
					return err
				}
				r := tx.DoMulti(ctx, tx.B().Multi().Build(), tx.B().Set().Key("{n}").Value(strconv.FormatInt(n+1, 10)).Build(), tx.B().Exec().Build())
				return r[2].Error()
			})
		}
		var working sync.WaitGroup
		for range 4 {
			working.Go(func() {
				for done := 0; done < 25; {
					switch err := count(); {
					case err == nil:
						done++
					case !valkey.IsValkeyNil(err):
						t.Errorf("count: %v", err)
						return
					}
				}
			})
		}
		working.Wait()
		n, err := db.Do(ctx, db.B().Get().Key("{n}").Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 100, n)
	})

	t.Run("shards move", func(t *testing.T) { c.countWhileShardsMove(t, valkeyGo{db}) })
	t.Run("a leader is killed", func(t *testing.T) { c.outliveALeader(t, valkeyGo{db}, false) })
}
