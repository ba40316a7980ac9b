package kv

const onceName = "diskv.once"

// commands is the table: one line for each command, and for its function a place
// in the file that is named after what it works on.
//
//	name, arity, flags, first key, last key, step, group, since, complexity, summary, subcommands, function
var commands = NewTable(
	&Spec{"append", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "2.0.0", "O(N) where N is the length of the value, every now and then; else O(1).", "Append a value to a key", nil, appendValue},
	&Spec{"copy", -3, Write | DenyOOM, 1, 2, 1, "generic", "6.2.0", "O(N) where N is the length of the value.", "Copy a key", nil, copyKey},
	&Spec{"dbsize", 1, ReadOnly | Fast | keyspace, 0, 0, 0, "server", "1.0.0", "O(N) where N is the number of keys that have expired and are not yet removed.", "Return the number of keys in the selected database", nil, dbsize},
	&Spec{"decr", 2, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Decrement the integer value of a key by one", nil, decr},
	&Spec{"decrby", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Decrement the integer value of a key by the given number", nil, decrBy},
	&Spec{"del", -2, Write, 1, -1, 1, "generic", "1.0.0", "O(N) where N is the number of keys that will be removed.", "Delete a key", nil, del},
	&Spec{"exists", -2, ReadOnly | Fast, 1, -1, 1, "generic", "1.0.0", "O(N) where N is the number of keys to check.", "Determine if a key exists", nil, exists},
	&Spec{"expire", -3, Write | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Set a key's time to live in seconds", nil, expire},
	&Spec{"expireat", -3, Write | Fast, 1, 1, 1, "generic", "1.2.0", "O(1)", "Set the expiration for a key as a UNIX timestamp", nil, expireAt},
	&Spec{"expiretime", 2, ReadOnly | Fast, 1, 1, 1, "generic", "7.0.0", "O(1)", "Get the expiration Unix timestamp for a key", nil, expireTime},
	&Spec{"flushall", -1, Write | keyspace | dangerous, 0, 0, 0, "server", "1.0.0", "O(1)", "Remove all keys of the group", nil, flush},
	&Spec{"flushdb", -1, Write | keyspace | dangerous, 0, 0, 0, "server", "1.0.0", "O(1)", "Remove all keys of the group", nil, flush},
	&Spec{"get", 2, ReadOnly | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Get the value of a key", nil, get},
	&Spec{"getdel", 2, Write | Fast, 1, 1, 1, "string", "6.2.0", "O(1)", "Get the value of a key and delete the key", nil, getDel},
	&Spec{"getex", -2, Write | Fast, 1, 1, 1, "string", "6.2.0", "O(1)", "Get the value of a key and optionally set its expiration", nil, getEX},
	&Spec{"getrange", 4, ReadOnly, 1, 1, 1, "string", "2.4.0", "O(N) where N is the length of the returned string.", "Get a substring of the string stored at a key", nil, getRange},
	&Spec{"getset", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Set the string value of a key and return its old value", nil, getSet},
	&Spec{"incr", 2, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Increment the integer value of a key by one", nil, incr},
	&Spec{"incrby", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Increment the integer value of a key by the given amount", nil, incrBy},
	&Spec{"incrbyfloat", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "2.6.0", "O(1)", "Increment the float value of a key by the given amount", nil, incrByFloat},
	&Spec{"keys", 2, ReadOnly | dangerous, 0, 0, 0, "generic", "1.0.0", "O(N) where N is the number of keys that begin like the pattern.", "Find all keys matching the given pattern", nil, keys},
	&Spec{"lcs", -3, ReadOnly, 1, 2, 1, "string", "7.0.0", "O(N*M) where N and M are the lengths of the values.", "Find longest common substring", nil, lcs},
	&Spec{"mget", -2, ReadOnly | Fast, 1, -1, 1, "string", "1.0.0", "O(N) where N is the number of keys to retrieve.", "Get the values of all the given keys", nil, mget},
	&Spec{"mset", -3, Write | DenyOOM, 1, -1, 2, "string", "1.0.1", "O(N) where N is the number of keys to set.", "Set multiple keys to multiple values", nil, mset},
	&Spec{"msetnx", -3, Write | DenyOOM, 1, -1, 2, "string", "1.0.1", "O(N) where N is the number of keys to set.", "Set multiple keys to multiple values, only if none of the keys exist", nil, msetNX},
	&Spec{"persist", 2, Write | Fast, 1, 1, 1, "generic", "2.2.0", "O(1)", "Remove the expiration from a key", nil, persist},
	&Spec{"pexpire", -3, Write | Fast, 1, 1, 1, "generic", "2.6.0", "O(1)", "Set a key's time to live in milliseconds", nil, pexpire},
	&Spec{"pexpireat", -3, Write | Fast, 1, 1, 1, "generic", "2.6.0", "O(1)", "Set the expiration for a key as a UNIX timestamp specified in milliseconds", nil, pexpireAt},
	&Spec{"pexpiretime", 2, ReadOnly | Fast, 1, 1, 1, "generic", "7.0.0", "O(1)", "Get the expiration Unix timestamp for a key in milliseconds", nil, pexpireTime},
	&Spec{"psetex", 4, Write | DenyOOM, 1, 1, 1, "string", "2.6.0", "O(1)", "Set the value and expiration in milliseconds of a key", nil, pSetEX},
	&Spec{"pttl", 2, ReadOnly | Fast, 1, 1, 1, "generic", "2.6.0", "O(1)", "Get the time to live for a key in milliseconds", nil, pttl},
	&Spec{"randomkey", 1, ReadOnly | queryOnly, 0, 0, 0, "generic", "1.0.0", "O(1)", "Return a random key from the keyspace", nil, randomKey},
	&Spec{"rename", 3, Write, 1, 2, 1, "generic", "1.0.0", "O(N) where N is the length of the value.", "Rename a key", nil, rename},
	&Spec{"renamenx", 3, Write | Fast, 1, 2, 1, "generic", "1.0.0", "O(N) where N is the length of the value.", "Rename a key, only if the new key does not exist", nil, renameNX},
	&Spec{"scan", -2, ReadOnly | queryOnly, 0, 0, 0, "generic", "2.8.0", "O(1) for every call. O(N) for a complete iteration, where N is the number of keys.", "Incrementally iterate the keys space", nil, scan},
	&Spec{"set", -3, Write | DenyOOM, 1, 1, 1, "string", "1.0.0", "O(1)", "Set the string value of a key", nil, set},
	&Spec{"setex", 4, Write | DenyOOM, 1, 1, 1, "string", "2.0.0", "O(1)", "Set the value and expiration of a key", nil, setEX},
	&Spec{"setnx", 3, Write | DenyOOM | Fast, 1, 1, 1, "string", "1.0.0", "O(1)", "Set the value of a key, only if the key does not exist", nil, setNX},
	&Spec{"setrange", 4, Write | DenyOOM, 1, 1, 1, "string", "2.2.0", "O(M) where M is the length of the new value.", "Overwrite part of a string at key starting at the specified offset", nil, setRange},
	&Spec{"strlen", 2, ReadOnly | Fast, 1, 1, 1, "string", "2.2.0", "O(1)", "Get the length of the value stored in a key", nil, strlen},
	&Spec{"substr", 4, ReadOnly, 1, 1, 1, "string", "1.0.0", "O(N) where N is the length of the returned string.", "Get a substring of the string stored at a key", nil, getRange},
	&Spec{"touch", -2, ReadOnly | Fast, 1, -1, 1, "generic", "3.2.1", "O(N) where N is the number of keys to check.", "Count the keys that exist", nil, exists},
	&Spec{"ttl", 2, ReadOnly | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Get the time to live for a key in seconds", nil, ttl},
	&Spec{"type", 2, ReadOnly | Fast, 1, 1, 1, "generic", "1.0.0", "O(1)", "Determine the type stored at key", nil, typeOf},
	&Spec{"unlink", -2, Write | Fast, 1, -1, 1, "generic", "4.0.0", "O(N) where N is the number of keys that will be removed.", "Delete a key", nil, del},

	&Spec{"diskv.watch", -2, ReadOnly | Fast | NoMulti | queryOnly, 1, -1, 1, "transactions", "0.1.0", "O(1)", "Return a token of the state of keys for DISKV.EXEC", nil, watch},

	// DISKV.EXEC key numwatched [token key ...] and for each command numargs name
	// [arg ...]: see admitTransaction.
	&Spec{"diskv.exec", -3, Write | DenyOOM | NoMulti | MovableKeys, 1, 1, 1, "transactions", "0.1.0", "That of the commands.", "Execute commands in one go if watched keys have not changed", nil, nil},

	&Spec{"diskv.range", -3, ReadOnly, 1, 2, 1, "generic", "0.1.0", "O(log(N)+M) where N is the number of keys and M of those that are returned", "Return the keys of one hash tag from one up to another, with their values, in order", nil, rangeKeys},

	// Containers.
	&Spec{"cluster", -2, 0, 0, 0, 0, "cluster", "3.0.0", "Depends on subcommand.", "A container for cluster commands", clusterSubcommands, nil},
	&Spec{"memory", -2, 0, 0, 0, 0, "server", "4.0.0", "Depends on subcommand.", "A container for memory diagnostics commands", memorySubcommands, nil},
	&Spec{"object", -2, 0, 0, 0, 0, "generic", "2.2.3", "Depends on subcommand.", "A container for object introspection commands", objectSubcommands, nil},

	// DISKV.ONCE key session number command ...: unwrapped by Prepare.
	&Spec{onceName, -5, Write | DenyOOM | NoMulti, 1, 1, 1, "generic", "0.1.0", "That of the command.", "Execute a command exactly once, however often it is sent", nil, nil},
)
