package main

const (
	acceptorFile = "paxos/acceptor.go"
	electionFile = "paxos/election.go"
	leaderFile   = "paxos/leader.go"
	coreFile     = "paxos/core.go"
	readsFile    = "paxos/reads.go"
	idsFile      = "paxos/ids.go"
	recoveryFile = "paxos/recovery.go"
)

// durability are the mutations of what has to be on a disk before something
// else may happen.
func durability() []mutation {
	const section = "What is durable when"
	return []mutation{
		{
			name: "vote-before-sync", section: section,
			rule: "Accepted waits for the sync of what it speaks of",
			edits: []edit{{acceptorFile,
				`c.sendAfterSync(to, Accepted{`,
				`c.send(to, Accepted{`}},
			catch: []command{named("./paxos", "^TestDurableBeforeItLeaves$"), simulation(200)},
		},
		{
			name: "promise-before-sync", section: section,
			rule: "a Promise waits for the sync of the promise and of all that it reports",
			edits: []edit{{acceptorFile,
				"!c.onItsWay(p) {\n\t\tc.sendAfterSync(from, p)",
				"!c.onItsWay(p) {\n\t\tc.send(from, p)"}},
			catch: []command{named("./paxos", "^TestDurableBeforeItLeaves$"), simulation(200)},
		},
		{
			name: "prepare-before-sync", section: section,
			rule: "a Prepare waits for the sync of the candidate's own promise",
			edits: []edit{{electionFile,
				`c.peers(func(id ReplicaID) { c.sendAfterSync(id, c.prepareFor(id)) })`,
				`c.peers(func(id ReplicaID) { c.send(id, c.prepareFor(id)) })`}},
			catch: []command{named("./paxos", "^TestDurableBeforeItLeaves$"), simulation(200)},
		},
		{
			name: "own-promise-before-sync", section: section,
			rule: "a candidate counts its own promise when that is durable",
			edits: []edit{{electionFile,
				"func (c *Core) countPromises() {\n\tif c.awaitsOwnPromise() {",
				"func (c *Core) countPromises() {\n\tif false {"}},
			catch: []command{named("./paxos", "^TestOwnVoteWaitsForOwnSync$"), simulation(200)},
		},
		{
			name: "own-vote-before-sync", section: section,
			rule: "a leader counts its own vote when its own log has synced",
			edits: []edit{{leaderFile,
				`match[c.cfg.ID] = c.lead.own`,
				`match[c.cfg.ID] = c.held`}},
			catch: []command{named("./paxos", "^TestOwnVoteWaitsForOwnSync$"), simulation(200)},
		},
		{
			name: "apply-before-own-sync", section: section,
			rule: "a replica applies only what its own log holds durably",
			edits: []edit{{coreFile,
				`if e.sync > c.durable {`,
				`if false {`}},
			catch: []command{named("./paxos", "^(TestFollowerAppliesWhatIsDurable|TestOwnVoteWaitsForOwnSync)$"), simulation(200)},
		},
		{
			name: "ballot-reused", section: section,
			rule: "a restarted proposer goes on above every ballot that it has promised",
			edits: []edit{
				{coreFile, "\t\tc.promised = b\n\t}\n\tc.seen(b)\n}\n", "\t\tc.promised = b\n\t}\n}\n"},
				{coreFile, "\tc.seen(h.Promised)\n", ""},
			},
			catch: []command{story("restarts"), simulation(200)},
		},
		{
			name: "promise-not-logged", section: section,
			rule: "a promise is in the hard state of the next sync",
			edits: []edit{{acceptorFile,
				"\tc.promised = b\n\tc.stateDirty = true\n\tc.seen(b)",
				"\tc.promised = b\n\tc.seen(b)"}},
			catch: []command{named("./paxos", "^TestDurableBeforeItLeaves$"), simulation(200)},
		},
		{
			name: "commit-beyond-the-log", section: section,
			rule: "a commit index in the log is true of the log that ends with its record",
			edits: []edit{{"replica/replica.go",
				`if i == len(rd.Entries)-1 && !rd.StateChanged {`,
				`if i >= 0 && !rd.StateChanged {`}},
			catch: []command{named("./replica", "^TestCommitIndexOfATornBatch$"), simulation(200)},
		},
	}
}
