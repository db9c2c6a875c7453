package sim

import (
	"database/sql/driver"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ledger records the commits of the applications. Every text names its write, so that no two writes
// are the same. The author saw in the same transaction which text it wrote over. A text that was
// overwritten or deleted by an author who saw it need not be found again. All others must be present,
// or kept in a conflict (I3).
type ledger struct {
	pending map[mark]lineage
	over    map[string]string // token -> the one its author saw
	// counters are the sums of all committed differences, by table, column and key.
	counters map[mark]int64
	exempt   map[mark]bool  // counters of rows that were deleted by someone
	seeded   map[mark]bool  // counters of rows that were there from the start
	journal  map[string]int // site and table -> journal rows committed
}

// mark is a value in a column of a table. The row is not part of it: rows get new keys.
type mark struct{ table, column, value string }

// telling is the least integer that names its write, as every text does and every blob.
const telling = 1_000_000_000_000_000

// told is a value that names its write. ok is false for a value that may be written twice.
func told(v driver.Value) (token string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return "blob " + string(v), len(v) > 0
	case int64:
		return strconv.FormatInt(v, 10), v >= telling // the same where a column makes it a text
	}
	return "", false
}

// lineage says who wrote a value.
type lineage struct {
	site string
	step int
}

func newLedger() *ledger {
	return &ledger{pending: map[mark]lineage{}, over: map[string]string{}, counters: map[mark]int64{},
		exempt: map[mark]bool{}, seeded: map[mark]bool{}, journal: map[string]int{}}
}

// ways is the line of values that led to one, for the message of a failure.
func (l *ledger) ways(token string) string {
	way := token
	for range 5 {
		before, known := l.over[token]
		if !known || before == "" {
			break
		}
		way += " < " + before
		token = before
	}
	return way
}

// watch makes a connection note, in the transaction itself, which value every statement writes over
// which other. It uses TEMP triggers, which no other connection has. They see cascades and the work
// of the application's own triggers.
func (c *connection) watch(relations []*relation) error {
	widest := 0
	for _, r := range relations {
		widest = max(widest, len(r.columns))
	}
	var columns strings.Builder
	for i := range widest {
		fmt.Fprintf(&columns, ", o%d, n%d", i, i)
	}
	if err := c.exec("CREATE TEMP TABLE noted(seq INTEGER PRIMARY KEY, tab, op" + columns.String() + ")"); err != nil {
		return err
	}
	for i, r := range relations {
		for op, event := range map[string]string{"i": "INSERT", "u": "UPDATE", "d": "DELETE"} {
			names, values := "tab, op", fmt.Sprintf("%d, '%s'", i, op)
			for j, col := range r.columns {
				if op != "i" {
					names, values = names+fmt.Sprintf(", o%d", j), values+", OLD."+quoted(col.name)
				}
				if op != "d" {
					names, values = names+fmt.Sprintf(", n%d", j), values+", NEW."+quoted(col.name)
				}
			}
			if err := c.exec(
				fmt.Sprintf("CREATE TEMP TRIGGER watch_%d_%s AFTER %s ON main.%s BEGIN INSERT INTO noted(%s) VALUES(%s); END",
					i, op, event, r.quoted, names, values)); err != nil {
				return err
			}
		}
	}
	return nil
}

// victims are the rows that a REPLACE has removed, which no trigger reports.
type victims struct {
	relation *relation
	before   map[string][]driver.Value
	gone     []mark // texts and keys that were there before and are not after
	touched  []mark // counters of rows that were removed
}

var replaces = regexp.MustCompile(
	`(?is)^\s*(?:INSERT\s+OR\s+REPLACE|REPLACE)\s+INTO\s+["]?([a-z_0-9]+)|^\s*UPDATE\s+OR\s+REPLACE\s+["]?([a-z_0-9]+)`)

// beforeReplace remembers the rows that a statement may remove without a trigger, or nil.
func (c *connection) beforeReplace(relations []*relation, sql string) (*victims, error) {
	found := replaces.FindStringSubmatch(sql)
	if found == nil {
		return nil, nil
	}
	for _, r := range relations {
		if strings.EqualFold(r.name, found[1]+found[2]) {
			rows, err := c.snapshot(r)
			return &victims{relation: r, before: rows}, err
		}
	}
	return nil, nil
}

// afterReplace finds, in the same transaction, the rows that are gone.
func (c *connection) afterReplace(v *victims) error {
	after, err := c.snapshot(v.relation)
	v.gone = v.relation.vanished(v.before, after)
	for key, old := range v.before {
		for i, col := range v.relation.columns {
			if now := after[key]; col.counter && (now == nil || now[i] != old[i]) {
				v.touched = append(v.touched, mark{v.relation.name, col.name, key})
			}
		}
	}
	v.before = nil
	return err
}

// vanished are the texts of a table that were there before and are in no row after. For a table that
// is all key, they are the keys.
func (r *relation) vanished(before, after map[string][]driver.Value) (gone []mark) {
	there := map[mark]bool{}
	for _, now := range after {
		for i, col := range r.columns {
			if text, ok := told(now[i]); ok {
				there[mark{r.name, col.name, text}] = true
			}
		}
	}
	for key, old := range before {
		for i, col := range r.columns {
			if text, ok := told(old[i]); ok && !there[mark{r.name, col.name, text}] {
				gone = append(gone, mark{r.name, col.name, text})
			}
		}
		if r.noColumns && after[key] == nil {
			gone = append(gone, mark{r.name, "", key})
		}
	}
	return gone
}

// snapshot is all rows of a table by key.
func (c *connection) snapshot(r *relation) (map[string][]driver.Value, error) {
	rows := map[string][]driver.Value{}
	err := c.rows("SELECT * FROM "+r.selection(), func(row []driver.Value) {
		rows[r.keyOf(row)] = append([]driver.Value(nil), row...)
	})
	return rows, err
}

func (r *relation) selection() string {
	names := make([]string, len(r.columns))
	for i, col := range r.columns {
		names[i] = quoted(col.name)
	}
	return "(SELECT " + strings.Join(names, ", ") + " FROM " + r.quoted + ")"
}

// keyOf identifies a row however its key is spelled. A site that writes before another spelling has
// arrived writes the same row.
func (r *relation) keyOf(row []driver.Value) string {
	var b []byte
	for i, col := range r.columns {
		if !col.key {
			continue
		}
		v := row[i]
		if text, ok := v.(string); ok && col.nocase {
			v = strings.Map(lowerASCII, text) // all that NOCASE knows
		}
		b = append(typed(b, v), '|')
	}
	return string(b)
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// note enters the commits since its last call into the ledger.
func (l *ledger) note(c *connection, relations []*relation, by lineage, removed []*victims) error {
	err := c.rows("SELECT * FROM noted ORDER BY seq", func(row []driver.Value) {
		r := relations[row[1].(int64)]
		old, now := make([]driver.Value, len(r.columns)), make([]driver.Value, len(r.columns))
		for i := range r.columns {
			old[i], now[i] = row[3+2*i], row[4+2*i]
		}
		switch row[2].(string) {
		case "i":
			l.inserted(r, now, by)
		case "d":
			l.deleted(r, old)
		default:
			l.updated(r, old, now, by)
		}
	})
	if err != nil {
		return err
	}
	for _, v := range removed {
		for _, m := range v.gone {
			delete(l.pending, m)
		}
		for _, m := range v.touched {
			l.exempt[m] = true
		}
	}
	return c.exec("DELETE FROM noted")
}

func (l *ledger) inserted(r *relation, now []driver.Value, by lineage) {
	if r.journal {
		l.journal[by.site+" "+r.name]++
		return
	}
	if r.noColumns && !r.rowidKey && can.keepsBareRows {
		l.pending[mark{r.name, "", r.keyOf(now)}] = by
	}
	for i, col := range r.columns {
		if text, ok := told(now[i]); ok && !col.key {
			l.pending[mark{r.name, col.name, text}] = by
		}
		if n, ok := now[i].(int64); ok && col.counter {
			m := mark{r.name, col.name, r.keyOf(now)}
			_, twice := l.counters[m]
			l.exempt[m] = l.exempt[m] || twice // two rows of one key: one of them may get another
			l.counters[m] += n
			l.seeded[m] = by.step == 0
		}
	}
}

func (l *ledger) deleted(r *relation, old []driver.Value) {
	if r.noColumns {
		delete(l.pending, mark{r.name, "", r.keyOf(old)})
	}
	for i, col := range r.columns {
		if text, ok := told(old[i]); ok && !col.key {
			delete(l.pending, mark{r.name, col.name, text})
		}
		if col.counter {
			l.exempt[mark{r.name, col.name, r.keyOf(old)}] = true
		}
	}
}

func (l *ledger) updated(r *relation, old, now []driver.Value, by lineage) {
	if r.keyOf(old) != r.keyOf(now) { // another row, to everyone else
		carried := map[mark]bool{} // texts that move along: nobody has written them now
		for i, col := range r.columns {
			if text, ok := told(old[i]); ok && !col.key && string(typed(nil, old[i])) == string(typed(nil, now[i])) {
				m := mark{r.name, col.name, text}
				_, pending := l.pending[m]
				carried[m] = !pending
			}
		}
		l.deleted(r, old)
		l.inserted(r, now, by)
		for m, known := range carried {
			if known {
				delete(l.pending, m)
			}
		}
		return
	}
	for i, col := range r.columns {
		if col.key || string(typed(nil, old[i])) == string(typed(nil, now[i])) {
			continue
		}
		if col.counter {
			before, _ := old[i].(int64)
			after, _ := now[i].(int64)
			l.counters[mark{r.name, col.name, r.keyOf(now)}] += after - before
			continue
		}
		seen, wasText := told(old[i])
		if wasText {
			delete(l.pending, mark{r.name, col.name, seen})
		}
		if text, ok := told(now[i]); ok {
			l.pending[mark{r.name, col.name, text}] = by
			l.over[text] = seen
		}
	}
}
