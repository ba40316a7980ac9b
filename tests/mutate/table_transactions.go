package main

// transactions are the mutations of the rules by which a transaction is executed only
// if nothing that it depends on has changed.
func transactions() []mutation {
	const section, invalidation = "Transactions", "Invalidation"
	const (
		file   = "kv/transaction.go"
		shards = "kv/shards.go"
	)
	test := func(name string) []command { return []command{named("./kv", "^"+name+"$")} }
	return []mutation{
		{
			name: "change-not-noted", section: section,
			rule:  "a key that is put knows the slot",
			edits: []edit{{shards, "\tit.changed = s.slot\n", ""}},
			catch: test("TestATransactionDependsOnWhatWasWatched"),
		},
		{
			name: "removal-not-noted", section: section,
			rule:  "a shard knows the slot at which a key of it was last removed",
			edits: []edit{{shards, "\ts.keys--\n\ts.noteRemoved(id)\n", "\ts.keys--\n"}},
			catch: test("TestATransactionDependsOnWhatWasWatched"),
		},
		{
			name: "removals-not-in-images", section: section,
			rule:  "what was removed is known behind a snapshot too",
			edits: []edit{{"kv/image.go", "\tw.removals(&m.removed)\n", ""}},
			catch: test("TestATransactionDependsOnWhatWasWatched"),
		},
		{
			name: "expired-counts-as-there", section: section,
			rule:  "a key whose time has come has changed",
			edits: []edit{{file, `if !c.alive(it.expiry) {`, `if false {`}},
			catch: test("TestAWatchedKeyHasExpiredBeforeItIsRemoved"),
		},
		{
			name: "installed-keys-unchanged", section: section,
			rule:  "what another group has sent is changed when it is installed",
			edits: []edit{{"kv/incoming.go", "\t\t\tit.changed = s.slot // the giver's slots are of another log\n", ""}},
			catch: test("TestATokenOutlivesNoMove"),
		},
		{
			name: "installed-shard-unchanged", section: section,
			rule:  "a shard that was installed may have lost keys elsewhere",
			edits: []edit{{"kv/config.go", "\ts.noteRemoved(id) // what was watched here in an earlier time of the shard counts no more\n", ""}},
			catch: test("TestATokenOutlivesNoMove"),
		},
		{
			name: "token-of-any-group", section: section,
			rule:  "slots of two groups do not compare",
			edits: []edit{{file, `w.since.group != s.group ||`, ``}},
			catch: test("TestATransactionDependsOnAllItsKeysAndTokens"),
		},
		{
			name: "watch-through-the-log", section: section,
			rule:  "a token is of a state between two slots",
			edits: []edit{{"kv/commands.go", `ReadOnly | Fast | NoMulti | queryOnly`, `ReadOnly | Fast | NoMulti`}},
			catch: test("TestATransactionOfASessionIsExecutedOnce"),
		},
		{
			name: "invalidation-overtakes", section: invalidation,
			rule:  "an invalidation is sent behind the reply of its read",
			edits: []edit{{"server/client_tracking.go", `if c.tracker != nil && !c.holding {`, `if false {`}},
			catch: []command{named("./server", "^TestNoInvalidationOvertakesTheReplyOfItsRead$")},
		},
		{
			name: "deposed-leader-is-silent", section: invalidation,
			rule:  "a leader that is deposed has its clients forget everything",
			edits: []edit{{"server/tracking.go", `if t.leading && !leading {`, `if false {`}},
			catch: []command{named("./server", "^TestEverythingIsInvalidWhenTheLeaderIsAnother$")},
		},
		{
			name: "reads-of-others-are-kept", section: invalidation,
			rule:  "what another member has answered is invalid at once",
			edits: []edit{{"server/forward.go", "\tc.untracked(f.keys)\n", ""}},
			catch: []command{named("./server", "^TestReadsOfOthersAreInvalidatedAtOnce$")},
		},
		{
			name: "reads-of-forwarded-writes-are-kept", section: invalidation,
			rule:  "so is what a transaction has read that another member has executed",
			edits: []edit{{"server/forward.go", "\tif c.tracker != nil {\n", "\tif !write && c.tracker != nil {\n"}},
			catch: []command{named("./server", "^TestForwardedTransactionsAreNotCached$")},
		},
		{
			name: "told-within-a-run", section: invalidation,
			rule:  "nothing is told between the replies of commands that were executed together",
			edits: []edit{{"server/client.go", "\t\tif !c.send() {\n", "\t\tif !c.flush() {\n"}},
			catch: []command{named("./server", "^TestNothingIsToldBetweenTheRepliesOfARun$")},
		},
		{
			name: "frozen-shard-stays-cached", section: invalidation,
			rule:  "when a shard is frozen everything is invalid",
			edits: []edit{{"kv/config.go", "\ts.setRemoved(id, 0)\n\ts.changedAll()\n", "\ts.setRemoved(id, 0)\n"}},
			catch: []command{named("./server", "^TestAShardThatLeavesIsInvalid$")},
		},
	}
}
