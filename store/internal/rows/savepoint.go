package rows

import (
	"errors"

	"ravno/store/internal/sqlite"
)

// IsConstraint reports whether a row does not fit into its table.
func IsConstraint(err error) bool { return sqlite.FailureOf(err) == sqlite.Constraint }

// IsUnique reports whether a row does not fit because another has one of its unique values.
func IsUnique(err error) bool { return sqlite.IsUnique(err) }

// Attempt runs f, and undoes what it did unless it says to keep it and returns no error. Attempts may be
// nested.
func (tx *Tx) Attempt(f func() (keep bool, err error)) error {
	if err := tx.SQL.Exec("SAVEPOINT ravno_attempt"); err != nil {
		return err
	}
	keep, err := f()
	if !keep || err != nil {
		err = errors.Join(err, tx.SQL.Exec("ROLLBACK TO ravno_attempt"))
	}
	return errors.Join(err, tx.SQL.Exec("RELEASE ravno_attempt"))
}
