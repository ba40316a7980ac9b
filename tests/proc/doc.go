// Package proc runs diskvd as real processes, for tests and tools that kill
// them: a group on this machine, each member with its own directory, addresses
// and output file; or a cluster of groups and shardmasters; and an unreliable
// network in front of them.
//
// It guarantees that a process which it started is gone when Close has returned,
// ended by its own process id; that a member keeps its addresses and directory
// over restarts; and that ports are taken from below the range from which the
// system hands them out, and from no block of ports that another process takes
// them from, so that a restarted member finds its own free. It leaves to its users what to do to the members, and what must be true then.
//
//	bin, err := proc.Build(dir)
//	g, err := proc.NewGroup(proc.Options{Binary: bin, Dir: dir, Size: 3})
//	defer g.Close()
//	err = g.Start()
//	leader, err := g.Leader(ctx)
//	c, err := leader.Dial()
//	v, err := c.Do("SET", "k", "v")
//	err = leader.Kill()
package proc
