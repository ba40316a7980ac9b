package server

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// traffic counts what comes in and goes out of the connections of clients, since the
// start or CONFIG RESETSTAT.
type traffic struct {
	connections, rejected atomic.Int64
	reads, bytesIn        atomic.Int64
	writes, bytesOut      atomic.Int64
	errors                atomic.Int64 // replies that are errors
	mu                    sync.Mutex
	errorCodes            map[string]int64 // the same, by the first word
}

// maxErrorCodes bounds errorCodes. There are about thirty in all.
const maxErrorCodes = 128

// countError counts a reply that is an error, without the '-' in front of it.
func (t *traffic) countError(text []byte) {
	t.errors.Add(1)
	word, _, _ := bytes.Cut(text[:min(len(text), 64)], []byte(" "))
	code := string(bytes.TrimRight(word, "\r\n"))
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.errorCodes[code]; !known && len(t.errorCodes) >= maxErrorCodes {
		return
	}
	if t.errorCodes == nil {
		t.errorCodes = make(map[string]int64)
	}
	t.errorCodes[code]++
}

// codes calls yield with the number of errors of each code.
func (t *traffic) codes(yield func(code string, n int64) bool) {
	t.mu.Lock()
	all := maps.Clone(t.errorCodes)
	t.mu.Unlock()
	for _, code := range slices.Sorted(maps.Keys(all)) {
		if !yield(code, all[code]) {
			return
		}
	}
}

func (t *traffic) reset() {
	for _, n := range []*atomic.Int64{&t.connections, &t.rejected, &t.reads, &t.bytesIn, &t.writes, &t.bytesOut, &t.errors} {
		n.Store(0)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errorCodes = nil
}
