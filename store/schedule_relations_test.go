package store

// relations are schemas whose rows refer to each other, in every way SQLite has.
func relations() []application {
	return []application{
		{
			does: "orders whose numbers every server gives, with lines, seats and payments",
			schema: `CREATE TABLE o(id INTEGER PRIMARY KEY AUTOINCREMENT, n INT);
				CREATE TABLE l(id INTEGER PRIMARY KEY, o INT NOT NULL REFERENCES o(id) ON DELETE CASCADE, n INT);
				CREATE TABLE s(o INT REFERENCES o(id) ON DELETE CASCADE ON UPDATE CASCADE, nr INT, n INT, PRIMARY KEY(o,nr))
				WITHOUT ROWID;
				CREATE TABLE y(id TEXT PRIMARY KEY, o INT REFERENCES o(id), up INT REFERENCES o(id) ON DELETE SET NULL, n INT);
				INSERT INTO o VALUES(1,1); INSERT INTO l VALUES(1,1,1); INSERT INTO s VALUES(1,1,1);
				INSERT INTO y VALUES('y',1,1,1)`,
			statements: []string{
				"INSERT INTO o(n) VALUES({n}); INSERT INTO l(o,n) SELECT max(id), {n} FROM o",
				"INSERT INTO o(n) VALUES({n}); INSERT INTO s SELECT max(id), {id}, {n} FROM o",
				"INSERT INTO l(o,n) VALUES({id},{n})",
				"INSERT INTO s VALUES({id1},{id2},{n})",
				"INSERT INTO y VALUES('{n}',{id1},{id2},{n})",
				"INSERT INTO y SELECT '{n}', max(id), NULL, {n} FROM o",
				"UPDATE o SET n={n} WHERE id={id}",
				"UPDATE l SET n={n} WHERE id={id}",
				"UPDATE l SET o={id1} WHERE id={id2}",
				"UPDATE s SET n={n} WHERE o={id}",
				"UPDATE o SET id=id+10 WHERE id={id}",
				"DELETE FROM o WHERE id={id}",
				"DELETE FROM y WHERE o={id}; DELETE FROM o WHERE id={id}",
				"DELETE FROM l WHERE id={id}",
				"DELETE FROM y",
			},
			values: map[string][]string{"id": numbers(1, 4), "n": numbers(0, 99)},
		},
		{
			does: "references by name to names that are unique and change",
			schema: `CREATE TABLE g(id TEXT PRIMARY KEY, code TEXT UNIQUE COLLATE NOCASE, n INT);
				CREATE TABLE u(id TEXT PRIMARY KEY, code TEXT REFERENCES g(code), own TEXT REFERENCES g(id) ON DELETE CASCADE,
				n INT);
				INSERT INTO g VALUES('1','a',1),('2','b',2); INSERT INTO u VALUES('1','a','2',1)`,
			statements: []string{
				"UPDATE g SET code={code} WHERE id='{id}'",
				"INSERT INTO g VALUES('{id}',{code},{n})",
				"INSERT INTO g VALUES('{id}',{code},{n}); INSERT INTO u VALUES('{id}',{code},'{id}',{n})",
				"REPLACE INTO g VALUES('{id}',{code},{n})",
				"DELETE FROM g WHERE id='{id}'",
				"INSERT INTO u VALUES('{id1}',{code},'{id2}',{n})",
				"UPDATE u SET code={code} WHERE id='{id}'",
				"UPDATE u SET n={n} WHERE id='{id}'",
				"UPDATE g SET n={n} WHERE id='{id}'",
				"DELETE FROM u WHERE id='{id}'",
			},
			values: map[string][]string{"id": numbers(1, 4), "code": {"'a'", "'A'", "'b'", "'c'", "NULL"}, "n": numbers(0, 99)},
		},
		{
			does: "trees of rows that refer to rows of their own table",
			schema: `CREATE TABLE t(id TEXT PRIMARY KEY, up TEXT REFERENCES t(id) ON DELETE RESTRICT, n INT);
				CREATE TABLE k(id TEXT PRIMARY KEY, up TEXT REFERENCES k(id) ON DELETE CASCADE, n INT);
				INSERT INTO t VALUES('1',NULL,1),('2','1',1); INSERT INTO k VALUES('1',NULL,1),('2','1',1)`,
			statements: []string{
				"INSERT INTO t VALUES('{id1}','{id2}',{n})",
				"INSERT INTO t VALUES('{id}',NULL,{n})",
				"UPDATE t SET up='{id1}' WHERE id='{id2}'",
				"UPDATE t SET n={n} WHERE id='{id}'",
				"DELETE FROM t WHERE id='{id}'",
				"INSERT INTO k VALUES('{id1}','{id2}',{n})",
				"INSERT INTO k VALUES('{id}',NULL,{n})",
				"UPDATE k SET up='{id1}' WHERE id='{id2}'",
				"UPDATE k SET n={n} WHERE id='{id}'",
				"DELETE FROM k WHERE id='{id}'",
			},
			values: map[string][]string{"id": numbers(1, 4), "n": numbers(0, 99)},
		},
		{
			does: "guests whose numbers every server gives and whose codes are unique",
			schema: `CREATE TABLE g(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INT);
				CREATE TABLE v(id INTEGER PRIMARY KEY, g INT REFERENCES g(id), n INT);
				CREATE TABLE e(id INTEGER PRIMARY KEY, v INT REFERENCES v(id) ON DELETE CASCADE, n INT)`,
			statements: []string{
				"INSERT INTO g(code,n) VALUES({code},{n}); INSERT INTO v(g,n) SELECT max(id), {n} FROM g",
				"INSERT INTO g(code,n) VALUES({code},{n})",
				"INSERT INTO v(g,n) VALUES({id},{n}); INSERT INTO e(v,n) SELECT max(id), {n} FROM v",
				"INSERT INTO e(v,n) VALUES({id},{n})",
				"UPDATE g SET code={code} WHERE id={id}",
				"UPDATE v SET g={id1} WHERE id={id2}",
				"UPDATE e SET n={n} WHERE id={id}",
				"DELETE FROM g WHERE id={id}",
				"DELETE FROM v WHERE id={id}",
				"REPLACE INTO g VALUES({id},{code},{n})",
			},
			values: map[string][]string{"id": numbers(1, 4), "code": {"'a'", "'b'", "'c'", "NULL"}, "n": numbers(0, 99)},
		},
	}
}
