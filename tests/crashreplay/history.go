package crashreplay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Outcome is what a client knows of an operation.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // it was answered
	Unknown Outcome = "unknown" // it may have been executed, may yet be, or never will
	Refused Outcome = "refused" // it was not executed and never will be
)

// Verb is what an operation does to its key.
type Verb string

// The verbs.
const (
	Get    Verb = "get"
	Put    Verb = "put"
	Append Verb = "append"
	Delete Verb = "delete"
	Incr   Verb = "incr"
)

// Op is one operation as its client saw it. Lines of a history are this in JSON.
type Op struct {
	Key     string        `json:"k"`
	Client  int           `json:"c"`
	Verb    Verb          `json:"v"`
	Arg     string        `json:"a,omitempty"` // what is put or appended
	Call    time.Duration `json:"t"`           // since the start of the run, in ns
	Return  time.Duration `json:"r"`           // when it ended, whatever the outcome
	Outcome Outcome       `json:"o"`
	Null    bool          `json:"n,omitempty"` // get: there was no value
	Text    string        `json:"s,omitempty"` // get: the value
	Number  int64         `json:"i,omitempty"` // append: the length; delete: 1 if there was one; incr: the sum
	Why     string        `json:"e,omitempty"` // of a refused or unknown one
}

func (o *Op) String() string {
	what := string(o.Verb)
	if o.Arg != "" {
		what += fmt.Sprintf(" %q", o.Arg)
	}
	if o.Outcome != OK {
		return fmt.Sprintf("%s: %s (%s)", what, o.Outcome, o.Why)
	}
	switch o.Verb {
	case Get:
		if o.Null {
			return what + " -> nothing"
		}
		return fmt.Sprintf("%s -> %q", what, o.Text)
	case Put:
		return what
	case Append, Delete, Incr:
	}
	return fmt.Sprintf("%s -> %d", what, o.Number)
}

// historyFile is the history of a run as it is written.
type historyFile struct {
	mu   sync.Mutex
	f    *os.File
	buf  *bufio.Writer
	json *json.Encoder
	err  error
}

func createHistory(name string) (*historyFile, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	h := &historyFile{f: f, buf: bufio.NewWriterSize(f, 64<<10)}
	h.json = json.NewEncoder(h.buf)
	h.json.SetEscapeHTML(false)
	return h, nil
}

// add writes an operation that has ended. The first error is kept for close.
func (h *historyFile) add(o Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.json.Encode(o)
	}
}

func (h *historyFile) flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.buf.Flush()
	}
	return h.err
}

func (h *historyFile) close() error {
	err := h.flush()
	return errors.Join(err, h.f.Close())
}

// ReadHistory calls f with every operation of a history, in the order in which they
// ended, until f returns an error.
func ReadHistory(name string, f func(Op) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	in := json.NewDecoder(bufio.NewReaderSize(file, 64<<10))
	for n := 1; ; n++ {
		var o Op
		switch err := in.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: operation %d: %w", name, n, err)
		}
		if err := f(o); err != nil {
			return err
		}
	}
}
