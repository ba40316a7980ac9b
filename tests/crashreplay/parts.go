package crashreplay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"diskv/client"
	"diskv/tests/faultfs"
	"diskv/tests/proc"
)

// part is one group of a run, with what is between, around and under its members.
type part struct {
	name   string // empty: it is the only one
	dir    string // of the members' directories and outputs
	first  int    // place of its first member among the members of all groups
	group  *proc.Group
	net    *Network      // proxies; without members if there is
	kernel *namespaces   // a network of the kernel
	disks  []*faultfs.FS // by member; nil: they are on the system's
	budget *budget
	// damaged are the members of which a file was damaged that is not missed yet. Each is
	// for who has taken the member.
	damaged []bool
}

// called says of which group something is, if there is more than one.
func (p *part) called(what string) string {
	if p.name == "" {
		return what
	}
	return p.name + " " + what
}

// member names a member.
func (p *part) member(i int) string {
	if p.name == "" {
		return fmt.Sprintf("member %d", i)
	}
	return fmt.Sprintf("%s/%d", p.name, i)
}

// leader returns the member that says that it leads, of those that are whole, or -1.
func (p *part) leader() int {
	for _, i := range p.budget.whole() {
		if info, err := p.group.Members[i].Info(); err == nil && info["consensus_role"] == "leader" {
			return i
		}
	}
	return -1
}

// members is how many processes there are.
func (r *run) members() int { return len(r.parts) * r.o.Members }

// stores are the groups that hold keys.
func (r *run) stores() []*part { return r.parts[min(r.o.Scenario.Groups, 1):] }

// addresses are those of all members that hold keys.
func (r *run) addresses() []string {
	var all []string
	for _, p := range r.stores() {
		all = append(all, p.group.Public...)
	}
	return all
}

// makeParts makes the groups. Nothing is started.
func (r *run) makeParts() error {
	var masters *part
	for i := range r.o.Scenario.parts() {
		p := &part{
			dir: filepath.Join(r.o.Dir, membersName), first: i * r.o.Members,
			net: NewNetwork(r.o.Seed + uint64(i)), budget: newBudget(r.o.Members), damaged: make([]bool, r.o.Members),
		}
		r.parts = append(r.parts, p)
		o := proc.Options{Binary: r.o.Binary, Size: r.o.Members, Args: flags, BootstrapOnce: true, Place: p.place}
		switch {
		case r.o.Scenario.Groups == 0:
		case masters == nil:
			masters = p
			p.name, o.Command = "masters", "shardmaster"
		default:
			p.name = fmt.Sprintf("group-%d", i)
			o.Args = slices.Concat(flags, []string{"--group", fmt.Sprint(i), "--shardmasters", strings.Join(masters.group.Public, ",")})
		}
		p.dir = filepath.Join(p.dir, p.name)
		o.Dir = p.dir
		if err := r.mountDisks(p); err != nil {
			return err
		}
		var err error
		if r.o.Scenario.Namespaces {
			if p.kernel, err = newNamespaces(r.o.Members); err != nil {
				return err
			}
		} else {
			o.Through = p.net.Through
		}
		if p.group, err = proc.NewGroup(o); err != nil {
			return err
		}
	}
	return nil
}

// place says where a member lives.
func (p *part) place(i int) proc.Place {
	var at proc.Place
	if p.disks != nil {
		at.Dir = filepath.Join(p.disks[i].Dir(), "data")
	}
	if p.kernel != nil {
		at.Host, at.Wrap = p.kernel.host(i), p.kernel.wrap(i)
	}
	return at
}

// mountDisks gives each member a file system of its own, if the schedule has faults that
// take one. Where none can be mounted, those faults are left out, and the report says so.
func (r *run) mountDisks(p *part) error {
	if !slices.ContainsFunc(r.o.Plan, func(f Fault) bool { return f.Kind.needsPower() }) {
		return nil
	}
	for i := range r.o.Members {
		dir := filepath.Join(p.dir, fmt.Sprintf("disk-%d", i))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		d, err := faultfs.Mount(dir, faultfs.Options{})
		if errors.Is(err, faultfs.ErrUnavailable) {
			r.without = err.Error()
			r.o.Plan = slices.DeleteFunc(slices.Clone(r.o.Plan), func(f Fault) bool { return f.Kind.needsPower() })
			r.say("no power cuts and disk errors: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		p.disks = append(p.disks, d)
	}
	return nil
}

// killAll ends all processes.
func (r *run) killAll() {
	for _, p := range r.parts {
		if p.group != nil {
			p.group.Close()
		}
	}
}

// closeParts ends networks and file systems. Of a run with a violation it copies what the
// file systems hold first. No process runs.
func (r *run) closeParts() error {
	var err error
	for _, p := range r.parts {
		p.net.Close()
		if p.kernel != nil {
			p.kernel.close(r.o.Members)
		}
		for i, d := range p.disks {
			if r.violation != nil {
				d.Clear()
				d.PowerOn()
				to := filepath.Join(p.dir, fmt.Sprintf("member-%d", i))
				err = errors.Join(err, os.CopyFS(to, os.DirFS(filepath.Join(d.Dir(), "data"))))
			}
			err = errors.Join(err, d.Unmount(), os.Remove(d.Dir()))
		}
	}
	return err
}

// start starts the processes and the clients.
func (r *run) start(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, r.o.Patience)
	defer cancel()
	for _, p := range r.parts {
		if err := p.group.Start(); err != nil {
			return err
		}
		if err := p.group.Ready(within); err != nil {
			return err
		}
	}
	if r.o.Scenario.Groups > 0 {
		if err := r.join(within); err != nil {
			return err
		}
	}
	var err error
	r.client, err = client.Options{StallTimeout: 6 * time.Second}.Open(within, r.addresses()...)
	return err
}
