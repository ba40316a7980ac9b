package inspect

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"diskv/paxos"
	"diskv/snapshot"
	"diskv/wal"
)

// Fault is one thing that is not as it must be.
type Fault struct {
	// File is where; the second one, Other, is set when two do not fit together.
	File  string `json:"file"`
	Other string `json:"other,omitempty"`
	// Index is the record of the log, 0 if it is none or not known. Offset is the
	// byte of the file.
	Index  uint64 `json:"index,omitempty"`
	Offset int64  `json:"offset"`
	// Slot is the slot that it is about, or 0.
	Slot uint64 `json:"slot,omitempty"`
	// Reason says what is wrong, Remedy what to do.
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
	// Hex shows the bytes around Offset; empty if there are none.
	Hex string `json:"hex,omitempty"`
}

// Error says all but the bytes, in one line.
func (f *Fault) Error() string {
	place := f.File
	if f.Other != "" {
		place += " and " + f.Other
	}
	if f.Index != 0 {
		place += fmt.Sprintf(", record %d", f.Index)
	}
	if f.Offset != 0 || f.Index != 0 {
		place += fmt.Sprintf(", offset %d", f.Offset)
	}
	if f.Slot != 0 {
		place += fmt.Sprintf(", slot %d", f.Slot)
	}
	return fmt.Sprintf("%s: %s; %s", place, f.Reason, f.Remedy)
}

// faultOf makes a fault of an error that says that a file is damaged. A file of a newer
// format is not.
func faultOf(err error) (*Fault, bool) {
	var fault *Fault
	var inLog *wal.CorruptionError
	var inSnapshot *snapshot.CorruptionError
	switch {
	case errors.As(err, &fault):
		return fault, true
	case errors.As(err, &inLog):
		return &Fault{File: inLog.File, Index: inLog.Index, Offset: inLog.Offset, Reason: inLog.Reason}, true
	case errors.As(err, &inSnapshot):
		return &Fault{File: inSnapshot.File, Offset: inSnapshot.Offset, Reason: inSnapshot.Reason}, true
	}
	return nil, false
}

// explain completes a fault of this directory with a remedy and the bytes.
func (d *Directory) explain(f *Fault) *Fault {
	if f.Remedy == "" {
		f.Remedy = d.remedy()
	}
	if f.Hex == "" {
		f.Hex = hexView(f.File, f.Offset)
	}
	return f
}

// remedy says what to do about damage to something that was durable.
func (d *Directory) remedy() string {
	id := d.Identity
	switch {
	case id.Size > 1:
		return fmt.Sprintf("start member %d of group %d as always: it finds that, puts what is here into quarantine/ and gets everything from the others (docs/operations.md, A lost disk)",
			id.Index, id.Group)
	case id.Size == 1:
		return "a single node refuses to start on this: put a backup of the whole directory back; diskvlog dump shows what can still be read"
	}
	return "a member of a group: start it as always, it gets everything from the others; a single node: put a backup of the whole directory back"
}

// suspectRemedy says what to do about a suspect end. Empty: as about damage.
func (d *Directory) suspectRemedy() string {
	if id := d.Identity; id.Size != 1 || id.Service != paxos.ServicePlain {
		return ""
	}
	return "a single node refuses to start on this: put a backup of the whole directory back, or accept the loss: diskvlog repair --accept-torn-tail " + d.Path
}

const (
	hexLine   = 16
	hexBefore = 3 // lines
	hexAfter  = 6 // lines
)

// hexView shows the bytes of a file around an offset, the line with it marked.
// What cannot be read is not shown.
func hexView(file string, offset int64) string {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || offset < 0 {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	at := offset / hexLine * hexLine
	from := max(at-hexBefore*hexLine, 0)
	b := make([]byte, at+hexAfter*hexLine-from)
	n, _ := f.ReadAt(b, from)
	b = b[:n]
	var out strings.Builder
	for i := 0; i < len(b); i += hexLine {
		line := b[i:min(i+hexLine, len(b))]
		mark := ' '
		if from+int64(i) == at {
			mark = '>'
		}
		fmt.Fprintf(&out, "%c %08x  %-47s  |%s|\n", mark, from+int64(i), fmt.Sprintf("% x", line), printable(line))
	}
	if offset >= from+int64(len(b)) {
		fmt.Fprintf(&out, "> %08x  (end of the file)\n", from+int64(len(b)))
	}
	return out.String()
}

func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if out[i] = '.'; c >= ' ' && c < 0x7f {
			out[i] = c
		}
	}
	return string(out)
}
