package store

import (
	"ravno/journal"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
)

// JournalRows lists the journal. At a node it lists the node's own rows. At the hub it lists the hub's
// own rows first, and then the other sites' rows in order of arrival.
func (s *Store) JournalRows(filter install.JournalFilter) ([]install.JournalRow, error) {
	var found []install.JournalRow
	err := s.read(func(tx *rows.Tx) (err error) {
		found, err = install.ReadJournal(tx, filter)
		return err
	})
	return found, err
}

// Record writes an event of this site to the journal, such as a connection, a first load or a refusal.
// It travels to the hub like every journal row.
func (s *Store) Record(e journal.Event) error {
	return s.write(func(tx *rows.Tx) error { return tx.Record(e) })
}
