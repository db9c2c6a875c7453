package store

import (
	"ravno/store/internal/resolve"
	"testing"
	"time"

	"ravno/crdt"
)

const shop = `CREATE TABLE guest(id TEXT PRIMARY KEY, code TEXT UNIQUE, name TEXT);
	CREATE TABLE sale(id TEXT PRIMARY KEY, guest TEXT REFERENCES guest(id), by TEXT REFERENCES guest(code), lines INT);
	CREATE TABLE line(id TEXT PRIMARY KEY, sale TEXT NOT NULL REFERENCES sale(id) ON DELETE CASCADE, dish TEXT, n INT);
	CREATE TABLE extra(id TEXT PRIMARY KEY, line TEXT NOT NULL REFERENCES line(id) ON DELETE CASCADE, what TEXT);
	CREATE TABLE payment(id TEXT PRIMARY KEY, sale TEXT REFERENCES sale(id) ON DELETE RESTRICT, cents INT);
	INSERT INTO guest VALUES('g1','c1','Ann'),('g2','c2','Bob');
	INSERT INTO sale VALUES('s1',NULL,NULL,2); INSERT INTO line VALUES('l1','s1','soup',1),('l2','s1','tea',1);
	INSERT INTO extra VALUES('e1','l1','bread')`

// kinds are the kinds of the open conflicts at a site, in order.
func (c *chain) kinds(site string) string {
	out := ""
	for _, x := range c.open(site) {
		out += string(x.Kind) + " "
	}
	return out
}

func (c *chain) expectAll(query, want string) {
	c.t.Helper()
	for _, site := range append([]string{"hub"}, c.names()...) {
		c.expect(site, query, want)
		c.expect(site, "PRAGMA foreign_key_check", "")
	}
}

// A parent deleted here and referred to there comes back.
func TestRepairBringsParentBack(t *testing.T) {
	for _, deleter := range []string{"hub", "a"} {
		for _, first := range []string{"a", "b"} {
			for _, refer := range []string{"INSERT INTO sale VALUES('s2','g1',NULL,0)",
				"INSERT INTO sale VALUES('s2',NULL,'c1',0)", "UPDATE sale SET guest='g1'"} {
				t.Run(deleter+" "+first+" "+refer, func(t *testing.T) {
					t.Parallel()
					c := newChain(t, shop, nil, "a", "b")
					c.at(deleter, "DELETE FROM guest WHERE id='g1'")
					c.at("b", refer)
					c.up(first)
					c.level()
					c.expectAll("SELECT name FROM guest ORDER BY id", "Ann\nBob")
					if got := c.kinds("hub"); got != "foreign_key " {
						t.Errorf("%q", got)
					}
				})
			}
		}
	}
}

// Of a document deleted here and edited there the newer is in force as a whole.
func TestRepairDocumentNewerWholeWins(t *testing.T) {
	for _, deleter := range []string{"hub", "a"} {
		for _, first := range []string{"a", "b"} {
			for _, edit := range []string{"INSERT INTO line VALUES('l3','s1','cake',1)", "UPDATE line SET n=2 WHERE id='l1'",
				"UPDATE sale SET lines=3",
				"INSERT INTO extra VALUES('e2','l2','jam')", "UPDATE extra SET what='butter'",
				"INSERT INTO line VALUES('l3','s1','cake',1); INSERT INTO extra VALUES('e3','l3','rum')"} {
				for _, later := range []string{"delete", "edit"} {
					t.Run(deleter+" "+first+" "+edit+" "+later, func(t *testing.T) {
						t.Parallel()
						c := newChain(t, shop, nil, "a", "b")
						if later == "edit" {
							c.at(deleter, "DELETE FROM sale")
							c.at("b", edit)
						} else {
							c.at("b", edit)
							c.at(deleter, "DELETE FROM sale")
						}
						c.up(first)
						c.level()
						if later == "edit" {
							c.expectAll("SELECT count(*), (SELECT count(*)>=2 FROM line), (SELECT count(*)>=1 FROM extra) FROM sale",
								"1|1|1")
						} else {
							c.expectAll("SELECT (SELECT count(*) FROM sale) + (SELECT count(*) FROM line) + (SELECT count(*) FROM extra)",
								"0")
						}
						if got := c.kinds("hub"); got != "edit_delete " {
							t.Errorf("%q", got)
						}
					})
				}
			}
		}
	}
}

// A payment for a deleted sale brings it back whole.
func TestRepairPaymentBringsSaleBack(t *testing.T) {
	c := newChain(t, shop, nil, "a", "b")
	c.at("b", "INSERT INTO payment VALUES('p1','s1',500)")
	c.at("a", "DELETE FROM sale")
	c.level()
	c.expectAll("SELECT (SELECT count(*) FROM sale), (SELECT count(*) FROM line), (SELECT count(*) FROM extra)", "1|2|1")
	if got := c.kinds("a"); got != "foreign_key " {
		t.Errorf("%q", got)
	}
}

// An applications own orphans stay as they are.
func TestRepairLeavesApplicationOrphans(t *testing.T) {
	c := newChain(t, shop, nil, "a", "b")
	c.at("a", "PRAGMA foreign_keys=OFF; INSERT INTO sale VALUES('s9','g2',NULL,0); DELETE FROM guest WHERE id='g2'")
	c.level()
	for _, site := range []string{"hub", "a", "b"} {
		c.expect(site, "SELECT count(*) FROM guest", "1")
	}
	if got := c.kinds("hub"); got != "" {
		t.Errorf("%q", got)
	}
}

// A held row is held with its document and comes back with it.
func TestHeldWithItsDocument(t *testing.T) {
	schema := `CREATE TABLE sale(id TEXT PRIMARY KEY, number INT UNIQUE);
		CREATE TABLE line(id TEXT PRIMARY KEY, sale TEXT NOT NULL REFERENCES sale(id) ON DELETE CASCADE, dish TEXT);
		CREATE TABLE payment(id TEXT PRIMARY KEY, sale TEXT REFERENCES sale(id))`
	c := newChain(t, schema, nil, "a", "b")
	c.at("a",
		"INSERT INTO sale VALUES('sa',7); INSERT INTO line VALUES('la','sa','soup'); INSERT INTO payment VALUES('pa','sa')")
	c.at("b",
		"INSERT INTO sale VALUES('sb',7); INSERT INTO line VALUES('lb','sb','tea'); INSERT INTO payment VALUES('pb','sb')")
	c.level()
	c.expectAll("SELECT (SELECT group_concat(id) FROM sale), (SELECT group_concat(id) FROM line), (SELECT "+
		"group_concat(id) FROM payment)", "sa|la|pa")
	open := c.open("b")
	if len(open) != 1 || open[0].Kind != crdt.Unique || len(open[0].Detail.Sides) != 4 {
		t.Fatalf("%+v", open)
	}
	c.at("b", "INSERT INTO line VALUES('lb2','sa','on the other')")
	c.level()
	c.at("a", "UPDATE sale SET number=8")
	c.level()
	c.expectAll("SELECT (SELECT group_concat(id) FROM sale), (SELECT group_concat(id) FROM line), (SELECT "+
		"group_concat(id) FROM payment)", "sa,sb|la,lb,lb2|pa,pb")
	if open := c.open("b"); len(open) != 0 {
		t.Errorf("%+v", open)
	}
}

// An order made under the key of a held one steps aside.
func TestHeldKeyMadeAgainStepsAside(t *testing.T) {
	c := newChain(t, `CREATE TABLE guest(id INTEGER PRIMARY KEY, code TEXT UNIQUE, by TEXT);
		CREATE TABLE note(id TEXT PRIMARY KEY, guest INT REFERENCES guest(id), what TEXT)`, nil, "a", "b")
	for _, site := range []string{"a", "b"} {
		c.at(site, "INSERT INTO guest(code,by) VALUES('x','"+site+"'); INSERT INTO note VALUES('n"+site+"',1,'"+site+"')")
	}
	c.level()
	c.expectAll("SELECT id, by FROM guest", "1|a")
	for _, site := range []string{"b", "hub", "a"} { // each takes the next number, which is the held row's
		c.at(site, "INSERT INTO guest(code,by) VALUES('"+site+"','new "+site+"'); INSERT INTO note SELECT 'm"+site+
			"', id, 'new "+site+"' FROM guest WHERE code='"+site+"'")
	}
	c.level()
	c.expectAll("SELECT g.by, n.what FROM guest g JOIN note n ON n.guest=g.id ORDER BY 1",
		"a|a\nnew a|new a\nnew b|new b\nnew hub|new hub")
	c.at("hub", "UPDATE guest SET code='y' WHERE by='a'")
	c.level()
	c.expectAll("SELECT g.by, n.what FROM guest g JOIN note n ON n.guest=g.id ORDER BY 1",
		"a|a\nb|b\nnew a|new a\nnew b|new b\nnew hub|new hub")
}

// A column without a type may refer to a key by a REAL. Such a reference follows the row that steps aside
// as well, and everybody hears of it.
func TestHeldKeyReferredToByReal(t *testing.T) {
	c := newChain(t, `CREATE TABLE guest(id INTEGER PRIMARY KEY, code TEXT UNIQUE, by TEXT);
		CREATE TABLE note(id TEXT PRIMARY KEY, guest REFERENCES guest(id))`, nil, "a", "b")
	for _, site := range []string{"a", "b"} {
		c.at(site, "INSERT INTO guest(code,by) VALUES('x','"+site+"')")
	}
	c.level()
	c.at("b", "INSERT INTO guest(code,by) VALUES('b','new b'); "+
		"INSERT INTO note SELECT 'm', CAST(id AS REAL) FROM guest WHERE code='b'")
	c.level()
	c.expectAll("SELECT g.by, n.id FROM guest g JOIN note n ON n.guest=g.id", "new b|m")
}

// Held rows that refer to each other come back together.
func TestHeldCycleReturnsTogether(t *testing.T) {
	c := newChain(t, `CREATE TABLE p(id TEXT PRIMARY KEY, code TEXT UNIQUE, q TEXT REFERENCES q(id) DEFERRABLE INITIALLY
		DEFERRED);
		CREATE TABLE q(id TEXT PRIMARY KEY, p TEXT REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)`, nil, "a", "b")
	for _, site := range []string{"a", "b"} {
		c.at(site, "BEGIN; INSERT INTO p VALUES('p"+site+"','x','q"+site+"'); INSERT INTO q VALUES('q"+site+"','p"+site+
			"'); COMMIT")
	}
	c.level()
	c.expectAll("SELECT (SELECT group_concat(id) FROM p), (SELECT group_concat(id) FROM q)", "pa|qa")
	c.at("a", "UPDATE p SET code='y'")
	c.level()
	c.expectAll("SELECT (SELECT group_concat(id) FROM p), (SELECT group_concat(id) FROM q)", "pa,pb|qa,qb")
}

// Mending makes the hub no side of the conflict.
func TestRepairMakesHubNoSide(t *testing.T) {
	c := newChain(t, shop, nil, "a", "b")
	c.at("a", "DELETE FROM line; DELETE FROM sale")
	c.up("a")
	c.at("b", "UPDATE sale SET lines=9")
	c.up("b")
	c.at("b", "UPDATE line SET n=3 WHERE id='l2'")
	c.level()
	c.expectAll("SELECT (SELECT lines FROM sale), (SELECT count(*) FROM line)", "9|2")
	for _, x := range c.open("b") {
		if len(x.Sites) != 2 || x.Sites[0] != "a" || x.Sites[1] != "b" {
			t.Errorf("%s between %v", x.Kind, x.Sites)
		}
	}
}

// A row that is all key is kept where a deletion keeps it out.
func TestRepairKeepsAllKeyRow(t *testing.T) {
	c := newChain(t, "CREATE TABLE tag(a INT, b TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID", nil, "a", "b")
	now := c.now
	c.now = now.Add(40 * time.Second)
	c.at("a", "INSERT INTO tag VALUES(4,'odd')")
	c.up("a")
	c.now = now
	c.at("hub", "DELETE FROM tag")
	c.at("b", "INSERT INTO tag VALUES(4,'odd')")
	c.level()
	if kinds := c.kinds("hub"); kinds != "edit_delete " {
		t.Errorf("%q", kinds)
	}
	_, err := c.hub.Resolve(c.open("hub")[0].ID, resolve.Resolution{Keep: "b", By: "admin"})
	c.must(err)
	c.level()
	c.expectAll("SELECT * FROM tag", "4|odd")
}

const priced = `CREATE TABLE product(id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT);
	CREATE TABLE price(id TEXT PRIMARY KEY, product TEXT REFERENCES product(code) ON UPDATE CASCADE ON DELETE SET NULL,
	note TEXT);
	INSERT INTO product VALUES('1','tea','tea'),('2','salt','salt'); INSERT INTO price VALUES('old','salt','old')`

// A reference follows a row that is written again after it got another name.
func TestReferenceFollowsRewrittenRow(t *testing.T) {
	for _, writer := range []string{"hub", "b"} {
		for _, then := range []string{"UPDATE product SET name='fine oil' WHERE id='2'",
			"UPDATE product SET code='fat' WHERE id='2'",
			"UPDATE product SET code='fat' WHERE id='2'; UPDATE product SET code='oil' WHERE id='2'"} {
			c := newChain(t, priced, nil, "a", "b")
			c.at(writer, "UPDATE product SET code='oil' WHERE code='salt'")
			c.up("b")
			c.down("b")
			c.at(writer, then)
			c.up("b")
			c.at("a", "INSERT INTO price VALUES('new','salt','new')")
			c.settle()
			c.level()
			c.expectAll(
				"SELECT count(*), count(DISTINCT product) FROM price JOIN product ON product.code=price.product AND product.id='2'",
				"2|1")
		}
	}
}

// A reference follows a row that one side renames and another deletes.
func TestReferenceFollowsRenameAndDelete(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		c := newChain(t, priced, nil, "a", "b")
		c.at("b", "DELETE FROM product WHERE code='salt'")
		c.at("a", "UPDATE product SET code='oil' WHERE code='salt'")
		c.at("hub", "INSERT INTO price VALUES('new','salt','new')")
		for _, node := range order {
			c.up(node)
		}
		c.settle()
		c.level()
		c.expectAll(
			"SELECT count(*) FROM price JOIN product ON product.code=price.product WHERE price.id='new' AND product.id='2'", "1")
	}
}

// A name that was never in force at the hub is followed too.
func TestReferenceFollowsNameNeverInForce(t *testing.T) {
	c := newChain(t, priced, nil, "a", "b")
	c.at("a", "UPDATE product SET code='oil' WHERE id='2'")
	c.at("b", "UPDATE product SET code='fat' WHERE id='2'") // later: fat it is
	c.up("b")
	c.up("a")
	c.at("a", "INSERT INTO price VALUES('new','oil','new')") // it has not heard yet
	c.settle()
	c.level()
	c.expectAll("SELECT DISTINCT product FROM price", "fat")
}

// A new name of a row that is deleted meanwhile is followed too.
func TestReferenceFollowsNameOfDeleted(t *testing.T) {
	c := newChain(t, priced, nil, "a", "b")
	c.at("a", "INSERT INTO price VALUES('new','tea','new'); UPDATE product SET code='oil' WHERE code='tea'")
	c.at("b", "UPDATE product SET code='sugar' WHERE code='tea'")
	c.at("hub", "DELETE FROM product WHERE code='tea'")
	c.up("b")
	c.up("a") // it was never called oil at the hub, and it is gone
	c.settle()
	c.level()
	c.expectAll(
		"SELECT count(*) FROM price JOIN product ON product.code=price.product WHERE price.id='new' AND product.id='1'", "1")
}

// A reference follows a row that a decision gives its former name.
func TestReferenceFollowsDecidedName(t *testing.T) {
	c := newChain(t, priced, nil, "a", "b")
	c.at("a", "UPDATE product SET name='fine' WHERE id='1'")
	c.at("b", "UPDATE product SET code='oil' WHERE id='1'")
	c.settle()
	x := c.open("hub")[0]
	c.at("a", "INSERT INTO price VALUES('new','oil','new')")
	c.resolve("hub", x.ID, resolve.Resolution{Set: map[string]crdt.Value{"code": crdt.TextValue("tea")}, By: "admin"})
	c.settle()
	c.level()
	c.expectAll("SELECT product FROM price WHERE id='new'", "tea")
}
