package main

import "slices"

// table returns every mutation. Their names are unique.
func table() []mutation {
	return slices.Concat(durability(), choice(), reading(), recovery(), storage(), shardmaster(), moving(), handover(), transactions())
}
