package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
)

// The demonstration compares the files itself, with SQL and code of its own. A judge that shared the
// code it judges would share its mistakes.

// demoDigestDigits is how many digits of a table's digest are shown, enough to see a difference.
const demoDigestDigits = 12

// demoReplicated are ravno's own tables that are the same on every server. ravno_rename is not one of
// them, because it goes only to the server whose rows have fresh keys.
var demoReplicated = []string{"ravno_conflict", "ravno_setting", "ravno_site"}

// demoTable is one table of one file. Its rows are sorted, each as bytes that tell storage class and
// content.
type demoTable struct {
	name string
	rows [][]byte
}

// digest is the SHA-256 of the rows.
func (t demoTable) digest() string {
	sum := sha256.New()
	for _, row := range t.rows {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(row))))
		sum.Write(row)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// readDemoTables reads every table of a file that syncs, without the journal and the tables that ravno
// keeps for itself.
func readDemoTables(ctx context.Context, path string) ([]demoTable, error) {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro"+
		fmt.Sprintf("&_busy_timeout=%d", demoBusyTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("comparing %s: %w", path, err)
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one snapshot
	if err != nil {
		return nil, fmt.Errorf("comparing %s: %w", path, err)
	}
	defer tx.Rollback()
	names, err := demoNames(
		ctx, tx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("comparing %s: %w", path, err)
	}
	var tables []demoTable
	for _, name := range names {
		if name == "event_log" || strings.HasPrefix(name, "ravno_") && !slices.Contains(demoReplicated, name) {
			continue
		}
		t, err := readDemoTable(ctx, tx, name)
		if err != nil {
			return nil, fmt.Errorf("comparing %s: table %s: %w", path, name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func demoNames(ctx context.Context, tx *sql.Tx, query string, args ...any) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func readDemoTable(ctx context.Context, tx *sql.Tx, name string) (t demoTable, err error) {
	t.name = name
	columns, err := demoNames(ctx, tx, `SELECT name FROM pragma_table_info(?) ORDER BY name`, name)
	if err != nil {
		return t, err
	}
	list := ""
	for i, c := range columns {
		if i > 0 {
			list += ", "
		}
		quoted := `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		list += "typeof(" + quoted + "), +" + quoted // +: the driver sees no declared type to convert to
	}
	rows, err := tx.QueryContext(ctx, "SELECT "+list+` FROM "`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	values, into := make([]any, 2*len(columns)), make([]any, 2*len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return t, err
		}
		row, err := demoRow(values)
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, row)
	}
	slices.SortFunc(t.rows, bytes.Compare)
	return t, rows.Err()
}

// demoRow writes pairs of storage class and value as bytes.
func demoRow(values []any) ([]byte, error) {
	var b []byte
	add := func(part []byte) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			add(nil)
		case int64:
			add(binary.BigEndian.AppendUint64(nil, uint64(v)))
		case float64:
			add(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
		case string:
			add([]byte(v))
		case []byte:
			add(v)
		default:
			return nil, fmt.Errorf("value %d of a row came as %T", i, v)
		}
	}
	return b, nil
}

// compareDemoTables returns the differences between two files, one line per table, and nothing if they
// are identical.
func compareDemoTables(a, b []demoTable) (differences []string) {
	there := map[string]demoTable{}
	for _, t := range b {
		there[t.name] = t
	}
	for _, t := range a {
		other, known := there[t.name]
		delete(there, t.name)
		switch {
		case !known:
			differences = append(differences, t.name+" is missing")
		case !slices.EqualFunc(t.rows, other.rows, bytes.Equal):
			differences = append(differences, fmt.Sprintf("%s: %d rows here, %d there, %d of them the same",
				t.name, len(t.rows), len(other.rows), demoCommon(t.rows, other.rows)))
		}
	}
	for name := range there {
		differences = append(differences, name+" is only there")
	}
	slices.Sort(differences)
	return differences
}

// demoCommon counts the rows that two sorted lists share.
func demoCommon(a, b [][]byte) (n int) {
	for len(a) > 0 && len(b) > 0 {
		switch order := bytes.Compare(a[0], b[0]); {
		case order < 0:
			a = a[1:]
		case order > 0:
			b = b[1:]
		default:
			n, a, b = n+1, a[1:], b[1:]
		}
	}
	return n
}
