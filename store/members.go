package store

import (
	"time"

	"ravno/crdt/causal"
	"ravno/store/internal/enrol"
	"ravno/store/internal/rows"
)

// Self reads the identity and the positions of this database. It returns when these are durable.
func (s *Store) Self() (self enrol.Self, err error) {
	err = s.look(func(tx *rows.Tx) error {
		self, err = enrol.ReadSelf(tx)
		return err
	})
	return self, s.durably(err) // The caller tells other sites.
}

// HubStatus returns, at a node, the hub's last status of all servers as JSON. It is empty before the
// first one arrives. It may have hundreds of kilobytes.
func (s *Store) HubStatus() (json string, err error) {
	err = s.look(func(tx *rows.Tx) error {
		json, err = enrol.ReadHubStatus(tx)
		return err
	})
	return json, err
}

// Sites lists all servers by number, including removed ones.
func (s *Store) Sites() (sites []enrol.Site, err error) {
	err = s.look(func(tx *rows.Tx) error {
		sites, err = enrol.ReadSites(tx)
		return err
	})
	return sites, err
}

// Peers lists the nodes that the hub has enrolled, including removed ones. It returns when their
// positions are durable.
func (s *Store) Peers() (peers []enrol.Peer, err error) {
	err = s.look(func(tx *rows.Tx) error {
		peers, err = enrol.ReadPeers(tx)
		return err
	})
	return peers, s.durably(err) // The caller tells the nodes.
}

// Peer returns the hub's record of one node. It reports false if the node never enrolled. It returns
// when the record is durable.
func (s *Store) Peer(site causal.Site) (p enrol.Peer, ok bool, err error) {
	err = s.look(func(tx *rows.Tx) error {
		p, ok, err = enrol.ReadPeer(tx, site)
		return err
	})
	return p, ok, s.durably(err) // The caller tells the node.
}

// AckedByNode records, at the hub, the hub position that a node has committed. The floor is the least
// hub position that its unsent work may have seen. If transferred is true, data was transferred, not
// only a position.
func (s *Store) AckedByNode(site causal.Site, has causal.Reached, floor causal.Seen, transferred bool) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.AckedByNode(tx, site, has, floor, transferred) })
}

// Greeted records, at the hub, how far a node says it has come when it connects. It returns an error
// for a node that was restored from a backup. Such a node has seen less than before, or less than is
// stable. The hub may have forgotten who changed its rows, so its work would overwrite theirs without a
// conflict.
func (s *Store) Greeted(site causal.Site, has causal.Reached, floor causal.Seen) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.Greeted(tx, site, has, floor) })
}

// AddToken stores, at the hub, a join token for a new node, by the hash of its secret. It returns
// ErrNameTaken if a server of this name is enrolled.
func (s *Store) AddToken(name string, hash [32]byte, expires time.Time) error {
	if err := enrol.CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *rows.Tx) error { return enrol.AddToken(tx, name, hash, expires) })
}

// Enrol redeems a join token at the hub and gives the node its number. The function issue makes the
// certificate before the commit. So no token is wasted, and no number is given twice. It returns
// ErrTokenUnknown, ErrTokenUsed, ErrTokenExpired or ErrNameTaken.
func (s *Store) Enrol(hash [32]byte, incarnation causal.Incarnation,
	issue func(site causal.Site, name string) (serial string, err error)) (site causal.Site, name string, err error) {
	err = s.write(func(tx *rows.Tx) error {
		known, err := enrol.FindToken(tx, hash)
		if err != nil {
			return err
		}
		if known.Site != 0 {
			site = known.Site
			name, err = enrol.ResumeEnrolment(tx, known, incarnation, issue)
			return err
		}
		if _, err := s.foldFirst(tx); err != nil {
			return err
		}
		name = known.Name
		site, err = enrol.Redeem(tx, known, incarnation, issue)
		return err
	})
	return site, name, err
}

// RenameSite changes the name of a server. Its number, which is its identity, stays.
func (s *Store) RenameSite(old, name string) error {
	if err := enrol.CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *rows.Tx) error { return enrol.RenameSite(tx, old, name) })
}

// RemoveSite revokes a node at once, and the hub stops waiting for it. Its data stays.
func (s *Store) RemoveSite(name string) error {
	return s.write(func(tx *rows.Tx) error { return enrol.RemoveSite(tx, name) })
}

// SetListening records the address where the hub's daemon listens. Join tokens made from now on name
// it.
func (s *Store) SetListening(address string) error {
	return s.write(func(tx *rows.Tx) error { return enrol.SetListening(tx, address) })
}

// SetHubStatus stores the hub's status of all servers as JSON, for commands and restarts.
func (s *Store) SetHubStatus(json string) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.SetHubStatus(tx, json) })
}

// SetClockOffset sets the measured difference to the hub's clock: the hub's time minus this server's.
// It corrects the stamps of all entries that are not folded yet.
func (s *Store) SetClockOffset(offset time.Duration) error {
	return s.write(func(tx *rows.Tx) error {
		tx.State.ClockOffset = offset.Milliseconds()
		return nil
	})
}
