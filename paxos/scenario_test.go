package paxos

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestStories runs the stories in testdata. Time, network and disks stand still
// except where a command moves them:
//
//	new members=3 [lease] [window=BYTES] [inflight=BYTES]
//	run 500ms           time passes, messages arrive, disks sync
//	settle              the same until nothing happens, and no time passes
//	advance 300ms       time passes, nothing else
//	propose id=0 a b    also a:600000, a value of that length
//	read id=0 7         7 is its number
//	deliver [from=0] [to=1] [kind=accept] [first=2]    what is in flight now
//	drop    [from=0] [to=1] [kind=accept] [first=2]
//	repeat  [from=0] [to=1] [kind=accept]              delivered, and still in flight
//	hold    [from=0] [to=1] [kind=accept]              out of the network, until release
//	messages [kind=accept]
//	sync id=0           the oldest sync of the disk ends
//	slow id=0 [reads]   run and settle do not end syncs, or reads of the log
//	fast id=0           they do both
//	cut 0 1 2 / heal    separates these from the others; heal ends all cuts
//	crash id=0 / restart id=0
//	pause id=0 / resume id=0
//	lose id=0 nonce=9   after a crash: its disk is empty at the next restart
//	snapshot id=0       taken, and the log dropped
//	install from=0 to=1 / snapshot-ended id=0 to=1 [through=3]
//	log-read id=0       the oldest read of the log on disk is answered
//	lost id=0 to=1      messages of 0 to 1 may be lost
//	handover id=0
//	state [0 1]
//
// Entries are shown as slot=value@ballot, with ? while they are not durable.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			var c *cluster
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				t.Helper()
				if d.Cmd == "new" {
					c = newCluster(t, storyConfig(t, d))
				}
				require.NotNil(t, c, "a story begins with new")
				c.t, c.events = t, nil
				out := c.command(d)
				for _, e := range c.events {
					out += e + "\n"
				}
				if out == "" {
					return "ok"
				}
				return out
			})
		})
	}
}

func storyConfig(t *testing.T, d *datadriven.TestData) Config {
	t.Helper()
	var cfg Config
	d.ScanArgs(t, "members", &cfg.Size)
	d.MaybeScanArgs(t, "window", &cfg.WindowBytes)
	d.MaybeScanArgs(t, "inflight", &cfg.InflightBytes)
	cfg.Lease = d.HasArg("lease")
	return cfg
}

// command carries out one command and returns what it has to say besides the
// events.
func (c *cluster) command(d *datadriven.TestData) string {
	switch d.Cmd {
	case "new":
	case "run":
		c.settle()
		c.advance(c.duration(d), c.settle)
	case "advance":
		c.advance(c.duration(d), func() {})
	case "settle":
		c.settle()
	case "deliver", "drop", "repeat":
		return c.move(d)
	case "hold":
		return c.hold(d)
	case "release":
		c.network, c.held = append(c.network, c.held...), nil
	case "messages":
		return c.listMessages(d)
	case "cut":
		c.cut(d)
	case "heal":
		clear(c.cuts)
	case "state":
		return c.states(d)
	default:
		return c.nodeCommand(d, c.node(d, "id"))
	}
	return ""
}

// nodeCommand carries out a command that is for one replica.
func (c *cluster) nodeCommand(d *datadriven.TestData, n *node) string {
	switch d.Cmd {
	case "restart":
		c.start(n)
		return ""
	case "lose":
		var nonce uint64
		d.ScanArgs(c.t, "nonce", &nonce)
		c.lose(n, nonce)
		return ""
	}
	switch d.Cmd {
	case "propose":
		for _, a := range values(d) {
			slot, ok := n.core.Propose(KindBatch, c.value(a))
			if !ok {
				return "refused\n"
			}
			c.event("%s in slot %d", a, slot)
		}
	case "read":
		for _, a := range values(d) {
			n.core.Read(uint64(c.number(a)))
		}
	case "sync":
		if !c.sync(n) {
			return "nothing to sync\n"
		}
	case "slow":
		n.slow, n.slowRead = n.slow || !d.HasArg("reads"), n.slowRead || d.HasArg("reads")
	case "fast":
		n.slow, n.slowRead = false, false
	case "pause", "resume":
		n.paused = d.Cmd == "pause"
		return ""
	case "crash":
		c.crash(n)
		return ""
	case "snapshot":
		c.takeSnapshot(n)
	case "install":
		if !c.install(n, c.node(d, "to")) {
			return "ignored\n"
		}
	case "snapshot-ended":
		if d.HasArg("through") {
			through := 0
			d.ScanArgs(c.t, "through", &through)
			n.core.SnapshotInstalled(c.node(d, "to").id, Slot(through))
		}
		n.core.SnapshotEnded(c.node(d, "to").id)
	case "log-read":
		if !c.answerLogRead(n) {
			return "nothing asked\n"
		}
	case "lost":
		n.core.Lost(c.node(d, "to").id)
	case "handover":
		if !n.core.HandOver() {
			return "refused\n"
		}
	default:
		c.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	c.drain(n)
	return ""
}

// move delivers, repeats or drops the messages in flight that fit.
func (c *cluster) move(d *datadriven.TestData) string {
	limit := len(c.network)
	if d.HasArg("first") {
		d.ScanArgs(c.t, "first", &limit)
	}
	var stay, out []Envelope
	for _, e := range c.network {
		if len(out) < limit && c.fits(d, e) {
			out = append(out, e)
			if d.Cmd != "repeat" {
				continue
			}
		}
		stay = append(stay, e)
	}
	c.network = stay
	var b strings.Builder
	for _, e := range out {
		b.WriteString(showMessage(e))
		if d.Cmd != "drop" && !c.deliver(e) {
			b.WriteString(" (lost)")
		}
		b.WriteString("\n")
	}
	if len(out) == 0 {
		return "no such message\n"
	}
	return b.String()
}

// hold takes the messages that fit out of the network.
func (c *cluster) hold(d *datadriven.TestData) string {
	var stay []Envelope
	var b strings.Builder
	for _, e := range c.network {
		if !c.fits(d, e) {
			stay = append(stay, e)
			continue
		}
		c.held = append(c.held, e)
		b.WriteString(showMessage(e) + "\n")
	}
	c.network = stay
	return b.String()
}

func (c *cluster) listMessages(d *datadriven.TestData) string {
	var b strings.Builder
	for _, e := range c.network {
		if c.fits(d, e) {
			b.WriteString(showMessage(e) + "\n")
		}
	}
	if b.Len() == 0 {
		return "none\n"
	}
	return b.String()
}

// fits reports whether e is one of those that from, to and kind name.
func (c *cluster) fits(d *datadriven.TestData, e Envelope) bool {
	for _, a := range []struct{ key, is string }{
		{"from", fmt.Sprint(e.From)}, {"to", fmt.Sprint(e.To)}, {"kind", kindNames[e.Message.kind()]},
	} {
		if arg, ok := d.Arg(a.key); ok && !slices.Contains(arg.Vals, a.is) {
			return false
		}
	}
	return true
}

// cut separates the members named from the others, both ways.
func (c *cluster) cut(d *datadriven.TestData) {
	inside := map[ReplicaID]bool{}
	for _, a := range values(d) {
		inside[ReplicaID(c.number(a))] = true
	}
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if inside[a.id] != inside[b.id] {
				c.cuts[[2]ReplicaID{a.id, b.id}] = true
			}
		}
	}
}

func (c *cluster) states(d *datadriven.TestData) string {
	wanted := values(d)
	var b strings.Builder
	for _, n := range c.nodes {
		if len(wanted) == 0 || slices.Contains(wanted, fmt.Sprint(n.id)) {
			b.WriteString(n.showState())
		}
	}
	return b.String()
}

// values returns the arguments that have no key.
func values(d *datadriven.TestData) []string {
	var out []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			out = append(out, a.Key)
		}
	}
	return out
}

func (c *cluster) node(d *datadriven.TestData, key string) *node {
	if d.Cmd == "install" && key == "id" {
		key = "from"
	}
	arg, ok := d.Arg(key)
	if !ok || len(arg.Vals) != 1 {
		c.t.Fatalf("%s: %s needs %s=", d.Pos, d.Cmd, key)
	}
	return c.nodes[c.number(arg.Vals[0])]
}

func (c *cluster) number(s string) int {
	v, err := strconv.Atoi(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// value makes the value of a name, or of name:length.
func (c *cluster) value(s string) []byte {
	name, length, long := strings.Cut(s, ":")
	if !long {
		return []byte(name)
	}
	return append([]byte(name), make([]byte, c.number(length)-len(name))...)
}

func (c *cluster) duration(d *datadriven.TestData) time.Duration {
	v, err := time.ParseDuration(values(d)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}
