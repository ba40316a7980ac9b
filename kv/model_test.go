package kv_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/shard"
)

var modelSeeds = flag.Uint64("model.seeds", 15, "how many runs of the model of moving shards")

// A world is a few groups, each of two replicas, among which shards move while
// clients work: configs, pulls, installs and releases come in any order, twice, late
// or not at all, and stores are replaced by restored ones in the middle. What must
// come out is what single stores make of the same commands.
type world struct {
	*rand.Rand
	t       *testing.T
	configs []*shard.Config
	groups  []*worldGroup
	pool    []worldCommand // commands that somebody may propose, once or more
	keys    []string

	// What the commands have to come to: a plain store for every shard, and all the
	// operations of sessions that were executed.
	truth    map[shard.ID]*truth
	sessions []*worldSession

	image   *kv.Image // one from a while ago, with its records of then
	records [][]byte

	watches []worldWatch
	touched map[string]int // by key, how often it was changed by a command

	moved, replies, stale, restored, missed, leaving, batches, passed, failed, flushed int // what happened, so that a world without it fails
}

// worldGroup is a group. What one replica says and is, the other does too.
type worldGroup struct {
	id       shard.GroupID
	replicas [2]*kv.Store
	slot     uint64
	clock    int64
}

func (g *worldGroup) store() *kv.Store { return g.replicas[0] }

type worldCommand struct {
	to      *worldGroup
	encoded []byte
}

type truth struct {
	store *kv.Store
	slot  uint64
}

// worldSession is a client with a session.
type worldSession struct {
	id   kv.SessionID
	ops  []kv.Command // by number, from 1 on
	done map[uint64]string
	last uint64 // highest that was executed
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 4)), t: t, configs: []*shard.Config{{}}, truth: map[shard.ID]*truth{}, touched: map[string]int{},
	}
	for id := shard.GroupID(1); id <= 4; id++ {
		g := &worldGroup{id: id, clock: epoch + w.Int64N(int64(10*time.Second))}
		for i := range g.replicas {
			g.replicas[i] = kv.NewSharded(id)
		}
		w.groups = append(w.groups, g)
	}
	for i := range 30 {
		w.keys = append(w.keys, fmt.Sprintf("{%d}%d", i/2, i))
	}
	return w
}

func (w *world) group() *worldGroup { return w.groups[w.IntN(len(w.groups))] }

// apply has both replicas of a group apply a command.
func (w *world) apply(g *worldGroup, encoded []byte) string {
	g.slot++
	g.clock += w.Int64N(int64(20 * time.Millisecond))
	var replies [2]string
	for i, s := range g.replicas {
		s.Begin(g.slot, g.clock)
		replies[i] = string(s.Apply(nil, encoded))
	}
	require.Equal(w.t, replies[0], replies[1])
	g.clock = max(g.clock, g.store().LogTime()) // as replicas do
	requireReply(w.t, []byte(replies[0]))
	return replies[0]
}

// step does one thing.
func (w *world) step() {
	switch n := w.IntN(100); {
	case n < 3:
		w.newConfig()
	case n < 12:
		w.takeConfig(w.group())
	case n < 25:
		w.pull(w.group())
	case n < 40:
		w.deliver()
	case n == 40:
		w.freeze(w.group())
	case n < 45:
		w.release(w.group())
	case n < 48:
		w.restore(w.group())
	case n < 50:
		w.group().clock += w.Int64N(int64(time.Second))
	case n == 51 && w.IntN(12) == 0:
		w.flush(w.group())
	case n == 50 && w.IntN(5) == 0:
		w.group().clock += int64(25 * time.Minute)
	case n < 72:
		w.command(w.line())
	case n < 76:
		w.watch()
	case n < 80:
		w.transact()
	default:
		w.sessionCommand()
	}
	w.requireOneServes()
}

// newConfig moves some shards to a group.
func (w *world) newConfig() {
	c := *w.configs[len(w.configs)-1]
	if len(w.configs) > 40 {
		return
	}
	c.Num++
	to := w.group().id
	first := w.IntN(shard.Count)
	last := min(first+w.IntN(8000), shard.Count-1)
	if c.Num == 1 {
		first, last = 0, shard.Count-1
	}
	give(to, shard.ID(first), shard.ID(last))(&c)
	w.configs = append(w.configs, &c)
}

func (w *world) takeConfig(g *worldGroup) {
	own := g.store().Handover().Config
	if own == nil {
		// It may begin anywhere before it owns its first shard.
		for n := w.IntN(len(w.configs)); n > 0; n-- {
			owned := false
			for _, c := range w.configs[:n] {
				owned = owned || c.Held(g.id) > 0
			}
			if !owned {
				require.Equal(w.t, "+OK\r\n", w.apply(g, kv.AppendTakeConfig(nil, w.configs[n], w.configs[n-1])))
				return
			}
		}
		return
	}
	n := own.Num + 1
	if w.IntN(4) == 0 {
		n = uint64(1 + w.IntN(len(w.configs)))
	}
	if n == 0 || n >= uint64(len(w.configs)) {
		return
	}
	possible := n == own.Num+1 && g.store().Handover().Settled == own.Num
	var previous *shard.Config
	if n > own.Num+1 && !slices.ContainsFunc(w.configs[own.Num+1:n], func(c *shard.Config) bool { return c.Held(g.id) > 0 }) {
		previous = w.configs[n-1] // these might no longer be kept
		possible = own.Held(g.id) == 0
		if possible {
			w.missed++
		}
	}
	reply := w.apply(g, kv.AppendTakeConfig(nil, w.configs[n], previous))
	if possible {
		require.Equal(w.t, "+OK\r\n", reply)
	} else {
		require.Contains(w.t, reply, "-"+kv.CodeStaleConfig+" ")
	}
}

// pull asks for the next chunk of a stream, of either replica of the source.
func (w *world) pull(g *worldGroup) {
	for _, in := range g.store().Handover().Incoming {
		source := w.groups[in.From.ID-1]
		limit := []int{1, 100, 1000, 10_000}[w.IntN(4)]
		batch, err := kv.CursorBatch(in.Cursor)
		require.NoError(w.t, err)
		o, ok := source.replicas[w.IntN(2)].Outgoing(in.Config, g.id, batch)
		if !ok {
			h := source.store().Handover()
			i := slices.IndexFunc(h.Outgoing, func(d kv.Departure) bool { return d.Config == in.Config && d.To.ID == g.id })
			if h.Settled >= in.Config {
				require.GreaterOrEqual(w.t, i, 0, "it is there until it was installed")
			}
			if i >= 0 {
				require.Positive(w.t, h.Outgoing[i].Waiting)
				require.Equal(w.t, int(batch), h.Outgoing[i].Batches)
				w.pool = append(w.pool, worldCommand{source, kv.AppendFreeze(nil, in.Config, g.id, batch, w.Int64N(1500))})
			}
			continue
		}
		chunk, err := o.Chunk(in.Cursor, limit)
		require.NoError(w.t, err)
		same, _ := source.store().Outgoing(in.Config, g.id, batch)
		again, err := same.Chunk(in.Cursor, limit)
		require.NoError(w.t, err)
		require.Equal(w.t, chunk, again, "every replica sends the same")
		w.pool = append(w.pool, worldCommand{g, kv.AppendInstall(nil, in.Config, in.From.ID, chunk)})
	}
}

// freeze has a group freeze something, the next batch or another one, whoever wants it.
func (w *world) freeze(g *worldGroup) {
	for _, out := range g.store().Handover().Outgoing {
		w.pool = append(w.pool, worldCommand{g, kv.AppendFreeze(nil, out.Config, out.To.ID, uint32(w.IntN(out.Batches+2)), w.Int64N(1500))})
	}
}

// deliver has a group apply one of the pool's commands, and perhaps again later.
func (w *world) deliver() {
	if len(w.pool) == 0 {
		return
	}
	i := w.IntN(len(w.pool))
	c := w.pool[i]
	if w.IntN(3) > 0 {
		w.pool[i] = w.pool[len(w.pool)-1]
		w.pool = w.pool[:len(w.pool)-1]
	}
	if w.IntN(10) == 0 {
		return
	}
	version, digest := c.to.store().HandoverVersion(), c.to.store().Handover()
	switch reply := w.apply(c.to, c.encoded); {
	case reply == "+OK\r\n":
		w.moved++
		for _, out := range c.to.store().Handover().Outgoing {
			w.batches = max(w.batches, out.Batches)
		}
	case strings.HasPrefix(reply, "-"+kv.CodeStaleChunk+" "), strings.HasPrefix(reply, "-"+kv.CodeStaleFreeze+" "):
		w.stale++
		require.Equal(w.t, version, c.to.store().HandoverVersion())
		require.Equal(w.t, digest, c.to.store().Handover())
	default:
		require.Fail(w.t, "a reply that cannot be", "%q", reply)
	}
}

// release has a group drop what has arrived.
func (w *world) release(g *worldGroup) {
	for _, out := range g.store().Handover().Outgoing {
		if w.groups[out.To.ID-1].store().Handover().Settled >= out.Config {
			w.pool = append(w.pool, worldCommand{g, kv.AppendRelease(nil, out.Config, out.To.ID)})
		}
	}
}

// restore has a replica begin from an image of one, as after a restart.
func (w *world) restore(g *worldGroup) {
	from, to := w.IntN(2), w.IntN(2)
	version := g.replicas[to].HandoverVersion()
	image := g.replicas[from].Image()
	all := records(w.t, image)
	store, err := restore(all)
	require.NoError(w.t, err)
	g.replicas[to] = store
	if w.image != nil {
		require.Equal(w.t, w.records, records(w.t, w.image), "an image stays as it was")
	}
	w.image, w.records = image, all
	require.GreaterOrEqual(w.t, g.replicas[to].HandoverVersion(), version)
	kv.RequireInvariants(w.t, g.replicas[to])
	w.requireSame(g)
	w.restored++
}

func (w *world) requireSame(g *worldGroup) {
	require.Equal(w.t, g.replicas[0].Digest(), g.replicas[1].Digest())
	require.Equal(w.t, g.replicas[0].Handover(), g.replicas[1].Handover())
}

// requireOneServes: at any time at most one group serves a shard.
func (w *world) requireOneServes() {
	for _, key := range w.keys {
		served := 0
		for _, g := range w.groups {
			switch g.store().ShardState(shard.Of([]byte(key))) {
			case kv.Leaving:
				w.leaving++
				served++
			case kv.Served:
				served++
			}
		}
		require.LessOrEqual(w.t, served, 1)
	}
}

func (w *world) key() string { return w.keys[w.IntN(len(w.keys))] }

// neighbour returns the other key of the same shard.
func (w *world) neighbour(key string) string {
	i := slices.Index(w.keys, key)
	return w.keys[i^1]
}

// line is a command on the keys of one shard. Values show everything that was ever done to them.
func (w *world) line() string { return w.lineOn(w.key()) }

func (w *world) lineOn(k string) string {
	other := w.neighbour(k)
	switch w.IntN(20) {
	case 0:
		return fmt.Sprintf("SET %s v%d PX %d", k, w.IntN(1000), 1+w.IntN(2000))
	case 1:
		return "DEL " + k
	case 2:
		return fmt.Sprintf("PEXPIRE %s %d", k, w.IntN(3000))
	case 3, 14, 15:
		return fmt.Sprintf("SET %s %s", k, strings.Repeat("x", 1+w.IntN(2000)))
	case 4:
		return fmt.Sprintf("SET %s v%d GET", k, w.IntN(1000))
	case 5:
		return "RENAME " + k + " " + other
	case 6:
		return "RENAMENX " + k + " " + other
	case 7:
		return fmt.Sprintf("COPY %s %s REPLACE", k, other)
	case 8:
		return fmt.Sprintf("SETRANGE %s %d abc", k, w.IntN(30))
	case 9:
		return fmt.Sprintf("GETEX %s PX %d", k, 1+w.IntN(3000))
	case 10:
		return fmt.Sprintf("MSETNX %s %d %s %d", k, w.IntN(1000), other, w.IntN(1000))
	case 11:
		return fmt.Sprintf("INCRBYFLOAT %s %d.25", k, w.IntN(1000))
	case 12:
		return []string{"GETDEL ", "UNLINK ", "PERSIST "}[w.IntN(3)] + k
	case 13:
		return fmt.Sprintf("SETNX %s %d", k, w.IntN(1000))
	default:
		return fmt.Sprintf("APPEND %s .%d", k, w.IntN(1000))
	}
}

func (w *world) prepare(line string) (kv.Command, shard.ID) {
	p, refusal := kv.Prepare(args(w.t, line))
	require.Nil(w.t, refusal, line)
	return p.Command, p.Shard
}

// serving returns a group to ask: mostly the one that serves the shard, if any does.
func (w *world) serving(id shard.ID) *worldGroup {
	for _, g := range w.groups {
		if g.store().ShardState(id).Serves() && w.IntN(10) > 0 {
			return g
		}
	}
	return w.group()
}

// refused tells whether a reply is that the group does not serve the shard, and
// whether that is so.
func (w *world) refused(g *worldGroup, id shard.ID, reply string) bool {
	h := g.store().Handover()
	num := uint64(0)
	if h.Config != nil {
		num = h.Config.Num
	}
	want := !g.store().ShardState(id).Serves()
	require.Equal(w.t, want, reply == fmt.Sprintf("-%s %d %d\r\n", kv.CodeWrongShard, id, num))
	return want
}

// execute has the truth execute a command, at the time of the group that did.
func (w *world) execute(g *worldGroup, id shard.ID, c kv.Command) string {
	tr := w.truth[id]
	if tr == nil {
		tr = &truth{store: kv.New()}
		w.truth[id] = tr
	}
	require.LessOrEqual(w.t, tr.store.LogTime(), g.store().LogTime(), "the time of a shard goes on wherever it is")
	tr.slot++
	tr.store.Begin(tr.slot, g.store().LogTime())
	before := w.state(tr, id)
	reply := string(tr.store.Apply(nil, c.Append(nil)))
	for key, after := range w.state(tr, id) {
		if after != before[key] {
			w.touched[key]++
		}
	}
	return reply
}

// state returns the values and times of the keys of a shard.
func (w *world) state(tr *truth, id shard.ID) map[string]string {
	state := map[string]string{}
	for _, key := range w.keys {
		if shard.Of([]byte(key)) != id {
			continue
		}
		for _, name := range []string{"GET", "PEXPIRETIME"} {
			c := kv.Command{Args: [][]byte{[]byte(name), []byte(key)}}
			reply, ok := tr.store.Query(nil, tr.store.LogTime(), c.Append(nil))
			require.True(w.t, ok)
			state[key] += string(reply)
		}
	}
	return state
}

// worldWatch is a token of a key, and what was so when it was given.
type worldWatch struct {
	kv.Watched
	by      *worldGroup
	touched int
	there   bool
}

// query asks a replica of a group that may serve the shard.
func (w *world) query(g *worldGroup, line string) string {
	c, _ := w.prepare(line)
	s := g.replicas[w.IntN(2)]
	reply, ok := s.Query(nil, s.LogTime(), c.Append(nil))
	require.True(w.t, ok)
	return string(reply)
}

func (w *world) command(line string) {
	c, id := w.prepare(line)
	g := w.serving(id)
	if reply := w.apply(g, c.Append(nil)); !w.refused(g, id, reply) {
		require.Equal(w.t, w.execute(g, id, c), reply)
	}
}

// flush has a group remove all keys: of the shards that it serves, and of no other.
func (w *world) flush(g *worldGroup) {
	p, refusal := kv.Prepare(args(w.t, "FLUSHALL"))
	require.Nil(w.t, refusal)
	require.Equal(w.t, "+OK\r\n", w.apply(g, p.Command.Append(nil)))
	require.Zero(w.t, g.store().Keys())
	for i := 0; i < len(w.keys); i += 2 {
		if id := shard.Of([]byte(w.keys[i])); g.store().ShardState(id).Serves() {
			w.execute(g, id, p.Command)
		}
	}
	w.flushed++
}

// settle has everything arrive, and requires that nothing is lost.
func (w *world) settle() {
	newest := uint64(len(w.configs) - 1)
	for round := 0; ; round++ {
		require.Less(w.t, round, 5000, "everybody arrives")
		done := true
		for _, g := range w.groups {
			h := g.store().Handover()
			if h.Settled < newest || len(h.Outgoing) > 0 {
				done = false
			}
			if h.Config == nil || h.Settled == h.Config.Num && h.Settled < newest {
				w.takeConfig(g)
			}
			w.pull(g)
			w.release(g)
		}
		for len(w.pool) > 0 {
			w.deliver()
		}
		if done {
			break
		}
	}
	owner := w.configs[newest].Owner
	for _, g := range w.groups {
		w.requireSame(g)
		kv.RequireInvariants(w.t, g.store())
		for id := range owner {
			want := kv.Elsewhere
			if owner[id] == g.id {
				want = kv.Served
			}
			if got := g.store().ShardState(shard.ID(id)); got != want {
				require.Equal(w.t, want, got, "shard %d", id)
			}
		}
	}
	for _, key := range w.keys {
		id := shard.Of([]byte(key))
		for _, read := range []string{"SET " + key + " x XX GET KEEPTTL", "PEXPIRE " + key + " 1 GT", "PEXPIRE " + key + " 100000 LT"} {
			g := w.groups[owner[id]-1]
			c, _ := w.prepare(read)
			reply := w.apply(g, c.Append(nil))
			require.Equal(w.t, w.execute(g, id, c), reply, key)
		}
	}
}

func TestShardsMoveAmongGroupsAndNothingIsLostOrDoneTwice(t *testing.T) {
	var sum world
	for seed := range *modelSeeds {
		w := newWorld(t, seed)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w.t = t
			for i := range 1500 {
				w.step()
				if i%50 == 0 {
					g := w.group()
					w.requireSame(g)
					kv.RequireInvariants(t, g.replicas[w.IntN(2)])
				}
			}
			w.settle()
			// Every last operation is answered as it was, and every older one refused.
			for _, c := range w.sessions {
				for _, op := range c.ops {
					w.send(c, op)
				}
			}
		})
		sum.moved += w.moved
		sum.stale += w.stale
		sum.replies += w.replies
		sum.restored += w.restored
		sum.missed += w.missed
		sum.leaving += w.leaving
		sum.passed += w.passed
		sum.failed += w.failed
		sum.flushed += w.flushed
		sum.batches = max(sum.batches, w.batches)
	}
	if *modelSeeds < 15 {
		return // too few to ask for
	}
	require.Greater(t, sum.moved, 100)
	require.Greater(t, sum.stale, 100)
	require.Greater(t, sum.replies, 100)
	require.Greater(t, sum.restored, 100)
	require.Positive(t, sum.missed)
	require.Greater(t, sum.leaving, 100)
	require.Greater(t, sum.flushed, 5)
	require.Greater(t, sum.batches, 2, "batches of one stream")
	require.Greater(t, sum.passed, 100)
	require.Greater(t, sum.failed, 100)
}
