package crashreplay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault. Kinds are in schedules that are kept: do not rename them.
type Kind string

// The kinds of faults.
const (
	Kill       Kind = "kill"        // SIGKILL, and a start later
	KillAt     Kind = "kill-at"     // SIGKILL at a chosen point: at an answer, in a snapshot, in a start, in a hand-over
	KillAll    Kind = "kill-all"    // SIGKILL of all members at once
	Pause      Kind = "pause"       // SIGSTOP for longer than an election takes
	Lost       Kind = "lost"        // the data directory is deleted
	Damaged    Kind = "damaged"     // bits are flipped in a file of the data directory
	Old        Kind = "old"         // a copy of the data directory from before it was lost is put back
	Swapped    Kind = "swapped"     // members get each other's data directories
	Partition  Kind = "partition"   // nothing passes between a minority and the others
	OneWay     Kind = "one-way"     // nothing passes in one direction
	Delay      Kind = "delay"       // messages arrive late, in order
	Disorder   Kind = "disorder"    // messages are lost, doubled and overtake each other
	Flapping   Kind = "flapping"    // connections break and come back every 100 ms
	Disconnect Kind = "disconnect"  // connections are reset and refused
	Power      Kind = "power"       // power cut: what was not synced is gone, or a part of it
	PowerAll   Kind = "power-all"   // power cut of all members at once
	SyncError  Kind = "sync-error"  // a sync of the log fails
	IOError    Kind = "io-error"    // any operation on any file fails
	ShortWrite Kind = "short-write" // a write ends in its middle, and fails then
	NoSpace    Kind = "no-space"    // the disk is full
	SlowDisk   Kind = "slow-disk"   // syncs take long
)

// kindOf says how a kind of fault is planned.
type planned struct {
	least, most time.Duration // how long it lasts, recovery apart
	members     int           // how many at most; as many as there are: everyone
	text        string
}

// everyone stands for all members.
const everyone = 99

var kinds = map[Kind]planned{
	Kill:       {0, 3 * time.Second, 2, "killed, and started later"},
	KillAt:     {0, time.Second, 1, "killed at an answer, in a snapshot, in its start, or in a hand-over"},
	KillAll:    {0, time.Second, everyone, "all killed at once"},
	Pause:      {2 * time.Second, 5 * time.Second, 2, "stopped (SIGSTOP) for longer than an election takes"},
	Lost:       {0, 2 * time.Second, 2, "its data directory is deleted"},
	Damaged:    {0, time.Second, 1, "bits are flipped in any file of its data directory"},
	Old:        {500 * time.Millisecond, 2 * time.Second, 1, "a copy of its data directory from before a loss is put back"},
	Swapped:    {0, time.Second, 2, "two members get each other's data directories (in a group of 3, one gets another's IDENTITY)"},
	Partition:  {2 * time.Second, 6 * time.Second, 2, "cut off from the others; clients reach both sides"},
	OneWay:     {2 * time.Second, 6 * time.Second, 2, "cut off in one direction"},
	Delay:      {2 * time.Second, 6 * time.Second, 2, "all messages from and to it are late, in order"},
	Disorder:   {2 * time.Second, 6 * time.Second, 2, "messages from and to it are lost, doubled, and overtake each other"},
	Flapping:   {2 * time.Second, 4 * time.Second, 1, "its connections break and come back every 100 ms"},
	Disconnect: {time.Second, 4 * time.Second, 2, "its connections to the others are reset and refused"},
	Power:      {0, 2 * time.Second, 2, "power cut: what was not synced is gone, or a part of it"},
	PowerAll:   {0, time.Second, everyone, "power cut of all at once"},
	SyncError:  {time.Second, 3 * time.Second, 1, "a sync of its log fails (EIO): it ends, and is started again"},
	IOError:    {time.Second, 3 * time.Second, 1, "operations on its files fail (EIO)"},
	ShortWrite: {time.Second, 3 * time.Second, 1, "a write to its log ends in the middle (EIO, ENOSPC)"},
	NoSpace:    {time.Second, 4 * time.Second, 2, "its disk is full (ENOSPC)"},
	SlowDisk:   {2 * time.Second, 5 * time.Second, 2, "its syncs take up to 3 s each"},
}

// Scenario is which kinds of faults a run has, and how many.
type Scenario struct {
	Name string
	Text string
	// Kinds come in rounds, each kind once in every round, in an order that follows from
	// the seed. One may be named more than once.
	Kinds []Kind
	Gap   time.Duration // between the beginnings of two faults, about; they overlap if the members suffice
	// Namespaces: the members have networks of their own, of the kernel; else there are
	// proxies between them. It takes root.
	Namespaces bool
	// Groups of a sharded cluster, with as many members each as its shardmasters have, among
	// which shards move all the time; 0: one group that has all.
	Groups int
}

// parts is how many groups of processes there are, the shardmasters included.
func (s *Scenario) parts() int { return s.Groups + 1 }

// needsPower tells whether a fault takes a file system that can lose power and fail.
func (k Kind) needsPower() bool {
	switch k {
	case Power, PowerAll, SyncError, IOError, ShortWrite, NoSpace, SlowDisk:
		return true
	}
	return false
}

// flags are those of every member: snapshots are taken and segments dropped all the time, and a
// disk that is full is filled to the end.
var flags = []string{"--snapshot-min-bytes", "65536", "--min-free-bytes", "32768"}

// Scenarios are all scenarios, by name.
var Scenarios = []Scenario{
	{Name: "calm", Text: "no faults: what the load and the checks do by themselves", Kinds: nil, Gap: time.Second},
	{Name: "kills", Text: "processes are killed, at random, at chosen points, all at once", Kinds: []Kind{Kill, KillAt, Kill, KillAt, KillAll}, Gap: time.Second},
	{Name: "pauses", Text: "processes are stopped for longer than an election takes", Kinds: []Kind{Pause, Pause, Kill}, Gap: 1500 * time.Millisecond},
	{Name: "partitions", Text: "the network between members: cuts, one-way cuts, delay, loss, reordering", Kinds: []Kind{Partition, OneWay, Delay, Disorder, Flapping, Disconnect}, Gap: 1500 * time.Millisecond},
	{Name: "disks", Text: "data directories are lost, damaged, swapped, old", Kinds: []Kind{Lost, Damaged, Old, Swapped, Damaged}, Gap: time.Second},
	{Name: "namespaces", Text: "the network of the kernel: members in namespaces, blackhole and unreachable routes; takes root", Kinds: []Kind{Partition, OneWay, Disconnect, Partition, OneWay, Kill}, Gap: 1500 * time.Millisecond, Namespaces: true},
	{Name: "power", Text: "power is cut: what was not synced is gone, or a part of it", Kinds: []Kind{Power, PowerAll, Power, Kill}, Gap: time.Second},
	{Name: "io-errors", Text: "EIO, ENOSPC, short writes, slow syncs", Kinds: []Kind{SyncError, IOError, ShortWrite, NoSpace, SlowDisk}, Gap: 1500 * time.Millisecond},
	{
		Name: "sharded", Text: "a cluster of two groups and shardmasters, between which shards move",
		Kinds: []Kind{Kill, KillAt, KillAll, Pause, Lost, Partition, Disorder, Power, PowerAll, Flapping}, Gap: time.Second, Groups: 2,
	},
	{Name: "mixed", Text: "every kind of fault", Kinds: []Kind{
		Kill, KillAt, KillAll, Pause, Lost, Damaged, Old, Swapped, Partition, OneWay, Delay, Disorder, Flapping, Disconnect,
		Power, PowerAll, SyncError, IOError, ShortWrite, NoSpace, SlowDisk,
	}, Gap: time.Second},
}

// Find returns the scenario of a name.
func Find(name string) (Scenario, error) {
	i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range Scenarios {
			names = append(names, s.Name)
		}
		return Scenario{}, fmt.Errorf("there is no scenario %q: there are %s", name, strings.Join(names, ", "))
	}
	return Scenarios[i], nil
}

// Kinds are all kinds of faults, by name.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// Text says what a kind of fault does to a member.
func (k Kind) Text() string { return kinds[k].text }
