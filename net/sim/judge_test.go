package sim

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"ravno/crdt"
)

const (
	// levelWithin is how long after healing all must be level, with no further write.
	levelWithin = 60 * time.Second
	// levelLook is how often the judge looks meanwhile.
	levelLook = 250 * time.Millisecond
	// linesShown is how many lines of a table the message of a failure has.
	linesShown = 40
)

// level heals everything, waits until nobody has anything to send, and judges.
func (r *trial) level() {
	r.healAll()
	for _, s := range r.sites {
		if s.daemon == nil {
			r.run(s)
		}
	}
	began := time.Now()
	for !r.silent() {
		if time.Since(began) >= levelWithin {
			r.fail("stuck", "not level %s after healing:\n%s\n%s", levelWithin, r.unlike(), r.positions())
		}
		time.Sleep(levelLook)
		r.whole()
	}
	if d := r.unlike(); d != "" {
		r.fail("different", "%s\n%s", d, r.positions())
	}
	for _, s := range r.sites {
		r.valid(s)
	}
	r.nothingLost()
	r.countersAddUp()
	r.journalsComplete()
}

// silent reports whether every site is where the hub is, and nothing is on its way.
func (r *trial) silent() bool {
	var hub int64
	for i, s := range r.sites {
		var position, seen, have, waiting int64
		r.must(s.conn.rows(
			"SELECT position, seen, hub_have, (SELECT count(*) FROM ravno_log WHERE id>folded) FROM ravno_state",
			func(row []driver.Value) {
				position, seen, have, waiting = row[0].(int64), row[1].(int64), row[2].(int64), row[3].(int64)
			}))
		if i == 0 {
			hub = position
		} else if seen != hub {
			return false
		}
		if waiting > 0 {
			return false
		}
		if i > 0 && position > have {
			self, err := s.daemon.store.Self()
			r.must(err)
			if out, err := s.daemon.store.Pending(0, self.HubHave); err != nil || out > 0 {
				r.must(err)
				return false
			}
		}
	}
	return true
}

// travelling are ravno's own tables that must be the same everywhere, too.
var travelling = []string{"ravno_conflict", "ravno_site", "ravno_setting"}

// lines are all rows of all tables of a site, by storage class and bytes, sorted.
func (r *trial) lines(s *site) []string {
	var lines []string
	take := func(table, selection string) {
		r.must(s.conn.rows("SELECT * FROM "+selection, func(row []driver.Value) {
			b := append([]byte(table), ' ')
			for _, v := range row {
				b = append(typed(b, v), '|')
			}
			lines = append(lines, string(b))
		}))
	}
	for _, table := range r.relations {
		if !table.journal {
			take(table.name, table.quoted) // generated columns, too
		}
	}
	for _, table := range travelling {
		take(table, table)
	}
	sort.Strings(lines)
	return lines
}

// unlike names the first rows in which a site differs from the hub (I1), and is empty if none does.
func (r *trial) unlike() string {
	want := r.lines(r.sites[0])
	var b strings.Builder
	for _, s := range r.sites[1:] {
		got := r.lines(s)
		shown := 0
		for i, j := 0, 0; (i < len(want) || j < len(got)) && shown < linesShown; {
			switch {
			case j == len(got) || i < len(want) && want[i] < got[j]:
				fmt.Fprintf(&b, "only at the hub: %s\n", want[i])
				i++
				shown++
			case i == len(want) || want[i] > got[j]:
				fmt.Fprintf(&b, "only at %s: %s\n", s.name, got[j])
				j++
				shown++
			default:
				i++
				j++
			}
		}
	}
	return b.String()
}

// valid checks a file from the outside (I2).
func (r *trial) valid(s *site) {
	if answer, err := s.conn.answer("PRAGMA integrity_check"); err != nil || answer != "ok" {
		r.must(err)
		r.fail("integrity", "%s: %s", s.name, answer)
	}
	if answer, err := s.conn.answer("PRAGMA foreign_key_check"); err != nil || answer != "" {
		r.must(err)
		r.figures.Orphans += strings.Count(answer, ", ") + 1
		r.fail("orphan", "%s: foreign_key_check: %s", s.name, answer)
	}
	for _, table := range r.relations {
		r.unique(s, table)
	}
}

// unique asks of every unique index on columns, without the index, whether its values are.
func (r *trial) unique(s *site, table *relation) {
	var indexes, wheres []string
	r.must(s.conn.rows(`SELECT l.name, coalesce(m.sql, '') FROM pragma_index_list(?1) l LEFT JOIN sqlite_master m ON
		m.name=l.name AND m.type='index' WHERE l."unique"`,
		func(row []driver.Value) {
			where := ""
			if i := strings.LastIndex(strings.ToUpper(row[1].(string)), " WHERE "); i >= 0 {
				where = row[1].(string)[i:]
			}
			indexes, wheres = append(indexes, row[0].(string)), append(wheres, where)
		}, table.name))
	for i, index := range indexes {
		var group, filled []string
		expression := false
		r.must(s.conn.rows("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno",
			func(row []driver.Value) {
				name, ok := row[0].(string)
				expression = expression || !ok
				group = append(group, "+"+quoted(name)+" COLLATE "+row[1].(string))
				filled = append(filled, quoted(name)+" IS NOT NULL")
			}, index))
		if expression {
			continue // integrity_check compares those with the index
		}
		where := " WHERE " + strings.Join(filled, " AND ")
		if wheres[i] != "" {
			where += " AND (" + wheres[i][len(" WHERE "):] + ")"
		}
		twice, err := s.conn.answer("SELECT " + strings.Join(group, ", ") + " FROM " + table.quoted + " NOT INDEXED" + where +
			" GROUP BY " + strings.Join(group, ", ") + " HAVING count(*)>1")
		r.must(err)
		if twice != "" {
			r.fail("unique", "%s: twice in %s: %s", s.name, index, twice)
		}
	}
}

// nothingLost checks that every text is in force or kept in a conflict, unless an author who had seen
// it overwrote it (I3).
func (r *trial) nothingLost() {
	hub := r.sites[0]
	found := map[string]bool{}
	for _, table := range r.relations {
		r.must(hub.conn.rows("SELECT * FROM "+table.selection(), func(row []driver.Value) {
			for _, v := range row {
				if token, ok := told(v); ok {
					found[token] = true
				}
			}
			if table.noColumns {
				found[table.keyOf(row)] = true
			}
		}))
	}
	r.kept(hub, found)
	var lost []string
	concerned := map[string]bool{"ravno_conflict": true}
	for m, by := range r.ledger.pending {
		if !found[m.value] {
			concerned[m.table] = true
			lost = append(lost, fmt.Sprintf("%s of %s.%s, written at %s in step %d, is neither in force nor in a conflict",
				r.ledger.ways(m.value), m.table, m.column, by.site, by.step))
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		r.figures.Lost += len(lost)
		lines := slices.DeleteFunc(r.lines(hub), func(line string) bool {
			table, _, _ := strings.Cut(line, " ")
			return !concerned[table]
		})
		r.fail("lost", "%s\n%s", strings.Join(lost, "\n"), strings.Join(head(lines, linesShown), "\n"))
	}
}

func head(lines []string, n int) []string { return lines[:min(n, len(lines))] }

// kept collects every value that the conflict records hold, in any form. If two rows got one number and
// ravno itself closed the record, both rows must live. Then the record alone is not enough.
func (r *trial) kept(s *site, found map[string]bool) {
	r.must(s.conn.rows("SELECT detail, key, document_key FROM ravno_conflict WHERE kind<>'key_collision' OR "+
		"revision>resolved OR resolved_by<>'ravno'",
		func(row []driver.Value) {
			var detail any
			r.must(json.Unmarshal([]byte(row[0].(string)), &detail))
			collect(detail, found)
			for _, key := range row[1:] {
				collectKey(string(key.([]byte)), found)
			}
		}))
}

func collect(v any, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			collect(x, found)
		}
	case []any:
		for _, x := range v {
			collect(x, found)
		}
	case string:
		found[v] = true
		if raw, err := hex.DecodeString(v); err == nil && v != "" {
			collectKey(string(raw), found)
		}
	}
}

// collectKey takes values in key encoding, each for itself and all as one key.
func collectKey(raw string, found map[string]bool) {
	values, err := crdt.Key(raw).Values()
	if err != nil {
		return
	}
	var key []byte
	for _, v := range values {
		var stored driver.Value
		switch v.Kind() {
		case crdt.Text:
			stored = v.Bytes()
		case crdt.Integer:
			stored = v.Int()
		case crdt.Blob:
			stored = []byte(v.Bytes())
		case crdt.Null, crdt.Real:
			continue // of which nothing is a token
		}
		if token, ok := told(stored); ok {
			found[token] = true
		}
		key = append(typed(key, stored), '|')
	}
	found[string(key)] = true
}

// countersAddUp checks that every difference that was committed anywhere is in the sum once.
func (r *trial) countersAddUp() {
	hub, l := r.sites[0], r.ledger
	var wrong []string
	for _, table := range r.relations {
		for i, col := range table.columns {
			if !col.counter {
				continue
			}
			rows, err := hub.conn.snapshot(table)
			r.must(err)
			for key, row := range rows {
				m := mark{table.name, col.name, key}
				if table.numbered && !l.seeded[m] {
					continue // its number may not be the one it was born with
				}
				if want := l.counters[m]; !l.exempt[m] && row[i] != want {
					wrong = append(wrong, fmt.Sprintf("%s.%s of %s is %v and not %d", table.name, col.name, key, row[i], want))
				}
			}
		}
	}
	if len(wrong) > 0 {
		r.figures.Miscounted += len(wrong)
		slices.Sort(wrong)
		r.fail("miscounted", "%s", strings.Join(wrong, "\n"))
	}
}

// journalsComplete checks that the hub has as many rows of every journal as were committed.
func (r *trial) journalsComplete() {
	for _, table := range r.relations {
		if !table.journal {
			continue
		}
		want := int64(0)
		for _, s := range r.sites[1:] {
			want += int64(r.ledger.journal[s.name+" "+table.name])
		}
		got, err := r.sites[0].conn.number("SELECT count(*) FROM " + quoted("ravno_journal_"+table.name) +
			" WHERE ravno_site<>'hub'")
		r.must(err)
		if got != want {
			r.fail("journal", "%d rows of %s at the hub, and %d were committed", got, table.name, want)
		}
	}
}

// count adds up the figures at the end of a scenario.
func (r *trial) count() {
	hub := r.sites[0].conn
	for query, at := range map[string]*int{
		"SELECT count(*) FROM ravno_conflict":                            &r.figures.Conflicts,
		"SELECT count(*) FROM ravno_image WHERE state='held'":            &r.figures.Held,
		"SELECT settled>0 FROM ravno_state":                              &r.figures.Settled,
		"SELECT count(*) FROM ravno_conflict WHERE kind='key_collision'": &r.figures.Renumbered,
	} {
		n, err := hub.number(query)
		r.must(err)
		*at += int(n)
	}
}
