package store

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"ravno/crdt"
	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/store/internal/capture"
	"ravno/store/internal/sqlite"
)

// Role is what a server is in its organisation.
type Role string

// The roles.
const (
	Hub  Role = "hub"
	Node Role = "node"
)

// Site is one server as every server knows it.
type Site struct {
	Number  causal.Site
	Name    string
	Role    Role
	Removed bool
}

// Self is who this database is and how far it has come.
type Self struct {
	Site           causal.Site
	Name           string
	Role           Role
	Hub            string // the hub's name
	Organisation   string
	Incarnation    causal.Incarnation
	HubIncarnation causal.Incarnation
	Position       causal.Position
	Seen           causal.Seen     // at a node: hub position applied
	HubHave        causal.Position // at a node: own position the hub has committed
	Until          causal.Position // at a node: end of the hub's delta of which slices are coming; 0: none
	Floor          causal.Seen     // at a node: least hub position its unsent work has seen
	Addresses      []string        // at a node: where the hub is
	Listen         string          // at the hub
	Advertise      string
	Listening      string
	ClockOffset    time.Duration // to add to the clock here to get the hub's
	LastTransfer   time.Time     // zero: never
}

func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Self reads who this database is.
func (s *Store) Self() (self Self, err error) {
	err = s.look(func(c *sqlite.Conn, st *state) error {
		self, err = readSelf(c, st)
		return err
	})
	return self, s.durably(err) // others are told of it
}

func readSelf(c *sqlite.Conn, st *state) (Self, error) {
	row, err := c.Row("SELECT organisation, addresses, listen, advertise, listening FROM ravno_state")
	if err != nil {
		return Self{}, err
	}
	self := Self{Site: st.site, Name: siteName(c, st.site), Role: Node, Hub: siteName(c, causal.Hub), Organisation: row[0].Bytes(),
		Incarnation: st.incarnation, HubIncarnation: st.hubIncarnation, Position: st.position, Seen: st.seen,
		HubHave: st.hubHave, Until: st.until, Floor: st.seenFloor(), Addresses: strings.Fields(row[1].Bytes()), Listen: row[2].Bytes(),
		Advertise: row[3].Bytes(), Listening: row[4].Bytes(), ClockOffset: time.Duration(st.clockOffset) * time.Millisecond,
		LastTransfer: millis(st.lastTransfer)}
	if st.isHub() {
		self.Role = Hub
	}
	return self, nil
}

// HubStatus is, at a node, the hub's last word on all servers, empty before the first. It may
// be hundreds of kilobytes.
func (s *Store) HubStatus() (json string, err error) {
	err = s.look(func(c *sqlite.Conn, _ *state) error {
		json, err = readHubStatus(c)
		return err
	})
	return json, err
}

func readHubStatus(c *sqlite.Conn) (string, error) {
	return c.Text("SELECT hub_status FROM ravno_state")
}

// Sites lists all servers, removed ones too, by number.
func (s *Store) Sites() (sites []Site, err error) {
	err = s.look(func(c *sqlite.Conn, _ *state) error {
		sites, err = readSites(c)
		return err
	})
	return sites, err
}

func readSites(c *sqlite.Conn) (sites []Site, err error) {
	err = c.Rows("SELECT site, name, role, removed FROM ravno_site ORDER BY site", nil, func(row []crdt.Value) error {
		sites = append(sites, Site{Number: causal.Site(row[0].Int()), Name: row[1].Bytes(), Role: Role(row[2].Bytes()), Removed: row[3].Int() != 0})
		return nil
	})
	return sites, err
}

// Peer is what the hub knows of a node.
type Peer struct {
	Site         causal.Site
	Incarnation  causal.Incarnation
	Have         causal.Position // its position committed here
	Until        causal.Position // end of its delta of which slices are coming; 0: none
	Acked        causal.Position // our position committed there
	Floor        causal.Seen
	Serial       string
	Settled      Settlement // what the hub tells it
	LastTransfer time.Time
	Removed      bool
}

const peerColumns = `SELECT p.site, p.incarnation, p.have, p.acked, p.floor, p.serial, p.last_transfer, s.removed, h.settled, p.settled, h.settled_at, p.until
	FROM ravno_state h, ravno_peer p JOIN ravno_site s ON s.site=p.site`

func peerOf(row []crdt.Value) Peer {
	p := Peer{Site: causal.Site(row[0].Int()), Have: causal.Position(row[2].Int()), Acked: causal.Position(row[3].Int()),
		Floor: causal.Seen(row[4].Int()), Serial: row[5].Bytes(), LastTransfer: millis(row[6].Int()), Removed: row[7].Int() != 0,
		Settled: Settlement{Hub: causal.Position(row[8].Int()), Own: causal.Position(row[9].Int()), At: causal.Position(row[10].Int())}, Until: causal.Position(row[11].Int())}
	copy(p.Incarnation[:], row[1].Bytes())
	return p
}

// Peers lists the nodes the hub has enrolled, removed ones too.
func (s *Store) Peers() (peers []Peer, err error) {
	err = s.look(func(c *sqlite.Conn, _ *state) error {
		peers, err = readPeers(c)
		return err
	})
	return peers, s.durably(err) // the nodes are told of it
}

func readPeers(c *sqlite.Conn) (peers []Peer, err error) {
	err = c.Rows(peerColumns+" ORDER BY p.site", nil, func(row []crdt.Value) error {
		peers = append(peers, peerOf(row))
		return nil
	})
	return peers, err
}

// Peer is what the hub knows of one node; ok is false if it never enrolled.
func (s *Store) Peer(site causal.Site) (p Peer, ok bool, err error) {
	err = s.look(func(c *sqlite.Conn, _ *state) error {
		p, ok, err = readPeer(c, site)
		return err
	})
	return p, ok, s.durably(err) // it is told of it
}

func readPeer(c *sqlite.Conn, site causal.Site) (p Peer, ok bool, err error) {
	row, err := c.Row(peerColumns+" WHERE p.site=?", integer(site))
	if err != nil || row == nil {
		return p, false, err
	}
	return peerOf(row), true, nil
}

// AckedByNode records at the hub what a node has committed. transferred says that data
// went over, not only a position.
func (s *Store) AckedByNode(site causal.Site, has causal.Reached, floor causal.Seen, transferred bool) error {
	return s.keepMarks(func(tx *transaction) error { return tx.ackedByNode(site, has, floor, transferred) })
}

// ackedByNode is Store.AckedByNode in a transaction.
func (tx *transaction) ackedByNode(site causal.Site, has causal.Reached, floor causal.Seen, transferred bool) error {
	if err := tx.c.Exec(`UPDATE ravno_peer SET acked=max(acked, ?), floor=max(floor, ?),
		last_transfer=CASE WHEN ? THEN ? ELSE last_transfer END WHERE site=?`,
		integer(has.Position), integer(floor), boolean(transferred), integer(tx.now()), integer(site)); err != nil {
		return err
	}
	if err := tx.gotEarly(site, has); err != nil {
		return err
	}
	none, err := tx.nothingEarly()
	if err != nil {
		return err
	}
	if !none {
		seen, err := tx.c.Int("SELECT min(floor, acked) FROM ravno_peer WHERE site=?", integer(site))
		if err == nil {
			err = tx.forgetEarly(site, causal.Position(seen))
		}
		if err != nil {
			return err
		}
	}
	return tx.trimTouchesAfter(site)
}

// Greeted records at the hub how far a node says it has come when it links. Less than it had once
// said, or than is settled, it says only if its database was restored from a backup: who else had
// changed what is forgotten then, and it would overwrite unseen work without a conflict.
func (s *Store) Greeted(site causal.Site, has causal.Reached, floor causal.Seen) error {
	return s.keepMarks(func(tx *transaction) error { return tx.greeted(site, has, floor) })
}

// greeted is Store.Greeted in a transaction.
func (tx *transaction) greeted(site causal.Site, has causal.Reached, floor causal.Seen) error {
	seen, err := tx.c.Int("SELECT max(acked, ?) FROM ravno_peer WHERE site=?", integer(tx.state.settled), integer(site))
	if err != nil {
		return err
	}
	if has.Position < causal.Position(seen) {
		return fmt.Errorf("a node has seen position %d of the hub, and had once seen %d: its database was restored from a backup. Try: ravno leave --force at the node, then ravno join --keep-local with a new token", has.Position, seen)
	}
	if err := tx.c.Exec("UPDATE ravno_peer SET acked=?, floor=? WHERE site=?", integer(has.Position), integer(floor), integer(site)); err != nil {
		return err
	}
	return tx.gotEarly(site, has)
}

// Errors of enrolment, each with its own way out.
var (
	ErrTokenUnknown = errors.New("this token was not issued by this hub, or its node was removed")
	ErrTokenUsed    = errors.New("this token was used already; a token enrols one node once")
	ErrTokenExpired = errors.New("this token has expired")
	ErrNameTaken    = errors.New("a server of this name is enrolled already")
	ErrNoSite       = errors.New("no server of this name")
)

// AddToken records at the hub a join token for a new node, by the hash of its secret.
func (s *Store) AddToken(name string, hash [32]byte, expires time.Time) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *transaction) error { return tx.addToken(name, hash, expires) })
}

func (tx *transaction) addToken(name string, hash [32]byte, expires time.Time) error {
	if err := tx.hubOnly(); err != nil {
		return err
	}
	if n, err := tx.c.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed", text(name)); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%s: %w. Try: another name, or ravno node remove %s", name, ErrNameTaken, name))
	}
	return tx.c.Exec("INSERT INTO ravno_token(hash, name, expires) VALUES(?,?,?)",
		crdt.BlobValue(string(hash[:])), text(name), integer(expires.UnixMilli()))
}

// CheckName refuses names of servers that could not be typed or read.
func CheckName(name string) error {
	if name == "" || len(name) > maxNameBytes || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ',' || r == '=' }) {
		return fmt.Errorf("server name %q: want 1 to %d bytes, no control characters, commas, equal signs or spaces around it. Try: a short name such as restaurant-2", name, maxNameBytes)
	}
	return nil
}

// maxNameBytes keeps a server's name on one line of the status table.
const maxNameBytes = 64

func (tx *transaction) hubOnly() error {
	if !tx.state.isHub() {
		return errors.New("this is a node. Try: the same command at the hub")
	}
	return nil
}

// Enrol redeems a join token at the hub: it gives the node its number, once. The
// certificate is issued inside, before the commit, so that a token is never used up for
// nothing, nor a number given twice.
func (s *Store) Enrol(hash [32]byte, incarnation causal.Incarnation, issue func(site causal.Site, name string) (serial string, err error)) (site causal.Site, name string, err error) {
	err = s.write(func(tx *transaction) error {
		known, err := tx.findToken(hash)
		if err != nil {
			return err
		}
		if known.site != 0 {
			site = known.site
			name, err = tx.resumeEnrolment(known, incarnation, issue)
			return err
		}
		if _, err := s.foldFirst(tx); err != nil {
			return err
		}
		name = known.name
		site, err = tx.redeem(known, incarnation, issue)
		return err
	})
	return site, name, err
}

// joinToken is a join token as the hub keeps it.
type joinToken struct {
	hash [32]byte
	name string
	site causal.Site // of the node that has used it; 0: none yet
}

// findToken finds a join token that may be redeemed, or was by a node whose join may have been cut off.
func (tx *transaction) findToken(hash [32]byte) (joinToken, error) {
	row, err := tx.c.Row("SELECT hash, name, expires, site FROM ravno_token WHERE hash=?", crdt.BlobValue(string(hash[:])))
	if err != nil {
		return joinToken{}, err
	}
	if row == nil || subtle.ConstantTimeCompare([]byte(row[0].Bytes()), hash[:]) != 1 {
		return joinToken{}, ErrTokenUnknown
	}
	known := joinToken{hash: hash, name: row[1].Bytes()}
	expired := tx.now() > row[2].Int()
	switch {
	case row[3].Kind() == crdt.Integer && expired:
		return known, ErrTokenUsed
	case row[3].Kind() == crdt.Integer:
		known.site = causal.Site(row[3].Int())
		return known, nil
	case expired:
		return known, fmt.Errorf("%w at %s", ErrTokenExpired, millis(row[2].Int()).Format(time.RFC3339))
	}
	if n, err := tx.c.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed", row[1]); err != nil || n > 0 {
		return known, errors.Join(err, fmt.Errorf("%s: %w", known.name, ErrNameTaken))
	}
	return known, nil
}

// redeem gives a node the next number.
func (tx *transaction) redeem(known joinToken, incarnation causal.Incarnation, issue func(causal.Site, string) (string, error)) (site causal.Site, err error) {
	next, err := tx.c.Int("SELECT max(site)+1 FROM ravno_site")
	if err != nil {
		return 0, err
	}
	site = causal.Site(next)
	serial, err := issue(site, known.name)
	if err != nil {
		return 0, err
	}
	if err := tx.c.Exec("UPDATE ravno_token SET site=? WHERE hash=?", integer(site), crdt.BlobValue(string(known.hash[:]))); err != nil {
		return 0, err
	}
	if err := tx.c.Exec("INSERT INTO ravno_peer(site, incarnation, serial) VALUES(?,?,?)",
		integer(site), crdt.BlobValue(string(incarnation[:])), text(serial)); err != nil {
		return 0, err
	}
	if err := tx.addSite(Site{Number: site, Name: known.name, Role: Node}); err != nil {
		return 0, err
	}
	return site, tx.record(journal.Added(known.name, site))
}

// resumeEnrolment answers a join that was cut off and is repeated by the same node, known
// by its incarnation, before it ever connected. Anyone else finds the token used.
func (tx *transaction) resumeEnrolment(known joinToken, incarnation causal.Incarnation, issue func(causal.Site, string) (string, error)) (name string, err error) {
	p, ok, err := readPeer(tx.c, known.site)
	if err != nil {
		return "", err
	}
	if !ok || p.Removed || p.Have > 0 || p.Acked > 0 || p.Incarnation != incarnation {
		return "", ErrTokenUsed
	}
	name = tx.siteName(known.site)
	serial, err := issue(known.site, name)
	if err != nil {
		return "", err
	}
	return name, tx.c.Exec("UPDATE ravno_peer SET serial=? WHERE site=?", text(serial), integer(known.site))
}

func (tx *transaction) addSite(site Site) error {
	if err := tx.c.Exec("INSERT INTO ravno_site(site, name, role, removed) VALUES(?,?,?,0)",
		integer(site.Number), text(site.Name), text(string(site.Role))); err != nil {
		return err
	}
	return tx.logOwn("ravno_site", crdt.NewKey(integer(site.Number)), capture.Insert, nil)
}

// RenameSite gives a server another label. Its identity, its number, stays.
func (s *Store) RenameSite(old, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return s.write(func(tx *transaction) error { return tx.renameSite(old, name) })
}

func (tx *transaction) renameSite(old, name string) error {
	return tx.changeSite(old, func(site Site) error {
		if n, err := tx.c.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed AND site<>?", text(name), integer(site.Number)); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%s: %w. Try: another name", name, ErrNameTaken))
		}
		if err := tx.changeOwn("ravno_site", crdt.NewKey(integer(site.Number)), map[string]crdt.Value{"name": text(name)}); err != nil {
			return err
		}
		return tx.record(journal.Renamed(site.Name, name))
	})
}

// RemoveSite revokes a node at once and stops waiting for it. Its data stays.
func (s *Store) RemoveSite(name string) error {
	return s.write(func(tx *transaction) error { return tx.removeSite(name) })
}

func (tx *transaction) removeSite(name string) error {
	return tx.changeSite(name, func(site Site) error {
		if site.Role == Hub {
			return fmt.Errorf("%s is the hub and cannot be removed. Try: ravno leave at each node, then at the hub", name)
		}
		if err := tx.changeOwn("ravno_site", crdt.NewKey(integer(site.Number)), map[string]crdt.Value{"removed": integer(1)}); err != nil {
			return err
		}
		if err := tx.forgetEarly(site.Number, tx.state.position); err != nil {
			return err
		}
		if err := tx.trimTouches(); err != nil {
			return err
		}
		return tx.record(journal.Removed(site.Name))
	})
}

// changeSite changes an enrolled server, at the hub.
func (tx *transaction) changeSite(name string, f func(Site) error) error {
	if err := tx.hubOnly(); err != nil {
		return err
	}
	sites, err := readSites(tx.c)
	if err != nil {
		return err
	}
	for _, site := range sites {
		if strings.EqualFold(site.Name, name) && !site.Removed {
			return f(site)
		}
	}
	return fmt.Errorf("%s: %w. Try: ravno node list", name, ErrNoSite)
}

// SetListening records where the hub's daemon listens, for join tokens made from now on.
func (s *Store) SetListening(address string) error {
	return s.write(func(tx *transaction) error { return tx.setListening(address) })
}

// SetHubStatus keeps the hub's last word on all servers, for commands and restarts.
func (s *Store) SetHubStatus(json string) error {
	return s.keepMarks(func(tx *transaction) error { return tx.setHubStatus(json) })
}

// SetClockOffset corrects the stamps of what is written from now on, and of what is not
// folded yet, by the measured difference to the hub's clock.
func (s *Store) SetClockOffset(offset time.Duration) error {
	return s.write(func(tx *transaction) error {
		tx.state.clockOffset = offset.Milliseconds()
		return nil
	})
}

func (tx *transaction) setListening(address string) error {
	return tx.c.Exec("UPDATE ravno_state SET listening=?", text(address))
}

func (tx *transaction) setHubStatus(json string) error {
	return tx.c.Exec("UPDATE ravno_state SET hub_status=?", text(json))
}
