package snapshot

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names in a snapshot directory, on disk. Slots have 20 digits, so that names
// sort as slots do.
//
//	00000000000000000042.snap                        complete
//	00000000000000000042.snap.tmp                    being written by Create
//	00000000000000000042-<digest>-<size>.part        being received from a peer
const (
	suffixSnapshot = ".snap"
	suffixTemp     = ".snap.tmp"
	suffixPart     = ".part"
	slotDigits     = 20
)

// Path returns the name in dir of the complete snapshot at slot.
func Path(dir string, slot uint64) string {
	return filepath.Join(dir, slotName(slot)+suffixSnapshot)
}

func tempPath(dir string, slot uint64) string {
	return filepath.Join(dir, slotName(slot)+suffixTemp)
}

func partPath(dir string, slot uint64, digest [32]byte, size int64) string {
	name := slotName(slot) + "-" + hex.EncodeToString(digest[:]) + "-" + strconv.FormatInt(size, 10)
	return filepath.Join(dir, name+suffixPart)
}

func slotName(slot uint64) string { return fmt.Sprintf("%0*d", slotDigits, slot) }

// slotOf returns the slot of a file name with the given suffix.
func slotOf(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != slotDigits {
		return 0, false
	}
	slot, err := strconv.ParseUint(digits, 10, 64)
	return slot, err == nil
}

// partSlot returns the slot of a transfer in progress.
func partSlot(name string) (uint64, bool) {
	rest, ok := strings.CutSuffix(name, suffixPart)
	if !ok {
		return 0, false
	}
	fields := strings.Split(rest, "-")
	if len(fields) != 3 || len(fields[1]) != 64 {
		return 0, false
	}
	return slotOf(fields[0], "")
}

// List returns the slots of the complete snapshots in dir, lowest first,
// by their names only. [Path] has the file of each. A directory that is not
// there is an error that matches fs.ErrNotExist.
func List(dir string) ([]uint64, error) { return list(osDisk{}, dir) }

func list(d disk, dir string) ([]uint64, error) {
	names, err := d.list(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot directory: %w", err)
	}
	var slots []uint64
	for _, name := range names {
		if slot, ok := slotOf(name, suffixSnapshot); ok {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	return slots, nil
}

// Newest returns the complete snapshot of the highest slot in dir, and false if
// there is none. It checks both ends of the file, the length and the slot, and
// returns a [*CorruptionError] if they are damaged, without looking for an older
// one; only reading the file, or [Verify], checks the rest. What interrupted
// writes and transfers left is ignored. A directory that is not there is an
// error that matches fs.ErrNotExist.
func Newest(dir string) (Info, bool, error) { return newest(osDisk{}, dir) }

func newest(d disk, dir string) (Info, bool, error) {
	slots, err := list(d, dir)
	if err != nil || len(slots) == 0 {
		return Info{}, false, err
	}
	slot := slots[len(slots)-1]
	path := Path(dir, slot)
	f, err := d.open(path)
	if err != nil {
		return Info{}, false, fmt.Errorf("newest snapshot: %w", err)
	}
	defer f.Close()
	s, err := newScanner(path, f)
	if err != nil {
		return Info{}, false, err
	}
	if err := checkSlot(path, s.info, slot); err != nil {
		return Info{}, false, err
	}
	return s.info, true, nil
}

// checkSlot says whether a file is what its name says.
func checkSlot(path string, info Info, slot uint64) error {
	if info.Header.Slot != slot {
		return &CorruptionError{File: path, Reason: fmt.Sprintf("the name is of slot %d, the contents are of slot %d", slot, info.Header.Slot)}
	}
	return nil
}

// CleanOption changes what [Clean] removes.
type CleanOption func(*cleaning)

type cleaning struct {
	pinned    []uint64
	transfers bool
}

// Pinned keeps the snapshots at these slots too, because a peer is being sent
// one of them, say.
func Pinned(slots ...uint64) CleanOption {
	return func(c *cleaning) { c.pinned = append(c.pinned, slots...) }
}

// DropTransfers removes every transfer in progress, also those that are ahead
// of the slot that is kept.
func DropTransfers() CleanOption {
	return func(c *cleaning) { c.transfers = true }
}

// Clean removes the snapshots below slot keep, what interrupted writes left,
// and transfers at or below keep, which nobody needs any more; transfers ahead
// of it stay and can be resumed. If there are snapshots to remove and none at
// keep, it removes nothing and returns an error that matches fs.ErrNotExist.
// Names that are not this package's are left alone. The removals are not
// flushed: what comes back after a crash goes with the next Clean.
func Clean(dir string, keep uint64, options ...CleanOption) error {
	return clean(osDisk{}, dir, keep, options...)
}

func clean(d disk, dir string, keep uint64, options ...CleanOption) error {
	var c cleaning
	for _, o := range options {
		o(&c)
	}
	names, err := d.list(dir)
	if err != nil {
		return fmt.Errorf("snapshot directory: %w", err)
	}
	var old, leftovers []string
	kept := false
	for _, name := range names {
		if slot, ok := slotOf(name, suffixSnapshot); ok {
			kept = kept || slot == keep
			if slot < keep && !slices.Contains(c.pinned, slot) {
				old = append(old, name)
			}
		} else if _, ok := slotOf(name, suffixTemp); ok {
			leftovers = append(leftovers, name)
		} else if slot, ok := partSlot(name); ok && (c.transfers || slot <= keep) {
			leftovers = append(leftovers, name)
		}
	}
	if len(old) > 0 && !kept {
		return fmt.Errorf("clean %s: nothing was removed, since the snapshot to keep is missing: %s: %w",
			dir, filepath.Base(Path(dir, keep)), fs.ErrNotExist)
	}
	var failed []error
	for _, name := range append(old, leftovers...) {
		if err := d.remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("clean %s: %w", dir, err)
	}
	return nil
}
