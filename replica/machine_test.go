package replica

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// testMachine is a small state machine of keys with values and deadlines:
//
//	set KEY VALUE [DEADLINE]    replies with the number of commands so far
//	get KEY                     the value, or nil
//	jump TIME                   moves log time on, as shards from elsewhere do
//
// Deadlines are log time in ns. It refuses, by panicking, what the log must
// never do: a slot that is not the next, a log time that goes back.
type testMachine struct {
	slot     uint64
	logTime  int64
	commands int
	items    map[string]testItem
	times    []int64 // log time of every batch
}

type testItem struct {
	value    string
	deadline int64
}

func newTestMachine() *testMachine { return &testMachine{items: map[string]testItem{}} }

func (m *testMachine) Begin(slot uint64, logTime int64) {
	if slot != m.slot+1 || logTime < m.logTime {
		panic(fmt.Sprintf("slot %d at %d follows slot %d at %d", slot, logTime, m.slot, m.logTime))
	}
	m.slot, m.logTime = slot, logTime
	m.times = append(m.times, logTime)
	for k, it := range m.items {
		if it.deadline != 0 && it.deadline <= logTime {
			delete(m.items, k)
		}
	}
}

func (m *testMachine) LogTime() int64 { return m.logTime }

func (m *testMachine) Apply(dst, command []byte) []byte {
	f := strings.Fields(string(command))
	if f[0] == "jump" {
		to, _ := strconv.ParseInt(f[1], 10, 64)
		m.logTime = max(m.logTime, to)
		m.commands++
		return strconv.AppendInt(dst, int64(m.commands), 10)
	}
	it := testItem{value: f[2]}
	if len(f) > 3 {
		it.deadline, _ = strconv.ParseInt(f[3], 10, 64)
	}
	m.items[f[1]] = it
	m.commands++
	return strconv.AppendInt(dst, int64(m.commands), 10)
}

func (m *testMachine) Query(dst []byte, now int64, query []byte) ([]byte, bool) {
	it, ok := m.items[strings.Fields(string(query))[1]]
	switch {
	case !ok:
		return append(dst, "nil"...), true
	case it.deadline != 0 && it.deadline <= now:
		return dst, false
	}
	return append(dst, it.value...), true
}

func (m *testMachine) Bytes() int64 {
	n := int64(0)
	for k, it := range m.items {
		n += int64(len(k) + len(it.value) + 16)
	}
	return n
}

func (m *testMachine) Image() Image {
	return testImage{slot: m.slot, logTime: m.logTime, commands: m.commands, items: maps.Clone(m.items)}
}

// state is what must be equal on replicas that have applied the same slots.
func (m *testMachine) state() string {
	return fmt.Sprint(m.slot, m.commands, m.logTime, slices.Sorted(maps.Keys(m.items)), m.items)
}

type testImage struct {
	slot     uint64
	logTime  int64
	commands int
	items    map[string]testItem
}

func (i testImage) Records(add func([]byte) error) error {
	if err := add(fmt.Appendf(nil, "%d %d %d", i.slot, i.logTime, i.commands)); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(i.items)) {
		it := i.items[k]
		if err := add(fmt.Appendf(nil, "%s %s %d", k, it.value, it.deadline)); err != nil {
			return err
		}
	}
	return nil
}

// imageBytes is the content of a snapshot file of the tests.
func imageBytes(i Image) []byte {
	var out []byte
	_ = i.Records(func(r []byte) error {
		out = append(append(out, r...), '\n')
		return nil
	})
	return out
}

func loadImage(data []byte) *testMachine {
	m := newTestMachine()
	for n, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if n == 0 {
			_, _ = fmt.Sscan(line, &m.slot, &m.logTime, &m.commands)
			continue
		}
		var key string
		var it testItem
		_, _ = fmt.Sscan(line, &key, &it.value, &it.deadline)
		m.items[key] = it
	}
	return m
}
