package main

// choice are the mutations of the two phases: what may be proposed, accepted,
// counted as chosen and applied.
func choice() []mutation {
	const phase1, phase2 = "Phase 1", "Phase 2 and commit"
	return []mutation{
		{
			name: "noop-below-voters-commit", section: phase1,
			rule: "nothing is proposed at or below the highest commit index of the quorum but what was chosen there",
			edits: []edit{
				{electionFile, `if m.LogStart > m.From {`, `if false {`},
				{electionFile, "\t\t\tchosenThrough = max(chosenThrough, v.commit)\n", ""},
			},
			catch: []command{story("lagging_candidate"), story("stand_down"), simulation(200)},
		},
		{
			name: "re-proposal-forgotten", section: phase1,
			rule: "a new leader proposes again what the promises report",
			edits: []edit{{electionFile,
				`e, ok := el.adopted[s]`,
				`e, ok := Entry{Slot: s, Kind: KindNoop}, el.adopted == nil`}},
			catch: []command{story("adopt"), simulation(200)},
		},
		{
			name: "lower-ballot-adopted", section: phase1,
			rule: "of several reported values the one of the highest ballot is taken",
			edits: []edit{{electionFile,
				`!ok || old.Ballot.Less(e.Ballot)`,
				`!ok || e.Ballot.Less(old.Ballot)`}},
			catch: []command{named("./paxos", "^TestHighestBallotIsAdopted$"), simulation(500)},
		},
		{
			name: "own-value-first", section: phase1,
			rule: "a candidate's own value counts no more than a reported one of a higher ballot",
			edits: []edit{{electionFile,
				`own != nil && (!ok || e.Ballot.Less(own.Ballot)) {`,
				`own != nil {`}},
			catch: []command{named("./paxos", "^TestHighestBallotIsAdopted$"), simulation(500)},
		},
		{
			name: "first-page-is-all", section: phase1,
			rule:  "a promise counts when its last page has arrived",
			edits: []edit{{electionFile, "\tif m.More {", "\tif false {"}},
			catch: []command{story("paged_promises"), simulation(200)},
		},
		{
			name: "half-is-a-quorum", section: "Words",
			rule:  "a quorum is more than half of all members",
			edits: []edit{{coreFile, `quorum: cfg.Size/2 + 1,`, `quorum: (cfg.Size + 1) / 2,`}},
			catch: []command{named("./paxos", "^TestQuorumIsMoreThanHalf$"), simulation(200)},
		},
		{
			name: "prepare-below-promise", section: phase1,
			rule: "no ballot below the promise is promised anything",
			edits: []edit{{acceptorFile,
				"\tif m.Ballot.Less(c.promised) {\n\t\tc.send(from, Nack{Ballot: m.Ballot, Promised: c.promised})\n\t\treturn\n\t}\n\tif m.Ballot.Replica != from {",
				"\tif m.Ballot.Replica != from {"}},
			catch: []command{story("stale"), named("./paxos", "^TestNothingElseWaits$"), simulation(200)},
		},
		{
			name: "accept-below-promise", section: phase2,
			rule: "no Accept of a ballot below the promise gets a vote",
			edits: []edit{
				{acceptorFile, "\tif b.Less(c.promised) {", "\tif b.Less(c.term) {"},
				{acceptorFile, ` || e.Ballot.Less(c.promised) {`, ` {`},
			},
			catch: []command{story("stale"), simulation(200)},
		},
		{
			name: "gap-accepted", section: phase2,
			rule: "the Accepts of a ballot are taken in slot order, without gaps",
			edits: []edit{
				{acceptorFile, `if m.First > c.held+1 {`, `if m.First > c.window.last()+1 {`},
				{acceptorFile, `if e.Slot != c.held+1 || e.Ballot != c.term`, `if e.Ballot != c.term`},
			},
			catch: []command{named("./paxos", "^TestGapIsRefused$"), simulation(200)},
		},
		{
			name: "old-ballot-acknowledged", section: phase2,
			rule: "Accepted speaks of what is held under the leader's ballot",
			edits: []edit{{acceptorFile,
				`Accepted{Ballot: c.term, Through: c.held}`,
				`Accepted{Ballot: c.term, Through: c.window.last()}`}},
			catch: []command{named("./paxos", "^TestAcceptedSpeaksOfOneBallot$"), simulation(200)},
		},
		{
			name: "commit-beyond-held", section: phase2,
			rule: "a follower takes a commit index up to what it holds under the leader's ballot",
			edits: []edit{
				{acceptorFile,
					"\tc.commitTo(min(m.Commit, c.held))\n\tif !c.votes() {\n\t\tc.learned(from)\n\t\treturn\n\t}\n\tif m.Round != 0 {",
					"\tc.held = max(c.held, min(m.Commit, c.window.last()))\n\tc.commitTo(min(m.Commit, c.held))\n\tif !c.votes() {\n\t\tc.learned(from)\n\t\treturn\n\t}\n\tif m.Round != 0 {"},
				{acceptorFile,
					"\tc.commitTo(min(m.Commit, c.held))\n\tif !c.votes() {\n\t\tc.learned(from)\n\t\treturn\n\t}\n\tc.send(",
					"\tc.held = max(c.held, min(m.Commit, c.window.last()))\n\tc.commitTo(min(m.Commit, c.held))\n\tif !c.votes() {\n\t\tc.learned(from)\n\t\treturn\n\t}\n\tc.send("},
				{coreFile, `if c.held > c.commit && c.window.get(c.held).Ballot != c.term {`, `if false {`},
			},
			catch: []command{named("./paxos", "^TestCommitCoversWhatIsHeld$"), simulation(200)},
		},
		{
			name: "apply-before-commit", section: phase2,
			rule: "only what is chosen is applied",
			edits: []edit{{coreFile,
				"\tfor c.applied < c.commit {",
				"\tc.commit = c.held\n\tfor c.applied < c.commit {"}},
			catch: []command{story("quorum_lost"), story("adopt"), simulation(200)},
		},
		{
			name: "origin-ignored", section: "Outcomes",
			rule: "a command counts as executed only if the batch that it was proposed in was chosen",
			edits: []edit{{"replica/proposals.go",
				"range p.tokens {\n\t\tif p.origin == b.Origin {",
				"range p.tokens {\n\t\tif p.origin == b.Origin || i < len(replies) {"}},
			catch: []command{named("./replica", "^TestDeposed$"), simulation(500)},
		},
		{
			name: "undecided-called-refused", section: "Outcomes",
			rule:  "what has a slot and no decision is answered as unknown",
			edits: []edit{{"replica/proposals.go", `r.reply(t, Unknown, nil)`, `r.reply(t, NotLeader, nil)`}},
			catch: []command{named("./replica", "^(TestDeposed|TestSnapshotOverProposals)$"), simulation(500)},
		},
		{
			name: "log-time-goes-back", section: "Log time",
			rule: "applying takes the later of log time and the batch's stamp",
			edits: []edit{{"replica/replica.go",
				`r.logTime = max(r.logTime, b.Time)`,
				`r.logTime = b.Time`}},
			catch: []command{named("./replica", "^TestLogTime"), simulation(200)},
		},
	}
}
