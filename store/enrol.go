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

// Tables lists the application's tables: how each syncs, or why it does not.
func (s *Store) Tables() (list []install.TableInfo, err error) {
	err = s.read(func(tx *rows.Tx) error {
		list, err = install.ListTables(tx)
		return err
	})
	return list, err
}

// SetTable changes how a table syncs, at the hub; the setting replicates, and every server
// follows when it arrives.
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

// WriteLoad writes a first load at the hub: a consistent copy of the database with the rows
// that sync, what is remembered of those that are not settled, the servers, settings and
// conflicts, and nothing that stays at the hub: no local or journal rows, no tokens, no
// node's marks. What was removed is overwritten.
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

// Leave takes every trigger, view and table of ravno out of the file. The application's
// data stays as it is. Without force it refuses while that would lose something: work the
// hub does not have, or nodes that still count on this hub.
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
