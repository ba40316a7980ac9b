package crashreplay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"diskv/tests/faultfs"
	"diskv/tests/proc"
)

// mountDisks gives each member a file system of its own, if the schedule has faults that
// take one. Where none can be mounted, those faults are left out, and the report says so.
func (r *run) mountDisks() error {
	need := slices.ContainsFunc(r.o.Plan, func(f Fault) bool { return f.Kind.needsPower() })
	if !need {
		return nil
	}
	for i := range r.o.Members {
		dir := filepath.Join(r.o.Dir, membersName, fmt.Sprintf("disk-%d", i))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		d, err := faultfs.Mount(dir, faultfs.Options{})
		if errors.Is(err, faultfs.ErrUnavailable) {
			r.without = err.Error()
			r.o.Plan = slices.DeleteFunc(slices.Clone(r.o.Plan), func(f Fault) bool { return f.Kind.needsPower() })
			r.disks = nil
			r.say("no power cuts and disk errors: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		r.disks = append(r.disks, d)
	}
	return nil
}

// place says where a member lives.
func (r *run) place(i int) proc.Place {
	var p proc.Place
	if r.disks != nil {
		p.Dir = filepath.Join(r.disks[i].Dir(), "data")
	}
	if r.kernel != nil {
		p.Host, p.Wrap = r.kernel.host(i), r.kernel.wrap(i)
	}
	return p
}

// unmountDisks ends the file systems. Of a run with a violation it copies what they hold
// first. No process runs.
func (r *run) unmountDisks() error {
	var err error
	for i, d := range r.disks {
		if r.violation != nil {
			d.Clear()
			d.PowerOn()
			to := filepath.Join(r.o.Dir, membersName, fmt.Sprintf("member-%d", i))
			err = errors.Join(err, os.CopyFS(to, os.DirFS(filepath.Join(d.Dir(), "data"))))
		}
		err = errors.Join(err, d.Unmount(), os.Remove(d.Dir()))
	}
	return err
}
