package main

// shardmaster are the mutations of the rules about configs.
func shardmaster() []mutation {
	const section = "Configs"
	const (
		changeFile  = "shardmaster/change.go"
		groupsFile  = "shardmaster/groups.go"
		balanceFile = "shardmaster/balance.go"
	)
	test := func(name string) []command { return []command{named("./shardmaster", "^"+name+"$")} }
	return []mutation{
		{
			name: "config-before-the-first-dropped", section: section,
			rule:  "a group that has taken no config needs the one before it joined, too",
			edits: []edit{{groupsFile, `return g.joined - 1`, `return g.joined`}},
			catch: test("TestNoGroupMissesAConfig"),
		},
		{
			name: "leaving-group-does-not-count", section: section,
			rule:  "configs are kept for a group that has left until it is drained",
			edits: []edit{{groupsFile, "		need = min(need, m.groups[i].needs())\n", "		if m.groups[i].left == 0 {\n			need = min(need, m.groups[i].needs())\n		}\n"}},
			catch: test("TestNoGroupMissesAConfig"),
		},
		{
			name: "forgotten-before-it-is-drained", section: section,
			rule:  "a group that has left is known until nobody has to fetch anything from it",
			edits: []edit{{groupsFile, `if g.left == 0 || !g.clear(g.left) {`, `if g.left == 0 || g.settled < g.left {`}},
			catch: test("TestAGroupThatLeftIsKnownUntilItIsDrained"),
		},
		{
			name: "forgotten-before-others-have-its-word", section: section,
			rule:  "a group that has left is known until nobody keeps anything for it",
			edits: []edit{{groupsFile, `o != g && o.joined <= g.left`, `false && o.joined <= g.left`}},
			catch: test("TestAGroupThatLeftIsKnownUntilNobodyNeedsIt"),
		},
		{
			name: "late-report-counts", section: section,
			rule:  "a report from before a group came back is no news",
			edits: []edit{{groupsFile, `if !known || c.num < m.groups[at].joined {`, `if !known {`}},
			catch: test("TestALateReportFromBeforeAGroupCameBack"),
		},
		{
			name: "report-goes-back", section: section,
			rule:  "how far a group is never goes back",
			edits: []edit{{groupsFile, `case c.num > g.settled:`, `case c.num != g.settled:`}},
			catch: test("TestGroupsSayHowFarTheyAre"),
		},
		{
			name: "config-by-the-way", section: section,
			rule:  "what is so already makes no config",
			edits: []edit{{changeFile, `if refusal != "" || m.same(&next) {`, `if refusal != "" {`}},
			catch: test("TestWhatIsSoAlreadyChangesNothing"),
		},
		{
			name: "condition-ignored", section: section,
			rule:  "IF num refuses a change of another config",
			edits: []edit{{changeFile, `if c.numbered && c.num != m.newest.Num {`, `if c.numbered && c.num > m.newest.Num {`}},
			catch: test("TestRefusals"),
		},
		{
			name: "more-moves-than-it-takes", section: section,
			rule:  "who holds the most keeps one more",
			edits: []edit{{balanceFile, `cmp.Compare(held[b], held[a])`, `cmp.Compare(held[a], held[b])`}},
			catch: test("TestGroupsAreBalancedWithTheFewestMoves"),
		},
		{
			name: "sharded-group-begins-with-all", section: section,
			rule:  "a group of a cluster serves no shard that no config gave it",
			edits: []edit{{"server/keyvalue.go", `	if k.group == 0 {`, `	if true {`}},
			catch: []command{named("./server", "^TestAShardedGroupServesNothingBeforeItsFirstConfig$")},
		},
		{
			name: "follower-answers-the-newest", section: section,
			rule:  "a follower answers a config by its number only",
			edits: []edit{{"shardmaster/machine.go", `if err != nil || c.op != opQuery || !c.numbered {`, `if err != nil || c.op != opQuery {`}},
			catch: test("TestKnown"),
		},
	}
}
