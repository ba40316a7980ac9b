// Package shard holds the words about shards that others share: the number of
// a shard, the hash that gives every key its shard, and the numbered [Config] that
// says which group owns which.
//
// A shard is what Redis Cluster calls a hash slot, computed in the same way, so
// that every Redis Cluster client finds the right group by itself:
//
//	shard = CRC16(key, or its {tag}) mod 16384
//
// The package guarantees that the hash never changes: keys are stored in
// (shard, key) order and a cluster is divided by shard; and that a Config that was
// decoded is one that can be. Which configs follow each other is package
// shardmaster's; how a group takes one, package kv's.
package shard

import (
	"bytes"
	"strconv"
)

// ID is the number of a shard: 0 to Count-1.
type ID uint16

// Count is how many shards there are, in every cluster. The number is on the
// wire and decides where data is stored; it can never change.
const Count = 16384

// String returns the shard's number in decimal.
func (id ID) String() string { return strconv.Itoa(int(id)) }

// Of returns the shard of a key. Of a key with a hash tag, something between
// the first '{' and the first '}' behind it, only the tag is hashed: keys of
// one tag are in one shard. An empty tag does not count.
func Of(key []byte) ID {
	return ID(crc16(Tag(key)) % Count)
}

// Tag returns the part of the key that decides the shard: its hash tag, or, if it has
// none, all of it. It aliases key.
func Tag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	length := bytes.IndexByte(key[open+1:], '}')
	if length <= 0 {
		return key
	}
	return key[open+1 : open+1+length]
}

// polynomial is that of CRC-16/XMODEM: x^16 + x^12 + x^5 + 1, initial value 0,
// nothing reflected, nothing inverted.
const polynomial = 0x1021

var crcTable = makeTable()

func makeTable() *[256]uint16 {
	var table [256]uint16
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ polynomial
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return &table
}

// crc16 is CRC-16/XMODEM.
func crc16(b []byte) uint16 {
	crc := uint16(0)
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^c]
	}
	return crc
}
