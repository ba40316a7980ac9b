// Package crashreplay runs real diskvd processes into real crashes: it starts a
// group, or a cluster of groups, drives it with clients, injects faults by a seeded schedule, records what
// every client did and saw, and checks that.
//
// It guarantees that at most a minority of the members of a group is faulty at once (but for
// the faults that crash all at the same time and take nothing from their disks); that an
// operation without an answer counts as one that may happen at any time or
// never; that a run ends at the first violation with a directory that holds the
// history, every process's log and data, the schedule and a picture; and that a
// schedule follows from its seed alone. What the processes do in the meantime is theirs,
// so a second run with a seed has the same faults and not the same history.
//
// What is checked: every key's history with porcupine; that appends are there once, and
// not at all if they were refused; that what a key held when it was closed is there later
// and in the end; that members come back after every fault; that the group
// serves while a minority is faulty; that no process ends by itself or reports a broken
// invariant.
//
//	s, err := crashreplay.Find("mixed")
//	result, err := crashreplay.Run(ctx, crashreplay.Options{
//		Binary: bin, Dir: dir, Scenario: s, Members: 5, Duration: time.Minute, Seed: 1,
//	})
//	result.WriteText(os.Stdout)
//
// Files: schedule.go, budget.go: which faults, to whom; faults_*.go: what they do;
// network.go, namespace.go: what is between the members; parts.go: the groups; load.go, book.go: the clients; history.go, check.go:
// what they saw; run.go: the engine; report.go, page.go, failure.go: what is left.
package crashreplay
