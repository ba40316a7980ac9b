package inspect

import (
	"cmp"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
	"time"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// Stats is what a log was written with, in numbers.
type Stats struct {
	Batches  uint64 `json:"batches"`
	Commands uint64 `json:"commands"`
	Sessions uint64 `json:"in_sessions"` // commands that are operations of a session
	// Sizes, by powers of two.
	CommandsPerBatch Histogram `json:"commands_per_batch"`
	BytesPerBatch    Histogram `json:"bytes_per_batch"`
	BytesPerCommand  Histogram `json:"bytes_per_command"`
	// Timeline is how many commands came when, by the leaders' clocks.
	Timeline Timeline `json:"timeline"`
	// Names are the commands by name, the most frequent first.
	Names []Counted `json:"names"`
	// Keys are those that were written most, the most frequent first. With Exact
	// unset, a count may be too low by up to Missed.
	Keys   []Counted `json:"keys"`
	Exact  bool      `json:"keys_exact"`
	Missed uint64    `json:"keys_missed,omitempty"`
}

// Counted is a name, and how often it was there.
type Counted struct {
	Name  Text   `json:"name"`
	Count uint64 `json:"count"`
}

// Histogram counts numbers by their powers of two.
type Histogram struct {
	Count, Sum uint64
	Max        uint64
	buckets    [65]uint64 // by the length of the number in bits
}

func (h *Histogram) add(n int) {
	v := uint64(n)
	h.Count++
	h.Sum += v
	h.Max = max(h.Max, v)
	h.buckets[bits.Len64(v)]++
}

// Bucket is a row of numbers, both ends included, and how many there were.
type Bucket struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	Count uint64 `json:"count"`
}

// Buckets are those from the first to the last with something in it.
func (h *Histogram) Buckets() []Bucket {
	out := []Bucket{}
	for i, n := range h.buckets {
		if n == 0 && len(out) == 0 {
			continue
		}
		b := Bucket{Count: n}
		if i > 0 {
			b.From, b.To = 1<<(i-1), 1<<i-1
		}
		if out = append(out, b); b.To >= h.Max {
			break
		}
	}
	return out
}

// MarshalJSON gives {count, sum, max, buckets}.
func (h Histogram) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"count": h.Count, "sum": h.Sum, "max": h.Max, "buckets": h.Buckets()})
}

// maxMoments bounds a timeline.
const maxMoments = 40

// Timeline counts by time, in rows of equal length. They grow with the time that is
// to be covered.
type Timeline struct {
	First  time.Time     `json:"first"`
	Width  time.Duration `json:"width_ns"`
	Counts []uint64      `json:"counts"`
}

func (t *Timeline) add(at time.Time, n uint64) {
	if t.Width == 0 {
		t.First, t.Width = at.Truncate(time.Second), time.Second
	}
	// A leader whose clock is behind the one before it counts where that was.
	i := max(at.Sub(t.First)/t.Width, 0)
	for i >= maxMoments {
		half := (len(t.Counts) + 1) / 2
		for k := range half {
			sum := t.Counts[2*k]
			if 2*k+1 < len(t.Counts) {
				sum += t.Counts[2*k+1]
			}
			t.Counts[k] = sum
		}
		t.Counts = t.Counts[:half]
		t.Width *= 2
		i = at.Sub(t.First) / t.Width
	}
	for int(i) >= len(t.Counts) {
		t.Counts = append(t.Counts, 0)
	}
	t.Counts[i] += n
}

// tally counts names with bounded memory (Misra and Gries, Finding Repeated Elements,
// 1982): whatever is there more often than once in maxTally is found, and its count
// is too low by at most missed.
type tally struct {
	counts map[string]uint64
	missed uint64
}

const maxTally = 4096

func (t *tally) add(name []byte) {
	if n, ok := t.counts[string(name)]; ok {
		t.counts[string(name)] = n + 1
		return
	}
	if len(t.counts) < maxTally {
		t.counts[string(name)] = 1
		return
	}
	t.missed++
	for k, n := range t.counts {
		if n == 1 {
			delete(t.counts, k)
		} else {
			t.counts[k] = n - 1
		}
	}
}

// top returns the most frequent names.
func (t *tally) top(n int) []Counted {
	d := describer{show: 60}
	out := []Counted{}
	for name, count := range t.counts {
		out = append(out, Counted{Name: d.text([]byte(name)), Count: count})
	}
	slices.SortFunc(out, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(string(a.Name.bytes), string(b.Name.bytes)))
	})
	return out[:min(n, len(out))]
}

// topKeys is how many keys are told.
const topKeys = 10

// Stat counts what is in the log of a data directory. A fault in it is a *Fault.
func (d *Directory) Stat(progress Progress) (*Stats, error) {
	s := &Stats{Timeline: Timeline{Counts: []uint64{}}}
	names, keys := tally{counts: map[string]uint64{}}, tally{counts: map[string]uint64{}}
	total := d.LogBytes()
	done := int64(0)
	_, _, err := scanLog(d.walPath(), func(f frame) error {
		done += f.size()
		progress.tell(done, total)
		if f.Type != wal.TypeData {
			return nil
		}
		e, err := replica.ReadEntry(f.toReplica())
		if err != nil || e.Kind != paxos.KindBatch {
			return nil // verify tells what is wrong with it
		}
		b, err := replica.ReadBatch(e.Value)
		if err != nil {
			return nil
		}
		s.batch(&b, len(e.Value), &names, &keys)
		return nil
	})
	if isNoLog(err) {
		err = nil
	}
	if f, ok := faultOf(err); ok {
		return nil, d.explain(f)
	}
	s.Names, s.Keys = names.top(maxTally), keys.top(topKeys)
	s.Exact, s.Missed = keys.missed == 0, keys.missed
	return s, err
}

func (s *Stats) batch(b *replica.Batch, size int, names, keys *tally) {
	s.Batches++
	s.CommandsPerBatch.add(len(b.Commands))
	s.BytesPerBatch.add(size)
	s.Timeline.add(time.Unix(0, b.Time).UTC(), uint64(len(b.Commands)))
	for _, encoded := range b.Commands {
		s.Commands++
		s.BytesPerCommand.add(len(encoded))
		cmd, err := kv.DecodeCommand(encoded)
		if err != nil {
			names.add([]byte((&describer{}).command(encoded).Name))
			continue
		}
		if cmd.Session.IsValid() {
			s.Sessions++
		}
		spec, ok := kv.Find(cmd.Args)
		if !ok {
			names.add([]byte("?"))
			continue
		}
		names.add([]byte(strings.ToUpper(spec.Name)))
		for _, k := range spec.Keys(cmd.Args) {
			keys.add(k)
		}
	}
}
