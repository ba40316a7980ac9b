package kv

const onceName = "diskv.once"

// commands is the table: one line for each command, and for its function a place
// in the file that is named after what it works on.
//
//	name, arity, flags, first key, last key, step, group, since, complexity, summary, subcommands, function
var commands = NewTable(
	&Spec{"append", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "2.0.0", "O(N) where N is the length of the value, every now and then; else O(1).", "Append a value to a key", nil, appendValue},
	&Spec{"dbsize", 1, ReadOnly | Fast, 0, 0, 0, "server", "1.0.0", "O(N) where N is the number of keys that have expired and are not yet removed.", "Return the number of keys in the selected database", nil, dbsize},
	&Spec{"decr", 2, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Decrement the integer value of a key by one", nil, decr},
	&Spec{"decrby", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Decrement the integer value of a key by the given number", nil, decrBy},
	&Spec{"del", -2, Write, 1, -1, 1, "generic", "1.0.0", "O(N) where N is the number of keys that will be removed.", "Delete a key", nil, del},
	&Spec{"exists", -2, ReadOnly | Fast, 1, -1, 1, "generic", "1.0.0", "O(N) where N is the number of keys to check.", "Determine if a key exists", nil, exists},
	&Spec{"expire", -3, Write | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Set a key's time to live in seconds", nil, expire},
	&Spec{"get", 2, ReadOnly | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Get the value of a key", nil, get},
	&Spec{"incr", 2, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Increment the integer value of a key by one", nil, incr},
	&Spec{"incrby", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Increment the integer value of a key by the given amount", nil, incrBy},
	&Spec{"mget", -2, ReadOnly | Fast, 1, -1, 1, "string", "1.0.0", "O(N) where N is the number of keys to retrieve.", "Get the values of all the given keys", nil, mget},
	&Spec{"mset", -3, Write | DenyOOM, 1, -1, 2, "string", "1.0.1", "O(N) where N is the number of keys to set.", "Set multiple keys to multiple values", nil, mset},
	&Spec{"persist", 2, Write | Fast, 1, 1, 1, "generic", "2.2.0", "O(1)", "Remove the expiration from a key", nil, persist},
	&Spec{"pexpire", -3, Write | Fast, 1, 1, 1, "generic", "2.6.0", "O(1)", "Set a key's time to live in milliseconds", nil, pexpire},
	&Spec{"pttl", 2, ReadOnly | Fast, 1, 1, 1, "generic", "2.6.0", "O(1)", "Get the time to live for a key in milliseconds", nil, pttl},
	&Spec{"scan", -2, ReadOnly | queryOnly, 0, 0, 0, "generic", "2.8.0", "O(1) for every call. O(N) for a complete iteration, where N is the number of keys.", "Incrementally iterate the keys space", nil, scan},
	&Spec{"set", -3, Write | DenyOOM, 1, 1, 1, "string", "1.0.0", "O(1)", "Set the string value of a key", nil, set},
	&Spec{"strlen", 2, ReadOnly | Fast, 1, 1, 1, "string", "2.2.0", "O(1)", "Get the length of the value stored in a key", nil, strlen},
	&Spec{"ttl", 2, ReadOnly | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Get the time to live for a key in seconds", nil, ttl},
	&Spec{"type", 2, ReadOnly | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Determine the type stored at key", nil, typeOf},

	&Spec{"diskv.watch", -2, ReadOnly | Fast | NoMulti | queryOnly, 1, -1, 1, "transactions", "0.1.0", "O(1)", "Return a token of the state of keys for DISKV.EXEC", nil, watch},

	// DISKV.EXEC key numwatched [token key ...] and for each command numargs name
	// [arg ...]: see admitTransaction.
	&Spec{"diskv.exec", -3, Write | DenyOOM | NoMulti | MovableKeys, 1, 1, 1, "transactions", "0.1.0", "That of the commands.", "Execute commands in one go if watched keys have not changed", nil, nil},

	// DISKV.ONCE key session number command ...: unwrapped by Prepare.
	&Spec{onceName, -5, Write | DenyOOM | NoMulti, 1, 1, 1, "generic", "0.1.0", "That of the command.", "Execute a command exactly once, however often it is sent", nil, nil},
)
