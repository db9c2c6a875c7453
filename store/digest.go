package store

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// DigestBuckets is how many parts the rows of a table are divided into by key, so that two
// servers find the rows that differ without comparing every row.
const DigestBuckets = 256

// Sum is the digest of a set of rows: the sum, modulo 2^128, of the digests of its rows.
// It does not depend on their order, so no server has to sort.
type Sum [16]byte

func (s *Sum) add(o Sum) {
	low, carry := bits.Add64(binary.BigEndian.Uint64(s[8:]), binary.BigEndian.Uint64(o[8:]), 0)
	high, _ := bits.Add64(binary.BigEndian.Uint64(s[:8]), binary.BigEndian.Uint64(o[:8]), carry)
	binary.BigEndian.PutUint64(s[:8], high)
	binary.BigEndian.PutUint64(s[8:], low)
}

// sumOf is the digest of one row.
func sumOf(values []crdt.Value) Sum {
	hash := sha256.Sum256([]byte(crdt.NewKey(values...)))
	return Sum(hash[:16])
}

// Digest is the digest of one table.
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

// Digests computes the digests of all synced tables of the application, or of one, by
// storage class and bytes, in one snapshot.
func (s *Store) Digests(table string) (digests []Digest, at causal.Position, err error) {
	err = s.readBulk(func(c *sqlite.Conn, st *rows.State, cat *catalog.Catalog) error {
		at = st.Position
		for _, t := range cat.Tables {
			if t.Class != catalog.Synced || t.Own || table != "" && table != t.Name {
				continue
			}
			d := Digest{Table: t.Name}
			err := eachRow(c, t, func(key crdt.Key, values []crdt.Value) error {
				sum := sumOf(values)
				d.Rows++
				d.Sum.add(sum)
				d.Buckets[bucket(key)].add(sum)
				return nil
			})
			if err != nil {
				return err
			}
			digests = append(digests, d)
		}
		return nil
	})
	return digests, at, err
}

// RowDigests emits the digests of the rows of some buckets of a table.
func (s *Store) RowDigests(table string, buckets []uint8, emit func(RowDigest) error) error {
	return s.readBulk(func(c *sqlite.Conn, _ *rows.State, cat *catalog.Catalog) error {
		for _, t := range cat.Tables {
			if t.Name != table || t.Class != catalog.Synced {
				continue
			}
			return eachRow(c, t, func(key crdt.Key, values []crdt.Value) error {
				if !slices.Contains(buckets, bucket(key)) {
					return nil
				}
				return emit(RowDigest{Key: key, Sum: sumOf(values)})
			})
		}
		return &catalog.SchemaError{Table: table}
	})
}

// KeyText writes a key of a table for people: column=value, ...
func (s *Store) KeyText(table string, key crdt.Key) (named []catalog.Named, err error) {
	err = s.read(func(_ *sqlite.Conn, _ *rows.State, cat *catalog.Catalog) error {
		for _, t := range cat.Tables {
			if t.Name == table {
				named, err = t.NamedKey(key)
			}
		}
		return err
	})
	return named, err
}

func bucket(key crdt.Key) uint8 {
	sum := sha256.Sum256([]byte(key))
	return sum[0]
}

// eachRow goes through every row that syncs: its columns in the order of their names, so that servers whose
// columns were added in another order agree.
func eachRow(c *sqlite.Conn, t *catalog.Table, each func(key crdt.Key, values []crdt.Value) error) error {
	names := slices.Sorted(slices.Values(t.ColumnNames()))
	stored := make([]crdt.Value, len(t.Key))
	return c.Rows("SELECT "+sqlite.QuoteAll("+", append(t.KeyNames(), names...))+" FROM "+sqlite.Quote(t.Name), nil, func(row []crdt.Value) error {
		copy(stored, row)
		key, err := t.CanonicalKey(stored)
		if err != nil {
			return nil // a row that cannot sync is not compared
		}
		return each(key, row[len(stored):])
	})
}
