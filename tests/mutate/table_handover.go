package main

// handover are those mutations of the rules by which shards go from group to group
// that need several groups, or the leader's mover.
func handover() []mutation {
	const (
		section  = "Moving shards"
		store    = "kv/store.go"
		configs  = "kv/config.go"
		outgoing = "kv/outgoing.go"
		releases = "handover/releases.go"
	)
	model := named("./kv", "^(TestShardsMove|TestShardsMoveAmongGroupsAndNothingIsLostOrDoneTwice)$")
	return []mutation{
		{
			name: "replies-stay-behind", section: section,
			rule:  "the reply of an operation goes with the shard that it was in",
			edits: []edit{{outgoing, `more = w.session(&e, o.moved.has(e.shard))`, `more = w.session(&e, false)`}},
			catch: []command{model, groups()},
		},
		{
			name: "reads-of-shards-that-left", section: section,
			rule:  "a group answers reads of the shards only that it serves",
			edits: []edit{{store, "\tif a.keyed && !s.states[a.shard].Serves() {\n\t\treturn s.wrongShard(dst, a.shard), true", "\tif false {\n\t\treturn s.wrongShard(dst, a.shard), true"}},
			catch: []command{model, groups()},
		},
		{
			name: "served-before-its-mark", section: section,
			rule: "a shard is served when its mark is installed, not earlier",
			edits: []edit{
				{store, "\tif a.keyed && !s.states[a.shard].Serves() {\n\t\treturn s.wrongShard(dst, a.shard) // before the session", "\tif a.keyed && s.states[a.shard] == Elsewhere {\n\t\treturn s.wrongShard(dst, a.shard) // before the session"},
				{store, "\tif a.keyed && !s.states[a.shard].Serves() {\n\t\treturn s.wrongShard(dst, a.shard), true", "\tif a.keyed && s.states[a.shard] == Elsewhere {\n\t\treturn s.wrongShard(dst, a.shard), true"},
			},
			catch: []command{model, groups()},
		},
		{
			name: "configs-left-out", section: section,
			rule: "a group that owns shards takes the configs one by one",
			edits: []edit{
				{configs, `case own != nil && config.Num == own.Num+1:`, `case own != nil && config.Num > own.Num:`},
				{"handover/configs.go", `m.queryConfig(m.state.Config.Num+1, func(`, `m.queryConfig(m.state.Config.Num+2, func(`},
			},
			catch: []command{model, groups()},
		},
		{
			name: "released-when-taken", section: section,
			rule:  "shards are let go of when the other group has installed them, not when it has taken the config",
			edits: []edit{{releases, `m.settledAt(r, uint64(v.Elems[1].Int))`, `m.settledAt(r, uint64(v.Elems[3].Int))`}},
			catch: []command{named("./handover", "^TestShardsArriveWhateverIsLost$"), groups()},
		},
		{
			name: "released-before-settled", section: section,
			rule:  "shards are let go of when the other group has settled the config that moves them, not the one before",
			edits: []edit{{releases, `if settled < r.config {`, `if settled+1 < r.config {`}},
			catch: []command{named("./handover", "^TestShardsArriveWhateverIsLost$"), groups()},
		},
	}
}
