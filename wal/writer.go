package wal

import (
	"time"
)

// work is what the writer takes from the queue at once.
type work struct {
	recs    []Record
	groups  []int // ends of the Appends in recs
	closing bool
	failed  error
}

// take swaps the queue for the buffers of done, which must not be used again.
func (l *Log) take(done work) work {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := work{recs: l.queue, groups: l.groups, closing: l.closing, failed: l.failed}
	l.queue, l.groups = done.recs[:0], done.groups[:0]
	return w
}

// write is the writer: the one goroutine that writes to the tail and calls the
// callbacks. It ends when the log is closed or has failed.
func (l *Log) write() {
	defer close(l.written)
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	var w work
	for {
		w = l.take(w)
		if w.failed != nil {
			l.o.OnFail(w.failed)
			return
		}
		err := l.writeAll(w)
		if err == nil && len(w.recs) == 0 {
			if w.closing {
				if err = l.mark(); err == nil {
					return
				}
			} else if err = l.rollIdle(); err == nil {
				err = l.wait(idle)
			}
		}
		if err != nil {
			l.fail(err)
		}
		clear(w.recs) // let go of the payloads
		if cap(w.recs) > 1<<16 {
			w = work{} // and of what a burst needed
		}
	}
}

// wait waits until there may be something to do. When nothing has come for a
// while it writes the sync mark, and after a longer one it gives back the room that
// files have in advance.
func (l *Log) wait(idle *time.Timer) error {
	pause := l.o.rest
	if l.unmarked {
		pause = l.o.idle
	}
	idle.Reset(pause)
	select {
	case <-l.wake:
		return nil
	case <-idle.C:
	}
	if l.unmarked {
		return l.mark()
	}
	return l.giveBack()
}

// giveBack cuts the files that the writer writes to, now and next, to what they hold.
func (l *Log) giveBack() error {
	l.mu.Lock()
	next := l.next // nobody else touches it
	l.mu.Unlock()
	if next != nil {
		if err := next.giveBack(); err != nil {
			return err
		}
	}
	return l.tail.giveBack()
}

// writeAll writes w in pieces of whole Appends.
func (l *Log) writeAll(w work) error {
	from, group := 0, 0
	for from < len(w.recs) {
		header, err := l.rollFor()
		if err != nil {
			return err
		}
		rollAt, roll := l.rollWanted()
		bytes, to := 0, from
		for ; group < len(w.groups); group++ {
			size := 0
			for i := to; i < w.groups[group]; i++ {
				size += entrySize(len(w.recs[i].Payload))
			}
			if to > from && (bytes+size > maxWrite || (roll && w.recs[to-1].Index == rollAt)) {
				break
			}
			bytes += size
			to = w.groups[group]
		}
		if err := l.writeBatch(w.recs[from:to], header); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// writeBatch writes recs and syncs them, and reports them. header says that the
// tail is new and that its header is staged in front.
func (l *Log) writeBatch(recs []Record, header bool) error {
	l.fresh = l.fresh[:0]
	for i := range recs {
		r := &recs[i]
		f := frame{typ: r.Type, index: r.Index, tag: r.Tag, durable: l.durable, payload: r.Payload}
		if r.Type == TypeData {
			l.fresh = append(l.fresh, position{tag: r.Tag, off: l.tail.size + int64(l.tail.staged), payload: len(r.Payload)})
		} else {
			l.state, l.stateIndex = append(l.state[:0], r.Payload...), r.Index
		}
		l.stage(f)
	}
	size := l.tail.staged
	begin := time.Now()
	if err := l.tail.flush(); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := l.publish(recs, header); err != nil {
		return err
	}
	if len(recs) > 0 {
		l.unmarked = true
		l.o.OnSync(took, len(recs), size)
		l.o.OnDurable(recs[len(recs)-1].Index)
	}
	return nil
}

// stage stages f and counts it.
func (l *Log) stage(f frame) {
	l.tail.stage(f)
	l.tailStats.note(&f)
	l.tailStats.size = l.tail.size + int64(l.tail.staged)
}

// publish makes known what was written and synced, unless the log has failed
// meanwhile.
func (l *Log) publish(recs []Record, header bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	if header {
		l.segments = append(l.segments, segment{})
		l.positions = l.positions[:0]
		l.wantNext = true
		nudge(l.keep)
	}
	tail := &l.segments[len(l.segments)-1]
	l.bytes += l.tailStats.size - tail.size
	*tail = l.tailStats
	l.positions = append(l.positions, l.fresh...)
	if len(recs) > 0 {
		l.durable = recs[len(recs)-1].Index
	}
	return nil
}

// mark writes and syncs a sync mark, if records are behind the last one: from
// then on damage to them is known from a torn end.
func (l *Log) mark() error {
	if !l.unmarked {
		return nil
	}
	l.unmarked = false
	l.stage(frame{typ: TypeMark, index: l.durable, durable: l.durable})
	return l.writeBatch(nil, false)
}

// rollWanted returns the record behind which Roll wants a new segment, if it
// does. A tail without records satisfies it as it is.
func (l *Log) rollWanted() (at uint64, wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roll && l.tailStats.last == l.tailStats.prior && l.rollAt <= l.tailStats.last {
		l.roll = false
	}
	return l.rollAt, l.roll
}

// rollFor begins a new segment in front of the next batch, if one is due and
// ready. It waits only if the tail is far too large, which happens when making
// files takes as long as writing a whole segment. It reports whether the tail is
// new and its header staged, to be written with the batch.
func (l *Log) rollFor() (bool, error) {
	at, wanted := l.rollWanted()
	due := wanted && at <= l.tailStats.last
	full := l.tail.size >= l.o.SegmentBytes && l.tailStats.last > l.tailStats.prior
	if !due && !full {
		return false, nil
	}
	for {
		l.mu.Lock()
		next, err := l.next, l.failed
		l.mu.Unlock()
		switch {
		case err != nil:
			return false, err
		case next != nil:
			l.begin(next)
			return true, nil
		case !full || l.tail.size < 2*l.o.SegmentBytes:
			return false, nil
		}
		<-l.wake
	}
}

// rollIdle begins a new segment that Roll asked for, if nothing is queued that
// could carry its header along.
func (l *Log) rollIdle() error {
	at, wanted := l.rollWanted()
	if !wanted || at > l.tailStats.last {
		return nil
	}
	header, err := l.rollFor()
	if err != nil || !header {
		return err
	}
	return l.writeBatch(nil, true)
}

// begin makes next the tail and stages its header. Everything before it is
// synced.
func (l *Log) begin(next *tail) {
	old := l.tailStats
	l.mu.Lock()
	l.retired = append(l.retired, l.tail)
	l.next = nil
	if l.rollAt <= old.last {
		l.roll = false
	}
	l.mu.Unlock()
	next.batch, next.buf = l.tail.batch, l.tail.buf // the buffers, both empty
	l.tail = next
	l.tailStats = segment{number: next.number}
	h := header{logID: l.id, segment: next.number, stateIndex: l.stateIndex, state: l.state}
	l.stage(frame{typ: TypeHeader, index: old.last, durable: old.last, payload: h.encode()})
	l.unmarked = false // the header says the same
	l.logger.Debug("log segment begins", "segment", next.number, "record", old.last+1, "bytes_before", old.size)
}
