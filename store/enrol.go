package store

import (
	"errors"
	"fmt"

	"ravno/store/internal/catalog"
	"ravno/store/internal/enrol"
	"ravno/store/internal/install"
	"ravno/store/internal/rows"
	"ravno/store/internal/sqlite"
)

// Tables lists the application's tables, with how each syncs, or why it does not.
func (s *Store) Tables() (list []install.TableInfo, err error) {
	err = s.read(func(tx *rows.Tx) error {
		list, err = install.ListTables(tx)
		return err
	})
	return list, err
}

// SetTable changes, at the hub, how a table syncs. The setting is replicated, and each server follows
// when it arrives. It returns an error at a node.
func (s *Store) SetTable(set catalog.Setting) error {
	return s.write(func(tx *rows.Tx) error {
		if err := enrol.HubOnly(tx); err != nil {
			return err
		}
		if _, err := s.foldFirst(tx); err != nil {
			return err
		}
		return install.SetTable(tx, set)
	})
}

// WriteLoad writes a first load at the hub to a new file at path. The load is a consistent copy of the
// rows that sync. It has the shadows of rows that are not stable, the servers, the settings and the
// conflicts.
//
// It has no local or journal rows, no tokens, and no marks of nodes. Removed values are overwritten in
// the file. WriteLoad returns ErrUnfolded if the application never stops writing.
func (s *Store) WriteLoad(path string) (at enrol.LoadPosition, err error) {
	if _, err := s.Fold(); err != nil {
		return at, err
	}
	var parts enrol.LoadParts
	err = s.read(func(tx *rows.Tx) error {
		parts = enrol.PartsOfLoad(tx.Cat)
		return nil
	})
	if err != nil {
		return at, err
	}
	for range foldTries {
		if at, err = enrol.CopyLoad(s.path, path, parts); !errors.Is(err, enrol.ErrUnfolded) {
			return at, err
		}
		if _, err := s.Fold(); err != nil {
			return at, err
		}
	}
	return at, fmt.Errorf("%s: %w", s.path, enrol.ErrUnfolded)
}

// Leave removes every trigger, view and table of ravno from the file. The application's data stays as
// it is. Without force it returns an error while leaving would lose something. A node may have work
// that the hub lacks, or a hub may still have nodes.
func (s *Store) Leave(force bool) error {
	if _, err := s.Fold(); err != nil {
		return err
	}
	self, err := s.Self()
	if err != nil {
		return err
	}
	if !force {
		if err := s.mayLeave(self); err != nil {
			return err
		}
	}
	for _, r := range []*reader{&s.quick, &s.bulk} {
		r.mutex.Lock()
		r.conn.Forget()
		r.mutex.Unlock()
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.writer.Forget()
	s.writeCatalog = nil
	if err := s.writer.Write(s.standBack, func() error { return enrol.DropOwn(s.writer) }); err != nil {
		return sqlite.Explain(s.path, err)
	}
	return s.durably(nil)
}

// mayLeave returns an error if leaving would lose work or abandon nodes.
func (s *Store) mayLeave(self enrol.Self) error {
	if self.Role == enrol.Node {
		n, err := s.Pending(0, self.HubHave)
		if err != nil || n == 0 {
			return err
		}
		return fmt.Errorf("%s: %d changes made here have not reached the hub. Try: ravno run until ravno wait returns, or "+
			"--force to leave without them", s.path, n)
	}
	peers, err := s.Peers()
	if err != nil {
		return err
	}
	enrolled := 0
	for _, p := range peers {
		if !p.Removed {
			enrolled++
		}
	}
	if enrolled > 0 {
		return fmt.Errorf("%s: %d nodes are enrolled at this hub. Try: ravno node remove NAME for each, or --force", s.path,
			enrolled)
	}
	return nil
}
