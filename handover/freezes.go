package handover

import (
	"slices"
	"time"

	"diskv/kv"
	"diskv/shard"
)

// freeze is a batch of shards that another group wants next.
type freeze struct {
	config uint64
	to     shard.GroupID
	batch  uint32
	at     time.Duration // before it is not proposed again
}

// Wanted says that a group has asked for a batch that is not frozen here yet. It has
// the config and everything before: the batch may be frozen.
func (m *Mover) Wanted(config uint64, to shard.GroupID, batch uint32) {
	i := slices.IndexFunc(m.freezes, func(f *freeze) bool { return f.config == config && f.to == to })
	if i < 0 {
		i = len(m.freezes)
		m.freezes = append(m.freezes, &freeze{config: config, to: to, batch: batch})
	}
	if f := m.freezes[i]; f.batch != batch {
		f.batch, f.at = batch, 0
	}
}

// stepFreezes proposes to freeze what is wanted, each batch once, and again when that
// has had no effect.
func (m *Mover) stepFreezes() {
	m.freezes = slices.DeleteFunc(m.freezes, func(f *freeze) bool {
		i := slices.IndexFunc(m.state.Outgoing, func(d kv.Departure) bool {
			return d.Config == f.config && d.To.ID == f.to && d.Waiting > 0
		})
		if i < 0 {
			return true
		}
		if int(f.batch) == m.state.Outgoing[i].Batches && m.now >= f.at && m.now >= m.frozenBy {
			m.pace()
			m.propose(kv.AppendFreeze(nil, f.config, f.to, f.batch, m.opts.BatchBytes))
			f.at = m.now + answerTimeout
		}
		return false
	})
}

// burst is how much may be frozen at once after a while without moves: 4 MiB at the
// default rate.
const burst = 500 * time.Millisecond

// pace notes that a batch is frozen. One that is larger than usual, because a shard or
// the sessions are, counts no more: its shards are away already.
func (m *Mover) pace() {
	took := time.Duration(float64(m.opts.BatchBytes) / float64(m.opts.Rate) * float64(time.Second))
	m.frozenBy = max(m.frozenBy, m.now-burst) + took
}
