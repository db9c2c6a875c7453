package store

import (
	"fmt"
)

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
	if err := s.writer.Write(s.standBack, func() error { return dropOwn(s.writer) }); err != nil {
		return explain(s.path, err)
	}
	return s.durably(nil)
}

func (s *Store) mayLeave(self Self) error {
	if self.Role == Node {
		n, err := s.Pending(0, self.HubHave)
		if err != nil || n == 0 {
			return err
		}
		return fmt.Errorf("%s: %d changes made here have not reached the hub. Try: ravno run until ravno wait returns, or --force to leave without them", s.path, n)
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
		return fmt.Errorf("%s: %d nodes are enrolled at this hub. Try: ravno node remove NAME for each, or --force", s.path, enrolled)
	}
	return nil
}
