package paxos

// read is a read that waits for its confirmation and its index.
type read struct {
	id    uint64
	round uint64 // zero: not assigned yet
	index Slot   // must be applied first
}

// Read asks for the right to answer a read from the applied state, so that it
// is linearizable. The outcome comes as a [ReadState] with the same id.
func (c *Core) Read(id uint64) {
	if c.role != Leader {
		c.out.Reads = append(c.out.Reads, ReadState{ID: id})
		return
	}
	c.lead.reads = append(c.lead.reads, read{id: id})
}

// readIndex is the slot that a read that has arrived must see: everything that
// may have been answered to anyone. What was chosen under earlier ballots is
// below the commit index or was adopted in phase 1.
func (c *Core) readIndex() Slot { return max(c.commit, c.lead.adopted) }

// assignReads gives every read that waits a round that starts now, unless two
// rounds of reads are on their way: then the reads gather for the next.
func (c *Core) assignReads() {
	l := &c.lead
	if len(l.reads) == 0 || l.reads[len(l.reads)-1].round != 0 {
		return
	}
	var round uint64
	switch {
	case c.leaseHolds():
		round = l.confirmed
		if round == 0 {
			return // no round has been confirmed, so there is no lease either
		}
	case l.readRounds[0] <= l.confirmed:
		round = c.startRound()
		l.readRounds[0], l.readRounds[1] = l.readRounds[1], round
	default:
		return
	}
	index := c.readIndex()
	for i := len(l.reads) - 1; i >= 0 && l.reads[i].round == 0; i-- {
		l.reads[i].round, l.reads[i].index = round, index
	}
}

// leaseHolds reports whether no other replica can have become leader yet.
func (c *Core) leaseHolds() bool {
	return c.cfg.Lease && !c.lead.noLease && c.now < c.lead.leaseUntil
}

// startRound begins a round of confirmations, which goes out with whatever is
// sent next.
func (c *Core) startRound() uint64 {
	c.lead.round++
	c.lead.rounds = append(c.lead.rounds, roundStart{round: c.lead.round, at: c.now})
	if c.cfg.Size == 1 {
		c.confirmRounds()
	}
	return c.lead.round
}

// confirmRounds counts confirmations. A round that is confirmed confirms every
// one before it.
func (c *Core) confirmRounds() {
	n := 0
	for i, r := range c.lead.rounds {
		acks := 1
		c.peers(func(id ReplicaID) {
			if c.lead.peers[id].ackRound >= r.round {
				acks++
			}
		})
		if acks < c.quorum {
			break
		}
		c.lead.confirmed = r.round
		if !c.lead.noLease {
			c.lead.leaseUntil = r.at + c.cfg.leaseDuration()
		}
		n = i + 1
	}
	c.lead.rounds = c.lead.rounds[n:]
}

// releaseReads hands out the reads that are confirmed and whose index is
// applied.
func (c *Core) releaseReads() {
	if c.role != Leader {
		return
	}
	n := 0
	for _, r := range c.lead.reads {
		if r.round == 0 || r.round > c.lead.confirmed || r.index > c.applied {
			break
		}
		c.out.Reads = append(c.out.Reads, ReadState{ID: r.id, OK: true})
		n++
	}
	c.lead.reads = c.lead.reads[n:]
}

// failReads tells every read that waits that this replica has lost the lead.
func (c *Core) failReads() {
	for _, r := range c.lead.reads {
		c.out.Reads = append(c.out.Reads, ReadState{ID: r.id})
	}
	c.lead.reads = nil
}
