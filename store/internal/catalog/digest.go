package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"ravno/crdt"
)

// Sum is the digest of a set of rows: the sum, modulo 2^128, of the digests of its rows.
// It does not depend on their order, so no server has to sort.
type Sum [16]byte

// Add takes in the rows of another sum.
func (s *Sum) Add(o Sum) {
	low, carry := bits.Add64(binary.BigEndian.Uint64(s[8:]), binary.BigEndian.Uint64(o[8:]), 0)
	high, _ := bits.Add64(binary.BigEndian.Uint64(s[:8]), binary.BigEndian.Uint64(o[:8]), carry)
	binary.BigEndian.PutUint64(s[:8], high)
	binary.BigEndian.PutUint64(s[8:], low)
}

// SumOf is the digest of one row.
func SumOf(values []crdt.Value) Sum {
	hash := sha256.Sum256([]byte(crdt.NewKey(values...)))
	return Sum(hash[:16])
}

// Bucket is the part that a key belongs to, of 256.
func Bucket(key crdt.Key) uint8 {
	sum := sha256.Sum256([]byte(key))
	return sum[0]
}

// DigestBuckets is the number of parts that a table's rows are divided into by key. Two servers compare
// these parts first, so they need not compare every row.
const DigestBuckets = 256

// Digest is the digest of one table: the number of its rows, their sum, and the sum of each part.
type Digest struct {
	Table   string
	Rows    uint64
	Sum     Sum
	Buckets [DigestBuckets]Sum
}

// RowDigest is the digest of one row.
type RowDigest struct {
	Key crdt.Key
	Sum Sum
}
