package crashreplay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Record is a fault as it was injected. Lines of a schedule are this in JSON.
type Record struct {
	Fault
	From    time.Duration `json:"from"`           // since the start of the run, in ns
	Healed  time.Duration `json:"healed"`         // nothing is done to the members any more
	To      time.Duration `json:"to"`             // the members are whole again; 0: they were not
	Details []string      `json:"text,omitempty"` // what was done
}

// records are the faults of a run. The file has those that are over, and, in the end, the
// others.
type records struct {
	mu  sync.Mutex
	f   *os.File
	all []*Record
	err error
}

func createRecords(name string) (*records, error) {
	f, err := os.Create(name)
	return &records{f: f}, err
}

func (rs *records) begin(f Fault, at time.Duration) *Record {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rec := &Record{Fault: f, From: at}
	rs.all = append(rs.all, rec)
	return rec
}

func (rs *records) detail(rec *Record, text string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rec.Details = append(rec.Details, text)
}

func (rs *records) heal(rec *Record, at time.Duration) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rec.Healed = at
}

func (rs *records) end(rec *Record, at time.Duration) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rec.To = at
	rs.write(rec)
}

// write appends a record to the file. The caller holds mu.
func (rs *records) write(rec *Record) {
	b, err := json.Marshal(rec)
	if err == nil {
		_, err = rs.f.Write(append(b, '\n'))
	}
	rs.err = errors.Join(rs.err, err)
}

// close writes what is not over.
func (rs *records) close() error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, rec := range rs.all {
		if rec.To == 0 {
			rs.write(rec)
		}
	}
	return errors.Join(rs.err, rs.f.Close())
}

// ReadSchedule returns the faults of a schedule that was kept, in the order and with the
// gaps in which they were injected, for another run.
func ReadSchedule(name string) ([]Fault, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var all []Record
	for in := json.NewDecoder(f); ; {
		var rec Record
		err := in.Decode(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: fault %d: %w", name, len(all)+1, err)
		}
		if _, ok := injections[rec.Kind]; !ok {
			return nil, fmt.Errorf("%s: fault %d: there is no kind %q", name, len(all)+1, rec.Kind)
		}
		all = append(all, rec)
	}
	slices.SortFunc(all, func(a, b Record) int { return a.N - b.N })
	var plan []Fault
	last := time.Duration(0)
	for _, rec := range all {
		rec.After = rec.From - last
		last = rec.From
		plan = append(plan, rec.Fault)
	}
	return plan, nil
}
