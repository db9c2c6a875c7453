package main

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// plain is SQLite without anything: one connection of the driver the store uses too, called
// the way the store calls it, with prepared statements kept.
type plain struct {
	b          *bench
	raw        *sqlite3.SQLiteConn
	statements map[string]driver.Stmt
}

// tillPatience is how long an application waits for a lock: what an ordinary one sets.
const tillPatience = "1000"

func (b *bench) open(path, synchronous string) *plain {
	opened, err := (&sqlite3.SQLiteDriver{}).Open("file:" + path + "?_busy_timeout=" + tillPatience)
	b.must(err)
	p := &plain{b: b, raw: opened.(*sqlite3.SQLiteConn), statements: map[string]driver.Stmt{}}
	p.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=" + synchronous)
	return p
}

// openLikeStore opens a connection with the settings of the store's own writer, for work
// that is held against work of the store: durable, with rarer checkpoints.
func (b *bench) openLikeStore(path string) *plain {
	p := b.open(path, "FULL")
	p.run("PRAGMA wal_autocheckpoint=8000")
	return p
}

func (p *plain) close() {
	for _, s := range p.statements {
		s.Close()
	}
	p.b.must(p.raw.Close())
}

// run runs statements without arguments.
func (p *plain) run(sql string) {
	_, err := p.raw.Exec(sql, nil)
	p.b.must(err)
}

func (p *plain) prepare(sql string) driver.Stmt {
	s, ok := p.statements[sql]
	if !ok {
		var err error
		s, err = p.raw.Prepare(sql)
		p.b.must(err)
		p.statements[sql] = s
	}
	return s
}

// do runs one prepared statement.
func (p *plain) do(sql string, args ...driver.Value) { p.b.must(p.try(sql, args...)) }

// try is do where the error is of interest.
func (p *plain) try(sql string, args ...driver.Value) error {
	_, err := p.prepare(sql).Exec(args) //nolint:staticcheck // the driver as it is, without contexts
	return err
}

// query reads all rows and returns their number and the first column of the last.
func (p *plain) query(sql string, args ...driver.Value) (n int, last driver.Value) {
	rows, err := p.prepare(sql).Query(args) //nolint:staticcheck // the driver as it is, without contexts
	p.b.must(err)
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return n, last
		}
		p.b.must(err)
		n, last = n+1, values[0]
	}
}

// number reads one integer; 0 if there is none.
func (p *plain) number(sql string, args ...driver.Value) int64 {
	_, last := p.query(sql, args...)
	n, _ := last.(int64)
	return n
}

// atomically does work in one transaction.
func (p *plain) atomically(work func()) {
	p.run("BEGIN IMMEDIATE")
	work()
	p.run("COMMIT")
}

func sqliteVersion() string {
	version, _, _ := sqlite3.Version()
	return version
}

// shape is a workload table: what kind of key, how many columns with it (8 is the ordinary
// one: texts, integers, a real, a short note).
type shape struct {
	text    bool
	columns int
}

var (
	textShape = shape{text: true, columns: 8}
	intShape  = shape{columns: 8}
)

func (s shape) key() string {
	if s.text {
		return "TEXT"
	}
	return "INTEGER"
}

// columnTypes are those after the key; a wider table has them again.
var columnTypes = []string{"TEXT", "TEXT", "INTEGER", "REAL", "INTEGER", "TEXT", "TEXT"}

func (s shape) schema() string {
	text := "CREATE TABLE sale(id " + s.key() + " PRIMARY KEY NOT NULL"
	for i := range s.columns - 1 {
		text += fmt.Sprintf(", c%d %s", i+1, columnTypes[i%len(columnTypes)])
	}
	return text + ")"
}

func (s shape) insert() string {
	return "INSERT INTO sale VALUES(?" + strings.Repeat(",?", s.columns-1) + ")"
}

const (
	updateSQL = "UPDATE sale SET c3=? WHERE id=?"
	deleteSQL = "DELETE FROM sale WHERE id=?"
	selectSQL = "SELECT * FROM sale WHERE id=?"
	scanSQL   = "SELECT * FROM sale"
)

// Words of which notes and names are made, so that they compress as text does.
var words = strings.Fields(
	"table for two by the window guest asked without onion paid in cash waits outside birthday " +
		"extra bread please call before delivery second floor left door regular never on mondays invoice to the office")

var categories = []string{"kitchen", "bar", "bakery", "takeaway", "catering", "shop"}

// sale is row number i of the workload, always the same. Rows of one table differ in every
// text; keys are as random as UUIDs are.
func (s shape) sale(i int) []driver.Value {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	some := func(n int) string {
		picked := make([]string, n)
		for j := range picked {
			picked[j] = words[r.IntN(len(words))]
		}
		return strings.Join(picked, " ")
	}
	row := make([]driver.Value, 0, s.columns)
	row = append(row, s.keyOf(i))
	for j := 1; j < s.columns; j++ {
		switch (j - 1) % len(columnTypes) {
		case 0:
			row = append(row, fmt.Sprintf("%s %d", some(2), r.IntN(1e6)))
		case 1:
			row = append(row, categories[r.IntN(len(categories))])
		case 2:
			row = append(row, int64(r.IntN(1000)))
		case 3:
			row = append(row, float64(r.IntN(100_000))/100)
		case 4:
			row = append(row, int64(r.IntN(2)))
		case 5:
			row = append(row, fmt.Sprintf("2026-%02d-%02d %02d:%02d:%02d", 1+r.IntN(12), 1+r.IntN(28), 8+r.IntN(14), r.IntN(60),
				r.IntN(60)))
		case 6:
			row = append(row, some(5))
		}
	}
	return row
}

func (s shape) keyOf(i int) driver.Value {
	if !s.text {
		return int64(i + 1)
	}
	r := rand.New(rand.NewPCG(uint64(i), 1))
	high, low := r.Uint64()&^0xf000|0x4000, r.Uint64()>>2|1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&0xffffffffffff)
}

// sales are rows from until before to, made ahead so that making them is not measured.
func (s shape) sales(from, to int) [][]driver.Value {
	rows := make([][]driver.Value, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, s.sale(i))
	}
	return rows
}

// ownBytes is what a row takes in SQLite's own record format, its header included.
func ownBytes(row []driver.Value) int {
	size := 1 + len(row)
	for _, v := range row {
		switch v := v.(type) {
		case string:
			size += len(v)
		case float64:
			size += 8
		case int64:
			size += integerBytes(v)
		}
	}
	return size
}

func integerBytes(v int64) int {
	switch {
	case v == 0 || v == 1:
		return 0
	case v == int64(int8(v)):
		return 1
	case v == int64(int16(v)):
		return 2
	case v == int64(int32(v)):
		return 4
	}
	return 8
}
