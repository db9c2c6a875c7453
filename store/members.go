package store

import (
	"time"

	"ravno/crdt/causal"
	"ravno/store/internal/enrol"
	"ravno/store/internal/rows"
)

// Self reads who this database is.
func (s *Store) Self() (self enrol.Self, err error) {
	err = s.look(func(tx *rows.Tx) error {
		self, err = enrol.ReadSelf(tx)
		return err
	})
	return self, s.durably(err) // others are told of it
}

// HubStatus is, at a node, the hub's last word on all servers, empty before the first. It may
// be hundreds of kilobytes.
func (s *Store) HubStatus() (json string, err error) {
	err = s.look(func(tx *rows.Tx) error {
		json, err = enrol.ReadHubStatus(tx)
		return err
	})
	return json, err
}

// Sites lists all servers, removed ones too, by number.
func (s *Store) Sites() (sites []enrol.Site, err error) {
	err = s.look(func(tx *rows.Tx) error {
		sites, err = enrol.ReadSites(tx)
		return err
	})
	return sites, err
}

// Peers lists the nodes the hub has enrolled, removed ones too.
func (s *Store) Peers() (peers []enrol.Peer, err error) {
	err = s.look(func(tx *rows.Tx) error {
		peers, err = enrol.ReadPeers(tx)
		return err
	})
	return peers, s.durably(err) // the nodes are told of it
}

// Peer is what the hub knows of one node; ok is false if it never enrolled.
func (s *Store) Peer(site causal.Site) (p enrol.Peer, ok bool, err error) {
	err = s.look(func(tx *rows.Tx) error {
		p, ok, err = enrol.ReadPeer(tx, site)
		return err
	})
	return p, ok, s.durably(err) // it is told of it
}

// AckedByNode records at the hub what a node has committed. transferred says that data
// went over, not only a position.
func (s *Store) AckedByNode(site causal.Site, has causal.Reached, floor causal.Seen, transferred bool) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.AckedByNode(tx, site, has, floor, transferred) })
}

// Greeted records at the hub how far a node says it has come when it links. Less than it had once
// said, or than is settled, it says only if its database was restored from a backup: who else had
// changed what is forgotten then, and it would overwrite unseen work without a conflict.
func (s *Store) Greeted(site causal.Site, has causal.Reached, floor causal.Seen) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.Greeted(tx, site, has, floor) })
}

// AddToken records at the hub a join token for a new node, by the hash of its secret.
func (s *Store) AddToken(name string, hash [32]byte, expires time.Time) error {
	if err := enrol.CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *rows.Tx) error { return enrol.AddToken(tx, name, hash, expires) })
}

// Enrol redeems a join token at the hub: it gives the node its number, once. The
// certificate is issued inside, before the commit, so that a token is never used up for
// nothing, nor a number given twice.
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

// RenameSite gives a server another label. Its identity, its number, stays.
func (s *Store) RenameSite(old, name string) error {
	if err := enrol.CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *rows.Tx) error { return enrol.RenameSite(tx, old, name) })
}

// RemoveSite revokes a node at once and stops waiting for it. Its data stays.
func (s *Store) RemoveSite(name string) error {
	return s.write(func(tx *rows.Tx) error { return enrol.RemoveSite(tx, name) })
}

// SetListening records where the hub's daemon listens, for join tokens made from now on.
func (s *Store) SetListening(address string) error {
	return s.write(func(tx *rows.Tx) error { return enrol.SetListening(tx, address) })
}

// SetHubStatus keeps the hub's last word on all servers, for commands and restarts.
func (s *Store) SetHubStatus(json string) error {
	return s.keepMarks(func(tx *rows.Tx) error { return enrol.SetHubStatus(tx, json) })
}

// SetClockOffset corrects the stamps of what is written from now on, and of what is not
// folded yet, by the measured difference to the hub's clock.
func (s *Store) SetClockOffset(offset time.Duration) error {
	return s.write(func(tx *rows.Tx) error {
		tx.State.ClockOffset = offset.Milliseconds()
		return nil
	})
}
