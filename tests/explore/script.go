package explore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"diskv/paxos"
)

// The language of scripts and stories has one line for each step:
//
//	deliver 0->1 accept 1.0     every message in flight that is shown like this, or begins so
//	sync 0
//	identity 0
//	timeout 0                   0 runs for leader
//	propose 0                   the next of a, b, c, ...
//	crash 0 keep 1              1 of the records that were not synced survives
//	lose 0
//
// and, in scripts only:
//
//	settle 0 1 2                messages among these arrive, once each, and syncs of these end, until all is quiet
//	hold 1->3 promise           these messages are put aside until the end of the script
//	drop 0->1                   these will never arrive
//	drop                        nothing that is in flight will ever arrive
//
// Empty lines and those that begin with # are skipped.

// player plays a script.
type player struct {
	w    *world
	s    *state
	held []uint16
}

// play returns the state behind a script that begins in s. A line that does
// nothing is an error: the story has changed.
func (w *world) play(s *state, script string) (*state, error) {
	p := &player{w: w, s: s}
	for i, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w; before it:\n%s", i+1, line, err, w.showState(p.s))
		}
	}
	for _, n := range p.held {
		p.s.messages = insert(p.s.messages, n)
	}
	return p.s, nil
}

func (p *player) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "settle":
		return p.settle(strings.Fields(rest))
	case "hold", "drop":
		return p.take(rest, word == "hold")
	case "deliver":
		return p.deliver(rest)
	}
	st, err := p.parse(word, strings.Fields(rest))
	if err != nil {
		return err
	}
	return p.happen(st)
}

// parse reads a step that names one member.
func (p *player) parse(word string, args []string) (step, error) {
	kinds := map[string]kind{
		"sync": sync, "identity": identity, "timeout": timeout, "propose": propose, "crash": crash, "lose": lose,
	}
	k, ok := kinds[word]
	if !ok || len(args) == 0 {
		return step{}, fmt.Errorf("no such step")
	}
	who, err := p.members(args[:1])
	if err != nil {
		return step{}, err
	}
	st := step{member: who[0], kind: k}
	switch {
	case k == propose:
		st.number = uint16(p.s.proposals)
	case k == lose:
		st.number = uint16(p.s.losses)
	case k == crash && len(args) == 3 && args[1] == "keep":
		n, err := strconv.ParseUint(args[2], 10, 16)
		if err != nil {
			return step{}, err
		}
		st.number = uint16(n)
		return st, nil
	}
	if len(args) != 1 {
		return step{}, fmt.Errorf("too many words")
	}
	return st, nil
}

func (p *player) members(words []string) ([]paxos.ReplicaID, error) {
	var out []paxos.ReplicaID
	for _, a := range words {
		n, err := strconv.ParseUint(a, 10, 8)
		if err != nil || n >= uint64(p.w.members) {
			return nil, fmt.Errorf("%q is no member", a)
		}
		out = append(out, paxos.ReplicaID(n))
	}
	return out, nil
}

// happen lets a step happen that must change something.
func (p *player) happen(st step) error {
	n, wrong := p.w.after(p.s, st)
	switch {
	case wrong != "":
		return &wrongError{what: wrong}
	case n == nil:
		return fmt.Errorf("%s does nothing, or is out of bounds", p.w.showStep(st))
	}
	p.s = n
	return nil
}

// wrongError says that a script has led to a state that must not be.
type wrongError struct{ what string }

func (e *wrongError) Error() string { return e.what }

// matching returns the messages in flight whose description begins with words.
func (p *player) matching(words string) []uint16 {
	var out []uint16
	for _, n := range p.s.messages {
		if shown := showMessage(p.w.messages[n]); shown == words || strings.HasPrefix(shown, words+" ") || words == "" {
			out = append(out, n)
		}
	}
	return out
}

func (p *player) deliver(words string) error {
	found := p.matching(words)
	if len(found) == 0 {
		return fmt.Errorf("no such message is in flight")
	}
	for _, n := range found {
		if err := p.happen(step{p.w.messages[n].To, deliver, n}); err != nil {
			return err
		}
	}
	return nil
}

// take takes messages out of flight, for good or until the end of the script.
func (p *player) take(words string, hold bool) error {
	found := p.matching(words)
	if len(found) == 0 {
		return fmt.Errorf("no such message is in flight")
	}
	left := *p.s
	left.messages = slices.DeleteFunc(slices.Clone(p.s.messages), func(n uint16) bool { return slices.Contains(found, n) })
	p.s = &left
	if hold {
		p.held = append(p.held, found...)
	}
	return nil
}

// settle lets messages arrive and syncs end among some members until nothing
// more comes of it.
func (p *player) settle(words []string) error {
	who, err := p.members(words)
	if err != nil {
		return err
	}
	among := ids(who...)
	arrived := slices.Clone(p.held) // once each: what arrives again may undo what came after it
	for moved := true; moved; {
		moved = false
		var todo []step
		for _, id := range who {
			todo = append(todo, step{id, sync, 0}, step{id, identity, 0})
		}
		for _, n := range p.s.messages {
			if e := p.w.messages[n]; among[e.From] && among[e.To] && !slices.Contains(arrived, n) {
				todo = append(todo, step{e.To, deliver, n})
			}
		}
		for _, st := range todo {
			n, wrong := p.w.after(p.s, st)
			if wrong != "" {
				return &wrongError{what: wrong}
			}
			if st.kind == deliver {
				arrived = append(arrived, st.number)
			}
			if n != nil {
				p.s, moved = n, true
			}
		}
	}
	return nil
}

func (w *world) showStep(st step) string {
	switch st.kind {
	case deliver:
		return "deliver " + showMessage(w.messages[st.number])
	case sync:
		return fmt.Sprintf("sync %d", st.member)
	case identity:
		return fmt.Sprintf("identity %d", st.member)
	case timeout:
		return fmt.Sprintf("timeout %d", st.member)
	case propose:
		return fmt.Sprintf("propose %d", st.member)
	case crash:
		return fmt.Sprintf("crash %d keep %d", st.member, st.number)
	case lose:
		return fmt.Sprintf("lose %d", st.member)
	}
	return fmt.Sprintf("kind %d", st.kind)
}

// story tells a violation as a script, with what each step changes at its member
// in comments.
func (w *world) story(s *state, v *violation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n#\n# From:\n%s", v.what, w.showState(s))
	for _, st := range v.steps {
		fmt.Fprintf(&b, "%s\n", w.showStep(st))
		n, _ := w.after(s, st)
		if n == nil {
			break
		}
		if n.members[st.member] != s.members[st.member] {
			fmt.Fprintf(&b, "#   %s\n", w.locals[n.members[st.member]].show())
		}
		s = n
	}
	return b.String()
}

func (w *world) showState(s *state) string {
	var b strings.Builder
	for _, n := range s.members {
		fmt.Fprintf(&b, "#   %s\n", w.locals[n].show())
	}
	for _, n := range s.messages {
		fmt.Fprintf(&b, "#   in flight: %s\n", showMessage(w.messages[n]))
	}
	for _, e := range w.chosen(s.votes) {
		fmt.Fprintf(&b, "#   chosen: %s under %v\n", showEntry(e), e.Ballot)
	}
	return b.String()
}

// show is a line about a member: its log is what is on its disk, in the order
// written.
func (m *member) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %v promised %v commit %d applied %d, life %s", m.id, m.core.Role(), m.core.Promised(), m.core.Commit(), m.core.Applied(), showLife(m.life))
	if m.recovering {
		b.WriteString(", recovers")
	}
	b.WriteString(", disk:")
	for _, r := range m.log {
		if r.state != nil {
			fmt.Fprintf(&b, " promise %v", r.state.Promised)
		} else {
			fmt.Fprintf(&b, " %s@%v", showEntry(r.entry), r.entry.Ballot)
		}
	}
	if n := len(m.unsynced()); n > 0 {
		fmt.Fprintf(&b, ", %d records not synced", n)
	}
	return b.String()
}
