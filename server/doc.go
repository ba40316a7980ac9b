// Package server is what carries bytes around a replica: sockets, files, the
// clock, and the commands of RESP clients.
//
// A [Node] is one replica in a process. All that decides happens in package
// replica, on one goroutine, the node's loop; every other goroutine only brings
// inputs to it and carries out what it put out:
//
//	clients, peers, clock ──> inbox ──> loop: replica.Replica ──> log, snapshots,
//	                                                              peers, clients
//
// The package guarantees that nothing that a replica wants to be durable first
// leaves the process before its sync has ended, and that the first failed write
// or sync ends the node. It decides nothing about the log's contents.
//
//	n, err := server.Open(options)
//	if err != nil {
//		return err // bad options, a directory that is not this replica's, damage
//	}
//	err = n.Run(ctx) // until ctx ends, or the disk fails
package server
