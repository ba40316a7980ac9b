package paxos

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diskv/internal/golden"
	"diskv/internal/wire"
)

// goldenHeader is the head of every golden envelope, behind version and kind.
const goldenHeader = `
	02 01               // from, to
	efcdab8967452301    // cluster
	0700000000000000    // group
	0100000000000000 1111111111111111  // life of the sender
`

const goldenNoVector = `00 // no vector`

const goldenVector = `
	02                                 // vector of two
	0000000000000000 aaaaaaaaaaaaaaaa
	0100000000000000 1111111111111111
`

var (
	digest      = [32]byte{0: 0xd0, 31: 0xdf}
	testVector  = Vector{{Epoch: 0, Nonce: 0xaaaaaaaaaaaaaaaa}, {Epoch: 1, Nonce: 0x1111111111111111}}
	testBallot  = Ballot{Round: 3, Replica: 2}
	otherBallot = Ballot{Round: 0x0102030405060708, Replica: 6}
	testHolding = Holding{Boot: 4, BootID: 0x2222222222222222, Last: 9, Promised: testBallot}
)

const (
	hexBallot  = "0300000000000000 02 // ballot 3.2\n"
	hexOther   = "0807060504030201 06 // another ballot\n"
	hexHolding = "0400000000000000 2222222222222222 0900000000000000 // boot, boot id, last slot\n" + hexBallot
	hexDigest  = "d0000000000000000000000000000000000000000000000000000000000000df // digest\n"
)

// goldenMessages are all kinds of messages in their bytes on the wire. They
// never change within a version.
var goldenMessages = []struct {
	kind    string
	message Message
	vector  bool
	body    string
}{
	{"01", PreVote{Ballot: testBallot, Commit: 5}, false, hexBallot + `0500000000000000 // commit`},
	{"02", PreVoteReply{Ballot: testBallot, Granted: true, Promised: otherBallot}, false, hexBallot + `01 // granted
		` + hexOther},
	{"03", Prepare{Ballot: testBallot, From: 9, Handover: otherBallot}, false, hexBallot + `0900000000000000 // from
		` + hexOther},
	{"04", Promise{
		Ballot: testBallot, From: 9, Commit: 8, LogStart: 4, Wall: -2, More: true,
		Entries: []Entry{
			{Slot: 9, Ballot: otherBallot, Kind: KindBatch, Value: []byte("hi")},
			{Slot: 10, Ballot: testBallot, Kind: KindNoop, Value: []byte{}},
		},
	}, true, hexBallot + `
		0900000000000000 // from
		0800000000000000 // commit
		0400000000000000 // log start
		feffffffffffffff // wall clock
		01               // more
		02000000         // entries
		` + hexOther + ` 02 02000000 6869 // batch, 2 bytes
		` + hexBallot + ` 01 00000000 // no-op
	`},
	{"05", Nack{Ballot: testBallot, Promised: otherBallot}, false, hexBallot + hexOther},
	{"06", Accept{
		Ballot: testBallot, Commit: 8, Round: 4, First: 9,
		Entries: []Entry{
			{Slot: 9, Ballot: testBallot, Kind: KindBatch, Value: []byte("hi")},
			{Slot: 10, Ballot: testBallot, Kind: KindNoop, Value: []byte{}},
		},
	}, false, hexBallot + `
		0800000000000000 // commit
		0400000000000000 // round
		0900000000000000 // first slot
		02000000         // entries
		02 02000000 6869 // batch, 2 bytes
		01 00000000      // no-op
	`},
	{"07", Accepted{Ballot: testBallot, Through: 9}, true, hexBallot + `0900000000000000 // through`},
	{"08", Heartbeat{Ballot: testBallot, Commit: 8, Round: 4}, false, hexBallot + `
		0800000000000000 // commit
		0400000000000000 // round
	`},
	{"09", HeartbeatAck{Ballot: testBallot, Round: 4, Held: 9, Gap: true}, true, hexBallot + `
		0400000000000000 // round
		0900000000000000 // held
		01               // gap
	`},
	{"0a", Handover{Ballot: testBallot}, false, hexBallot},
	{"0b", SnapshotChunk{Ballot: testBallot, Slot: 9, Digest: digest, Size: 100, Offset: 50, Data: []byte("hi")}, false, hexBallot + `
		0900000000000000 // slot
		` + hexDigest + `
		6400000000000000 // size
		3200000000000000 // offset
		02000000 6869    // data
	`},
	{"0c", SnapshotAck{Ballot: testBallot, Slot: 9, Digest: digest, Offset: 50, Installed: true}, false, hexBallot + `
		0900000000000000 // slot
		` + hexDigest + `
		3200000000000000 // offset
		01               // installed
	`},
	{"0d", FormHello{Size: 3, Lease: true, Service: ServiceSharded, Recovering: true, Echo: 5}, false, `
		03 01 01 01      // size, lease, service, recovering
		0500000000000000 // echo
	`},
	{"0e", FormGenesis{Size: 3, Service: ServiceShardmaster, Led: true, Vector: testVector}, false, `03 00 02 01 // size, lease, service, led` + goldenVector},
	{"0f", FormStored{}, false, ``},
	{"10", Progress{Ballot: testBallot, Held: 9, Gap: true}, false, hexBallot + `
		0900000000000000 // held
		01               // gap
	`},
	{"11", RejoinNotice{Ballot: testBallot, Epoch: 3, Chosen: Life{Epoch: 2, Nonce: 0x1111}}, false, hexBallot + `
		0300000000000000                  // epoch
		0200000000000000 1111000000000000 // chosen life
	`},
	{"12", RejoinRequest{Ballot: testBallot, Prev: 3}, false, hexBallot + `
		0300000000000000 // prev
	`},
	{"13", Started{testHolding}, false, hexHolding},
	{"14", Remembered{Nonce: 0x1111, Holding: testHolding}, false, `
		1111000000000000 // nonce
	` + hexHolding},
}

func goldenEnvelope(m Message, withVector bool) Envelope {
	e := Envelope{
		Cluster: 0x0123456789abcdef, Group: 7, From: 2, To: 1,
		Life: Life{Epoch: 1, Nonce: 0x1111111111111111}, Message: m,
	}
	if withVector {
		e.Vector = testVector
	}
	return e
}

func TestEnvelopeGolden(t *testing.T) {
	seen := map[messageKind]bool{}
	for _, g := range goldenMessages {
		t.Run(strings.TrimPrefix(fmt.Sprintf("%T", g.message), "paxos."), func(t *testing.T) {
			vector := goldenNoVector
			if g.vector {
				vector = goldenVector
			}
			require.Equal(t, g.vector, vote(g.message), "who gives a vote carries the vector")
			want := golden.Hex("01 // version\n" + g.kind + goldenHeader + vector + "\n" + g.body)
			e := goldenEnvelope(g.message, g.vector)
			got := AppendEnvelope([]byte("before"), e)
			require.Equal(t, "before", string(got[:6]), "it appends")
			require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got[6:]))
			require.GreaterOrEqual(t, EnvelopeSize(e), len(want))
			back, err := DecodeEnvelope(want)
			require.NoError(t, err)
			require.Equal(t, e, back)
			for n := range want {
				_, err := DecodeEnvelope(want[:n])
				require.Error(t, err, "cut at %d", n)
			}
			_, err = DecodeEnvelope(append(want, 0))
			require.ErrorIs(t, err, wire.ErrTrailing)
		})
		seen[g.message.kind()] = true
	}
	require.Len(t, seen, int(kindRemembered), "every kind has its golden bytes")
}

func TestDecodeEnvelopeRefuses(t *testing.T) {
	good := AppendEnvelope(nil, goldenEnvelope(Accept{Ballot: testBallot, First: 1, Entries: []Entry{{Kind: KindNoop}}}, false))
	const body = 4 + 8 + 8 + 16 + 1 // where the message begins
	change := func(at int, v ...byte) []byte {
		b := append([]byte(nil), good...)
		copy(b[at:], v)
		return b
	}
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"newer version", change(0, 2), "run the same release"},
		{"kind 0", change(1, 0), "kind 0"},
		{"unknown kind", change(1, 16), "kind 16"},
		{"sender out of range", change(2, MaxReplicas), "replica 7"},
		{"receiver out of range", change(3, 255), "replica 255"},
		{"vector too long", change(body-1, MaxReplicas+1), "vector of 8"},
		{"ballot of nobody", change(body+8, 9), "replica 9"},
		{"more entries than bytes", change(body+9+24, 0xff, 0xff, 0xff, 0xff), wire.ErrShort.Error()},
		{"entry of kind 0", change(body+9+24+4, 0), "entry kind 0"},
		{"value longer than the rest", change(body+9+24+5, 1), wire.ErrShort.Error()},
		{"value above the limit", change(body+9+24+5, 1, 0, 0, 0x40), wire.ErrTooLong.Error()},
		{"nothing", nil, wire.ErrShort.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeEnvelope(tt.in)
			require.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("bool of 2", func(t *testing.T) {
		b := AppendEnvelope(nil, goldenEnvelope(HeartbeatAck{Ballot: testBallot}, false))
		b[len(b)-1] = 2
		_, err := DecodeEnvelope(b)
		require.ErrorIs(t, err, wire.ErrBadValue)
	})
	t.Run("vector that ends with nothing", func(t *testing.T) {
		b := AppendEnvelope(nil, goldenEnvelope(FormGenesis{Size: 3}, false))
		b = append(b[:len(b)-1], 1)
		b = append(b, make([]byte, 16)...)
		_, err := DecodeEnvelope(b)
		require.ErrorIs(t, err, wire.ErrBadValue)
	})
}

func TestEntryGolden(t *testing.T) {
	e := Entry{Slot: 9, Ballot: testBallot, Kind: KindBatch, Value: []byte("hi")}
	want := golden.Hex(`0900000000000000 // slot
		` + hexBallot + `
		02               // batch
		6869             // value`)
	require.Equal(t, want, AppendEntry(nil, e))
	back, err := DecodeEntry(want)
	require.NoError(t, err)
	require.Equal(t, e, back)
	for _, bad := range []Entry{
		{Slot: 0, Ballot: testBallot, Kind: KindNoop},
		{Slot: 1, Kind: KindNoop},
		{Slot: 1, Ballot: testBallot},
		{Slot: 1, Ballot: testBallot, Kind: KindRejoin + 1},
	} {
		_, err := DecodeEntry(AppendEntry(nil, bad))
		require.ErrorIs(t, err, wire.ErrBadValue, "%+v", bad)
	}
	_, err = DecodeEntry(want[:17])
	require.ErrorIs(t, err, wire.ErrShort)
}

func TestRejoinGolden(t *testing.T) {
	j := Rejoin{Replica: 2, Life: Life{Epoch: 3, Nonce: 0x1111}}
	want := golden.Hex(`02 // replica
		0300000000000000 1111000000000000 // life`)
	require.Equal(t, want, encodeRejoin(j))
	back, err := DecodeRejoin(want)
	require.NoError(t, err)
	require.Equal(t, j, back)
	for _, bad := range []Rejoin{{Replica: 7, Life: j.Life}, {Replica: 1, Life: Life{Epoch: 1}}, {Replica: 1, Life: Life{Nonce: 1}}} {
		_, err := DecodeRejoin(encodeRejoin(bad))
		require.ErrorIs(t, err, wire.ErrBadValue, "%+v", bad)
	}
}

func TestHardStateGolden(t *testing.T) {
	h := HardState{Promised: testBallot, Commit: 8, Recovering: true, Vector: testVector}
	want := golden.Hex(`01 // version
		` + hexBallot + `
		0800000000000000 // commit
		01               // recovering
		` + goldenVector)
	require.Equal(t, want, AppendHardState(nil, h))
	back, err := DecodeHardState(want)
	require.NoError(t, err)
	require.Equal(t, h, back)
	for n := range want {
		_, err := DecodeHardState(want[:n])
		require.Error(t, err, "cut at %d", n)
	}
	want[0]++
	_, err = DecodeHardState(want)
	require.ErrorContains(t, err, "start the release that wrote it")
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, g := range goldenMessages {
		f.Add(AppendEnvelope(nil, goldenEnvelope(g.message, g.vector)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := DecodeEnvelope(in)
		if err != nil {
			return
		}
		entries := 0
		switch m := e.Message.(type) {
		case Promise:
			entries = len(m.Entries)
		case Accept:
			entries = len(m.Entries)
		}
		require.LessOrEqual(t, entries, len(in)/5, "memory is bounded by the input")
		require.GreaterOrEqual(t, EnvelopeSize(e), len(in))
		require.Equal(t, in, AppendEnvelope(nil, e))
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(AppendEntry(nil, Entry{Slot: 1, Ballot: testBallot, Kind: KindNoop}))
	f.Add(AppendEntry(nil, Entry{Slot: math.MaxUint64, Ballot: otherBallot, Kind: KindBatch, Value: []byte("value")}))
	f.Fuzz(func(t *testing.T, in []byte) {
		if e, err := DecodeEntry(in); err == nil {
			require.Equal(t, in, AppendEntry(nil, e))
		}
	})
}

func FuzzDecodeHardState(f *testing.F) {
	f.Add(AppendHardState(nil, HardState{}))
	f.Add(AppendHardState(nil, HardState{Promised: otherBallot, Commit: 9, Recovering: true, Vector: testVector}))
	f.Fuzz(func(t *testing.T, in []byte) {
		if h, err := DecodeHardState(in); err == nil {
			require.Equal(t, in, AppendHardState(nil, h))
		}
	})
}

func FuzzDecodeRejoin(f *testing.F) {
	f.Add(encodeRejoin(Rejoin{Replica: 2, Life: Life{Epoch: 3, Nonce: 0x1111}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := DecodeRejoin(b)
		if err == nil {
			require.Equal(t, b, encodeRejoin(j))
		}
	})
}
