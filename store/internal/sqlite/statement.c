#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Running a statement in one call: what is bound and what comes out travels packed, in
 * 64-bit words. A row, of arguments as of results, is
 *
 *     the number of values, the length of all their bytes together,
 *     for each value its kind and its number or length,
 *     the bytes of the values, one after the other, filled up to a whole word.
 *
 * The declarations are those of SQLite's C interface that are used here; see config.c. */
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
typedef struct sqlite3_value sqlite3_value;
typedef void (*destructor)(void *);

extern int sqlite3_prepare_v3(sqlite3 *, const char *sql, int length, unsigned flags, sqlite3_stmt **, const char **tail);
extern int sqlite3_finalize(sqlite3_stmt *);
extern int sqlite3_bind_parameter_count(sqlite3_stmt *);
extern int sqlite3_bind_null(sqlite3_stmt *, int);
extern int sqlite3_bind_int64(sqlite3_stmt *, int, int64_t);
extern int sqlite3_bind_double(sqlite3_stmt *, int, double);
extern int sqlite3_bind_text64(sqlite3_stmt *, int, const char *, uint64_t, destructor, unsigned char encoding);
extern int sqlite3_bind_blob64(sqlite3_stmt *, int, const void *, uint64_t, destructor);
extern int sqlite3_clear_bindings(sqlite3_stmt *);
extern int sqlite3_step(sqlite3_stmt *);
extern int sqlite3_reset(sqlite3_stmt *);
extern int sqlite3_data_count(sqlite3_stmt *);
extern sqlite3_value *sqlite3_column_value(sqlite3_stmt *, int);
extern int sqlite3_value_type(sqlite3_value *);
extern int64_t sqlite3_value_int64(sqlite3_value *);
extern double sqlite3_value_double(sqlite3_value *);
extern const unsigned char *sqlite3_value_text(sqlite3_value *);
extern const void *sqlite3_value_blob(sqlite3_value *);
extern int sqlite3_value_bytes(sqlite3_value *);
extern sqlite3 *sqlite3_db_handle(sqlite3_stmt *);
extern int sqlite3_extended_errcode(sqlite3 *);
extern const char *sqlite3_errmsg(sqlite3 *);
extern const char *sqlite3_errstr(int);
extern int sqlite3_system_errno(sqlite3 *);

enum {
	OK = 0, NO_MEMORY = 7, ROW = 100, DONE = 101, /* SQLITE_OK, _NOMEM, _ROW, _DONE */
	PRIMARY = 0xff,                               /* the part of a code that is not its extension */
	PERSISTENT = 1,                               /* SQLITE_PREPARE_PERSISTENT */
	UTF8 = 1,
};

/* SQLite's storage classes. The first four have the same numbers as crdt.Kind; crdt's NULL is 0. */
enum { INTEGER = 1, REAL = 2, TEXT = 3, BLOB = 4, NOTHING = 0 };

enum { HEAD = 2, CELL = 2, END = -1 }; /* words before the values, words of each, after the last row */

/* What a run has come to: ROW, DONE or what failed. A row that did not fit into the buffer is
 * in memory of its own, of so many words, which the caller frees. */
struct ravno_outcome {
	int64_t *large, words;
	int code;
};

static sqlite3 *connection(int64_t handle) { return (sqlite3 *)(intptr_t)handle; }

/* ravno_prepare compiles the first statement of a text, and tells how much of the text that
 * was and how many parameters it has. */
int ravno_prepare(int64_t handle, const char *sql, int length, sqlite3_stmt **statement, int *used, int *parameters) {
	const char *tail = sql;
	int code = sqlite3_prepare_v3(connection(handle), sql, length, PERSISTENT, statement, &tail);
	if (code != OK) {
		int extended = sqlite3_extended_errcode(connection(handle));
		return (extended & PRIMARY) == (code & PRIMARY) ? extended : code;
	}
	*used = (int)(tail - sql);
	*parameters = sqlite3_bind_parameter_count(*statement);
	return OK;
}

void ravno_finalize(sqlite3_stmt *statement) { sqlite3_finalize(statement); }

/* ravno_message is what the connection says about its last failure, which had this code. */
const char *ravno_message(int64_t handle, int code) {
	sqlite3 *db = connection(handle);
	return (sqlite3_extended_errcode(db) & PRIMARY) == (code & PRIMARY) ? sqlite3_errmsg(db) : sqlite3_errstr(code);
}

int ravno_system_errno(int64_t handle) { return sqlite3_system_errno(connection(handle)); }

/* settle ends a run: afterwards the statement holds no lock and refers to none of our memory. */
static int settle(sqlite3_stmt *s, int code) {
	int end = sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	if (code == ROW || code == DONE) {
		if (end == OK) {
			return code;
		}
		code = end;
	}
	int extended = sqlite3_extended_errcode(sqlite3_db_handle(s));
	return (extended & PRIMARY) == (code & PRIMARY) ? extended : code;
}

/* ravno_reset ends a run that is given up. */
void ravno_reset(sqlite3_stmt *s) { settle(s, DONE); }

/* bind binds a packed row of arguments. With no destructor SQLite reads the bytes where they
 * are: then the statement must be settled before the call into C returns. */
static int bind(sqlite3_stmt *s, const int64_t *args, destructor how) {
	int count = (int)args[0];
	const int64_t *cell = args + HEAD;
	const char *bytes = (const char *)(cell + CELL * count);
	for (int i = 1; i <= count; i++, cell += CELL) {
		int64_t number = cell[1];
		double real;
		int code;
		switch (cell[0]) {
		case INTEGER:
			code = sqlite3_bind_int64(s, i, number);
			break;
		case REAL:
			memcpy(&real, &number, sizeof real);
			code = sqlite3_bind_double(s, i, real);
			break;
		case TEXT:
			code = sqlite3_bind_text64(s, i, bytes, (uint64_t)number, how, UTF8);
			bytes += number;
			break;
		case BLOB:
			code = sqlite3_bind_blob64(s, i, bytes, (uint64_t)number, how);
			bytes += number;
			break;
		default:
			code = sqlite3_bind_null(s, i);
		}
		if (code != OK) {
			return code;
		}
	}
	return OK;
}

/* pack writes the current row, if there is room for it, and returns how many words it takes
 * either way; 0 if memory ran out. */
static int64_t pack(sqlite3_stmt *s, int64_t *out, int64_t room) {
	int columns = sqlite3_data_count(s);
	int64_t cells = HEAD + CELL * (int64_t)columns, bytes = 0, words = cells;
	for (int i = 0; i < columns; i++) {
		sqlite3_value *v = sqlite3_column_value(s, i);
		int64_t kind = sqlite3_value_type(v), number = 0, length = 0;
		const void *data = 0;
		double real;
		switch (kind) {
		case INTEGER:
			number = sqlite3_value_int64(v);
			break;
		case REAL:
			real = sqlite3_value_double(v);
			memcpy(&number, &real, sizeof number);
			break;
		case TEXT:
		case BLOB: /* an empty blob has no address */
			data = kind == TEXT ? sqlite3_value_text(v) : sqlite3_value_blob(v);
			number = length = sqlite3_value_bytes(v);
			if (!data && (kind == TEXT || length > 0)) {
				return 0;
			}
			break;
		default:
			kind = NOTHING;
		}
		words = cells + (bytes + length + 7) / 8;
		if (words <= room) {
			out[HEAD + CELL * i] = kind;
			out[HEAD + CELL * i + 1] = number;
			if (length > 0) {
				memcpy((char *)(out + cells) + bytes, data, (size_t)length);
			}
		}
		bytes += length;
	}
	if (words <= room) {
		out[0] = columns;
		out[1] = bytes;
	}
	return words;
}

/* put packs the current row into what is left of a buffer, or else into memory of its own, and
 * returns how many words of the buffer it took. */
static int64_t put(sqlite3_stmt *s, int64_t *out, int64_t room, struct ravno_outcome *outcome) {
	int64_t words = pack(s, out, room);
	if (words > 0 && words <= room) {
		return words;
	}
	int64_t *own = words > 0 ? malloc((size_t)words * sizeof *own) : 0;
	if (!own || pack(s, own, words) != words) {
		free(own);
		outcome->code = NO_MEMORY;
		return 0;
	}
	outcome->large = own;
	outcome->words = words;
	return 0;
}

/* ravno_exec runs a statement to its end. */
int ravno_exec(sqlite3_stmt *s, const int64_t *args) {
	int code = bind(s, args, (destructor)0);
	if (code == OK) {
		do {
			code = sqlite3_step(s);
		} while (code == ROW);
	}
	return settle(s, code);
}

/* ravno_row runs a query for its first row: ROW if there is one, DONE if there is none. */
struct ravno_outcome ravno_row(sqlite3_stmt *s, const int64_t *args, int64_t *out, int64_t room) {
	struct ravno_outcome outcome = {0, 0, bind(s, args, (destructor)0)};
	if (outcome.code == OK) {
		outcome.code = sqlite3_step(s);
	}
	if (outcome.code == ROW) {
		put(s, out, room, &outcome);
	}
	outcome.code = settle(s, outcome.code);
	return outcome;
}

/* ravno_rows begins a query, or goes on if there are no arguments, and packs as many rows as
 * fit. ROW if there may be more, DONE if there are none; what is packed counts in any case.
 * The buffer is one word larger than the room, for the end. */
struct ravno_outcome ravno_rows(sqlite3_stmt *s, const int64_t *args, int64_t *out, int64_t room) {
	/* The arguments are copied, because the run outlasts this call. */
	struct ravno_outcome outcome = {0, 0, args ? bind(s, args, (destructor)-1) : OK};
	int64_t used = 0;
	if (outcome.code == OK) {
		outcome.code = ROW;
	}
	while (outcome.code == ROW && !outcome.large && used < room) {
		outcome.code = sqlite3_step(s);
		if (outcome.code == ROW) {
			used += put(s, out + used, room - used, &outcome);
		}
	}
	out[used] = END;
	if (outcome.code != ROW) {
		outcome.code = settle(s, outcome.code);
	}
	return outcome;
}
