package replica

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/paxos"
)

func TestWhatToolsRead(t *testing.T) {
	b := paxos.Ballot{Round: 3, Replica: 1}
	value := appendBatch(nil, Batch{Origin: b, Time: 77, Commands: [][]byte{[]byte("one"), []byte("two")}})
	e := paxos.Entry{Slot: 9, Ballot: b, Kind: paxos.KindBatch, Value: value}
	rec := entryRecord(e, 8)
	got, err := ReadEntry(rec)
	require.NoError(t, err)
	require.Equal(t, AcceptedEntry{Entry: e, Commit: 8}, got)
	read, err := ReadBatch(got.Value)
	require.NoError(t, err)
	require.Equal(t, Batch{Origin: b, Time: 77, Commands: [][]byte{[]byte("one"), []byte("two")}}, read)
	rec.Slot++
	_, err = ReadEntry(rec)
	require.ErrorContains(t, err, "filed under slot 10")
	_, err = ReadBatch(value[:len(value)-1])
	require.Error(t, err)
	require.NoError(t, CheckPeers(encodePeers(5, &peerMemory{})))
	require.Error(t, CheckPeers([]byte("PEERS")))
}
