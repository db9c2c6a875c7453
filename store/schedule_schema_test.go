package store

// applications are the schemas of the random schedules, each with what is hard about it.
func applications() []application {
	return append(relations(), []application{
		{
			does: "rows that trade values of a unique column",
			schema: "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INT, m TEXT); INSERT INTO p " +
				"VALUES(1,'a',1,'x'),(2,'b',2,'x'),(3,'c',3,'x')",
			statements: []string{
				"UPDATE p SET n={n} WHERE id={id}",
				"UPDATE p SET m='m{n}' WHERE id={id}",
				"UPDATE p SET code={code} WHERE id={id}",
				"UPDATE p SET code=NULL WHERE id={id}; UPDATE p SET code={code1} WHERE id={id2}; UPDATE p SET code={code2} WHERE " +
					"id={id}",
				"INSERT INTO p VALUES({id},{code},{n},'y')",
				"DELETE FROM p WHERE id={id}",
				"DELETE FROM p WHERE id={id}; INSERT INTO p VALUES({id},{code},{n},'w')",
				"REPLACE INTO p VALUES({id},{code},{n},'z')",
				"UPDATE OR REPLACE p SET id={id1} WHERE id={id2}",
			},
			values: map[string][]string{"id": numbers(1, 5), "code": {"'a'", "'b'", "'c'", "'d'", "NULL"}, "n": numbers(0, 99)},
		},
		{
			does: "two unique values of a row, one of them only sometimes",
			schema: `CREATE TABLE p(id TEXT PRIMARY KEY, a TEXT NOT NULL UNIQUE, b TEXT NOT NULL, n INT);
				CREATE UNIQUE INDEX pb ON p(b) WHERE n>50;
				INSERT INTO p VALUES('1','a','a',1),('2','b','b',2)`,
			statements: []string{
				"UPDATE p SET n={n} WHERE id='{id}'",
				"UPDATE p SET a={word} WHERE id='{id}'",
				"UPDATE p SET b={word}, n={n} WHERE id='{id}'",
				"INSERT INTO p VALUES('{id}',{word1},{word2},{n})",
				"DELETE FROM p WHERE id='{id}'",
				"REPLACE INTO p VALUES('{id}',{word1},{word2},{n})",
				"UPDATE p SET id='{id1}' WHERE id='{id2}'",
			},
			values: map[string][]string{"id": numbers(1, 4), "word": {"'a'", "'b'", "'c'"}, "n": numbers(0, 99)},
		},
		{
			does: "unique values that are generated, or an expression",
			schema: `CREATE TABLE q(a TEXT PRIMARY KEY, g AS (a||'x'), n INT, h INT GENERATED ALWAYS AS (n*2) STORED UNIQUE);
				INSERT INTO q(a,n) VALUES('1',1);
				CREATE TABLE e(id INTEGER PRIMARY KEY, word TEXT); CREATE UNIQUE INDEX ew ON e(trim(word) COLLATE NOCASE)`,
			statements: []string{
				"UPDATE q SET n={n} WHERE a='{a}'",
				"INSERT INTO q(a,n) VALUES('{a}',{n})",
				"REPLACE INTO q(a,n) VALUES('{a}',{n})",
				"DELETE FROM q WHERE a='{a}'",
				"UPDATE e SET word={word} WHERE id={id}",
				"INSERT INTO e VALUES({id},{word})",
				"REPLACE INTO e VALUES({id},{word})",
				"DELETE FROM e WHERE id={id}",
			},
			values: map[string][]string{"a": numbers(0, 2), "n": numbers(0, 3), "id": numbers(1, 3),
				"word": {"'so'", "'SO'", "' so'", "'no'", "NULL"}},
		},
		{
			does: "keys that differ in case alone, and every kind of value",
			schema: `CREATE TABLE p(k TEXT COLLATE NOCASE, j INT, n INT, x, PRIMARY KEY(k,j)) WITHOUT ROWID;
				INSERT INTO p VALUES('abc',1,1,1),('def',2,2,x'')`,
			statements: []string{
				"UPDATE p SET x={x} WHERE k={k} AND j={j}",
				"UPDATE p SET n={n}, x={x} WHERE k={k}",
				"UPDATE p SET k={k1} WHERE k={k2} AND j={j}",
				"INSERT INTO p VALUES({k},{j},{n},{x})",
				"DELETE FROM p WHERE k={k} AND j={j}",
				"REPLACE INTO p VALUES({k},{j},{n},{x})",
			},
			values: map[string][]string{"k": {"'abc'", "'ABC'", "'Abc'", "'def'", "'DEF'"}, "j": numbers(1, 2),
				"n": numbers(0, 8),
				"x": {"1", "1.0", "0.0", "-0.0", "x''", "''", "NULL", "char(0)||'a'", "'é'"}},
		},
		{
			does:   "rows that are all key",
			schema: "CREATE TABLE p(a INT, b TEXT, PRIMARY KEY(a,b)) WITHOUT ROWID; INSERT INTO p VALUES(1,'a')",
			statements: []string{
				"INSERT INTO p VALUES({a},{b})",
				"DELETE FROM p WHERE a={a} AND b={b}",
				"REPLACE INTO p VALUES({a},{b})",
				"UPDATE p SET a={a1} WHERE a={a2} AND b={b}",
			},
			values: map[string][]string{"a": numbers(1, 2), "b": {"'a'", "'b'"}},
		},
		{
			does: "columns that fit each other at every site, and not together",
			schema: "CREATE TABLE p(id INTEGER PRIMARY KEY, lo INT, hi INT, n INT, CHECK(lo<=hi)); INSERT INTO p " +
				"VALUES(1,5,10,1),(2,3,4,1)",
			statements: []string{
				"UPDATE p SET lo={n} WHERE id={id}",
				"UPDATE p SET hi={n} WHERE id={id}",
				"UPDATE p SET n={n} WHERE id={id}",
				"UPDATE p SET id={id1} WHERE id={id2}",
				"REPLACE INTO p VALUES({id},{n},{n2},{n3})",
				"DELETE FROM p WHERE id={id}",
			},
			values: map[string][]string{"id": numbers(1, 3), "n": numbers(0, 12)},
		},
		{
			does: "documents of three levels",
			schema: `CREATE TABLE d(id INTEGER PRIMARY KEY, n INT);
				CREATE TABLE l(id INTEGER PRIMARY KEY, d INT REFERENCES d(id) ON DELETE CASCADE, n INT);
				CREATE TABLE s(id INTEGER PRIMARY KEY, l INT REFERENCES l(id) ON DELETE CASCADE, n INT);
				INSERT INTO d VALUES(1,1),(2,2); INSERT INTO l VALUES(1,1,1),(2,1,1),(3,2,1); INSERT INTO s VALUES(1,1,1),(2,3,1)`,
			statements: []string{
				"UPDATE d SET n={n} WHERE id={id}",
				"UPDATE l SET n={n} WHERE id={id}",
				"UPDATE s SET n={n} WHERE id={id}",
				"UPDATE l SET d={id1} WHERE id={id2}",
				"UPDATE s SET l={id1} WHERE id={id2}",
				"INSERT INTO d VALUES({id},{n})",
				"INSERT INTO l VALUES({new},{id},{n})",
				"INSERT INTO s VALUES({new},{id},{n})",
				"DELETE FROM d WHERE id={id}",
				"DELETE FROM l WHERE id={id}",
			},
			values: map[string][]string{"id": numbers(1, 3), "new": numbers(0, 5), "n": numbers(0, 99)},
		},
	}...)
}
