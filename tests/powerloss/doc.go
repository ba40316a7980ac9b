// Package powerloss is a model of a disk that can lose power: it takes file
// operations one by one and says what a cut behind any of them may leave. It is
// pure: no clock, no files, no chance but seeds.
//
//	d := powerloss.NewDisk()
//	file := d.NewInode()
//	d.Apply(powerloss.Op{Kind: powerloss.Create, Dir: powerloss.Root, Name: "a", Inode: file})
//	d.Apply(powerloss.Op{Kind: powerloss.Write, Inode: file, Data: []byte("hello")})
//	state := d.State(powerloss.Variant{Kind: powerloss.Dropped}) // nothing: no sync yet
//	err := state.Build(dir)
//
// What it assumes is what docs/format.md says that diskv assumes of a disk, and
// nothing more:
//
//   - A sync of a file makes its content and its length durable, not its name. A
//     sync of a directory makes its names durable, not what is in the files.
//   - Before that, each write, each change of a length and each change of names may
//     be on the medium or not, whatever came before or after it.
//   - A write may be there in part: any set of its 512-byte sectors, and any length
//     on the way. A sector that old data share with new is old or new, not a
//     mixture. What was never written reads as zeros.
//   - A rename within a directory is atomic. One from a directory to another may
//     leave both names, but never none; a sync of either directory settles the name
//     that it holds, and one of the old directory the new name too.
//   - What a failed sync was to make durable is not on the medium, and no later sync
//     brings it there; but processes see it until the power is cut or the cache is
//     dropped.
//
// A truncation orders the writes to its file that it cuts off: they do not come
// back once it is on the medium.
package powerloss

// Inode numbers a file or directory of a disk. 0 is none.
type Inode uint64

// Root is the directory at the top.
const Root Inode = 1

// SectorSize is what is written wholly or not at all, in bytes, where old data
// share it with new.
const SectorSize = 512

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Create     Kind = iota + 1 // a file: Dir, Name, Inode
	Mkdir                      // a directory: Dir, Name, Inode
	Write                      // to a file: Inode, Off, Data
	Truncate                   // a file, or lengthen it: Inode, Size
	Rename                     // Dir, Name, ToDir, ToName; replaces what has the new name
	Remove                     // a name of a file or an empty directory: Dir, Name
	Sync                       // of a file or a directory: Inode
	FailedSync                 // one that returned an error: Inode
	PowerCut                   // and everything that uses the disk begins anew: Variant
)

// kindNames are for people.
var kindNames = [...]string{"invalid", "create", "mkdir", "write", "truncate", "rename", "remove", "sync", "failed sync", "power cut"}

func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return kindNames[0]
	}
	return kindNames[k]
}

// Op is one operation that has succeeded, but for [FailedSync]. Which fields count
// depends on the kind. Data is not copied and must not change.
type Op struct {
	Kind   Kind
	Inode  Inode
	Dir    Inode
	Name   string
	ToDir  Inode
	ToName string
	Off    int64 // bytes
	Size   int64 // bytes
	Data   []byte

	Variant Variant
}
