package enrol

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
	"ravno/store/internal/catalog"
	"ravno/store/internal/history"
	"ravno/store/internal/rows"
)

// Role is the role of a server in its organisation.
type Role string

// Hub and Node are the roles. An organisation has one hub.
const (
	Hub  Role = "hub"
	Node Role = "node"
)

// Site is the entry of one server in the replicated list of servers.
type Site struct {
	Number  causal.Site
	Name    string
	Role    Role
	Removed bool
}

// Self describes this database: its identity, and its positions.
type Self struct {
	Site           causal.Site
	Name           string
	Role           Role
	Hub            string // the hub's name
	Organisation   string
	Incarnation    causal.Incarnation
	HubIncarnation causal.Incarnation
	Position       causal.Position
	Seen           causal.Seen     // at a node: the hub position applied here
	HubHave        causal.Position // at a node: the own position that the hub has committed
	Until          causal.Position // at a node: the end of the hub's delta that is arriving in slices, or 0
	Floor          causal.Seen     // at a node: the least hub position that its unsent work has seen
	Addresses      []string        // at a node: the addresses of the hub
	Listen         string          // at the hub: the address to listen on
	Advertise      string
	Listening      string
	ClockOffset    time.Duration // the hub's clock minus this server's clock
	LastTransfer   time.Time     // zero if there was none
}

// ReadSelf reads the identity and the positions of this database.
func ReadSelf(tx *rows.Tx) (Self, error) {
	row, err := tx.SQL.Row("SELECT organisation, addresses, listen, advertise, listening FROM ravno_state")
	if err != nil {
		return Self{}, err
	}
	self := Self{Site: tx.State.Site, Name: tx.SiteName(tx.State.Site), Role: Node, Hub: tx.SiteName(causal.Hub),
		Organisation: row[0].Bytes(),
		Incarnation:  tx.State.Incarnation, HubIncarnation: tx.State.HubIncarnation, Position: tx.State.Position,
		Seen:    tx.State.Seen,
		HubHave: tx.State.HubHave, Until: tx.State.Until, Floor: history.SeenFloor(tx.State),
		Addresses: strings.Fields(row[1].Bytes()), Listen: row[2].Bytes(),
		Advertise: row[3].Bytes(), Listening: row[4].Bytes(),
		ClockOffset:  time.Duration(tx.State.ClockOffset) * time.Millisecond,
		LastTransfer: catalog.Millis(tx.State.LastTransfer)}
	if tx.State.IsHub() {
		self.Role = Hub
	}
	return self, nil
}

// ReadHubStatus reads, at a node, the hub's last status of all servers, as JSON.
func ReadHubStatus(tx *rows.Tx) (string, error) {
	return tx.SQL.Text("SELECT hub_status FROM ravno_state")
}

// ReadSites lists all servers by number, including removed ones.
func ReadSites(tx *rows.Tx) (sites []Site, err error) {
	err = tx.SQL.Rows("SELECT site, name, role, removed FROM ravno_site ORDER BY site", nil, func(row []crdt.Value) error {
		sites = append(sites, Site{Number: causal.Site(row[0].Int()), Name: row[1].Bytes(), Role: Role(row[2].Bytes()),
			Removed: row[3].Int() != 0})
		return nil
	})
	return sites, err
}

// Peer is the hub's record of a node.
type Peer struct {
	Site         causal.Site
	Incarnation  causal.Incarnation
	Have         causal.Position    // the node's position that the hub has committed
	Until        causal.Position    // the end of its delta that is arriving in slices, or 0
	Acked        causal.Position    // the hub's position that the node has committed
	Floor        causal.Seen        // the least hub position that its unsent work has seen
	Serial       string             // the serial number of its certificate
	Settled      history.Settlement // the stable positions to tell the node
	LastTransfer time.Time
	Removed      bool
}

// peerColumns selects the columns that peerOf reads.
const peerColumns = `SELECT p.site, p.incarnation, p.have, p.acked, p.floor, p.serial, p.last_transfer, s.removed,
	h.settled, p.settled, h.settled_at, p.until
	FROM ravno_state h, ravno_peer p JOIN ravno_site s ON s.site=p.site`

// peerOf makes a Peer of a row that peerColumns selected.
func peerOf(row []crdt.Value) Peer {
	p := Peer{Site: causal.Site(row[0].Int()), Have: causal.Position(row[2].Int()), Acked: causal.Position(row[3].Int()),
		Floor: causal.Seen(row[4].Int()), Serial: row[5].Bytes(), LastTransfer: catalog.Millis(row[6].Int()),
		Removed: row[7].Int() != 0,
		Settled: history.Settlement{Hub: causal.Position(row[8].Int()), Own: causal.Position(row[9].Int()),
			At: causal.Position(row[10].Int())}, Until: causal.Position(row[11].Int())}
	copy(p.Incarnation[:], row[1].Bytes())
	return p
}

// ReadPeers lists the enrolled nodes by number, including removed ones.
func ReadPeers(tx *rows.Tx) (peers []Peer, err error) {
	err = tx.SQL.Rows(peerColumns+" ORDER BY p.site", nil, func(row []crdt.Value) error {
		peers = append(peers, peerOf(row))
		return nil
	})
	return peers, err
}

// ReadPeer reads the record of a node. It reports false if the node never enrolled.
func ReadPeer(tx *rows.Tx, site causal.Site) (p Peer, ok bool, err error) {
	row, err := tx.SQL.Row(peerColumns+" WHERE p.site=?", catalog.Integer(site))
	if err != nil || row == nil {
		return p, false, err
	}
	return peerOf(row), true, nil
}

// AckedByNode records, at the hub, how far a node has applied the hub's work. It then forgets what is
// no longer needed for that node. If transferred is true, it also records the time.
func AckedByNode(tx *rows.Tx, site causal.Site, has causal.Reached, floor causal.Seen, transferred bool) error {
	if err := tx.SQL.Exec(`UPDATE ravno_peer SET acked=max(acked, ?), floor=max(floor, ?),
		last_transfer=CASE WHEN ? THEN ? ELSE last_transfer END WHERE site=?`,
		catalog.Integer(has.Position), catalog.Integer(floor), catalog.Boolean(transferred), catalog.Integer(tx.Now()),
		catalog.Integer(site)); err != nil {
		return err
	}
	if err := history.GotAhead(tx, site, has); err != nil {
		return err
	}
	none, err := history.NoneShippedAhead(tx)
	if err != nil {
		return err
	}
	if !none {
		seen, err := tx.SQL.Int("SELECT min(floor, acked) FROM ravno_peer WHERE site=?", catalog.Integer(site))
		if err == nil {
			err = history.ForgetAhead(tx, site, causal.Position(seen))
		}
		if err != nil {
			return err
		}
	}
	return history.ForgetSeenBy(tx, site)
}

// Greeted records, at the hub, how far a node says it has come when it connects. It returns an error if
// the node was restored from a backup, because it has seen less than before or less than is stable.
func Greeted(tx *rows.Tx, site causal.Site, has causal.Reached, floor causal.Seen) error {
	seen, err := tx.SQL.Int("SELECT max(acked, ?) FROM ravno_peer WHERE site=?", catalog.Integer(tx.State.Settled),
		catalog.Integer(site))
	if err != nil {
		return err
	}
	if has.Position < causal.Position(seen) {
		return fmt.Errorf("a node has seen position %d of the hub, and had once seen %d: its database was restored from a "+
			"backup. Try: ravno leave --force at the node, then ravno join --keep-local with a new token", has.Position, seen)
	}
	if err := tx.SQL.Exec("UPDATE ravno_peer SET acked=?, floor=? WHERE site=?", catalog.Integer(has.Position),
		catalog.Integer(floor), catalog.Integer(site)); err != nil {
		return err
	}
	return history.GotAhead(tx, site, has)
}

// The errors of enrolment.
var (
	ErrTokenUnknown = errors.New("this token was not issued by this hub, or its node was removed")
	ErrTokenUsed    = errors.New("this token was used already; a token enrols one node once")
	ErrTokenExpired = errors.New("this token has expired")
	ErrNameTaken    = errors.New("a server of this name is enrolled already")
	ErrNoSite       = errors.New("no server of this name")
)

// AddToken stores a join token for a new node, by the hash of its secret. It returns ErrNameTaken if a
// server of this name is enrolled.
func AddToken(tx *rows.Tx, name string, hash [32]byte, expires time.Time) error {
	if err := HubOnly(tx); err != nil {
		return err
	}
	if n, err := tx.SQL.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed",
		catalog.Text(name)); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%s: %w. Try: another name, or ravno node remove %s", name, ErrNameTaken, name))
	}
	return tx.SQL.Exec("INSERT INTO ravno_token(hash, name, expires) VALUES(?,?,?)",
		crdt.BlobValue(string(hash[:])), catalog.Text(name), catalog.Integer(expires.UnixMilli()))
}

// CheckName returns an error for a server name that is empty, too long, or hard to type or read.
func CheckName(name string) error {
	if name == "" || len(name) > maxNameBytes || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == ',' || r == '=' }) {
		return fmt.Errorf("server name %q: want 1 to %d bytes, no control characters, commas, equal signs or spaces around "+
			"it. Try: a short name such as restaurant-2", name, maxNameBytes)
	}
	return nil
}

// maxNameBytes bounds a server's name, so that it fits on one line of the status table.
const maxNameBytes = 64

// HubOnly returns an error at a node.
func HubOnly(tx *rows.Tx) error {
	if !tx.State.IsHub() {
		return errors.New("this is a node. Try: the same command at the hub")
	}
	return nil
}

// joinToken is a join token as the hub stores it.
type joinToken struct {
	hash [32]byte
	Name string
	Site causal.Site // the node that has used it, or 0
}

// FindToken finds a join token by the hash of its secret. It accepts a token that was used but has not
// expired, because that join may have been cut off. The caller then resumes it. It returns
// ErrTokenUnknown, ErrTokenUsed, ErrTokenExpired or ErrNameTaken.
func FindToken(tx *rows.Tx, hash [32]byte) (joinToken, error) {
	row, err := tx.SQL.Row("SELECT hash, name, expires, site FROM ravno_token WHERE hash=?",
		crdt.BlobValue(string(hash[:])))
	if err != nil {
		return joinToken{}, err
	}
	if row == nil || subtle.ConstantTimeCompare([]byte(row[0].Bytes()), hash[:]) != 1 {
		return joinToken{}, ErrTokenUnknown
	}
	known := joinToken{hash: hash, Name: row[1].Bytes()}
	expired := tx.Now() > row[2].Int()
	switch {
	case row[3].Kind() == crdt.Integer && expired:
		return known, ErrTokenUsed
	case row[3].Kind() == crdt.Integer:
		known.Site = causal.Site(row[3].Int())
		return known, nil
	case expired:
		return known, fmt.Errorf("%w at %s", ErrTokenExpired, catalog.Millis(row[2].Int()).Format(time.RFC3339))
	}
	if n, err := tx.SQL.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed",
		row[1]); err != nil || n > 0 {
		return known, errors.Join(err, fmt.Errorf("%s: %w", known.Name, ErrNameTaken))
	}
	return known, nil
}

// Redeem gives a new node the next number and records it. The function issue makes the certificate and
// returns its serial number.
func Redeem(tx *rows.Tx, known joinToken, incarnation causal.Incarnation,
	issue func(causal.Site, string) (string, error)) (site causal.Site, err error) {
	next, err := tx.SQL.Int("SELECT max(site)+1 FROM ravno_site")
	if err != nil {
		return 0, err
	}
	site = causal.Site(next)
	serial, err := issue(site, known.Name)
	if err != nil {
		return 0, err
	}
	if err := tx.SQL.Exec("UPDATE ravno_token SET site=? WHERE hash=?", catalog.Integer(site),
		crdt.BlobValue(string(known.hash[:]))); err != nil {
		return 0, err
	}
	if err := tx.SQL.Exec("INSERT INTO ravno_peer(site, incarnation, serial) VALUES(?,?,?)",
		catalog.Integer(site), crdt.BlobValue(string(incarnation[:])), catalog.Text(serial)); err != nil {
		return 0, err
	}
	if err := addSite(tx, Site{Number: site, Name: known.Name, Role: Node}); err != nil {
		return 0, err
	}
	return site, tx.Record(journal.Added(known.Name, site))
}

// ResumeEnrolment answers a repeated join by the same node before it ever connected. The incarnation
// identifies the node. It returns ErrTokenUsed to any other node, and to a node that has connected
// since.
func ResumeEnrolment(tx *rows.Tx, known joinToken, incarnation causal.Incarnation,
	issue func(causal.Site, string) (string, error)) (name string, err error) {
	p, ok, err := ReadPeer(tx, known.Site)
	if err != nil {
		return "", err
	}
	if !ok || p.Removed || p.Have > 0 || p.Acked > 0 || p.Incarnation != incarnation {
		return "", ErrTokenUsed
	}
	name = tx.SiteName(known.Site)
	serial, err := issue(known.Site, name)
	if err != nil {
		return "", err
	}
	return name, tx.SQL.Exec("UPDATE ravno_peer SET serial=? WHERE site=?", catalog.Text(serial),
		catalog.Integer(known.Site))
}

// addSite adds a server to the replicated list and logs it.
func addSite(tx *rows.Tx, site Site) error {
	if err := tx.SQL.Exec("INSERT INTO ravno_site(site, name, role, removed) VALUES(?,?,?,0)",
		catalog.Integer(site.Number), catalog.Text(site.Name), catalog.Text(string(site.Role))); err != nil {
		return err
	}
	return tx.Log(tx.Cat.ByName["ravno_site"], crdt.NewKey(catalog.Integer(site.Number)), capture.Insert, nil)
}

// RenameSite changes the name of an enrolled server. It returns ErrNameTaken if another server has that
// name.
func RenameSite(tx *rows.Tx, old, name string) error {
	return changeSite(tx, old, func(site Site) error {
		if n, err := tx.SQL.Int("SELECT count(*) FROM ravno_site WHERE lower(name)=lower(?) AND NOT removed AND site<>?",
			catalog.Text(name), catalog.Integer(site.Number)); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%s: %w. Try: another name", name, ErrNameTaken))
		}
		if err := tx.ChangeOwn("ravno_site", crdt.NewKey(catalog.Integer(site.Number)),
			map[string]crdt.Value{"name": catalog.Text(name)}); err != nil {
			return err
		}
		return tx.Record(journal.Renamed(site.Name, name))
	})
}

// RemoveSite marks a node as removed and forgets what is kept for it alone. It refuses to remove the
// hub.
func RemoveSite(tx *rows.Tx, name string) error {
	return changeSite(tx, name, func(site Site) error {
		if site.Role == Hub {
			return fmt.Errorf("%s is the hub and cannot be removed. Try: ravno leave at each node, then at the hub", name)
		}
		if err := tx.ChangeOwn("ravno_site", crdt.NewKey(catalog.Integer(site.Number)),
			map[string]crdt.Value{"removed": catalog.Integer(1)}); err != nil {
			return err
		}
		if err := history.ForgetAhead(tx, site.Number, tx.State.Position); err != nil {
			return err
		}
		if err := history.ForgetSeenByAll(tx); err != nil {
			return err
		}
		return tx.Record(journal.Removed(site.Name))
	})
}

// changeSite calls f with an enrolled server, at the hub. It returns ErrNoSite if there is no server of
// that name.
func changeSite(tx *rows.Tx, name string, f func(Site) error) error {
	if err := HubOnly(tx); err != nil {
		return err
	}
	sites, err := ReadSites(tx)
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

// SetListening records the address where the hub's daemon listens.
func SetListening(tx *rows.Tx, address string) error {
	return tx.SQL.Exec("UPDATE ravno_state SET listening=?", catalog.Text(address))
}

// SetHubStatus stores the status of all servers, as JSON.
func SetHubStatus(tx *rows.Tx, json string) error {
	return tx.SQL.Exec("UPDATE ravno_state SET hub_status=?", catalog.Text(json))
}
