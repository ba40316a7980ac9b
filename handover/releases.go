package handover

import (
	"slices"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/shard"
)

// release is what is kept of shards that went to another group, until that has
// them.
type release struct {
	config  uint64
	to      shard.GroupID
	ask     ask
	unheard int    // questions in a row to which nobody answered
	leader  string // of the other group, as its members say; empty: not known
	taken   bool   // the leader of the other group is at the config, or further
}

// Bounds of the time between two questions whether shards have arrived. Nobody
// waits for the answer but memory.
const (
	releaseAgainFirst = 20 * time.Millisecond
	releaseAgainLast  = 500 * time.Millisecond
	// unheardMost is after how many questions in vain the shardmasters are asked
	// instead: the group may have left, and be gone.
	unheardMost = 3
)

// stepReleases asks every group that is to get shards whether it has them.
func (m *Mover) stepReleases() {
	m.releases = slices.DeleteFunc(m.releases, func(r *release) bool {
		ended := !slices.ContainsFunc(m.state.Outgoing, r.is)
		if ended {
			m.forget(&r.ask)
		}
		return ended
	})
	for _, l := range m.state.Outgoing {
		if l.Waiting > 0 {
			continue // it cannot have everything
		}
		i := slices.IndexFunc(m.releases, func(r *release) bool { return r.is(l) })
		if i < 0 {
			i = len(m.releases)
			m.releases = append(m.releases, &release{config: l.Config, to: l.To.ID})
		}
		r := m.releases[i]
		switch {
		case !m.due(&r.ask):
		case r.unheard >= unheardMost && m.trusted():
			m.askShardmasters(r)
		default:
			m.askTarget(r, r.servers(l.To.Servers))
		}
	}
}

func (r *release) is(l kv.Departure) bool { return r.config == l.Config && r.to == l.To.ID }

// servers returns whom of a group to ask first: its leader, until that has the config.
// A follower can be ahead of it, and what clients are told is the leader's word.
func (r *release) servers(all []string) []string {
	if r.taken || r.leader == "" {
		return all
	}
	return slices.Insert(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == r.leader }), 0, r.leader)
}

// askTarget asks the group itself which config it has settled. An answer of
// another group, at an address that has changed hands, counts for nothing.
func (m *Mover) askTarget(r *release, servers []string) {
	m.put(&r.ask, servers, func(v resp.Value, err error) {
		if err != nil || len(v.Elems) < 6 || shard.GroupID(v.Elems[0].Int) != r.to {
			r.unheard++
			m.backOff(&r.ask, releaseAgainFirst, releaseAgainLast)
			return
		}
		r.unheard = 0
		ahead, known := uint64(v.Elems[3].Int) >= r.config, r.leader
		r.leader = string(v.Elems[4].Str)
		r.taken = r.taken || ahead && v.Elems[5].Int == 1
		m.settledAt(r, uint64(v.Elems[1].Int))
		if ahead && !r.taken && known == "" {
			m.again(&r.ask, 0) // clients wait for this answer
		}
	}, word("DISKV.SETTLED"))
}

// askShardmasters asks what the group has told the shardmasters. That they do not
// know it proves nothing: they may be another cluster's.
func (m *Mover) askShardmasters(r *release) {
	m.put(&r.ask, nil, func(v resp.Value, err error) {
		r.unheard = 0
		if err != nil || v.Kind != resp.KindArray {
			m.backOff(&r.ask, releaseAgainFirst, releaseAgainLast)
			return
		}
		g, _ := findGroup(v, r.to)
		m.settledAt(r, g.settled)
	}, word("DISKV.SHARDS"), word("GROUPS"))
}

// settledAt takes note of the config that the other group has settled.
func (m *Mover) settledAt(r *release, settled uint64) {
	if settled < r.config {
		m.backOff(&r.ask, releaseAgainFirst, releaseAgainLast)
		return
	}
	m.propose(kv.AppendRelease(nil, r.config, r.to))
	m.again(&r.ask, answerTimeout)
}

// Untaken returns, of the groups for which shards are kept, those whose leaders are not
// known to have applied the config that says so. A client that is sent there would be sent
// back. What is kept may be newer than what the last step was told. With the present
// config only what has been asked for is frozen, by a leader that has applied it.
func (m *Mover) Untaken(kept kv.Handover) []shard.GroupID {
	var ids []shard.GroupID
	for _, l := range kept.Outgoing {
		taken := l.Config == kept.Config.Num || slices.ContainsFunc(m.releases, func(r *release) bool { return r.taken && r.is(l) })
		if !taken && !slices.Contains(ids, l.To.ID) {
			ids = append(ids, l.To.ID)
		}
	}
	return ids
}
