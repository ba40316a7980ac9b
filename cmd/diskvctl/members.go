package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"diskv/client"
)

// probeTimeout is how long one member may take to describe itself.
const probeTimeout = 2 * time.Second

// member is what a member of a group says of itself, or that it does not answer.
type member struct {
	address string
	err     error             // it does not answer
	info    map[string]string // the fields of INFO
}

// mostSilence is how long a leader may not have heard a member that takes part.
const mostSilence = 2 * time.Second

// probe asks members how they are, all at once.
func probe(ctx context.Context, c *client.Client, addrs []string) []member {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out := make([]member, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs {
		asking.Go(func() {
			v, err := c.Ask(ctx, addr, "INFO")
			out[i] = member{address: addr, err: err, info: fieldsOf(string(v.Str))}
		})
	}
	asking.Wait()
	return out
}

// fieldsOf reads the fields of INFO, name:value in lines.
func fieldsOf(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.SplitSeq(text, "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			out[name] = value
		}
	}
	return out
}

// number returns a field that is a number, or 0.
func (m *member) number(field string) uint64 {
	n, _ := strconv.ParseUint(m.info[field], 10, 64) // members of another release may lack it
	return n
}

func (m *member) ready() bool { return m.err == nil && m.info["ready"] == "1" }

// role returns what the member does, in one word.
func (m *member) role() string {
	if m.err != nil {
		return "unreachable"
	}
	return m.info["consensus_role"]
}

// silence returns for how long the member, a leader, has not heard another one.
func (m *member) silence(other int) time.Duration {
	for part := range strings.SplitSeq(m.info[fmt.Sprintf("member%d", other)], ",") {
		if ms, ok := strings.CutPrefix(part, "silent_ms="); ok {
			n, _ := strconv.ParseInt(ms, 10, 64)
			return time.Duration(n) * time.Millisecond
		}
	}
	return 0
}

// fellows returns the addresses of all members of the member's group, by index, as
// it knows them.
func (m *member) fellows() []string {
	out := make([]string, m.number("members"))
	for i := range out {
		if uint64(i) == m.number("member") {
			out[i] = m.address
			continue
		}
		for part := range strings.SplitSeq(m.info[fmt.Sprintf("peer%d", i)], ",") {
			if addr, ok := strings.CutPrefix(part, "address="); ok {
				out[i] = addr
			}
		}
	}
	return out
}

// quorum is how many of n members have to be up for a group to serve.
func quorum(n int) int { return n/2 + 1 }

// readyCount returns how many members can serve.
func readyCount(members []member) int {
	n := 0
	for i := range members {
		if members[i].ready() {
			n++
		}
	}
	return n
}
