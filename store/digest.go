package store

import (
	"slices"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/store/internal/catalog"
	"ravno/store/internal/rows"
)

// Digests computes the digests of the application's synced tables, by storage class and bytes, in one
// snapshot. If table is not empty, it computes only that table's digest. The position is this site's in
// that snapshot.
func (s *Store) Digests(table string) (digests []Digest, at causal.Position, err error) {
	err = s.readBulk(func(tx *rows.Tx) error {
		at = tx.State.Position
		for _, t := range tx.Cat.Tables {
			if t.Class != catalog.Synced || t.Own || table != "" && table != t.Name {
				continue
			}
			d := Digest{Table: t.Name}
			err := tx.EachRow(t, func(key crdt.Key, values []crdt.Value) error {
				sum := catalog.SumOf(values)
				d.Rows++
				d.Sum.Add(sum)
				d.Buckets[catalog.Bucket(key)].Add(sum)
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

// RowDigests calls emit with the digest of each row in some buckets of a table. It returns a
// SchemaError for a table that does not sync.
func (s *Store) RowDigests(table string, buckets []uint8, emit func(RowDigest) error) error {
	return s.readBulk(func(tx *rows.Tx) error {
		for _, t := range tx.Cat.Tables {
			if t.Name != table || t.Class != catalog.Synced {
				continue
			}
			return tx.EachRow(t, func(key crdt.Key, values []crdt.Value) error {
				if !slices.Contains(buckets, catalog.Bucket(key)) {
					return nil
				}
				return emit(RowDigest{Key: key, Sum: catalog.SumOf(values)})
			})
		}
		return &catalog.SchemaError{Table: table}
	})
}

// KeyText returns the columns of a key with their names, for people.
func (s *Store) KeyText(table string, key crdt.Key) (named []catalog.Named, err error) {
	err = s.read(func(tx *rows.Tx) error {
		for _, t := range tx.Cat.Tables {
			if t.Name == table {
				named, err = t.NamedKey(key)
			}
		}
		return err
	})
	return named, err
}
