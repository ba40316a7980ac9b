package main

// reading are the mutations of reads and leases.
func reading() []mutation {
	const section = "Reads"
	return []mutation{
		{
			name: "read-without-confirmation", section: section,
			rule: "a read waits until a quorum has confirmed the leader",
			edits: []edit{{readsFile,
				`if r.round == 0 || r.round > c.lead.confirmed || r.index > c.applied {`,
				`if r.round == 0 || r.index > c.applied {`}},
			catch: []command{story("reads"), simulation(200)},
		},
		{
			name: "confirmation-from-before", section: section,
			rule: "the round that confirms a read is numbered after the read has arrived",
			edits: []edit{{readsFile,
				`		round = c.startRound()`,
				`		round = max(l.round, 1)`}},
			catch: []command{story("reads"), simulation(500)},
		},
		{
			name: "read-index-below-adopted", section: section,
			rule: "a read sees every slot that was adopted in phase 1",
			edits: []edit{{readsFile,
				`return max(c.commit, c.lead.adopted)`,
				`return c.commit`}},
			catch: []command{story("reads"), story("adopt"), simulation(500)},
		},
		{
			name: "read-before-applied", section: section,
			rule: "a read waits until its index is applied",
			edits: []edit{{readsFile,
				`r.round > c.lead.confirmed || r.index > c.applied {`,
				`r.round > c.lead.confirmed {`}},
			catch: []command{story("reads"), story("leases"), simulation(500)},
		},
		{
			name: "lease-not-refused-to-prepare", section: section,
			rule: "who may have granted a lease refuses the Prepare of others",
			edits: []edit{{acceptorFile,
				`if c.leased() && c.promised.Less(m.Ballot)`,
				`if false && c.promised.Less(m.Ballot)`}},
			catch: []command{story("leases"), simulation(500)},
		},
		{
			name: "lease-forgotten-in-restart", section: section,
			rule: "a voter refuses Prepare for one lease after every start",
			edits: []edit{{coreFile,
				`c.leaseUntil = now + c.cfg.ElectionTimeout`,
				`c.leaseUntil = now`}},
			catch: []command{named("./paxos", "^TestLeaseOutlivesTheVoter$"), simulation(1000)},
		},
		{
			name: "lease-counted-from-the-answer", section: section,
			rule: "a lease counts from the send of the round that was confirmed",
			edits: []edit{{readsFile,
				`c.lead.leaseUntil = r.at + c.cfg.leaseDuration()`,
				`c.lead.leaseUntil = max(r.at, c.now) + c.cfg.leaseDuration()`}},
			catch: []command{named("./paxos", "^TestLeaseCountsFromTheSend$"), simulation(1000)},
		},
		{
			name: "lease-kept-in-hand-over", section: section,
			rule: "a leader that has asked for a hand-over uses no lease again in that term",
			edits: []edit{{leaderFile,
				`c.lead.noLease, c.lead.leaseUntil = true, 0`,
				`c.lead.noLease = false`}},
			catch: []command{named("./paxos", "^TestNoLeaseAfterAHandOver$"), simulation(1000)},
		},
		{
			name: "stale-read-while-recovering", section: section,
			rule: "a member that recovers from a lost disk answers no stale reads",
			edits: []edit{{"replica/queries.go",
				`r.core == nil || r.hasLostDisk() || !r.hasLeader`,
				`r.core == nil || !r.hasLeader`}},
			catch: []command{named("./replica", "^TestReadApplied$")},
		},
		{
			name: "stale-read-without-a-leader", section: section,
			rule: "a member that follows no leader answers no stale reads",
			edits: []edit{{"replica/queries.go",
				`r.core == nil || r.hasLostDisk() || !r.hasLeader`,
				`r.core == nil || r.hasLostDisk()`}},
			catch: []command{named("./replica", "^TestReadApplied$")},
		},
	}
}
