package handover_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/handover"
	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// world is groups without replication, shardmasters that are only a list of
// configs, and a network that loses, doubles and delays.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Duration
	configs []*shard.Config // from 0 on
	groups  []*group
	kept    uint64 // the oldest that the shardmasters still keep
	joined  map[shard.GroupID]uint64
	flying  []flight
	faults  bool
	passed  int // reports of how far a group is
	// followers answer DISKV.SETTLED, of groups whose leaders cannot be reached
	followers bool
	batches   uint32 // the highest number of one that was asked for
}

type group struct {
	id    shard.GroupID
	store *kv.Store
	mover *handover.Mover
	slot  uint64
	up    bool // it leads
}

// flight is something on its way, to be done at a time.
type flight struct {
	at time.Duration
	do func()
}

func newWorld(t *testing.T, seed uint64, groups int) *world {
	t.Helper()
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), configs: []*shard.Config{{}}, faults: true, joined: make(map[shard.GroupID]uint64)}
	for i := range groups {
		id := shard.GroupID(i + 1)
		w.joined[id] = 1
		w.groups = append(w.groups, &group{
			id: id, store: kv.NewSharded(id), up: true,
			mover: handover.New(handover.Options{Group: id, ChunkBytes: 600, Window: 1 + int(seed%4), BatchBytes: 100}),
		})
	}
	return w
}

func addr(id shard.GroupID) string { return fmt.Sprintf("group:%d", id) }

// reconfigure adds a config in which every shard that the test uses has a random
// owner, or the same as before.
func (w *world) reconfigure() {
	last := w.configs[len(w.configs)-1]
	next := &shard.Config{Num: last.Num + 1, Owner: last.Owner}
	for _, g := range w.groups {
		next.Groups = append(next.Groups, shard.Group{ID: g.id, Servers: []string{addr(g.id)}})
	}
	for s := range next.Owner {
		if next.Owner[s] == 0 || w.rand.IntN(3) == 0 {
			next.Owner[s] = w.groups[w.rand.IntN(len(w.groups))].id
		}
	}
	w.configs = append(w.configs, next)
}

// later has something done after a while, perhaps twice, perhaps never.
func (w *world) later(do func()) {
	times := 1
	if w.faults {
		times = []int{0, 1, 1, 1, 1, 1, 1, 2}[w.rand.IntN(8)]
	}
	for range times {
		w.flying = append(w.flying, flight{at: w.now + time.Duration(w.rand.IntN(20))*time.Millisecond, do: do})
	}
}

// step lets a millisecond pass.
func (w *world) step() {
	w.now += time.Millisecond
	due := w.flying
	w.flying = nil
	for _, f := range due {
		if f.at <= w.now {
			f.do()
		} else {
			w.flying = append(w.flying, f)
		}
	}
	for _, g := range w.groups {
		if w.faults && w.rand.IntN(300) == 0 {
			g.up = !g.up
		}
		out := g.mover.Step(w.now, g.up, g.store.Handover())
		require.True(w.t, g.up || len(out.Requests)+len(out.Propose) == 0, "who does not lead does nothing")
		for _, req := range out.Requests {
			w.later(func() {
				v := w.answer(g, req)
				w.later(func() {
					if v.Kind == 0 {
						g.mover.Answered(req.ID, v, errors.New("unreachable"))
						return
					}
					g.mover.Answered(req.ID, v, nil)
				})
			})
		}
		for _, cmd := range out.Propose {
			w.later(func() { g.apply(cmd) })
		}
	}
}

func (g *group) apply(cmd []byte) string {
	g.slot++
	g.store.Begin(g.slot, int64(g.slot)*1e6)
	return string(g.store.Apply(nil, cmd))
}

func (g *group) command(words ...string) string {
	c := kv.Command{}
	for _, word := range words {
		c.Args = append(c.Args, []byte(word))
	}
	return g.apply(c.Append(nil))
}

func fail(text string) resp.Value { return resp.Value{Kind: resp.KindError, Str: []byte(text)} }

func integer(n uint64) resp.Value { return resp.Value{Kind: resp.KindInt, Int: int64(n)} }

func array(elems ...resp.Value) resp.Value { return resp.Value{Kind: resp.KindArray, Elems: elems} }

// answer is what the other side says; the zero Value stands for nothing.
func (w *world) answer(from *group, req handover.Request) resp.Value {
	args := make([]string, len(req.Args))
	for i, a := range req.Args {
		args[i] = string(a)
	}
	num := func(i int) uint64 {
		n, err := strconv.ParseUint(args[i], 10, 64)
		require.NoError(w.t, err)
		return n
	}
	if req.Servers == nil {
		require.Equal(w.t, "DISKV.SHARDS", args[0])
		switch args[1] {
		case "QUERY":
			n := num(2)
			if n < w.kept {
				return fail("COMPACTED config was dropped")
			}
			if n < uint64(len(w.configs)) {
				return resp.Value{Kind: resp.KindBulk, Str: w.configs[n].Append(nil)}
			}
			return fail("NOTYET no such config")
		case "GROUPS":
			all := array()
			for _, g := range w.groups {
				all.Elems = append(all.Elems, array(integer(uint64(g.id)), resp.Value{Kind: resp.KindBulk, Str: []byte("member")}, integer(w.joined[g.id]), integer(0), integer(0)))
			}
			return all
		case "PASSED":
			require.Equal(w.t, uint64(from.id), num(2))
			w.passed++
			return integer(uint64(len(w.configs) - 1))
		}
	}
	for _, g := range w.groups {
		if len(req.Servers) != 1 || addr(g.id) != req.Servers[0] {
			continue
		}
		h := g.store.Handover()
		switch args[0] {
		case "DISKV.SETTLED":
			at := uint64(0)
			if h.Config != nil {
				at = h.Config.Num
			}
			leads := uint64(1)
			if w.followers {
				leads = 0
			}
			leader := resp.Value{Kind: resp.KindBulk, Str: []byte(addr(g.id))}
			return array(integer(uint64(g.id)), integer(h.Settled), integer(0), integer(at), leader, integer(leads))
		case "DISKV.PULL":
			batch, err := kv.CursorBatch([]byte(args[3]))
			require.NoError(w.t, err)
			out, ok := g.store.Outgoing(num(1), shard.GroupID(num(2)), batch)
			waits := slices.ContainsFunc(h.Outgoing, func(d kv.Departure) bool {
				return d.Config == num(1) && d.To.ID == shard.GroupID(num(2)) && d.Waiting > 0
			})
			switch {
			case !ok && waits:
				if g.up {
					g.mover.Wanted(num(1), shard.GroupID(num(2)), batch)
				}
				w.batches = max(w.batches, batch)
				return fail("NOTYET")
			case ok:
				chunk, err := out.Chunk([]byte(args[3]), int(num(4)))
				require.NoError(w.t, err)
				return resp.Value{Kind: resp.KindBulk, Str: chunk}
			case h.Config != nil && h.Config.Num >= num(1):
				return fail("GONE")
			}
			return fail("NOTYET")
		}
	}
	w.t.Fatalf("request %q to %q", args, req.Servers)
	return resp.Value{}
}

// serving returns the group that serves a key; there is never more than one.
func (w *world) serving(key string) *group {
	var found *group
	for _, g := range w.groups {
		if g.store.ShardState(shard.Of([]byte(key))).Serves() {
			require.Nil(w.t, found, "two groups serve the shard of %s", key)
			found = g
		}
	}
	return found
}

// settled reports whether every group has taken the newest config, has what that
// gives it, and keeps nothing for others.
func (w *world) settled() bool {
	for _, g := range w.groups {
		h := g.store.Handover()
		if h.Config == nil || h.Settled != uint64(len(w.configs)-1) || len(h.Outgoing) > 0 {
			return false
		}
	}
	return true
}

// TestShardsArriveWhateverIsLost: configs come while requests, answers and proposals
// are lost, doubled and late and leaders change; when that stops, everything is
// where the last config wants it, and nothing was lost or doubled on the way.
func TestShardsArriveWhateverIsLost(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, 3)
			want := make(map[string]string)
			for i := range 15_000 {
				if i%500 == 0 && len(w.configs) < 20 {
					w.reconfigure()
				}
				w.step()
				key := fmt.Sprint("key", w.rand.IntN(200))
				if g := w.serving(key); g != nil {
					require.Equal(t, fmt.Sprintf(":%d\r\n", len(want[key])+1), g.command("APPEND", key, "x"))
					want[key] += "x"
				}
			}
			w.faults = false
			for _, g := range w.groups {
				g.up = true
			}
			for i := 0; !w.settled(); i++ {
				require.Less(t, i, 60_000, "a minute after the faults stopped")
				w.step()
			}
			for key, value := range want {
				g := w.serving(key)
				require.NotNil(t, g)
				require.Equal(t, w.configs[len(w.configs)-1].Owner[shard.Of([]byte(key))], g.id)
				require.Equal(t, fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), g.command("GET", key))
			}
			require.Greater(t, len(want), 150)
			require.Greater(t, w.batches, uint32(2), "they leave in several batches")
		})
	}
}

// give adds a config in which some shards, that of "key" among them, are a group's.
func (w *world) give(to shard.GroupID) {
	last := w.configs[len(w.configs)-1]
	next := &shard.Config{Num: last.Num + 1, Owner: last.Owner}
	for _, g := range w.groups {
		next.Groups = append(next.Groups, shard.Group{ID: g.id, Servers: []string{addr(g.id)}})
	}
	for id := shard.ID(12_000); id < 13_000; id++ {
		next.Owner[id] = to
	}
	w.configs = append(w.configs, next)
}

// TestGroupThatWasAwayMissesConfigs: one that left, was forgotten and joins again
// cannot have the configs in between, which nobody keeps, and does not need them.
func TestGroupThatWasAwayMissesConfigs(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.faults = false
	until := func(what string, done func() bool) {
		t.Helper()
		for i := 0; !done(); i++ {
			require.Less(t, i, 10_000, "ten seconds: %s", what)
			w.step()
		}
	}
	away, other := w.groups[0], w.groups[1]
	w.give(away.id)
	until("the beginning", w.settled)
	require.Equal(t, ":1\r\n", away.command("APPEND", "key", "x"))
	w.give(other.id)
	until("it has left", w.settled)

	away.up = false
	w.give(other.id)
	w.give(other.id)
	until("the others go on", func() bool { return other.store.Handover().Settled == 4 })
	require.Equal(t, ":2\r\n", other.command("APPEND", "key", "y"))
	w.kept, w.joined[away.id] = 4, 5
	w.give(away.id)
	away.up = true
	until("it is back", w.settled)
	require.Equal(t, "$2\r\nxy\r\n", away.command("GET", "key"))
}

// TestShardmastersOfAnotherClusterMoveNothing: they are named by mistake, know the
// same numbers of groups, and are further with their configs.
func TestShardmastersOfAnotherClusterMoveNothing(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.faults = false
	for range 3 {
		w.reconfigure()
	}
	run := func(ms int) {
		for range ms {
			w.step()
		}
	}
	run(3000)
	require.True(t, w.settled())
	ours := w.configs

	theirs := newWorld(t, 2, 2)
	for range 9 {
		theirs.reconfigure()
	}
	w.configs = theirs.configs
	for _, g := range w.groups {
		g.mover = handover.New(handover.Options{Group: g.id}) // started again, with the wrong flag
	}
	passed := w.passed
	run(3000)
	for _, g := range w.groups {
		h := g.store.Handover()
		require.Equal(t, ours[3].Append(nil), h.Config.Append(nil))
		require.Contains(t, g.mover.Problem(), "the shardmasters are not those of this cluster: config 3, ")
	}
	require.Equal(t, passed, w.passed, "others are told nothing either")

	w.configs = ours
	w.reconfigure()
	run(3000)
	require.True(t, w.settled(), "the right ones are followed again")
	require.Empty(t, w.groups[0].mover.Problem())
}

// TestGroupWithoutAConfigSaysWhy: the shardmasters do not know it.
func TestGroupWithoutAConfigSaysWhy(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.faults = false
	m := handover.New(handover.Options{Group: 9})
	store := kv.NewSharded(9)
	for range 500 {
		w.step()
		for _, req := range m.Step(w.now, true, store.Handover()).Requests {
			m.Answered(req.ID, w.answer(w.groups[0], req), nil)
		}
	}
	require.Equal(t, "group 9 is in no config yet: diskvctl shard join 9 ADDRESS... makes it serve shards", m.Problem())
}

// TestClientsAreSentOnWhenTheTakersLeaderHasTheConfig: earlier they would be sent back.
func TestClientsAreSentOnWhenTheTakersLeaderHasTheConfig(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.faults = false
	w.reconfigure()
	for range 3000 {
		w.step()
	}
	require.True(t, w.settled())
	giver, taker := w.groups[0], w.groups[1]
	kept := func() kv.Handover { return giver.store.Handover() }
	for _, w.followers = range []bool{true, false} {
		taker.up = false
		w.give(taker.id)
		w.give(giver.id)
		for kept().Config.Num != uint64(len(w.configs)-1) {
			w.step()
		}
		require.Zero(t, kept().Outgoing[0].Waiting, "the next config has it frozen though nobody asked")
		taker.up = true
		sentOn := false
		for len(kept().Outgoing) > 0 {
			sentOn = sentOn || len(giver.mover.Untaken(kept())) == 0
			w.step()
		}
		require.Equal(t, !w.followers, sentOn, "a follower may be ahead of its leader")
		for !w.settled() {
			w.step()
		}
	}
}

// TestWhatWasFrozenAMomentAgoIsUntaken, though the mover was not told of it yet; but not
// what is frozen with the present config, which its taker has asked for.
func TestWhatWasFrozenAMomentAgoIsUntaken(t *testing.T) {
	m := handover.New(handover.Options{Group: 1})
	kept := kv.Handover{Config: &shard.Config{Num: 5}, Outgoing: []kv.Departure{
		{Config: 3, To: shard.Group{ID: 2}}, {Config: 4, To: shard.Group{ID: 2}}, {Config: 5, To: shard.Group{ID: 3}},
	}}
	require.Equal(t, []shard.GroupID{2}, m.Untaken(kept))
	require.Empty(t, m.Untaken(kv.Handover{}))
}

// TestABatchIsFrozenWhenItIsWanted, once, and again when nothing has come of it.
func TestABatchIsFrozenWhenItIsWanted(t *testing.T) {
	m := handover.New(handover.Options{Group: 1, BatchBytes: 77})
	state := kv.Handover{Group: 1, Config: &shard.Config{Num: 5}, Settled: 5, Outgoing: []kv.Departure{
		{Config: 5, To: shard.Group{ID: 2}, Waiting: 10}, {Config: 5, To: shard.Group{ID: 3}, Waiting: 10},
	}}
	proposed := func(now time.Duration) [][]byte { return m.Step(now, true, state).Propose }
	require.Empty(t, proposed(0), "nobody has asked")
	m.Wanted(5, 2, 1)
	m.Wanted(4, 2, 0)
	require.Empty(t, proposed(1), "not the next one, and another config")
	m.Wanted(5, 2, 0)
	require.Equal(t, [][]byte{kv.AppendFreeze(nil, 5, 2, 0, 77)}, proposed(2))
	m.Wanted(5, 2, 0)
	require.Empty(t, proposed(3), "it is on its way")
	require.Equal(t, [][]byte{kv.AppendFreeze(nil, 5, 2, 0, 77)}, proposed(2+2*time.Second), "it was lost")
	state.Outgoing[0].Batches, state.Outgoing[0].Waiting = 1, 5
	require.Empty(t, proposed(10*time.Second), "it is done")
	m.Wanted(5, 2, 1)
	require.Equal(t, [][]byte{kv.AppendFreeze(nil, 5, 2, 1, 77)}, proposed(11*time.Second))
	m.Wanted(5, 2, 1)
	m.Step(12*time.Second, false, state)
	require.Empty(t, proposed(20*time.Second), "who does not lead forgets")
}

// TestALargeMoveIsHeldBack: what it begins with is frozen at once, the rest at the rate.
func TestALargeMoveIsHeldBack(t *testing.T) {
	const megabyte = 1 << 20
	m := handover.New(handover.Options{Group: 1, BatchBytes: megabyte, Rate: 10 * megabyte})
	state := kv.Handover{Group: 1, Config: &shard.Config{Num: 3}, Settled: 3, Outgoing: []kv.Departure{
		{Config: 3, To: shard.Group{ID: 2, Servers: []string{addr(2)}}, Waiting: 1000},
	}}
	frozen := func(from, to time.Duration) int {
		before := state.Outgoing[0].Batches
		for now := from; now < to; now += 10 * time.Millisecond {
			m.Wanted(3, 2, uint32(state.Outgoing[0].Batches))
			for _, cmd := range m.Step(now, true, state).Propose {
				require.Equal(t, kv.AppendFreeze(nil, 3, 2, uint32(state.Outgoing[0].Batches), megabyte), cmd)
				state.Outgoing[0].Batches++
			}
		}
		return state.Outgoing[0].Batches - before
	}
	require.Equal(t, 6, frozen(time.Minute, time.Minute+60*time.Millisecond), "half a second's worth, and one")
	require.InDelta(t, 50, frozen(time.Minute+60*time.Millisecond, time.Minute+5*time.Second), 1)
}
