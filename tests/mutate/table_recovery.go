package main

// recovery are the mutations of the rules about lost disks and snapshots that
// come from others.
func recovery() []mutation {
	const section = "Losing a disk"
	return []mutation{
		{
			name: "dead-promises-counted", section: section,
			rule:  "a candidate counts no promise of a life that a voter knows to be over",
			edits: []edit{{electionFile, `if v.granted && v.vector.over(id, e.votes[id].life) {`, `if false && v.vector.over(id, e.votes[id].life) {`}},
			catch: []command{story("delayed_promise"), simulation(1000)},
		},
		{
			name: "dead-votes-counted", section: section,
			rule: "a leader counts no vote of a life that it or a voter knows to be over",
			edits: []edit{
				{recoveryFile, ` || c.deadAt(env.From, env.Life) {
		c.sendNotice`, ` {
		c.sendNotice`},
				{recoveryFile, `if c.role != Leader || c.deadAt(env.From, env.Life) {`, `if c.role != Leader {`},
				{recoveryFile, `p.life.Nonce != env.Life.Nonce && env.Life.Epoch < p.life.Epoch`, `false`},
			},
			catch: []command{named("./paxos", "^TestDeadVotesDoNotCount$"), simulation(1000)},
		},
		{
			name: "dead-votes-kept", section: section,
			rule: "a leader drops the votes that it holds of a life that is over",
			edits: []edit{
				{recoveryFile, `p.match+Slot(p.ackRound) > 0 && c.deadAt(ReplicaID(id), p.life) {`, `p.match+Slot(p.ackRound) > 0 && false {`},
				{recoveryFile, "\tp.match, p.ackRound, p.held = 0, 0, 0\n", "\tp.held = 0\n"},
			},
			catch: []command{named("./paxos", "^TestDeadVotesDoNotCount$"), simulation(1000)},
		},
		{
			name: "vector-on-apply", section: section,
			rule: "whoever accepts a Rejoin takes its life in the same sync, and not when it is applied",
			edits: []edit{
				{recoveryFile, "\tc.takeLife(j.Replica, j.Life)\n\treturn nil", "\t_ = j\n\treturn nil"},
				{recoveryFile, "\tc.applyLife(j.Replica, j.Life)\n", "\tc.takeLife(j.Replica, j.Life)\n\tc.applyLife(j.Replica, j.Life)\n"},
			},
			catch: []command{named("./paxos", "^TestLifeIsTakenInTheSyncOfItsEntry$"), story("delayed_promise"), simulation(1000)},
		},
		{
			name: "vector-not-logged", section: section,
			rule:  "the vector is in the hard state of the next sync",
			edits: []edit{{recoveryFile, "\tc.vector[id] = l\n\tc.stateDirty = true\n", "\tc.vector[id] = l\n"}},
			catch: []command{named("./paxos", "^TestLifeIsTakenInTheSyncOfItsEntry$"), simulation(1000)},
		},
		{
			name: "no-promise-floor", section: section,
			rule: "a replica that is let back has promised the ballot of the leader that showed its Rejoin as chosen",
			edits: []edit{{recoveryFile,
				"\tc.readmitted, c.stateDirty = l, true\n",
				"\tc.readmitted, c.stateDirty = l, true\n\tc.promised, c.term, c.hasLeader = Ballot{}, Ballot{}, false\n"}},
			catch: []command{named("./paxos", "^TestPromiseFloor$"), simulation(1000)},
		},
		{
			name: "epochs-without-nonces", section: section,
			rule: "a life is over only if a later one has another nonce",
			edits: []edit{{idsFile,
				`return v[id].Epoch > l.Epoch && v[id].Nonce != l.Nonce`,
				`return v[id].Epoch > l.Epoch`}},
			catch: []command{named("./paxos", "^TestVectorOver$"), simulation(1000)},
		},
		{
			name: "late-request-taken", section: section,
			rule:  "a request to rejoin that names an epoch which is past is a late copy",
			edits: []edit{{recoveryFile, `case known.Epoch != m.Prev:`, `case false:`}},
			catch: []command{named("./paxos", "^TestLateRequestToRejoin$"), simulation(1000)},
		},
		{
			name: "rejoin-before-the-adopted", section: section,
			rule:  "a leader lets nobody back before everything that it adopted in phase 1 is chosen",
			edits: []edit{{recoveryFile, ` || c.commit < c.lead.adopted || `, ` || `}},
			catch: []command{named("./paxos", "^TestRejoinWaitsForWhatWasAdopted$"), simulation(1000)},
		},
		{
			name: "recovering-votes", section: section,
			rule: "a replica that recovers votes on nothing",
			edits: []edit{{recoveryFile,
				`return !c.recovering && c.lost == ""`,
				`return c.lost == ""`}},
			catch: []command{named("./paxos", "^TestRecoveringReplicaVotesOnNothing$"), simulation(1000)},
		},
		{
			name: "old-copy-votes", section: section,
			rule: "a replica whose chosen life has another nonce votes no more",
			edits: []edit{{recoveryFile,
				`return !c.recovering && c.lost == ""`,
				`return !c.recovering`}},
			catch: []command{named("./paxos", "^TestOldCopyVotesNoMore$"), simulation(1000)},
		},
		{
			name: "old-copy-not-told", section: section,
			rule: "a replica of whose disk a member remembers more than it holds runs on an old copy",
			edits: []edit{{"replica/peers.go",
				`case m.Boot > r.id.Boot, m.Boot == r.id.Boot && m.BootID != r.id.BootID:`,
				`case false:`}},
			catch: []command{named("./replica", "^TestOldCopyWithoutALossIsALostDisk$"), simulation(200)},
		},
		{
			name: "remembered-before-it-is-durable", section: section,
			rule: "what a member remembers of a disk was durable when it was said",
			edits: []edit{{"replica/forming.go",
				"\t\tr.startPeers(false)\n\t\treturn\n",
				"\t\tr.startPeers(true)\n\t\treturn\n"}},
			catch: []command{named("./replica", "^TestReadmittedMemberTellsNoSlot$"), simulation(1000)},
		},
		{
			name: "back-before-its-state-is-durable", section: section,
			rule: "promise and epoch are in the log before IDENTITY says that the replica votes again",
			edits: []edit{{"replica/recovery.go",
				`sync < r.recovery.sync || `,
				``}},
			catch: []command{named("./replica", "^TestReadmissionWaitsForItsState$"), simulation(1000)},
		},
		{
			name: "learner-takes-the-unchosen", section: section,
			rule: "a replica that recovers takes only what is chosen",
			edits: []edit{
				{recoveryFile, "\tc.sendProgress(leader, false)\n\tc.emitCommitted()\n", "\tc.sendProgress(leader, false)\n\tc.commitTo(c.held)\n\tc.emitCommitted()\n"},
				{acceptorFile, `if !c.votes() && e.Slot > m.Commit {`, `if false {`},
			},
			catch: []command{named("./paxos", "^TestRecoveringReplicaVotesOnNothing$"), simulation(1000)},
		},
		{
			name: "second-beginning", section: "Forming",
			rule: "a group forms from disks that have heard of each other, so an old hello of a lost disk is not counted",
			edits: []edit{{"replica/forming.go",
				`r.form.echoed[e.From] = m.Echo == r.id.Life.Nonce`,
				`r.form.echoed[e.From] = true`}},
			catch: []command{named("./replica", "^TestOldHelloFormsNoGroup$"), simulation(1000)},
		},
		{
			name: "accepted-above-snapshot-dropped", section: "Snapshots",
			rule: "a snapshot that is installed leaves the accepted entries above it",
			edits: []edit{{acceptorFile,
				"\tc.window.dropThrough(s)\n\tc.commit = max(c.commit, s)\n\tc.held = max(c.held, c.commit)\n",
				"\tc.window = window{first: s + 1}\n\tc.commit, c.held = s, s\n"}},
			catch: []command{story("snapshots"), simulation(500)},
		},
	}
}
