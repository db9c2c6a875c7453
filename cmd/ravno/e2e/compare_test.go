package e2e

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// replicated are ravno's own tables that have to be the same everywhere as well.
var replicated = []string{"ravno_conflict", "ravno_setting", "ravno_site"}

// contents has every table of a file that is to be the same everywhere. It maps a name to sorted rows,
// each as bytes that tell storage class and value.
type contents map[string][][]byte

// digest is of one table.
func (c contents) digest(table string) [sha256.Size]byte {
	return sha256.Sum256(bytes.Join(c[table], nil)) // rows carry their lengths
}

// read reads a file in one snapshot, without the tables in except.
func read(t *testing.T, db *sql.DB, except ...string) contents {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	all := contents{}
	for _, name := range column(
		t, tx, `SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'`) {
		if slices.Contains(except, name) || strings.HasPrefix(name, "ravno_") && !slices.Contains(replicated, name) {
			continue
		}
		all[name] = readTable(t, tx, name)
	}
	return all
}

func column(t *testing.T, tx *sql.Tx, query string, args ...any) (values []string) {
	t.Helper()
	rows, err := tx.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func readTable(t *testing.T, tx *sql.Tx, name string) (rows [][]byte) {
	t.Helper()
	var list []string
	for _, c := range column(t, tx, `SELECT name FROM pragma_table_info(?) ORDER BY name`, name) {
		list = append(list, "typeof("+quoted(c)+")", "+"+quoted(c)) // +: the driver converts nothing
	}
	found, err := tx.Query("SELECT " + strings.Join(list, ", ") + " FROM " + quoted(name))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	values, into := make([]any, len(list)), make([]any, len(list))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var row []byte
		for _, v := range values {
			row = appendValue(t, row, v)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rows, bytes.Compare)
	return rows
}

func appendValue(t *testing.T, row []byte, v any) []byte {
	t.Helper()
	var b []byte
	switch v := v.(type) {
	case nil:
	case int64:
		b = binary.BigEndian.AppendUint64(nil, uint64(v))
	case float64:
		b = binary.BigEndian.AppendUint64(nil, math.Float64bits(v))
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		t.Fatalf("a value came as %T", v)
	}
	return append(binary.BigEndian.AppendUint64(row, uint64(len(b))), b...)
}

// differences says which tables differ, one phrase each.
func differences(a, b contents) (found []string) {
	for name := range a {
		if b[name] == nil && a[name] != nil {
			found = append(found, fmt.Sprintf("%s: %d rows against none", name, len(a[name])))
		} else if a.digest(name) != b.digest(name) {
			found = append(found, fmt.Sprintf("%s: %d rows against %d, or other values in them", name, len(a[name]),
				len(b[name])))
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			found = append(found, name+" is only there")
		}
	}
	slices.Sort(found)
	return found
}
