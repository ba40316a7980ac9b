package sim

import (
	"fmt"
	"strings"
)

// Mark names something that happens in a run, and that a test may want to have
// happened.
type Mark int

// The marks.
const (
	MarkFormed             Mark = iota // a member stored the genesis
	MarkCrash                          // a process died
	MarkCrashForming                   // ... before it was a member
	MarkCrashInOutput                  // ... between two fields of an output
	MarkCrashAll                       // every process died at once
	MarkUnsyncedLost                   // a crash took records that were not synced
	MarkUnsyncedKept                   // records survived a crash though they were not synced
	MarkTornBatch                      // ... the first part of a batch
	MarkCleanStop                      // a leader handed over and stopped
	MarkPause                          // a process stood still
	MarkPartition                      // the network fell into two parts
	MarkOneWay                         // a link worked one way only
	MarkIsolated                       // a member was cut off from all others
	MarkDiskStall                      // a disk stood still
	MarkMessageLost                    // a message was lost
	MarkMessageDoubled                 // a message came twice
	MarkMessageLate                    // a message came much later
	MarkElected                        // a member became leader
	MarkStoodDown                      // a candidate lacked slots that its voter had let go of
	MarkPreVoteRefused                 // a pre-vote was refused
	MarkNack                           // a ballot was refused
	MarkPromisePaged                   // a promise took more than one page
	MarkReproposed                     // a value was accepted under a second ballot
	MarkOverwritten                    // an accepted value gave way to another one
	MarkGap                            // an Accept began behind what the member held
	MarkHandover                       // a leader asked another member to take over
	MarkLogRead                        // a leader read entries for a member from its disk
	MarkLogReadEmpty                   // ... which no longer held them
	MarkSnapshotTaken                  // a snapshot was written
	MarkSnapshotFailed                 // a snapshot could not be written
	MarkLogDropped                     // a segment of the log was dropped
	MarkTransfer                       // a snapshot was offered to a member
	MarkTransferPieces                 // a piece that was not the whole was written
	MarkTransferResumed                // a transfer went on from what an earlier one left
	MarkTransferFailed                 // a piece could not be read or written
	MarkTransferEnded                  // a transfer was given up
	MarkSnapshotInstalled              // a snapshot took the place of the state
	MarkReplay                         // a member replayed its log
	MarkReplayFromSnapshot             // ... on a snapshot
	MarkWriteDone                      // a command was executed
	MarkReadDone                       // a read was confirmed
	MarkReadDoneLease                  // ... in a group that reads by lease
	MarkTimeEntry                      // log time was moved on for a read
	MarkExpired                        // a client saw that a key was gone by its time
	MarkNotLeader                      // a request was refused by a follower
	MarkOverloaded                     // a request was refused by a leader
	MarkUnknown                        // a request got no outcome
	MarkClientTimeout                  // a client gave up an answer
	MarkTransactionDone                // a transaction was executed
	MarkTransactionFailed              // ... was not, since what it depends on had changed
	MarkRetryAnswered                  // an operation of a session was answered on a retry
	MarkFrozen                         // a process stood still, and its clock with it
	MarkDiskLost                       // a member lost its disk
	MarkDiskDamaged                    // ... because its start found it damaged
	MarkLostAgain                      // ... while it recovered
	MarkSecondLost                     // ... while another member recovered
	MarkLostBootstrap                  // ... and was started as one of a new group
	MarkOldCopy                        // an old copy of a disk was put back
	MarkOldCopyFound                   // ... and found to be one
	MarkFork                           // ... one of a disk that was not lost since
	MarkForkFound                      // ... and found to be one, by what the others remember
	MarkRejoinChosen                   // it was chosen to let a member back
	MarkBackByLog                      // a member that recovered was let back by its log
	MarkBackBySnapshot                 // ... by a snapshot
	MarkHeldBack                       // a message was held back across what may happen to its sender
	MarkDeadPromise                    // a promise of a disk that is gone reached the candidate that it was for
	MarkDeadVote                       // another vote of such a disk reached the leader that it was for
	MarkLateRequest                    // a request to be let back came too late
	MarkAmbush                         // an ambush came to its end
	MarkMajorityLost                   // a majority lost its disks at once
	MarkTolerated                      // with members down at the end the others went on

	// Of runs with several groups.

	MarkConfigMade           // the shardmasters made a config
	MarkConfigured           // the operator was answered
	MarkConfigChanged        // ... that the newest config is another one
	MarkConfigureAgain       // a command of the operator was sent again, its fate not known
	MarkFirstConfig          // a group took its first config
	MarkConfigTaken          // a group took a config
	MarkConfigsSkipped       // ... and left some out that had nothing for it
	MarkConfigFromFollower   // a shardmaster that did not lead answered with a config
	MarkChunk                // a chunk of a stream was installed
	MarkStreamEnded          // ... the last one
	MarkStreamInPieces       // ... of several
	MarkStaleChunk           // a chunk was refused: it was in the log already, or not next
	MarkStaleConfig          // a config was refused: it was in the log already
	MarkServedLeaving        // a command was executed on a shard that was to leave and was not frozen
	MarkBatchWanted          // a leader was asked for a batch that was not frozen
	MarkFurtherBatch         // a batch was frozen behind another one of the same stream
	MarkFrozenByConfig       // ... by the next config
	MarkStaleFreeze          // a batch was not frozen: it was already, or was not the next
	MarkDiedBetweenBatches   // a leader died whose group had frozen some batches and not all
	MarkStray                // a leader proposed a move again, or before its turn
	MarkReleased             // what was kept for another group was let go of
	MarkReleasedAfterRestart // ... by a leader that began after it had been frozen
	MarkMovedBack            // a shard came back while it was still kept for the other group
	MarkGiverCrashed         // a leader died whose group was giving shards, in the middle of a stream
	MarkTakerCrashed         // a leader died whose group was taking shards, in the middle of a stream
	MarkDiskLostInMove       // a member lost its disk while its group gave or took shards
	MarkPulledFromFollower   // a chunk came from a member that did not lead
	MarkPulledTooEarly       // a chunk was asked for of a member that had not taken the config
	MarkPulledTooLate        // ... that had let go of the shards
	MarkTransactionMoved     // a transaction came to a group that had not given its token
	MarkCallLost             // a message between groups was lost
	MarkCallDoubled          // a request between groups came twice
	MarkApart                // a group was cut off from all others
	MarkHalted               // all of a group was down for a while
	MarkServedElsewhere      // a shard was served by another group than before
	MarkRedirected           // a client was sent to another group
	MarkAwaited              // a client asked for a shard that was on its way
	MarkRefusedInLog         // a command was refused when it was executed: its shard had gone
	MarkRetryElsewhere       // an operation of a session was answered by another group than had executed it
	MarkSessionAhead         // a session was born by the time of a group that is far ahead of another
	MarkLateRefused          // a late copy of an operation of a session was refused
	MarkLateRefusedElsewhere // ... by another group than had executed it
	markCount
)

// oneGroup is the first mark that a run with one group does not set.
const oneGroup = MarkConfigMade

var markNames = [markCount]string{
	MarkFormed: "formed", MarkCrash: "crash", MarkCrashForming: "crash while forming",
	MarkCrashInOutput: "crash inside an output", MarkCrashAll: "crash of all",
	MarkUnsyncedLost: "unsynced lost", MarkUnsyncedKept: "unsynced kept", MarkTornBatch: "batch torn",
	MarkCleanStop: "clean stop", MarkPause: "pause", MarkPartition: "partition", MarkOneWay: "one-way cut",
	MarkIsolated: "isolated", MarkDiskStall: "disk stall", MarkMessageLost: "message lost",
	MarkMessageDoubled: "message doubled", MarkMessageLate: "message late", MarkElected: "elected",
	MarkStoodDown: "candidate stood down", MarkPreVoteRefused: "pre-vote refused", MarkNack: "nack",
	MarkPromisePaged: "promise paged", MarkReproposed: "re-proposed", MarkOverwritten: "overwritten",
	MarkGap: "gap", MarkHandover: "hand-over", MarkLogRead: "log read", MarkLogReadEmpty: "log read empty",
	MarkSnapshotTaken: "snapshot taken", MarkSnapshotFailed: "snapshot failed", MarkLogDropped: "log dropped",
	MarkTransfer: "transfer", MarkTransferPieces: "transfer in pieces", MarkTransferResumed: "transfer resumed",
	MarkTransferFailed: "transfer failed", MarkTransferEnded: "transfer given up",
	MarkSnapshotInstalled: "snapshot installed", MarkReplay: "replay", MarkReplayFromSnapshot: "replay from snapshot",
	MarkWriteDone: "write done", MarkReadDone: "read done", MarkReadDoneLease: "read done by lease",
	MarkTimeEntry: "time entry", MarkExpired: "expiry seen", MarkNotLeader: "not leader",
	MarkOverloaded: "overloaded", MarkUnknown: "unknown", MarkClientTimeout: "client timeout",
	MarkRetryAnswered: "retry answered", MarkTransactionDone: "transaction done", MarkTransactionFailed: "transaction failed",
	MarkFrozen: "frozen", MarkDiskLost: "disk lost", MarkDiskDamaged: "disk damaged",
	MarkLostAgain: "lost while recovering", MarkSecondLost: "second disk lost",
	MarkLostBootstrap: "lost with bootstrap", MarkOldCopy: "old copy put back", MarkOldCopyFound: "old copy found out",
	MarkFork: "forked copy put back", MarkForkFound: "forked copy found out",
	MarkRejoinChosen: "rejoin chosen", MarkBackByLog: "let back by log", MarkBackBySnapshot: "let back by snapshot",
	MarkHeldBack: "message held back", MarkDeadPromise: "dead promise", MarkDeadVote: "dead vote",
	MarkLateRequest: "late request", MarkAmbush: "ambush", MarkMajorityLost: "majority lost", MarkTolerated: "tolerated",
	MarkConfigMade: "config made", MarkConfigured: "configured", MarkConfigChanged: "config changed meanwhile",
	MarkConfigureAgain: "configured again", MarkFirstConfig: "first config", MarkConfigTaken: "config taken",
	MarkConfigsSkipped: "configs skipped", MarkConfigFromFollower: "config from a follower", MarkChunk: "chunk",
	MarkStreamEnded: "stream ended", MarkStreamInPieces: "stream in pieces", MarkStaleChunk: "stale chunk",
	MarkStaleConfig: "stale config", MarkServedLeaving: "served while leaving", MarkBatchWanted: "batch wanted",
	MarkFurtherBatch: "further batch", MarkFrozenByConfig: "frozen by config", MarkStaleFreeze: "stale freeze",
	MarkDiedBetweenBatches: "died between batches", MarkStray: "stray proposal", MarkReleased: "released", MarkReleasedAfterRestart: "released after a restart",
	MarkMovedBack: "moved back", MarkGiverCrashed: "giver crashed", MarkTakerCrashed: "taker crashed",
	MarkDiskLostInMove: "disk lost in a move", MarkPulledFromFollower: "pulled from a follower",
	MarkPulledTooEarly: "pulled too early", MarkPulledTooLate: "pulled too late", MarkTransactionMoved: "transaction moved", MarkCallLost: "call lost",
	MarkCallDoubled: "call doubled", MarkApart: "group cut off", MarkHalted: "group halted", MarkServedElsewhere: "served elsewhere",
	MarkRedirected: "redirected", MarkAwaited: "awaited", MarkRefusedInLog: "refused in the log",
	MarkRetryElsewhere: "retry answered elsewhere", MarkSessionAhead: "session ahead", MarkLateRefused: "late copy refused",
	MarkLateRefusedElsewhere: "late copy refused elsewhere",
}

func (m Mark) String() string { return markNames[m] }

// Marks counts what happened.
type Marks [markCount]int

// Add adds the counts of o.
func (m *Marks) Add(o *Marks) {
	for i, n := range o {
		m[i] += n
	}
}

// rare tells whether a mark is not due in so many runs with several groups: none
// of these loses a majority, and of a thousand one or two leave configs out.
func (m Mark) rare() bool { return m == MarkMajorityLost || m == MarkConfigsSkipped }

// Missing returns the marks that were never set, of those that a run of the kind
// sets.
func (m *Marks) Missing(groups bool) []Mark {
	var out []Mark
	for i, n := range m {
		if n == 0 && (groups && !Mark(i).rare() || !groups && Mark(i) < oneGroup) {
			out = append(out, Mark(i))
		}
	}
	return out
}

func (m *Marks) String() string {
	var b strings.Builder
	for i, n := range m {
		fmt.Fprintf(&b, "%24s %d\n", Mark(i), n)
	}
	return b.String()
}
