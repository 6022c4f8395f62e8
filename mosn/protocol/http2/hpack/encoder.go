package hpack

import (
	"hash/maphash"
	"math/bits"

	"sofamesh.io/sofamesh/sdk"
	"sofamesh.io/sofamesh/sdk/httpfield"
)

// Huffman says which strings are written in Huffman code, if that is shorter.
type Huffman uint8

const (
	// HuffmanOnce writes those that the peer is to remember so: the work is done
	// once. Others are likely to change with each message, and are written as they are.
	HuffmanOnce Huffman = iota
	// HuffmanAlways writes all strings so.
	HuffmanAlways
	// HuffmanNever writes none so.
	HuffmanNever
)

const (
	buckets   = 64 // of the index; a table of 4096 bytes has about as many entries
	shortLife = 64 // places of those seen once
)

// Encoder writes header blocks.
//
// It puts a field into the table when it meets it for the second time, so that what
// differs in every message (ids of requests and traces, paths with a key in them)
// does not drive out what all have in common.
type Encoder struct {
	table   table
	limit   int // of ours
	huffman Huffman
	seed    maphash.Seed
	newest  [buckets]uint32   // entries by hash: the newest of each bucket, 0 for none
	seen    [shortLife]uint32 // hashes of fields that were written once

	changed bool // the size of the table, since the last block
	emptied bool // it was smaller in between
}

// Init prepares an Encoder whose table has at most limit bytes, whatever the peer
// allows.
func (e *Encoder) Init(limit int, h Huffman) {
	e.limit, e.huffman, e.seed = limit, h, maphash.MakeSeed()
	e.table.max, e.table.oldest, e.table.next = DefaultTableSize, 1, 1
	e.SetLimit(DefaultTableSize)
}

// SetLimit tells what the peer allows (SETTINGS_HEADER_TABLE_SIZE).
func (e *Encoder) SetLimit(size int) {
	size = min(size, e.limit)
	if size == e.table.max {
		return
	}
	// One that was smaller for a while must say so (RFC 7541, 4.2). It is emptied then,
	// because Go's peers take a second update only for an empty table.
	if e.changed && size > e.table.max {
		e.table.shrink(0)
		e.emptied = true
	}
	e.changed = true
	e.table.resize(size)
}

// BeginMax is the most that Begin writes, in bytes.
const BeginMax = 2 * numberMax

// numberMax is the length of the longest number that is written.
const numberMax = 6

// Begin writes what stands at the beginning of a block to dst and returns its length.
func (e *Encoder) Begin(dst []byte) (n int) {
	if !e.changed {
		return 0
	}
	if e.emptied {
		n = putNumber(dst, 0x20, 5, 0)
	}
	e.changed, e.emptied = false, false
	return n + putNumber(dst[n:], 0x20, 5, e.table.max)
}

// FieldMax is the most that Put writes, in bytes.
func FieldMax(name, value string) int { return len(name) + len(value) + 3*numberMax }

// Put writes a field to dst, which has room for FieldMax, and returns how many bytes
// that are. id is the name's.
func (e *Encoder) Put(dst []byte, id sdk.HeaderID, name, value string, sensitive bool) int {
	if sensitive || secret(id, name, value) {
		return e.literal(dst, 0x10, 4, id, name, value, e.huffman == HuffmanAlways)
	}
	if i := staticField(id, value); i != 0 {
		dst[0] = 0x80 | byte(i)
		return 1
	}
	hash := e.hash(id, name, value)
	if i := e.find(hash, id, name, value); i != 0 {
		return putNumber(dst, 0x80, 7, i)
	}
	place, mark := &e.seen[hash%shortLife], uint32(hash>>32)|1
	if *place != mark || 2*(len(name)+len(value)+overhead) > e.table.max {
		*place = mark
		return e.literal(dst, 0, 4, id, name, value, e.huffman == HuffmanAlways)
	}
	n := e.literal(dst, 0x40, 6, id, name, value, e.huffman != HuffmanNever)
	e.remember(hash, id, name, value)
	return n
}

// secret reports whether a field must not stand in any table: nobody may find out
// a secret by watching how well his guesses are compressed (RFC 7541, 7.1). Long
// cookies cannot be guessed so.
func secret(id sdk.HeaderID, name, value string) bool {
	switch id {
	case sdk.HeaderAuthorization:
		return true
	case sdk.HeaderCookie:
		return len(value) < 20
	case sdk.HeaderOther:
		return name == "proxy-authorization"
	}
	return false
}

func (e *Encoder) hash(id sdk.HeaderID, name, value string) uint64 {
	h := maphash.String(e.seed, value)
	if id != sdk.HeaderOther {
		return h ^ uint64(id)*0x9e3779b97f4a7c15
	}
	return h ^ bits.RotateLeft64(maphash.String(e.seed, name), 32)
}

// find returns the index of a field in the dynamic table, 0 when it is not there.
func (e *Encoder) find(hash uint64, id sdk.HeaderID, name, value string) int {
	t := &e.table
	for n := e.newest[hash%buckets]; n-t.oldest < t.next-t.oldest; {
		x := t.entry(n)
		if x.hash == hash && x.id == id && int(x.name) == len(name) {
			line := httpfield.String(t.line(x))
			if line[:x.name] == name && line[x.name+2:x.name+2+x.value] == value {
				return staticLen + int(t.next-n)
			}
		}
		n = x.older
	}
	return 0
}

// remember puts a field into the table.
func (e *Encoder) remember(hash uint64, id sdk.HeaderID, name, value string) {
	x, line := e.table.add(len(name), len(value))
	if x == nil {
		return
	}
	copy(line, name)
	copy(line[len(name):], ": ")
	copy(line[len(name)+2:], value)
	copy(line[len(line)-2:], "\r\n")
	bucket := &e.newest[hash%buckets]
	x.hash, x.id, x.older = hash, id, *bucket
	*bucket = e.table.next - 1
}

// literal writes a field that is spelled out, but for its name if the static table
// has it.
func (e *Encoder) literal(dst []byte, first byte, prefix int, id sdk.HeaderID, name, value string, huffman bool) int {
	i := int(staticIDs[id])
	if id == sdk.HeaderOther {
		i = staticName(name)
	}
	n := putNumber(dst, first, prefix, i)
	if i == 0 {
		n += putText(dst[n:], name, huffman)
	}
	return n + putText(dst[n:], value, huffman)
}

// putText writes a string.
func putText(dst []byte, s string, huffman bool) int {
	if huffman {
		if k := huffmanLen(s); k < len(s) {
			n := putNumber(dst, 0x80, 7, k)
			return n + putHuffman(dst[n:], s)
		}
	}
	n := putNumber(dst, 0, 7, len(s))
	return n + copy(dst[n:], s)
}

// putNumber writes an integer with a prefix of some bits; the others of the first
// byte are given.
func putNumber(dst []byte, first byte, prefix, v int) int {
	mask := 1<<prefix - 1
	if v < mask {
		dst[0] = first | byte(v)
		return 1
	}
	dst[0] = first | byte(mask)
	n := 1
	for v -= mask; v >= 0x80; v >>= 7 {
		dst[n] = byte(v) | 0x80
		n++
	}
	dst[n] = byte(v)
	return n + 1
}
