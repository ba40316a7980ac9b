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
		if int(f.batch) == m.state.Outgoing[i].Batches && m.now >= f.at {
			m.propose(kv.AppendFreeze(nil, f.config, f.to, f.batch, m.opts.BatchBytes))
			f.at = m.now + answerTimeout
		}
		return false
	})
}
