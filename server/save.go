package server

import (
	"os"
	"strings"
	"time"

	"diskv/internal/resp"
	"diskv/kv"
	"diskv/replica"
	"diskv/snapshot"
)

// saveHandlers are about snapshots, of this member's own.
var saveHandlers = []handler{
	{&kv.Spec{Name: "lastsave", Arity: 1, Flags: kv.Loading | kv.Stale | kv.Fast, Group: "server", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Returns the time of the newest snapshot."}, lastSave},
	{&kv.Spec{Name: "bgsave", Arity: -1, Flags: kv.Admin | kv.NoScript, Group: "server", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Has a snapshot taken."}, bgSave},
	{&kv.Spec{Name: "bgrewriteaof", Arity: 1, Flags: kv.Admin | kv.NoScript, Group: "server", Since: "1.0.0", Complexity: "O(1)",
		Summary: "Has a snapshot taken, which is what makes the log shorter."}, bgRewriteAOF},
}

// lastSaved returns when the newest snapshot was written; as long as there is none, when
// the node was started.
func (n *Node) lastSaved(s Status) time.Time {
	if info, err := os.Stat(snapshot.Path(n.dir.snapshotPath(), uint64(s.Snapshot.Slot))); err == nil {
		return info.ModTime()
	}
	return n.started
}

func lastSave(c *client, _ [][]byte) {
	s, err := c.node.Status()
	if err != nil {
		c.fail("ERR " + err.Error())
		return
	}
	c.out = resp.AppendInt(c.out, c.node.lastSaved(s).Unix())
}

// bgSave is BGSAVE [SCHEDULE].
func bgSave(c *client, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !strings.EqualFold(string(args[1]), "SCHEDULE") {
		c.fail(errSyntax)
		return
	}
	c.takeSnapshot("Background saving started", "ERR Background save already in progress")
}

func bgRewriteAOF(c *client, _ [][]byte) {
	c.takeSnapshot("Background append only file rewriting started", "ERR Background append only file rewriting already in progress")
}

func (c *client) takeSnapshot(begun, busy string) {
	taking := false
	switch {
	case c.node.do(func(r *replica.Replica) { taking = r.TakeSnapshot() }) != nil:
		c.fail("ERR " + errStopped.Error())
	case !taking:
		c.fail(busy)
	default:
		c.out = resp.AppendSimple(c.out, begun)
	}
}
