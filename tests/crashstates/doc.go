// Package crashstates recovers real nodes from every state that a power cut could
// have left of their disks, and looks whether what they had acknowledged is there
// and nothing else.
//
// A workload runs once, on nodes in this process whose data directory is on
// faultfs, which records every operation. While it runs it is noted after which
// operation each client was answered, each message left for a peer, and each command
// was sent. Then, for every prefix of the operations, package powerloss says what a
// cut may leave: what was not synced dropped, kept, torn by sectors, in order and
// out of it. Each state that was not met before is built in memory (tmpfs), and
// recovered by server.Open, as diskvd does; a single node is then run and asked for
// every key. What was found is compared with what had been acknowledged by every
// prefix that leaves this state, so a state is recovered once and judged each time.
//
//	report, err := crashstates.Run(ctx, crashstates.Options{Seed: 1}, nil)
//
// There are two workloads. Of a *single* node: appends in sessions, values of several
// sectors written over and deleted, snapshots, segments that begin and are dropped, a
// clean stop and a restart. Of a *member* of a group of three: the same load while it
// leads and follows, elections, stops and restarts; then it loses its disk, rejoins
// with an empty one, and is stopped and started again.
//
// What is checked is in single.go and member.go. What a cut may leave, and what is
// assumed of a disk, is the business of powerloss.
package crashstates
