package replica

// StateMachine is what the log's commands are applied to. Everything it does
// must follow from the calls of Begin and Apply alone.
type StateMachine interface {
	// Begin starts the batch of a slot. Log time is in ns since the Unix epoch
	// and never goes back.
	Begin(slot uint64, logTime int64)
	// Apply executes one command and appends its reply to dst. The command is
	// not kept.
	Apply(dst []byte, command []byte) []byte
	// LogTime returns the log time. It is that of the last Begin, unless a command
	// has moved it on: shards that come from another group bring their time along.
	LogTime() int64
	// Query answers a read from the state. Now, at or above log time, is the
	// leader's estimate of the time. If ok is false the answer depends on
	// something that expires between log time and now, and dst is unchanged.
	Query(dst []byte, now int64, query []byte) (reply []byte, ok bool)
	// Bytes estimates what a snapshot would take, in bytes.
	Bytes() int64
	// Image returns a copy-on-write view of the state that another goroutine
	// may read while the state machine goes on.
	Image() Image
}

// Attributed is a state machine that wants to know whose the commands are that were
// proposed here. It must not matter to the state.
type Attributed interface {
	// Executing is called with nil before a batch begins. If it returns true it is called
	// with the token of every command of the batch before that is executed, if it is known.
	Executing(token any) (wanted bool)
}

// Anticipating is a state machine that is quicker if it knows what comes. It must not
// matter to the state.
type Anticipating interface {
	// Anticipate is called with a few dozen commands that will be applied next, one by
	// one, behind those of the last call. They are not kept.
	Anticipate(commands [][]byte)
}

// anticipated is how many commands the machine is told of at a time: enough that it need
// not wait for memory, and not so many that what it has seen first is out of reach again.
const anticipated = 64

// Image is the state of a state machine at one slot.
type Image interface {
	// Records calls add for every record of a snapshot. Add copies the record.
	Records(add func(record []byte) error) error
}
