package store

import (
	"ravno/journal"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
)

// JournalRows lists the journal: at the hub every site's, at a node its own. Kept rows come
// in the order of their arrival, after the server's own.
func (s *Store) JournalRows(filter install.JournalFilter) ([]install.JournalRow, error) {
	var found []install.JournalRow
	err := s.read(func(tx *rows.Tx) (err error) {
		found, err = install.ReadJournal(tx, filter)
		return err
	})
	return found, err
}

// Record journals something that happened at this site: a link up or down, a first load, a
// refusal. It travels to the hub like every journal row.
func (s *Store) Record(e journal.Event) error {
	return s.write(func(tx *rows.Tx) error { return tx.Record(e) })
}
