package snapshot

import "time"

// CreateGently is [Create] for a process that has something more urgent to do:
// it rests for twice as long as it works, so that it takes at most a third of
// one core and of the disk's time. What is small is written at once.
func CreateGently(dir string, h Header, write func(add func(record []byte) error) error) (Info, error) {
	return create(gentleDisk{}, dir, h, write)
}

const (
	// restFor is how many times longer the rests are than the work.
	restFor = 2
	// restAfter is how much work is done between two rests, at least: shorter
	// sleeps would last longer than they are meant to.
	restAfter = 2 * time.Millisecond
	// longestRest bounds what one slow operation of the disk leads to.
	longestRest = 100 * time.Millisecond
)

// gentleDisk is an osDisk whose new files rest.
type gentleDisk struct{ osDisk }

func (d gentleDisk) create(path string) (file, error) {
	f, err := d.osDisk.create(path)
	if err != nil {
		return nil, err
	}
	return &gentleFile{file: f, since: time.Now()}, nil
}

// gentleFile rests between reads and between writes. What its user does in
// between counts as work.
type gentleFile struct {
	file
	since time.Time // end of the last rest
}

func (f *gentleFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.file.WriteAt(b, off)
	f.rest()
	return n, err
}

func (f *gentleFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	f.rest()
	return n, err
}

func (f *gentleFile) rest() {
	if work := time.Since(f.since); work >= restAfter {
		time.Sleep(min(restFor*work, longestRest))
		f.since = time.Now()
	}
}
