package rows

import (
	"errors"

	"ravno/crdt"
	"ravno/store/internal/catalog"
	"ravno/store/internal/sqlite"
)

// A log is folded and a delta applied in the order of the rows' keys. So what is asked of a tree
// next lies most often beside what was asked last: some rows read ahead answer many questions in
// one go, and of a key between two of them they say that there is no such row.

const (
	// firstAhead is how many rows are read ahead at first, and mostAhead at the most: by then the
	// way down the tree is nothing beside them.
	firstAhead, mostAhead = 8, 128
)

const (
	// aheadBytes is where reading ahead stops in any case: rows may be large.
	aheadBytes = 64 << 10
)

const (
	// singly is how many questions are asked one by one after some rows were read ahead for one.
	singly = 64
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
		if order := catalog.CompareKeys(a.values[a.next], key); order == 0 {
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
	if a.asked.Kind() == crdt.Null || catalog.CompareKeys(key, a.asked) <= 0 {
		return false
	}
	return a.all || len(a.values) > 0 && catalog.CompareKeys(key, a.values[len(a.values)-a.width]) <= 0
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
	err := c.Rows(a.sql, []crdt.Value{key, catalog.Integer(a.limit)}, func(row []crdt.Value) error {
		a.width = len(row)
		a.values = append(a.values, row...)
		rows++
		for _, v := range row {
			bytes += len(v.Bytes())
		}
		if bytes >= aheadBytes {
			return catalog.ErrEnough
		}
		return nil
	})
	a.all = err == nil && rows < a.limit
	if errors.Is(err, catalog.ErrEnough) {
		err = nil
	}
	return err
}

// readAhead is what a transaction has read ahead, while it goes through rows in their order.
type readAhead struct {
	near  *prefetched
	least int // so many rows at least
}

// leastInOrder is how many rows are gone through for reading ahead to be tried at all: of a
// sale and its lines each is soon found.
const leastInOrder = 16

// prefetched is what lies beside the row of a table that was asked for last.
type prefetched struct {
	t                            *catalog.Table
	shadows, rows, keys, touches ahead // keys are those of rows
}

// prefetch is what is read ahead of a table; nil while nobody goes through its rows in their order.
func (tx *Tx) prefetch(t *catalog.Table) *prefetched {
	if tx.ahead.near == nil || t.Own {
		return nil
	}
	if tx.ahead.near.t != t {
		*tx.ahead.near = prefetched{t: t, rows: ahead{sql: t.Sql.AheadRows}, keys: ahead{sql: t.Sql.AheadKeys},
			shadows: ahead{sql: t.Sql.AheadShadows, flush: func(from crdt.Value) error {
				return tx.written.landShadows(tx.SQL, t, from)
			}}}
		if t.Alone && tx.State.IsHub() {
			tx.ahead.near.touches = ahead{sql: "SELECT document FROM ravno_change WHERE document>=? ORDER BY document LIMIT ?",
				flush: func(from crdt.Value) error {
					return tx.written.recorded.flushFrom(tx.SQL, from)
				}}
		}
	}
	return tx.ahead.near
}

// InOrder runs f, which goes through so many rows of one table after the other in the order of
// their keys, and changes none but the one in hand.
func (tx *Tx) InOrder(rows int, f func() error) error {
	if rows >= tx.ahead.least {
		tx.ahead.near = &prefetched{}
		defer func() { tx.ahead.near = nil }()
	}
	return f()
}

// shadowAhead finds the shadow of a row, given its key there.
func (tx *Tx) shadowAhead(near *prefetched, stored crdt.Value) (values []crdt.Value, known bool, err error) {
	if near == nil {
		return nil, false, nil
	}
	values, known, err = near.shadows.find(tx.SQL, stored)
	if values != nil {
		values = values[1:]
	}
	return values, known, err
}

// ReadShadowNext is ReadShadow for one row of a table after the other.
func (tx *Tx) ReadShadowNext(t *catalog.Table, key crdt.Key) (found Shadow, err error) {
	stored, err := t.ShadowKey(key)
	if err != nil {
		return found, err
	}
	values, known, err := tx.shadowAhead(tx.prefetch(t), stored)
	switch {
	case err != nil || known && values == nil:
		return found, err
	case !known:
		return tx.ReadShadow(t, key)
	}
	return decodeShadow(t, values)
}

// NobodyChanged reports whether it is known that nobody has changed a document that is one row.
func (tx *Tx) NobodyChanged(t *catalog.Table, document crdt.Value) (bool, error) {
	if tx.ahead.near == nil || tx.ahead.near.t != t {
		return false, nil
	}
	found, known, err := tx.ahead.near.touches.find(tx.SQL, document)
	return known && found == nil, err
}
