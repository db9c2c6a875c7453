package store

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"ravno/crdt"
	"ravno/store/internal/schema"
	"ravno/store/internal/sqlite"
)

// A log is folded and a delta applied in the order of the rows' keys. So what is asked of a tree
// next lies most often beside what was asked last: some rows read ahead answer many questions in
// one go, and of a key between two of them they say that there is no such row.

const (
	// firstAhead is how many rows are read ahead at first, and mostAhead at the most: by then the
	// way down the tree is nothing beside them.
	firstAhead, mostAhead = 8, 128
	// aheadBytes is where reading ahead stops in any case: rows may be large.
	aheadBytes = 64 << 10
	// singly is how many questions are asked one by one after some rows were read ahead for one.
	singly = 64
	// leastInOrder is how many rows are gone through for reading ahead to be tried at all: of a
	// sale and its lines each is soon found.
	leastInOrder = 16
)

// ahead is rows of one tree that were read ahead, for questions in the order of its keys. Every
// row is handed out once, because who asked for it may be about to change it; a question that
// goes back is asked of the tree anew. The zero value but for its text is ready.
type ahead struct {
	sql    string                      // reads rows from a key on, in their order, the key first, up to a number of them
	flush  func(from crdt.Value) error // writes what is on its way to the tree, from a key on; nil: nothing ever is
	values []crdt.Value                // of the rows, one after the other
	width  int                         // of them are a row's
	next   int                         // where in values the row begins that is to be handed out next
	asked  crdt.Value                  // last; NULL: nothing yet
	all    bool                        // there is no row after these
	limit  int                         // how many to read
	served int                         // questions answered by what was read last
	pause  int                         // questions still to be asked one by one
}

// find finds a row. Unless it is known whether there is one, whoever asks has to look for himself.
// The row is valid until the next question.
func (a *ahead) find(c *sqlite.Conn, key crdt.Value) (row []crdt.Value, known bool, err error) {
	if a.sql == "" {
		return nil, false, nil
	}
	if !a.covers(key) {
		if a.pause > 0 {
			a.pause--
			a.asked = crdt.Value{} // what was read ahead is passed
			return nil, false, nil
		}
		if !a.suits() {
			a.pause, a.limit = singly, 0
			return nil, false, nil
		}
		if err := a.read(c, key); err != nil {
			return nil, false, err
		}
	}
	a.asked = key
	a.served++
	for ; a.next < len(a.values); a.next += a.width {
		if order := compareKeys(a.values[a.next], key); order == 0 {
			row = a.values[a.next : a.next+a.width]
			a.next += a.width
			return row, true, nil
		} else if order > 0 {
			break
		}
	}
	return nil, true, nil
}

// covers reports whether what was read ahead answers a question.
func (a *ahead) covers(key crdt.Value) bool {
	if a.asked.Kind() == crdt.Null || compareKeys(key, a.asked) <= 0 {
		return false
	}
	return a.all || len(a.values) > 0 && compareKeys(key, a.values[len(a.values)-a.width]) <= 0
}

// suits reports whether it pays to read ahead, going by the last time, and sets how many rows.
func (a *ahead) suits() bool {
	switch {
	case a.limit == 0:
		a.limit = firstAhead
	case a.served < 2:
		return false
	case 2*a.served >= a.limit:
		a.limit = min(2*a.limit, mostAhead)
	}
	return true
}

func (a *ahead) read(c *sqlite.Conn, key crdt.Value) error {
	if a.flush != nil {
		if err := a.flush(key); err != nil {
			return err
		}
	}
	a.values, a.next, a.served = a.values[:0], 0, 0
	rows, bytes := 0, 0
	err := c.Rows(a.sql, []crdt.Value{key, integer(a.limit)}, func(row []crdt.Value) error {
		a.width = len(row)
		a.values = append(a.values, row...)
		rows++
		for _, v := range row {
			bytes += len(v.Bytes())
		}
		if bytes >= aheadBytes {
			return errEnough
		}
		return nil
	})
	a.all = err == nil && rows < a.limit
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

// compareKeys compares keys as the trees do that are read ahead: integers, or bytes.
func compareKeys(a, b crdt.Value) int {
	return cmp.Or(cmp.Compare(a.Kind(), b.Kind()), cmp.Compare(a.Int(), b.Int()), strings.Compare(a.Bytes(), b.Bytes()))
}

// nearby is what lies beside the row of a table that was asked for last.
type nearby struct {
	t                            *table
	shadows, rows, keys, touches ahead // keys are those of rows
}

// near is what is read ahead of a table; nil while nobody goes through its rows in their order.
func (tx *transaction) near(t *table) *nearby {
	if tx.nearby == nil || t.own {
		return nil
	}
	if tx.nearby.t != t {
		*tx.nearby = nearby{t: t, rows: ahead{sql: t.sql.aheadRows}, keys: ahead{sql: t.sql.aheadKeys},
			shadows: ahead{sql: t.sql.aheadShadows, flush: func(from crdt.Value) error {
				if tx.shadowsOf != t {
					return nil
				}
				return tx.shadows.flushFrom(tx.c, from)
			}}}
		if t.alone && tx.state.isHub() {
			tx.nearby.touches = ahead{sql: "SELECT document FROM ravno_touch WHERE document>=? ORDER BY document LIMIT ?", flush: func(from crdt.Value) error {
				return tx.touched.flushFrom(tx.c, from)
			}}
		}
	}
	return tx.nearby
}

// inOrder runs f, which goes through so many rows of one table after the other in the order of
// their keys, and changes none but the one in hand.
func (tx *transaction) inOrder(rows int, f func() error) error {
	if rows >= tx.inOrderFrom {
		tx.nearby = &nearby{}
		defer func() { tx.nearby = nil }()
	}
	return f()
}

// shadowAhead finds the shadow of a row, given its key there.
func (tx *transaction) shadowAhead(near *nearby, stored crdt.Value) (values []crdt.Value, known bool, err error) {
	if near == nil {
		return nil, false, nil
	}
	values, known, err = near.shadows.find(tx.c, stored)
	if values != nil {
		values = values[1:]
	}
	return values, known, err
}

// readShadowNext is readShadowAt for whoever asks for one shadow of a table after the other.
func (tx *transaction) readShadowNext(t *table, key crdt.Key) (crdt.Row, remembered, error) {
	stored, err := t.shadowKey(key)
	if err != nil {
		return crdt.Row{}, remembered{}, err
	}
	values, known, err := tx.shadowAhead(tx.near(t), stored)
	if err != nil || known && values == nil {
		return crdt.Row{}, remembered{}, err
	}
	if !known {
		row, _, sent, err := tx.readShadowAt(t, key)
		return row, sent, err
	}
	row, _, sent, err := t.decodeShadow(values)
	return row, sent, err
}

// untouched reports whether it is known that nobody has touched a document that is one row.
func (tx *transaction) untouched(t *table, document crdt.Value) (bool, error) {
	if tx.nearby == nil || tx.nearby.t != t {
		return false, nil
	}
	found, known, err := tx.nearby.touches.find(tx.c, document)
	return known && found == nil, err
}

// writeAhead writes the texts that read rows ahead. A table's own rows are, where its key is a
// rowid, or a text that is compared by its bytes.
func (t *table) writeAhead(utf8 bool) {
	t.sql.aheadShadows = "SELECT key, row, document, position FROM " + t.shadow + " WHERE key>=? ORDER BY key LIMIT ?"
	if len(t.Key) != 1 {
		return
	}
	key := t.Columns[t.Key[0]]
	by := sqlite.Quote(key.Name)
	switch {
	case t.RowidKey:
	case utf8 && key.Affinity == schema.TextAffinity && key.Collation == schema.Binary:
		by += " COLLATE BINARY"
	default:
		return
	}
	from := " FROM " + sqlite.Quote(t.Name) + " WHERE " + by + ">=? ORDER BY " + by + " LIMIT ?"
	t.sql.aheadKeys = "SELECT +" + sqlite.Quote(key.Name) + from
	t.sql.aheadRows = "SELECT " + sqlite.QuoteAll("+", slices.Concat([]string{key.Name}, t.columnNames())) + from
}
