package inspect

import (
	"fmt"
	"strings"
)

func hex64(n uint64) string { return fmt.Sprintf("%016x", n) }

// Colours of a terminal. The zero palette has none.
type palette struct{ dim, bold, green, yellow, red, cyan, off string }

var ansi = palette{"\x1b[2m", "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[36m", "\x1b[0m"}

// Line puts a record into one line, coloured for a terminal if it is to be one.
func (r *Record) Line(colour bool) string {
	var p palette
	if colour {
		p = ansi
	}
	tint := map[string]string{
		KindBatch: p.green, KindNoop: p.cyan, KindRejoin: p.yellow, KindState: p.yellow, KindHeader: p.dim, KindMark: p.dim,
		KindKey: p.green, KindSession: p.cyan, KindUnknown: p.red,
	}[r.Kind]
	var b strings.Builder
	fmt.Fprintf(&b, "%8d %s%-8s%s", r.Index, tint, r.Kind, reset(tint, p))
	if r.Ballot != "" || r.Kind == KindUnknown {
		fmt.Fprintf(&b, " %7s slot %-8d", r.Ballot, r.Slot)
	}
	for _, w := range r.words(&p) {
		b.WriteByte(' ')
		b.WriteString(w)
	}
	if r.Problem != "" {
		fmt.Fprintf(&b, " %sdoes not decode: %s%s", p.red, r.Problem, p.off)
	}
	return strings.TrimRight(b.String(), " ")
}

func reset(tint string, p palette) string {
	if tint == "" {
		return ""
	}
	return p.off
}

// words are what a record says, but for what every line begins with.
func (r *Record) words(p *palette) []string {
	var out []string
	switch {
	case r.Kind == KindHeader:
		out = append(out, fmt.Sprintf("segment %d", r.Segment))
	case r.Kind == KindMark:
		return []string{fmt.Sprintf("%sdurable up to here%s", p.dim, p.off)}
	case r.Snapshot != nil:
		s := r.Snapshot
		out = append(out, fmt.Sprintf("slot %d group %d cluster %s log time %s, %d records, %d bytes of %d", s.Slot, s.Group, s.Cluster,
			s.LogTime.Format(timeLayout), s.Records, s.Bytes, s.RawBytes))
		if s.State != nil {
			return append(out, s.State.words()...)
		}
	case r.Item != nil:
		return r.Item.words()
	case r.Image != "":
		out = append(out, r.Image)
		if r.Count > 1 {
			out = append(out, fmt.Sprintf("(%d)", r.Count))
		}
	case r.Rejoin != nil:
		return []string{fmt.Sprintf("member %d lives on as %s", r.Rejoin.Member, r.Rejoin.Life)}
	}
	if r.State != nil {
		out = append(out, r.State.words()...)
	}
	if r.Time != nil {
		out = append(out, p.dim+r.Time.Format(timeLayout)+p.off)
	}
	for i := range r.Commands {
		if i > 0 {
			out = append(out, p.dim+"|"+p.off)
		}
		out = append(out, r.Commands[i].line(p))
	}
	if r.Others > 0 {
		out = append(out, fmt.Sprintf("%s(and %d others)%s", p.dim, r.Others, p.off))
	}
	return out
}

// timeLayout is how times are told: UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

func (s *State) words() []string {
	out := []string{"promised " + s.Promised, fmt.Sprintf("commit %d", s.Commit)}
	if s.Recovering {
		out = append(out, "RECOVERING")
	}
	return append(out, "lives "+strings.Join(s.Lives, " "))
}

func (i *Item) words() []string {
	if i.Session != "" {
		return []string{i.Session, fmt.Sprintf("number %d shard %d reply", i.Seq, i.Shard), i.Value.String()}
	}
	out := []string{i.Key.String(), i.Value.String(), fmt.Sprintf("shard %d", i.Shard)}
	if i.Changed != 0 {
		out = append(out, fmt.Sprintf("since slot %d", i.Changed))
	}
	if i.Expiry != 0 {
		out = append(out, fmt.Sprintf("expires %s", msTime(i.Expiry).Format(timeLayout)))
	}
	return out
}

func (c *Command) line(p *palette) string {
	var b strings.Builder
	b.WriteString(p.bold + c.Name + p.off)
	for _, a := range c.Args {
		b.WriteByte(' ')
		b.WriteString(a.String())
	}
	for i, w := range c.Watched {
		b.WriteString([]string{" if unchanged: ", ", "}[min(i, 1)])
		b.WriteString(w.Key.String() + " since " + w.Since)
	}
	for i := range c.Commands {
		b.WriteString([]string{" { ", "; "}[min(i, 1)])
		b.WriteString(c.Commands[i].line(&palette{}))
	}
	if len(c.Commands) > 0 {
		b.WriteString(" }")
	}
	if c.Session != "" {
		fmt.Fprintf(&b, " %s[%s #%d]%s", p.dim, c.Session, c.Seq, p.off)
	}
	if c.Problem != "" {
		fmt.Fprintf(&b, " %s(%d bytes do not decode: %s)%s", p.red, c.Bytes, c.Problem, p.off)
	}
	return b.String()
}
