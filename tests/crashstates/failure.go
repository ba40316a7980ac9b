package crashstates

import (
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"

	"diskv/tests/powerloss"
)

// Failure is a state that was not recovered as it must be.
type Failure struct {
	Workload string
	Seed     uint64
	Prefix   int // operations before the cut
	Variant  powerloss.Variant
	Last     string // what the last operation was
	Dir      string // holds the state and the recording
	Err      error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, power cut behind operation %d (%s), variant %s: %v\n"+
		"the directory is kept in %s; to build it again: crashreplay enumerate --rebuild %s --prefix %d --variant %s --out DIR",
		f.Seed, f.Prefix, f.Last, f.Variant, f.Err, filepath.Join(f.Dir, stateDir), filepath.Join(f.Dir, recordingFile), f.Prefix, f.Variant)
}

func (f *Failure) Unwrap() error { return f.Err }

// What is in the directory of a failure.
const (
	stateDir      = "state"
	recordingFile = "recording"
)

// saved is the file of a recording.
type saved struct {
	Ops []powerloss.Op
}

// failure keeps what failed, and describes it.
func (t *trace) failure(o Options, files powerloss.State, prefix int, v powerloss.Variant, err error) error {
	f := &Failure{Workload: t.workload, Seed: o.Seed, Prefix: prefix, Variant: v, Last: "none", Err: err}
	if prefix > 0 {
		f.Last = t.describe(t.recording.Ops[prefix-1])
	}
	if f.Dir = o.Failures; f.Dir == "" {
		if f.Dir, err = os.MkdirTemp("", "diskv-crashstates-"); err != nil {
			return fmt.Errorf("%w; and it could not be kept: %w", f.Err, err)
		}
	}
	if err := t.keep(f.Dir, files); err != nil {
		return fmt.Errorf("%w; and it could not be kept: %w", f.Err, err)
	}
	return f
}

func (t *trace) keep(dir string, files powerloss.State) error {
	state := filepath.Join(dir, stateDir)
	if err := os.MkdirAll(state, 0o750); err != nil {
		return err
	}
	if err := files.Build(state); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, recordingFile))
	if err != nil {
		return err
	}
	if err := gob.NewEncoder(out).Encode(saved{t.recording.Ops}); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// describe puts an operation into words.
func (t *trace) describe(op powerloss.Op) string {
	names := map[powerloss.Inode]string{powerloss.Root: "/"}
	for _, o := range t.recording.Ops {
		switch o.Kind {
		case powerloss.Create, powerloss.Mkdir:
			names[o.Inode] = filepath.Join(names[o.Dir], o.Name)
		}
	}
	switch op.Kind {
	case powerloss.Rename:
		return fmt.Sprintf("rename %s to %s", filepath.Join(names[op.Dir], op.Name), filepath.Join(names[op.ToDir], op.ToName))
	case powerloss.Remove:
		return "remove " + filepath.Join(names[op.Dir], op.Name)
	case powerloss.Write:
		return fmt.Sprintf("write %d bytes at %d of %s", len(op.Data), op.Off, names[op.Inode])
	}
	return fmt.Sprintf("%s %s", op.Kind, names[op.Inode])
}

// Rebuild makes, in the directory out, which is there and empty, what a variant of a
// cut behind a prefix of a saved recording leaves.
func Rebuild(recording string, prefix int, v powerloss.Variant, out string) error {
	in, err := os.Open(recording)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var s saved
	if err := gob.NewDecoder(in).Decode(&s); err != nil {
		return fmt.Errorf("%s is not a recording of operations: %w", recording, err)
	}
	if prefix < 0 || prefix > len(s.Ops) {
		return fmt.Errorf("--prefix %d: %s has %d operations", prefix, recording, len(s.Ops))
	}
	d := powerloss.NewDisk()
	for _, op := range s.Ops[:prefix] {
		d.Apply(op)
	}
	return d.State(v).Build(out)
}
