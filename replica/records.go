package replica

import (
	"encoding/binary"
	"fmt"

	"diskv/paxos"
)

// AcceptedEntry is an accepted entry as a record of kind RecordEntry holds it.
type AcceptedEntry struct {
	paxos.Entry
	// Commit is the commit index that rides along: it is true of the log that ends
	// with this record.
	Commit paxos.Slot
}

// entryRecord makes the record of an accepted entry:
//
//	commit u64 | entry
func entryRecord(e paxos.Entry, commit paxos.Slot) Record {
	payload := make([]byte, 0, 8+8+9+1+len(e.Value))
	payload = binary.LittleEndian.AppendUint64(payload, uint64(commit))
	return Record{Kind: RecordEntry, Slot: e.Slot, Payload: paxos.AppendEntry(payload, e)}
}

// ReadEntry reads a record of kind RecordEntry. The value aliases the payload.
func ReadEntry(rec Record) (AcceptedEntry, error) {
	if len(rec.Payload) < 8 {
		return AcceptedEntry{}, fmt.Errorf("log entry of slot %d: %d bytes are too few", rec.Slot, len(rec.Payload))
	}
	e, err := paxos.DecodeEntry(rec.Payload[8:])
	if err != nil {
		return AcceptedEntry{}, err
	}
	if e.Slot != rec.Slot {
		return AcceptedEntry{}, fmt.Errorf("log entry of slot %d is filed under slot %d", e.Slot, rec.Slot)
	}
	return AcceptedEntry{Entry: e, Commit: paxos.Slot(binary.LittleEndian.Uint64(rec.Payload))}, nil
}

// ChosenEntries turns records of the log into the chosen entries from slot
// from on: consecutive, at most limit bytes of values but at least one. Where a
// slot was accepted under several ballots the last record counts. All slots
// must be known as chosen, and the records must be every one that the log
// holds of them.
func ChosenEntries(records []Record, from paxos.Slot, limit int) ([]paxos.Entry, error) {
	newest := make(map[paxos.Slot]paxos.Entry, len(records))
	for _, rec := range records {
		if rec.Kind != RecordEntry || rec.Slot < from {
			continue
		}
		e, err := ReadEntry(rec)
		if err != nil {
			return nil, err
		}
		newest[rec.Slot] = e.Entry
	}
	var out []paxos.Entry
	for size := 0; ; from++ {
		e, ok := newest[from]
		size += len(e.Value)
		if !ok || len(out) > 0 && size > limit {
			return out, nil
		}
		out = append(out, e)
	}
}

// recordCost is what a record takes in the log, about.
func recordCost(rec Record) int64 { return int64(len(rec.Payload)) + frameBytes }

// frameBytes is what the log adds to a record, about.
const frameBytes = 48
