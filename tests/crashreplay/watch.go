package crashreplay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const watchEvery = 250 * time.Millisecond

// watch looks whether anything is that must not be, until ctx ends: a process that has ended by
// itself, one that says that an invariant is broken, nobody who serves.
func (r *run) watch(ctx context.Context) {
	read := make([]int64, r.members()) // of each process's output
	for {
		for _, p := range r.parts {
			p.budget.eachWhole(func(i int) {
				if m := p.group.Members[i]; !m.Running() && ctx.Err() == nil {
					r.violate(Violation{Kind: "process", Text: fmt.Sprintf("%s has ended by itself:\n%s", p.member(i), tail(m.Output()))})
				}
			})
			for i := range p.group.Members {
				r.violateAlarms(p, i, &read[p.first+i])
			}
		}
		if silent := r.tally.silent(r.now()); silent > r.o.Patience {
			r.violate(Violation{Kind: "service", Text: fmt.Sprintf("nobody was answered for %v", silent)})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchEvery):
		}
	}
}

// alarms are what no process may say.
var alarms = [][]byte{[]byte("panic:"), []byte("invariant"), []byte("fatal error:"), []byte("DATA RACE")}

// violateAlarms looks at what a process has printed since the last time.
func (r *run) violateAlarms(p *part, member int, read *int64) {
	f, err := os.Open(p.output(member))
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, *read, 1<<30))
	if err != nil {
		return
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	*read += int64(end)
	for _, a := range alarms {
		if at := bytes.Index(b[:end], a); at >= 0 {
			line := b[bytes.LastIndexByte(b[:at], '\n')+1:]
			r.violate(Violation{Kind: "process", Text: fmt.Sprintf("%s: %s", p.member(member), line[:min(len(line), 3000)])})
		}
	}
}

// output is the file of what a member's processes print.
func (p *part) output(member int) string {
	return filepath.Join(p.dir, fmt.Sprintf("member-%d.log", member))
}
