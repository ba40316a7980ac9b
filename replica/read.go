package replica

import "diskv/paxos"

// What the log and the snapshots of a replica hold, for tools that read a
// directory offline. A replica itself reads them with Replay.

// AcceptedEntry is what a record of kind RecordEntry says.
type AcceptedEntry struct {
	paxos.Entry
	// Commit is the commit index that rides along: it is true of the log that ends
	// with this record.
	Commit paxos.Slot
}

// ReadEntry reads a record of kind RecordEntry. The value aliases the payload.
func ReadEntry(rec Record) (AcceptedEntry, error) {
	e, err := decodeEntryRecord(rec)
	return AcceptedEntry{Entry: e.Entry, Commit: e.commit}, err
}

// Batch is the value of an entry of kind paxos.KindBatch.
type Batch struct {
	// Origin is the ballot under which the value was first proposed.
	Origin paxos.Ballot
	// Time is the leader's, in ns since the Unix epoch.
	Time int64
	// Commands are those of the state machine; none, and the batch moves only time.
	Commands [][]byte
}

// ReadBatch reads the value of an entry of kind paxos.KindBatch. The commands alias
// it.
func ReadBatch(value []byte) (Batch, error) {
	b, err := decodeBatch(value)
	return Batch{Origin: b.origin, Time: b.time, Commands: b.commands}, err
}

// CheckPeers reports what is wrong with the content of the file PEERS. To a replica
// a wrong one is as good as none.
func CheckPeers(content []byte) error {
	_, _, err := decodePeers(content)
	return err
}
