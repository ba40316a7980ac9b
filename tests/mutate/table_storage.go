package main

// storage are the mutations of the log, of snapshot files and of what is in
// them.
func storage() []mutation {
	const format, protocol = "docs/format.md", "Snapshots"
	return []mutation{
		{
			name: "durable-end-cut-off", section: format,
			rule:  "a fault in front of a frame that vouches for what was there is damage and is not cut off",
			edits: []edit{{"wal/scan.go", `if at, ok := claimed(p, data, off, next); ok {`, `if at, ok := claimed(p, data, off, next); ok && false {`}},
			catch: []command{named("./wal", "^TestLaterFramesVouchForEarlierOnes$")},
		},
		{
			name: "suspect-taken-for-torn", section: format,
			rule:  "an end that no power cut explains makes the log suspect",
			edits: []edit{{"wal/scan.go", `w.suspect = !short && !zeroSector(data, int(off))`, `w.suspect = false`}},
			catch: []command{named("./wal", "^TestSuspicionLastsUntilCleared$")},
		},
		{
			name: "unwritten-zeros-explain-an-end", section: format,
			rule:  "zeros behind what was to be written say nothing about a fault in it",
			edits: []edit{{"wal/scan.go", "data = data[:p.intended(data, off)]", "_ = p.intended"}},
			catch: []command{named("./wal", "^TestFlipOfEveryByte$")},
		},
		{
			name: "no-frame-without-its-end", section: format,
			rule:  "of a frame whose end was not written the rest of it was to be written, too",
			edits: []edit{{"wal/scan.go", "return int(off) + max(len(trimZeros(b)), min(end, len(b)))", "_ = end\n\treturn int(off) + len(trimZeros(b))"}},
			catch: []command{named("./wal", "^TestUnwrittenSectors$")},
		},
		{
			name: "half-a-head-is-suspect", section: format,
			rule:  "a write that ended in the head of a frame was not acknowledged",
			edits: []edit{{"wal/scan.go", "what == faultShort || halfHead(data[off:])", "what == faultShort"}},
			catch: []command{named("./wal", "^TestUnwrittenSectors$")},
		},
		{
			name: "unwritten-zeros-left-to-tidwall", section: format,
			rule:  "a tail with zeros behind its frames is rewritten before it is opened",
			edits: []edit{{"wal/scan.go", "w.cut == nil && w.padding == 0 && ", "w.cut == nil && "}},
			catch: []command{named("./wal", "^TestSegmentsHaveTheirSizeInAdvance$")},
		},
		{
			name: "suspect-trusted-too-early", section: format,
			rule:  "an accepted end stays suspect until everything else is durable",
			edits: []edit{{"wal/open.go", "if w.suspect && !w.manifest.suspect {", "if false {"}},
			catch: []command{named("./wal", "^(TestCrashAtEveryStepOfARepair|TestSuspicionLastsUntilCleared)$")},
		},
		{
			name: "suspect-accepted-in-a-group", section: "Losing a disk",
			rule:  "nobody can accept a suspect end of a member that has promised others what may be missing",
			edits: []edit{{"server/repair.go", "return r.Identity.Size == 1 && r.Identity.Service == paxos.ServicePlain", "return true"}},
			catch: []command{named("./cmd/diskvlog", "^TestRepairInAGroup$")},
		},
		{
			name: "failed-sync-ignored", section: format,
			rule:  "a failed sync ends the log: nothing is reported durable any more",
			edits: []edit{{"wal/segment.go", "\tt.staged = 0\n\treturn t.sync()\n", "\tt.staged = 0\n\t_ = t.sync()\n\treturn nil\n"}},
			catch: []command{named("./wal", "^(TestEveryFailure|TestNothingIsReportedOnceTheLogHasFailed|TestTailIsRewrittenAfterAFailedSync)$")},
		},
		{
			name: "no-sync", section: format,
			rule:  "a batch is synced before it is reported durable",
			edits: []edit{{"wal/segment.go", "\tt.staged = 0\n\treturn t.sync()\n", "\tt.staged = 0\n\treturn nil\n"}},
			catch: []command{named("./wal", "^TestPowerCutAtEveryStep$"), crashStates()},
		},
		{
			name: "promise-dropped-with-a-segment", section: format,
			rule: "every segment begins with the newest hard state",
			edits: []edit{{"wal/writer.go",
				`l.state, l.stateIndex = append(l.state[:0], r.Payload...), r.Index`,
				`l.stateIndex = r.Index`}},
			catch: []command{named("./wal", "^TestDroppedSegmentsTakeNoStateWithThem$")},
		},
		{
			name: "segment-dropped-too-early", section: format,
			rule: "a segment is dropped only if no record in it is above the slot that a snapshot covers",
			edits: []edit{{"wal/segment.go",
				`s.minTag, s.maxTag = min(s.minTag, f.tag), max(s.maxTag, f.tag)`,
				`s.minTag = min(s.minTag, f.tag)`}},
			catch: []command{named("./wal", "^(TestDroppedSegmentsTakeNoStateWithThem|TestRead)$")},
		},
		{
			name: "snapshot-named-before-its-sync", section: format,
			rule:  "a snapshot gets its name when it is durable",
			edits: []edit{{"snapshot/create.go", "\treturn w.foot, f.sync()\n", "\treturn w.foot, nil\n"}},
			catch: []command{named("./snapshot", "^TestCreateIsAtomicAtEachStep$"), crashStates()},
		},
		{
			name: "wal-directories-not-synced", section: format,
			rule:  "the names of segments and of MANIFEST are durable before they count",
			edits: []edit{{"wal/disk.go", `return errors.Join(f.Sync(), f.Close())`, `return f.Close()`}},
			catch: []command{crashStates()},
		},
		{
			name: "manifest-renamed-before-its-sync", section: format,
			rule:  "MANIFEST, and a tail that is rewritten, are durable before they are renamed",
			edits: []edit{{"wal/disk.go", `return d.do(change{kind: changeSync, path: path}, f.Sync)`, `return nil`}},
			catch: []command{crashStates()},
		},
		{
			name: "identity-renamed-before-its-sync", section: format,
			rule:  "IDENTITY and PEERS are durable before they are renamed",
			edits: []edit{{"server/datadir.go", "\tif err == nil {\n\t\terr = f.Sync()\n\t}\n", ""}},
			catch: []command{crashStates()},
		},
		{
			name: "directory-not-synced", section: format,
			rule:  "the names in a data directory are durable before what rests on them leaves",
			edits: []edit{{"server/datadir.go", `if err := f.Sync(); err != nil {`, `if err := error(nil); err != nil {`}},
			catch: []command{crashStates()},
		},
		{
			name: "snapshot-name-not-synced", section: format,
			rule:  "a snapshot's name is durable before the log that it covers is dropped",
			edits: []edit{{"snapshot/disk.go", `return d.syncDir(filepath.Dir(to))`, "_ = filepath.Dir(to)\n\treturn nil"}},
			catch: []command{crashStates()},
		},
		{
			name: "torn-snapshot-taken-as-whole", section: format,
			rule: "a snapshot counts when all of it was verified",
			edits: []edit{
				{"snapshot/scan.go", `case s.blocks != s.foot.blocks || s.records != s.foot.records || s.rawBytes != s.foot.rawBytes:`, `case s.foot.size == 0:`},
				{"snapshot/scan.go", `case digest != s.foot.digest:`, `case s.foot.size == 1:`},
				{"snapshot/scan.go", `if blockSum(at, head, stored) != h.sum {`, `if h.sum == 0 && blockSum(at, head, stored) != 0 {`},
				{"snapshot/scan.go", `if crc32.Checksum(raw, castagnoli) != h.rawSum {`, `if false && crc32.Checksum(raw, castagnoli) != h.rawSum {`},
			},
			catch: []command{named("./snapshot", "^(TestEachFlippedByteIsFound|TestEachCutIsFound)$")},
		},
		{
			name: "received-snapshot-not-compared", section: protocol,
			rule: "a received snapshot is the one that was announced",
			edits: []edit{{"snapshot/transfer.go",
				`if info.Digest != in.digest {`,
				`if false {`}},
			catch: []command{named("./snapshot", "^TestTransferRefuses$")},
		},
		{
			name: "log-dropped-before-the-snapshot", section: protocol,
			rule: "the log is dropped when the snapshot that covers it is durable",
			edits: []edit{{"replica/snapshots.go",
				"\tr.out.Snapshot = s.taking\n\tr.out.Roll = true\n",
				"\tr.out.Snapshot = s.taking\n\tr.out.Roll, r.out.DropLog = true, r.core.Applied()\n"}},
			catch: []command{named("./replica", "^TestLogIsKeptUntilItsSnapshotIsDurable$"), simulation(200)},
		},
		{
			name: "transfer-does-not-pin", section: protocol,
			rule: "what a transfer needs is not dropped",
			edits: []edit{{"replica/snapshots.go",
				`			keep = min(keep, t.info.Slot)`,
				`			keep = max(keep, t.info.Slot)`}},
			catch: []command{named("./replica", "^TestTransferPins$"), simulation(200)},
		},
		{
			name: "sessions-not-in-snapshot", section: "docs/format.md, image",
			rule: "the table of sessions is part of a snapshot",
			edits: []edit{
				{"kv/image.go", "\tm.sessions.Ascend(w.session)\n", ""},
				{"kv/image.go", `uint64(m.sessions.Len()+sessions))`, `uint64(sessions))`},
			},
			catch: []command{named("./kv", "^TestSessionsLiveInSnapshots$")},
		},
		{
			name: "session-not-remembered", section: "Outcomes",
			rule:  "an operation of a session is executed once",
			edits: []edit{{"kv/session.go", "\ts.remember(e)\n\treturn dst\n", "\treturn dst\n"}},
			catch: []command{named("./kv", "^(TestARetryIsNotAppliedAgain|TestARetryGetsTheReplyOfThatTime)$")},
		},
		{
			name: "driver-does-not-wait", section: "What a driver must keep",
			rule: "what is in AfterSync leaves when its sync has ended",
			edits: []edit{{"server/loop.go",
				`		n.outbox = append(n.outbox, heldBack{sync: out.Sync, messages: out.AfterSync})`,
				`		n.sendAll(out.AfterSync)`}},
			catch: []command{named("./server", "^TestVotesLeaveAfterTheirSync$"), crashStates()},
		},
		{
			name: "messages-after-a-failed-disk", section: "What a driver must keep",
			rule: "after a failure of the disk nothing leaves any more",
			edits: []edit{{"server/loop.go",
				"\tif n.failure.Load() != nil {\n\t\treturn\n\t}\n\tn.publish() //",
				"\tn.publish() //"}},
			catch: []command{named("./server", "^TestNothingLeavesAfterAFailure$")},
		},
	}
}
