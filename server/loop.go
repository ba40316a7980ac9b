package server

import (
	"fmt"
	"time"

	"diskv/paxos"
	"diskv/replica"
	"diskv/server/transport"
	"diskv/wal"
)

// tickInterval is how often the replica is told the time when nothing else
// happens.
const tickInterval = 10 * time.Millisecond

// loop is the only goroutine that touches the replica.
func (n *Node) loop(stop <-chan struct{}) {
	defer close(n.ended)
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	n.replica.Start(n.now())
	n.carryOut(n.replica.Output())
	var spare []input
	for {
		select {
		case <-stop:
			n.inbox.close()
			return
		case <-n.failed:
			n.inbox.close()
			return
		case <-n.inbox.wake:
		case <-ticker.C:
		}
		// The clock is read after the inputs are taken: a process that was stopped
		// in between would judge a new read by an old clock, and trust a lease.
		inputs := n.inbox.take(spare[:0])
		now := n.now()
		n.replica.Tick(now)
		for _, in := range inputs {
			in(n.replica)
		}
		clear(inputs)
		spare = inputs
		if n.mover != nil {
			n.mover.step(n.replica, now.Mono)
		}
		n.carryOut(n.replica.Output())
		n.clients.handOver()
		n.tracking.observe(n.replica)
		n.tracking.expire(n.replica, now.Mono)
		for _, done := range n.seen {
			close(done)
		}
		n.seen = n.seen[:0]
	}
}

// now reads both clocks.
func (n *Node) now() replica.Time {
	t := time.Now()
	return replica.Time{Mono: t.Sub(n.started), Wall: t.UnixNano()}
}

// carryOut does what the replica wants done, or has it done. After a failure
// of the disk nothing leaves.
func (n *Node) carryOut(out replica.Output) {
	if len(out.Records) > 0 {
		n.syncs = append(n.syncs, pendingSync{index: n.appendRecords(out.Records), sync: out.Sync})
	}
	if n.failure.Load() != nil {
		return
	}
	n.publish() // before anyone else can hear of it, and send clients here
	n.sendAll(out.Messages)
	n.transport.Dispatch()
	if len(out.AfterSync) > 0 {
		n.outbox = append(n.outbox, heldBack{sync: out.Sync, messages: out.AfterSync})
	}
	for _, reply := range out.Replies {
		if req, ok := reply.Token.(*request); ok { // what moves shards looks at the state instead
			req.finish(reply)
		}
	}
	n.metrics.observeDecided(out.Decided)
	if out.Identity != nil {
		n.storeIdentity(out.Identity)
	}
	n.carryOutDisk(out)
	if out.Lost != "" {
		n.fail(lostDisk{out.Lost})
	}
	for _, ev := range out.Events {
		if ev.Warn {
			n.logger.Warn(ev.Text, ev.Attrs...)
		} else {
			n.logger.Info(ev.Text, ev.Attrs...)
		}
	}
}

// maxAppend bounds what is handed to the log in one piece, but for the one
// record that exceeds it.
const maxAppend = wal.MaxBatch / 4

// appendRecords queues records for the log and returns the index of the last.
func (n *Node) appendRecords(records []replica.Record) uint64 {
	var last uint64
	recs := make([]wal.Record, 0, len(records))
	size := 0
	for _, rec := range records {
		if size += len(rec.Payload); size > maxAppend && len(recs) > 0 {
			last = n.log.Append(recs)
			recs, size = recs[:0], len(rec.Payload)
		}
		recs = append(recs, toLog(rec))
	}
	if len(recs) > 0 {
		last = n.log.Append(recs)
	}
	return last
}

// logDurable tells the replica that its records up to a log index are durable,
// and lets go of what waited for that.
func (n *Node) logDurable(r *replica.Replica, index uint64) {
	done := 0
	for done < len(n.syncs) && n.syncs[done].index <= index {
		done++
	}
	if done == 0 {
		return
	}
	sync := n.syncs[done-1].sync
	n.syncs = n.syncs[done:]
	for len(n.outbox) > 0 && n.outbox[0].sync <= sync {
		n.sendAll(n.outbox[0].messages)
		n.outbox[0].messages = nil
		n.outbox = n.outbox[1:]
	}
	n.transport.Dispatch() // the leader waits for it, and what is applied now may take a while
	r.LogDurable(sync)
}

// sendAll queues messages for the next Dispatch.
func (n *Node) sendAll(messages []paxos.Envelope) {
	for _, e := range messages {
		lane := transport.LaneControl
		if paxos.Bulk(e.Message) {
			lane = transport.LaneBulk
		}
		payload := paxos.AppendEnvelope(make([]byte, 0, paxos.EnvelopeSize(e)), e)
		if err := n.transport.Queue(uint8(e.To), lane, payload); err != nil {
			n.logger.Error("message for a peer could not be sent", "to", e.To, "bytes", len(payload), "error", err)
		}
	}
}

// storeIdentity makes this replica a member durably, or a voter again: first a
// log, if there is none, then the IDENTITY that says that there is one.
func (n *Node) storeIdentity(id *replica.NewIdentity) {
	var err error
	if id.State != nil {
		n.log, err = wal.Create(n.dir.walPath(), id.Identity.LogID, id.State, n.logOptions())
		if err == nil {
			err = syncDir(n.dir.path)
		}
	}
	if err == nil {
		err = n.dir.store(id.Identity)
	}
	if err != nil {
		n.fail(fmt.Errorf("become a member: %w", err))
		return
	}
	n.cluster.Store(uint64(id.Identity.Cluster))
	n.inbox.put((*replica.Replica).IdentityStored)
}

// publish shows the outside who leads, how the replica is, and where the shards are.
func (n *Node) publish() {
	_, why := n.replica.Ready()
	id, known, leading := n.replica.Leader()
	next := route{leading: leading, known: known, leader: id, why: why}
	if *n.route.Load() != next {
		changed := next
		n.route.Store(&changed)
	}
	if n.mover != nil {
		n.mover.publish(storeOf(n.replica))
	}
}
