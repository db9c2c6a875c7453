package schema

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	driver3 "github.com/mattn/go-sqlite3"

	"ravno/store/internal/sqlite"
)

func open(t *testing.T, path string) *sqlite.Conn {
	t.Helper()
	c, err := sqlite.Open(path, sqlite.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// read makes a file with this schema and reads it.
func read(t *testing.T, ddl string) (*Schema, *sqlite.Conn) {
	t.Helper()
	c := open(t, filepath.Join(t.TempDir(), "app.db"))
	if err := c.Exec("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; " + ddl); err != nil {
		t.Fatal(err)
	}
	s, err := Read(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func table(t *testing.T, s *Schema, name string) *Table {
	t.Helper()
	found := s.Table(name)
	if found == nil {
		t.Fatalf("table %q is not there: %+v %+v", name, s.Refused, s.Ignored)
	}
	return found
}

func TestTheKeyIsWhatIdentifiesARow(t *testing.T) {
	for _, c := range []struct {
		name, ddl string
		key       string
		rowid     bool
	}{
		{"integer primary key", "CREATE TABLE t(a, id INTEGER PRIMARY KEY)", "id", true},
		{"lower case type, table constraint", "CREATE TABLE t(id integer, a, PRIMARY KEY(id))", "id", true},
		{"INT is no alias of the rowid", "CREATE TABLE t(id INT PRIMARY KEY, a)", "id", false},
		{"nor is INTEGER PRIMARY KEY DESC", "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, a)", "id", false},
		{"nor a key WITHOUT ROWID", "CREATE TABLE t(id INTEGER PRIMARY KEY, a) WITHOUT ROWID", "id", false},
		{"text", "CREATE TABLE t(a, k TEXT PRIMARY KEY)", "k", false},
		{"composite, in the order of the key", "CREATE TABLE t(a, b, c, PRIMARY KEY(c, a))", "c,a", false},
		{"without rowid", "CREATE TABLE t(a, b, c, PRIMARY KEY(c, a)) WITHOUT ROWID", "c,a", false},
		{"unique and NOT NULL", "CREATE TABLE t(a, b NOT NULL UNIQUE)", "b", false},
		{"unique index made later", "CREATE TABLE t(a, b NOT NULL); CREATE UNIQUE INDEX i ON t(b)", "b", false},
		{"the narrowest, then the first by name",
			"CREATE TABLE t(a NOT NULL, b NOT NULL UNIQUE, c NOT NULL UNIQUE, UNIQUE(a, b))", "b", false},
		{"nullable, partial and computed ones do not count", `CREATE TABLE t(a UNIQUE, b NOT NULL, c NOT NULL,
			d NOT NULL UNIQUE);
			CREATE UNIQUE INDEX i ON t(b) WHERE b > 0; CREATE UNIQUE INDEX j ON t(abs(c))`, "d", false},
		{"a generated column before it", "CREATE TABLE t(g AS (a + 1), a, b, PRIMARY KEY(b))", "b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := read(t, c.ddl)
			got := table(t, s, "t")
			if key := strings.Join(got.KeyColumns(), ","); key != c.key || got.RowidKey != c.rowid {
				t.Errorf("key %s, rowid %v; want %s, %v", key, got.RowidKey, c.key, c.rowid)
			}
		})
	}
}

func TestATableIsReadWhole(t *testing.T) {
	s, _ := read(t, `CREATE TABLE Parent(a TEXT, B TEXT, PRIMARY KEY(a, B)) WITHOUT ROWID;
		CREATE TABLE child(
			id INTEGER PRIMARY KEY AUTOINCREMENT, -- a comment, with a comma
			"name, of" TEXT NOT NULL DEFAULT 'x, COLLATE y' COLLATE nocase,
			price DECIMAL(10, 2) DEFAULT (1 + 1) /* COLLATE RTRIM */,
			total AS (price * 2) STORED,
			pa TEXT, pb TEXT REFERENCES gone, self INT REFERENCES CHILD ON DELETE CASCADE ON UPDATE SET NULL,
			CHECK (price > 0 COLLATE RTRIM), UNIQUE("name, of", total),
			FOREIGN KEY (PA, pb) REFERENCES parent);
		CREATE UNIQUE INDEX [odd ) on] ON child(lower("name, of" || ')') COLLATE RTRIM DESC, pa)
			WHERE self /* c */ IS NOT NULL -- end
		;
		CREATE INDEX plain ON child(pa)`)
	got := table(t, s, "CHILD")
	got.SQL = ""
	want := &Table{
		Name: "child", Key: []int{0}, RowidKey: true, Autoincrement: true, Generated: []string{"total"},
		Columns: []Column{
			{Name: "id", Type: "INTEGER", Affinity: IntegerAffinity, Collation: Binary, InKey: true},
			{Name: "name, of", Type: "TEXT", Affinity: TextAffinity, Collation: NoCase, NotNull: true, Default: "'x, COLLATE y'",
				HasDefault: true, Register: true},
			{Name: "price", Type: "DECIMAL(10, 2)", Affinity: NumericAffinity, Collation: Binary, Default: "1 + 1",
				HasDefault: true, Register: true},
			{Name: "pa", Type: "TEXT", Affinity: TextAffinity, Collation: Binary, Register: true},
			{Name: "pb", Type: "TEXT", Affinity: TextAffinity, Collation: Binary, Register: true},
			{Name: "self", Type: "INT", Affinity: IntegerAffinity, Collation: Binary, Register: true},
		},
		Unique: []UniqueIndex{
			{Name: "odd ) on", Where: "self /* c */ IS NOT NULL", Parts: []IndexPart{
				{Column: -1, Expr: `lower("name, of" || ')')`, Collation: RTrim}, {Column: 3, Collation: Binary}}},
			{Name: "sqlite_autoindex_child_1", Parts: []IndexPart{
				{Column: 1, Collation: NoCase}, {Column: -1, Expr: `"total"`, Collation: Binary}}},
		},
		ForeignKeys: []ForeignKey{
			{Parent: "gone", Columns: []string{"pb"}, OnDelete: "NO ACTION", OnUpdate: "NO ACTION"},
			{Parent: "child", Columns: []string{"self"}, ParentColumns: []string{"id"}, OnDelete: "CASCADE",
				OnUpdate: "SET NULL"},
			{Parent: "Parent", Columns: []string{"pa", "pb"}, ParentColumns: []string{"a", "B"}, OnDelete: "NO ACTION",
				OnUpdate: "NO ACTION"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if cols := got.ChangedBy(got.Unique[0]); strings.Join(cols, "|") != "self|name, of|pa" {
		t.Errorf("changed by %q", cols)
	}
	if cols := got.ChangedBy(got.Unique[1]); cols != nil {
		t.Errorf("a generated column may change with any other, not only with %q", cols)
	}
}

func TestOddNamesAreOrdinaryNames(t *testing.T) {
	s, _ := read(t, `CREATE TABLE "a ""b"" ; -- c"("k 'k'" TEXT PRIMARY KEY, [brack"et], `+"`tick``s`"+` TEXT COLLATE
		NOCASE UNIQUE, "rowid", oid);
		CREATE TABLE "Заказы"("номер" INTEGER PRIMARY KEY, "имя" TEXT COLLATE "nocase" NOT NULL UNIQUE);
		CREATE TABLE "new
line"(a
 PRIMARY KEY, "two
lines", "select", "COLLATE" TEXT);
		CREATE TABLE "?1"("?1" PRIMARY KEY, "NEW", [old])`)
	if len(s.Tables) != 4 || len(s.Refused) != 0 {
		t.Fatalf("%d tables, refused %+v", len(s.Tables), s.Refused)
	}
	odd := table(t, s, `a "b" ; -- c`)
	if odd.KeyColumns()[0] != "k 'k'" || odd.Columns[2].Name != "tick`s" || odd.Columns[2].Collation != NoCase {
		t.Errorf("%+v", odd.Columns)
	}
	if z := table(t, s, "Заказы"); z.Unique[0].Parts[0] != (IndexPart{Column: 1, Collation: NoCase}) ||
		z.Columns[1].Collation != NoCase {
		t.Errorf("%+v", z)
	}
	if n := table(t, s, "new\nline"); n.Columns[3].Name != "COLLATE" || n.Columns[3].Collation != Binary {
		t.Errorf("%+v", n.Columns)
	}

}

var registerApplication = sync.OnceFunc(func() {
	sql.Register("application", &driver3.SQLiteDriver{ConnectHook: func(c *driver3.SQLiteConn) error {
		if err := c.RegisterFunc("app_only", func(s string) string { return s }, true); err != nil {
			return err
		}
		return c.RegisterCollation("APPSORT", strings.Compare)
	}})
})

func TestWhatCannotBeCapturedIsRefusedByNameAndTheRestIsRead(t *testing.T) {
	registerApplication()
	path := filepath.Join(t.TempDir(), "app.db")
	app, err := sql.Open("application", path)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	var wide []string
	for _, c := range "abcdefghijklmnopq" {
		wide = append(wide, string(c))
	}
	if _, err := app.Exec(`
		CREATE TABLE good(id INTEGER PRIMARY KEY, a);
		CREATE TABLE triggered(id INTEGER PRIMARY KEY, a);
		CREATE TRIGGER calls AFTER INSERT ON triggered BEGIN UPDATE triggered SET a = app_only(a); END;
		CREATE VIEW seen AS SELECT app_only(a) FROM good;
		CREATE TABLE nokey(a, b);
		CREATE TABLE checked(id INTEGER PRIMARY KEY, a CHECK (app_only(a) <> ''));
		CREATE TABLE computed(id INTEGER PRIMARY KEY, a, b AS (app_only(a)) STORED);
		CREATE TABLE indexed(id INTEGER PRIMARY KEY, a); CREATE INDEX x ON indexed(app_only(a));
		CREATE TABLE partly(id INTEGER PRIMARY KEY, a); CREATE INDEX y ON partly(a) WHERE app_only(a) = 'x';
		CREATE TABLE sortedkey(k TEXT COLLATE APPSORT PRIMARY KEY, a);
		CREATE TABLE sortedunique(id INTEGER PRIMARY KEY, a TEXT COLLATE APPSORT UNIQUE);
		CREATE TABLE sortedindex(id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX z ON sortedindex(a COLLATE APPSORT);
		CREATE TABLE holes(a, b, c, PRIMARY KEY(a, b)); INSERT INTO holes VALUES(1, NULL, 2);
		CREATE TABLE whole(a, b, c, PRIMARY KEY(a, b)); INSERT INTO whole VALUES(1, 2, NULL);
		CREATE TABLE wide(` + strings.Join(wide, ",") + ", PRIMARY KEY(" + strings.Join(wide, ",") + "))"); err != nil {
		t.Fatal(err)
	}
	c := open(t, path)
	before, _ := c.Int("PRAGMA data_version")
	s, err := Read(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, reason := range map[string]string{
		"nokey": "no primary key", "checked": "app_only", "computed": "app_only", "indexed": "app_only", "partly": "app_only",
		"sortedkey": "APPSORT", "sortedunique": "APPSORT", "sortedindex": "APPSORT", "wide": "17 columns",
	} {
		found := false
		for _, r := range s.Refused {
			if r.Table == name {
				found = strings.Contains(r.Reason, reason) && strings.HasSuffix(r.Try, "--local "+name)
			}
		}
		if !found {
			t.Errorf("%s is not refused for %q: %+v", name, reason, s.Refused)
		}
	}
	var names []string
	for _, t := range s.Tables {
		names = append(names, t.Name)
	}
	if got := strings.Join(names, " "); got != "good holes triggered whole" {
		t.Errorf("tables: %s", got)
	}
	if holes := s.Table("holes"); holes == nil || holes.NullKey == nil ||
		!strings.Contains(holes.NullKey.Reason, "key column b is NULL") {
		t.Errorf("the rows of holes without a key go unnoticed: %+v", holes)
	}
	if after, _ := c.Int("PRAGMA data_version"); after != before || len(s.Refused) != 9 {
		t.Errorf("data version %d -> %d, refused %+v", before, after, s.Refused)
	}
	if err := c.Exec("INSERT INTO triggered VALUES(1, 2)"); err == nil || !strings.Contains(err.Error(), "app_only") {
		t.Errorf("triggers stayed off: %v", err)
	}
}

func TestVirtualTablesAndTheirIndexesAreLeftAlone(t *testing.T) {
	s, c := read(t, `CREATE VIRTUAL TABLE notes USING fts4(body); CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
		CREATE TABLE notes_of_shops(id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT 1;
		CREATE TABLE ravno_log(id INTEGER PRIMARY KEY);
		CREATE TABLE docs_data(id INTEGER PRIMARY KEY, block BLOB); CREATE TABLE docs_x(id INTEGER PRIMARY KEY);
		CREATE TABLE vec_chunks(id INTEGER PRIMARY KEY)`)
	if len(s.Ignored) != 11 || len(s.Refused) != 0 || len(s.Tables) != 4 {
		t.Fatalf("%+v %+v", s.Ignored, s.Refused)
	}
	// Modules this library may not have: FTS5, and an application's own.
	if err := c.Exec(`PRAGMA writable_schema=ON;
		INSERT INTO sqlite_master VALUES('table','docs','docs',0,'CREATE VIRTUAL TABLE docs USING fts5(body)');
		INSERT INTO sqlite_master VALUES('table','vec','vec',0,'CREATE VIRTUAL TABLE vec USING "vec0"(body)');
		PRAGMA writable_schema=RESET`); err != nil {
		t.Fatal(err)
	}
	s, err := Read(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Ignored) != 14 || s.Table("docs_data") != nil || s.Table("docs_x") == nil ||
		s.Table("notes_of_shops") == nil {
		t.Errorf("ignored %+v", s.Ignored)
	}
	if len(s.Refused) != 1 || s.Refused[0].Table != "vec_chunks" || !strings.Contains(s.Refused[0].Reason, "vec0") {
		t.Errorf("refused %+v", s.Refused)
	}
}

func TestAnFTS5IndexIsRefusedByABuildWithoutFTS5(t *testing.T) {
	_, c := read(t, `CREATE TABLE fts5(id INTEGER PRIMARY KEY, "CREATE VIRTUAL TABLE x USING fts5(y)");
		CREATE VIRTUAL TABLE notes USING fts4(body)`)
	if err := checkModules(c, false); err != nil {
		t.Errorf("there is none, but: %v", err)
	}
	if err := c.Exec(`PRAGMA writable_schema=ON;
		INSERT INTO sqlite_master VALUES('table','found','found',0,'CREATE VIRTUAL TABLE "found" USING "FTS5"(body)');
		PRAGMA writable_schema=RESET`); err != nil {
		t.Fatal(err)
	}
	if err := checkModules(c, false); err == nil ||
		!strings.Contains(err.Error(), "table found is a full-text index (FTS5)") ||
		!strings.Contains(err.Error(), "Try: ") {
		t.Errorf("not refused, or without a reason: %v", err)
	}
	if err := checkModules(c, true); err != nil {
		t.Errorf("a build with FTS5 refuses: %v", err)
	}
}

func TestFingerprintsFollowMeaningNotOrder(t *testing.T) {
	print := func(ddl string) string {
		s, _ := read(t, ddl)
		return table(t, s, "t").Fingerprint()
	}
	first := print("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL)")
	if len(first) != 2*fingerprintBytes || first != print("CREATE TABLE t(b real, a TEXT, id INTEGER PRIMARY KEY)") {
		t.Errorf("%s differs with the order of columns", first)
	}
	for _, other := range []string{
		"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, c REAL)", "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT)",
		"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b REAL)",
		"CREATE TABLE t(id INTEGER, a TEXT PRIMARY KEY, b REAL)",
		"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL, c)",
	} {
		if print(other) == first {
			t.Errorf("%s has the same fingerprint", other)
		}
	}
}

func TestSampleDatabasesAreReadWhole(t *testing.T) {
	for _, sample := range []struct {
		name            string
		tables, ignored int
	}{{"chinook", 11, 0}, {"northwind", 13, 17}} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", sample.name+".sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "sample.db")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Read(open(t, path))
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Tables) != sample.tables || len(s.Refused) != 0 || len(s.Ignored) != sample.ignored {
			t.Errorf("%s: %d tables, refused %+v, %d ignored", sample.name, len(s.Tables), s.Refused, len(s.Ignored))
		}
		after, _ := os.ReadFile(path)
		if string(after) != string(raw) {
			t.Errorf("%s: reading changed the file", sample.name)
		}
	}
}
