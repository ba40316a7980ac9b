package kv_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diskv/internal/resp"
	"diskv/kv"
)

// epoch is the log time at which tests begin, in ns since the Unix epoch.
const epoch = int64(1_700_000_000_000) * int64(time.Millisecond)

// machine drives a store as a leader with a log does, with a clock of its own.
type machine struct {
	t        *testing.T
	store    *kv.Store
	slot     uint64
	now      int64
	maxValue uint32
	log      []batch // what was applied
}

// batch is one slot of the log: a time and at most one command.
type batch struct {
	at      int64
	command []byte
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{t: t, store: kv.New(), now: epoch}
}

// args splits a line as redis-cli does.
func args(tb testing.TB, line string) [][]byte {
	tb.Helper()
	a, err := resp.NewCommandReader(strings.NewReader(line+"\n"), resp.Options{}).ReadCommand()
	require.NoError(tb, err, line)
	return a
}

// do executes a line and returns its reply, as RESP3.
func (m *machine) do(line string) string {
	m.t.Helper()
	return m.doArgs(args(m.t, line))
}

func (m *machine) doArgs(a [][]byte) string {
	m.t.Helper()
	p, refusal := kv.Prepare(a)
	if refusal != nil {
		return string(refusal)
	}
	p.Command.MaxValue = m.maxValue
	encoded := p.Command.Append(nil)
	if p.Write {
		return m.apply(encoded)
	}
	const mark = "in front"
	reply, ok := m.store.Query([]byte(mark), m.now, encoded)
	if !ok {
		require.Equal(m.t, mark, string(reply), "nothing is appended while the answer is open")
		// A time entry is chosen, and the query made again as it was.
		asked := m.now
		m.now++
		m.begin()
		reply, ok = m.store.Query([]byte(mark), asked, encoded)
		require.True(m.t, ok, "the time has been chosen")
	}
	return strings.TrimPrefix(string(reply), mark)
}

func (m *machine) begin() {
	m.slot++
	m.log = append(m.log, batch{at: m.now})
	m.store.Begin(m.slot, m.now)
}

func (m *machine) apply(encoded []byte) string {
	m.begin()
	m.log[len(m.log)-1].command = encoded
	reply := m.store.Apply(nil, encoded)
	requireReply(m.t, reply)
	return string(reply)
}

// replay applies a log and returns the replies.
func replay(s *kv.Store, from uint64, log []batch) []string {
	var replies []string
	for i, b := range log {
		s.Begin(from+uint64(i)+1, b.at)
		if b.command != nil {
			replies = append(replies, string(s.Apply(nil, b.command)))
		}
	}
	return replies
}

// sleep lets time pass on the clock, not in the log.
func (m *machine) sleep(d time.Duration) { m.now += int64(d) }

// requireReply requires that a reply is one whole frame.
func requireReply(tb testing.TB, reply []byte) {
	tb.Helper()
	r := resp.NewReplyReader(strings.NewReader(string(reply)), resp.ReplyOptions{})
	_, err := r.ReadReply()
	require.NoError(tb, err, "%q", reply)
	_, err = r.ReadReply()
	require.ErrorIs(tb, err, io.EOF, "%q", reply)
}

// records returns the records of an image.
func records(tb testing.TB, m *kv.Image) [][]byte {
	tb.Helper()
	var all [][]byte
	require.NoError(tb, m.Records(func(record []byte) error {
		all = append(all, append([]byte(nil), record...))
		return nil
	}))
	return all
}

// restore makes a store from records.
func restore(all [][]byte) (*kv.Store, error) {
	return kv.Restore(func() ([]byte, error) {
		if len(all) == 0 {
			return nil, io.EOF
		}
		record := all[0]
		all = all[1:]
		return record, nil
	})
}

// copyOf restores a store from an image of another.
func copyOf(tb testing.TB, s *kv.Store) *kv.Store {
	tb.Helper()
	c, err := restore(records(tb, s.Image()))
	require.NoError(tb, err)
	return c
}
