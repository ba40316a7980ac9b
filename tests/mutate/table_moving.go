package main

// moving are the mutations of the rules by which shards go from group to group.
func moving() []mutation {
	const section = "Moving shards"
	const (
		configFile   = "kv/config.go"
		incomingFile = "kv/incoming.go"
		freezeFile   = "kv/freeze.go"
	)
	model := command{pkg: "./kv", tests: "^TestShardsMoveAmongGroupsAndNothingIsLostOrDoneTwice$", flags: []string{"-model.seeds=60"}}
	test := func(name string) []command { return []command{named("./kv", "^"+name+"$"), model} }
	return []mutation{
		{
			name: "config-taken-while-awaiting", section: section,
			rule:  "no config is taken while a shard is awaited",
			edits: []edit{{configFile, `case len(s.incoming) > 0:`, `case false:`}},
			catch: test("TestConfigsThatAreRefused"),
		},
		{
			name: "frozen-shard-still-served", section: section,
			rule:  "a shard that is frozen is not served",
			edits: []edit{{configFile, "\ts.states[id] = Elsewhere\n", ""}},
			catch: test("TestShardsMove"),
		},
		{
			name: "session-before-shard", section: section,
			rule: "a shard that is not served is refused before the session is looked at",
			edits: []edit{{"kv/store.go",
				"\tif a.keyed && !s.states[a.shard].Serves() {\n\t\treturn s.wrongShard(dst, a.shard) // before the session: it records nothing\n\t}\n", ""}},
			catch: test("TestShardsMove"),
		},
		{
			name: "chunk-from-anywhere", section: section,
			rule:  "a chunk is taken where the stream stands",
			edits: []edit{{incomingFile, `err == nil && !bytes.Equal(h.Start, in.cursor)`, `false`}},
			catch: []command{model},
		},
		{
			name: "chunk-of-another-config", section: section,
			rule:  "a chunk counts for its own config",
			edits: []edit{{incomingFile, `if !ok || config != s.config.Num {`, `if !ok {`}},
			catch: test("TestAChunkOfAnOlderConfigIsStale"),
		},
		{
			name: "end-without-all-shards", section: section,
			rule:  "a stream ends with its last shard",
			edits: []edit{{incomingFile, `case h.Last && awaited != shardSet{}:`, `case false:`}},
			catch: test("TestADamagedChunkChangesNothing"),
		},
		{
			name: "sessions-do-not-go-along", section: section,
			rule:  "the numbers of the sessions go along",
			edits: []edit{{incomingFile, "\t\t\t\ts.merge(e.session)\n", ""}},
			catch: test("TestShardsMove"),
		},
		{
			name: "lower-number-wins", section: section,
			rule:  "of two numbers of a session the higher one wins",
			edits: []edit{{incomingFile, `own.seq > e.seq ||`, `own.seq < e.seq ||`}},
			catch: []command{model},
		},
		{
			name: "reply-does-not-win", section: section,
			rule:  "of two entries with one number the one with a reply wins",
			edits: []edit{{incomingFile, `own.seq == e.seq && (own.reply != nil || e.reply == nil)`, `own.seq == e.seq`}},
			catch: []command{model},
		},
		{
			name: "log-time-stays", section: section,
			rule:  "the target's log time rises to that of the freeze",
			edits: []edit{{incomingFile, "\ts.logTime = max(s.logTime, h.LogTime)\n", ""}},
			catch: []command{model},
		},
		{
			name: "settled-too-early", section: section,
			rule:  "a group is settled when everything is installed",
			edits: []edit{{"kv/handover.go", "\t\th.Settled--\n", ""}},
			catch: test("TestShardsMove"),
		},
		{
			name: "frozen-sessions-change", section: section,
			rule:  "what leaves never changes",
			edits: []edit{{freezeFile, `sessions: s.sessions.Clone()`, `sessions: s.sessions`}},
			catch: []command{model},
		},
		{
			name: "leaving-shard-not-served", section: section,
			rule:  "a shard that leaves is served until its batch is frozen",
			edits: []edit{{"kv/handover.go", `return st >= Served`, `return st == Served`}},
			catch: test("TestShardsMove"),
		},
		{
			name: "any-batch-is-the-next", section: section,
			rule:  "a command freezes the batch that it names, if that is the next one",
			edits: []edit{{freezeFile, `batch != next {`, `false {`}},
			catch: test("TestShardsLeaveInBatchesSmallOnesFirst"),
		},
		{
			name: "sessions-with-the-first-batch-only", section: section,
			rule: "the sessions go with every batch",
			edits: []edit{{freezeFile, "\ts.bytes += s.sessionBytes\n",
				"\ts.bytes += s.sessionBytes\n\tif o.batch > 0 {\n\t\to.sessions = newSessions()\n\t}\n"}},
			catch: test("TestSessionsGoOnBetweenBatches"),
		},
		{
			name: "next-config-freezes-nothing", section: section,
			rule:  "the next config freezes what is left",
			edits: []edit{{configFile, "\ts.freezeRest()\n", ""}},
			catch: test("TestTheNextConfigFreezesWhatIsLeft"),
		},
		{
			name: "released-while-shards-wait", section: section,
			rule:  "nothing is released while shards have yet to leave",
			edits: []edit{{"kv/outgoing.go", `waiting && config == s.config.Num {`, `waiting && config != s.config.Num {`}},
			catch: test("TestShardsMove"),
		},
		{
			name: "order-of-a-restored-stream", section: section,
			rule:  "every member of the source cuts the same stream",
			edits: []edit{{"kv/restore_handover.go", "\t\to.sort()\n", ""}},
			catch: []command{model},
		},
		{
			name: "image-shares-what-arrives", section: section,
			rule:  "an image stays as it was",
			edits: []edit{{incomingFile, "\tin.partial = s.own(in.partial)\n", ""}},
			catch: []command{model},
		},
		{
			name: "machine-time-not-followed", section: section,
			rule:  "the replica's log time follows an install",
			edits: []edit{{"replica/replica.go", "\t\tr.followLogTime()\n", ""}},
			catch: []command{named("./replica", "^TestLogTimeFollowsTheMachine$")},
		},
	}
}
