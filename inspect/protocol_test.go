package inspect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/kv"
	"diskv/paxos"
	"diskv/replica"
	"diskv/wal"
)

// rejoin is an entry that lets a member back.
func rejoin(slot paxos.Slot, b paxos.Ballot, commit paxos.Slot, member byte, l paxos.Life) wal.Record {
	value := []byte{member}
	for _, n := range []uint64{l.Epoch, l.Nonce} {
		for i := range 8 {
			value = append(value, byte(n>>(8*i)))
		}
	}
	return entry(slot, b, commit, paxos.KindRejoin, value)
}

func TestWhatALogMustNotHold(t *testing.T) {
	one, two := ballot(1, 0), ballot(2, 1)
	later := vector()
	later[2] = paxos.Life{Epoch: 1, Nonce: 500}
	for what, c := range map[string]struct {
		log  []wal.Record
		slot uint64
		want string
	}{
		"an accept below a promise":     {[]wal.Record{state(two, 0), set(1, one, 0, "k", "v")}, 1, "accepted under ballot 1.0, below the promise of 2.1"},
		"an accept below an accept":     {[]wal.Record{state(one, 0), set(1, two, 0, "k", "v"), set(2, one, 0, "k", "v")}, 2, "accepted under ballot 1.0, below"},
		"a promise that goes back":      {[]wal.Record{state(two, 0), state(one, 0)}, 0, "the promise goes back"},
		"a promise below an accept":     {[]wal.Record{state(one, 0), set(1, two, 0, "k", "v"), state(one, 0)}, 0, "behind a value that was accepted under 2.1"},
		"a hole":                        {[]wal.Record{state(one, 0), set(1, one, 0, "k", "v"), set(3, one, 0, "k", "v")}, 3, "slots 2 to 2 are missing"},
		"a log that begins late":        {[]wal.Record{state(one, 0), set(5, one, 0, "k", "v")}, 5, "slots 1 to 4 are missing"},
		"a commit index above the log":  {[]wal.Record{state(one, 0), set(1, one, 2, "k", "v")}, 1, "a commit index of 2"},
		"a commit index of a state":     {[]wal.Record{state(one, 1)}, 0, "a commit index of 1"},
		"a chosen slot that changes":    {[]wal.Record{state(one, 0), set(1, one, 0, "k", "v"), set(2, one, 1, "k", "v"), set(1, two, 1, "k", "w")}, 1, "the slot was chosen with one value"},
		"two values of a ballot":        {[]wal.Record{state(one, 0), set(1, one, 0, "k", "v"), set(1, one, 0, "k", "w")}, 1, "ballot 1.0 has two values"},
		"an epoch that goes back":       {[]wal.Record{stateOfVector(one, 0, later), state(one, 0)}, 0, "the epoch of member 2 goes back from 1 to 0"},
		"an epoch below a rejoin":       {[]wal.Record{state(one, 0), rejoin(1, one, 0, 2, later[2]), state(one, 0)}, 0, "the epoch of member 2 goes back"},
		"a state that does not decode":  {[]wal.Record{{Type: wal.TypeState, Payload: []byte("state")}}, 0, "hard state"},
		"an entry under another slot":   {[]wal.Record{{Type: wal.TypeData, Tag: 2, Payload: set(1, one, 0, "k", "v").Payload}}, 2, "filed under slot 2"},
		"a batch that does not decode":  {[]wal.Record{state(one, 0), entry(1, one, 0, paxos.KindBatch, []byte("batch"))}, 1, "batch"},
		"a rejoin that does not decode": {[]wal.Record{state(one, 0), entry(1, one, 0, paxos.KindRejoin, []byte("x"))}, 1, "rejoin"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := makeDir(t, identity(0), 0, c.log)
			got := verify(t, dir)
			require.Equal(t, Damaged, got.Verdict)
			require.Contains(t, got.Fault.Reason, c.want)
			require.Equal(t, c.slot, got.Fault.Slot)
			require.Equal(t, uint64(len(c.log)), got.Fault.Index)
			require.NotEmpty(t, got.Fault.Hex)
		})
	}
}

func TestWhatALogMayHold(t *testing.T) {
	one, two := ballot(1, 0), ballot(2, 1)
	later := vector()
	later[2] = paxos.Life{Epoch: 1, Nonce: 500}
	again := later
	again[2].Nonce = 600
	for what, log := range map[string][]wal.Record{
		"nothing":                       {state(one, 0)},
		"a slot accepted anew":          {state(one, 0), set(1, one, 0, "k", "v"), set(1, two, 0, "k", "w"), state(two, 1)},
		"a chosen slot sent once more":  {state(one, 0), entry(1, one, 0, paxos.KindNoop, nil), set(2, one, 1, "k", "v"), entry(1, two, 1, paxos.KindNoop, nil)},
		"another nonce at one epoch":    {state(one, 0), rejoin(1, one, 0, 2, later[2]), stateOfVector(one, 0, later), rejoin(1, two, 0, 2, again[2]), stateOfVector(two, 1, again)},
		"an empty batch, and a no-op":   {state(one, 0), entry(1, one, 0, paxos.KindBatch, batch(one, 5)), entry(2, one, 2, paxos.KindNoop, nil)},
		"a command nobody understands":  {state(one, 0), entry(1, one, 1, paxos.KindBatch, batch(one, 5, []byte("what?")))},
		"a hand-over of a later format": {state(one, 0), entry(1, one, 1, paxos.KindBatch, batch(one, 5, []byte{0x81, 99, 0, 0, 1}))},
	} {
		t.Run(what, func(t *testing.T) {
			dir := makeDir(t, identity(0), 0, log)
			require.Equal(t, Well, agree(t, dir, what))
		})
	}
}

func TestSnapshotAndLogThatDoNotFit(t *testing.T) {
	b := ballot(1, 0)
	dir := makeDir(t, identity(0), 0, []wal.Record{state(b, 0), set(5, b, 4, "k", "v"), set(6, b, 5, "k", "v")})
	require.Equal(t, Damaged, agree(t, dir, "no snapshot"))
	h := paxos.HardState{Promised: b, Commit: 3, Vector: vector()}
	addSnapshot(t, dir, 3, h)
	c := verify(t, dir)
	require.Equal(t, Damaged, c.Verdict)
	require.Contains(t, c.Fault.Reason, "slots 4 to 4 are missing in front of it")
	addSnapshot(t, dir, 4, h)
	require.Equal(t, Well, agree(t, dir, "it goes on from the snapshot"))
	c = verify(t, dir)
	require.Equal(t, 2, c.Snapshots)
	require.Equal(t, uint64(4), c.SnapshotSlot)
	require.Equal(t, uint64(6), c.LastSlot)
	require.Equal(t, uint64(5), c.Commit)
	addSnapshot(t, dir, 9, h)
	require.Equal(t, Well, agree(t, dir, "a snapshot that was installed"))

	id := identity(0)
	id.Cluster++
	write(t, dir, "IDENTITY", string(replica.AppendIdentity(nil, id)))
	require.Contains(t, verify(t, dir).Fault.Reason, "the snapshot is of group 1 of cluster")
}

func TestIdentityAndLogThatDoNotFit(t *testing.T) {
	b := ballot(1, 0)
	later := vector()
	later[0] = paxos.Life{Epoch: 1, Nonce: 500}
	log := []wal.Record{state(b, 0), rejoin(1, b, 0, 0, later[0]), stateOfVector(b, 1, later)}
	dir := makeDir(t, identity(0), 0, log)
	c := verify(t, dir)
	require.Equal(t, Damaged, c.Verdict)
	require.Contains(t, c.Fault.Reason, "is an old copy")
	require.Equal(t, Well, verify(t, makeDir(t, identity(1), 0, log)).Verdict, "the others know it")
	dir = makeDir(t, identity(0), 0, []wal.Record{state(b, 0), rejoin(1, b, 0, 0, later[0]), stateOfVector(b, 0, later)})
	require.Equal(t, Well, verify(t, dir).Verdict, "nobody knows whether it is chosen")
	require.NotEmpty(t, verify(t, dir).Notes)

	id := identity(0)
	id.LogID++
	write(t, dir, "IDENTITY", string(replica.AppendIdentity(nil, id)))
	require.Contains(t, verify(t, dir).Fault.Reason, "the directory belongs to log")

	id = identity(0)
	id.LogID, id.Cluster, id.Phase = 0, 0, replica.PhaseForming
	write(t, dir, "IDENTITY", string(replica.AppendIdentity(nil, id)))
	c = verify(t, dir)
	require.Equal(t, Well, c.Verdict)
	require.Contains(t, c.Notes[0], "no log")
	write(t, dir, "PEERS", "not PEERS")
	require.Contains(t, verify(t, dir).Notes[0], "checksum")
}

func TestCompareMembers(t *testing.T) {
	b := ballot(1, 0)
	log := func(values ...string) [][]wal.Record {
		out := [][]wal.Record{{state(b, 0)}}
		for i, v := range values {
			out = append(out, []wal.Record{set(paxos.Slot(i+1), b, paxos.Slot(i), "k", v)})
		}
		return out
	}
	checks := func(dirs ...string) []*Check {
		var out []*Check
		for _, d := range dirs {
			c := verify(t, d)
			require.Equal(t, Well, c.Verdict)
			out = append(out, c)
		}
		return out
	}
	zero := makeDir(t, identity(0), 0, log("a", "b", "c", "d", "e")...)
	same := makeDir(t, identity(1), 300, log("a", "b", "c", "x")...)
	other := makeDir(t, identity(2), 0, log("a", "b", "y", "d", "e")...)
	for _, step := range []int{1, 2, comparedSlots} {
		fault, shared, err := compare(checks(zero, same), nil, step)
		require.NoError(t, err)
		require.Nil(t, fault, "slot 4 is not known as chosen to both")
		require.Equal(t, uint64(3), shared)
		fault, _, err = compare(checks(zero, same, other), nil, step)
		require.NoError(t, err)
		require.NotNil(t, fault)
		require.Equal(t, uint64(3), fault.Slot)
		require.Contains(t, fault.Reason, "members 2 and 0 know the slot as chosen with different values")
		require.Contains(t, fault.Hex, ">")
	}
	fault, _, err := Compare(checks(zero, makeDir(t, identity(0), 0, log("a")...)), nil)
	require.NoError(t, err)
	require.Contains(t, fault.Reason, "both are of member 0")
	id := identity(1)
	id.Group = 2
	fault, _, err = Compare(checks(zero, makeDir(t, id, 0, log("a")...)), nil)
	require.NoError(t, err)
	require.Contains(t, fault.Reason, "they are of group 1")
	fault, shared, err := Compare(checks(zero, makeDir(t, identity(1), 0)), nil)
	require.NoError(t, err)
	require.Nil(t, fault)
	require.Zero(t, shared)
}

func TestDump(t *testing.T) {
	b := ballot(1, 0)
	session := kv.NewSessionID(5e9, 77)
	once := kv.Command{Session: session, Seq: 4, Args: [][]byte{[]byte("append"), []byte("log"), []byte("hello \x00")}}
	incr := kv.Command{Args: [][]byte{[]byte("incr"), []byte("n")}}
	watched := []kv.Watched{{Token: []byte("0-7"), Key: []byte("{k}1")}, {Token: []byte("0-9"), Key: []byte("{k}2")}}
	transaction := kv.Command{Args: kv.TransactionArgs([]byte("{k}1"), watched, [][][]byte{
		{[]byte("set"), []byte("{k}1"), []byte("a rather long value")}, {[]byte("dbsize")},
	})}
	dir := makeDir(t, identity(0), 0, []wal.Record{
		state(b, 0), set(1, b, 0, "greeting", "a rather long value that is cut"),
		entry(2, b, 1, paxos.KindBatch, batch(b, 9e9, once.Append(nil), incr.Append(nil))),
		entry(3, b, 2, paxos.KindNoop, nil), rejoin(4, b, 2, 2, paxos.Life{Epoch: 1, Nonce: 500}),
		entry(5, b, 2, paxos.KindBatch, batch(b, 9e9, []byte("?"))),
		entry(6, b, 2, paxos.KindBatch, batch(b, 9e9, transaction.Append(nil))),
	})
	all := Filter{ValueBytes: 12, Kinds: []string{KindHeader, KindState, KindBatch, KindNoop, KindRejoin}}
	require.Equal(t, []string{
		"0 header segment 1 promised 0.0 commit 0 lives 0/0000000000000064 0/0000000000000065 0/0000000000000066",
		"1 state promised 1.0 commit 0 lives 0/0000000000000064 0/0000000000000065 0/0000000000000066",
		`2 batch 1.0 slot 1 1970-01-01T00:00:01.000Z SET greeting "a rather lon"...(31 bytes)`,
		`3 batch 1.0 slot 2 1970-01-01T00:00:09.000Z APPEND log "hello \x00" [` + session.String() + ` #4] | INCR n`,
		"4 noop 1.0 slot 3",
		"5 rejoin 1.0 slot 4 member 2 lives on as 1/00000000000001f4",
		"6 batch 1.0 slot 5 1970-01-01T00:00:09.000Z ? (1 bytes do not decode: decode command: offset 1: unknown version)",
		`7 batch 1.0 slot 6 1970-01-01T00:00:09.000Z DISKV.EXEC if unchanged: {k}1 since 0-7, {k}2 since 0-9 { SET {k}1 "a rather lon"...(19 bytes); DBSIZE }`,
	}, lines(t, dir, all))
	with := func(change func(*Filter)) []string {
		f := Filter{ValueBytes: 12}
		change(&f)
		return lines(t, dir, f)
	}
	require.Len(t, with(func(f *Filter) { f.FirstSlot, f.LastSlot = 2, 3 }), 2)
	require.Len(t, with(func(f *Filter) { f.FirstSlot = 4 }), 3)
	require.Equal(t, []string{"3 batch 1.0 slot 2 1970-01-01T00:00:09.000Z INCR n (and 1 others)"}, with(func(f *Filter) { f.Key = []byte("n") }))
	require.Len(t, with(func(f *Filter) { f.Session = session }), 1)
	require.Contains(t, with(func(f *Filter) { f.Key = []byte("{k}2") })[0], "DISKV.EXEC")
	require.Empty(t, with(func(f *Filter) { f.Session, f.Key = session, []byte("n") }))
	require.Contains(t, with(func(f *Filter) { f.Until = msTime(2000); f.Kinds = []string{KindBatch} })[0], "slot 1")
	require.NotContains(t, with(func(f *Filter) { f.Since = msTime(2000) })[0], "slot 1 ")
	for _, path := range []string{dir + "/wal", dir + "/" + seg1, dir + "/wal/00000000000000000001"} {
		require.Equal(t, lines(t, dir, all), lines(t, path, all), path)
	}

	path := addSnapshot(t, dir, 2, paxos.HardState{Promised: b, Commit: 2, Vector: vector()})
	got := lines(t, path, Filter{ValueBytes: 12})
	require.Len(t, got, 4)
	require.Contains(t, got[0], "snapshot slot 2 group 1 cluster c1c2c3c4c5c6c7c8")
	require.Contains(t, got[2], "key key value shard")
	require.Len(t, lines(t, path, Filter{Key: []byte("key"), ValueBytes: -1}), 1)
	require.Empty(t, lines(t, path, Filter{Key: []byte("other")}))

	require.ErrorContains(t, Dump(t.TempDir(), Filter{}, nil, nil), "none of diskv's directories")
	require.ErrorContains(t, Dump(dir+"/IDENTITY", Filter{}, nil, nil), "neither a snapshot nor a segment")
}
