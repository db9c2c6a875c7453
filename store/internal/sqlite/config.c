#include <stdint.h>

/* The few declarations of SQLite's C interface used here. The library itself is the
 * amalgamation compiled into github.com/mattn/go-sqlite3, so no header is needed and
 * none can disagree with it. The numbers are part of SQLite's stable interface. */
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_value sqlite3_value;

extern int sqlite3_config(int op, ...);
extern int sqlite3_compileoption_used(const char *);
extern int sqlite3_auto_extension(void (*entry)(void));
extern int sqlite3_db_config(sqlite3 *, int op, ...);
extern int sqlite3_create_function_v2(sqlite3 *, const char *name, int args, int flags, void *data,
	void (*function)(sqlite3_context *, int, sqlite3_value **), void (*step)(sqlite3_context *, int, sqlite3_value **),
	void (*final)(sqlite3_context *), void (*destroy)(void *));
extern sqlite3 *sqlite3_context_db_handle(sqlite3_context *);
extern int sqlite3_value_int(sqlite3_value *);
extern int sqlite3_busy_timeout(sqlite3 *, int);
extern void sqlite3_result_int(sqlite3_context *, int);
extern void sqlite3_result_int64(sqlite3_context *, int64_t);
extern void sqlite3_result_error_code(sqlite3_context *, int);

enum {
	CONFIG_MEMSTATUS = 9,              /* SQLITE_CONFIG_MEMSTATUS */
	UTF8 = 1,
	DIRECT_ONLY = 0x80000,             /* SQLITE_DIRECTONLY: never from a trigger or view of the file */
	DBCONFIG_ENABLE_TRIGGER = 1003,    /* SQLITE_DBCONFIG_ENABLE_TRIGGER */
	DBCONFIG_NO_CKPT_ON_CLOSE = 1006,  /* SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE */
	DBCONFIG_ENABLE_QPSG = 1007,       /* SQLITE_DBCONFIG_ENABLE_QPSG */
};

/* ravno_triggers(on) switches the triggers of the connection it is called on. TEMP triggers
 * go on firing. */
static void set_triggers(sqlite3_context *context, int count, sqlite3_value **values) {
	int result = 0;
	(void)count;
	int code = sqlite3_db_config(sqlite3_context_db_handle(context), DBCONFIG_ENABLE_TRIGGER,
		sqlite3_value_int(values[0]), &result);
	if (code != 0) {
		sqlite3_result_error_code(context, code);
		return;
	}
	sqlite3_result_int(context, result);
}

/* ravno_handle() is the address of the connection it is called on, for statement.c. */
static void tell_handle(sqlite3_context *context, int count, sqlite3_value **values) {
	(void)count;
	(void)values;
	sqlite3_result_int64(context, (int64_t)(intptr_t)sqlite3_context_db_handle(context));
}

/* configure runs for every connection this process opens, before its first statement. */
static int configure(sqlite3 *db, char **error, const void *api) {
	(void)error;
	(void)api;
	int code = sqlite3_db_config(db, DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
	if (code != 0) {
		return code;
	}
	/* Plans are made without looking at the values bound: SQLite would otherwise compile some
	 * statements anew for every value, which takes longer than running them. */
	code = sqlite3_db_config(db, DBCONFIG_ENABLE_QPSG, 1, (int *)0);
	if (code != 0) {
		return code;
	}
	code = sqlite3_create_function_v2(db, "ravno_handle", 0, UTF8 | DIRECT_ONLY, 0, tell_handle, 0, 0, 0);
	if (code != 0) {
		return code;
	}
	return sqlite3_create_function_v2(db, "ravno_triggers", 1, UTF8 | DIRECT_ONLY, 0, set_triggers, 0, 0, 0);
}

int ravno_has_fts5(void) { return sqlite3_compileoption_used("ENABLE_FTS5"); }

int ravno_busy_timeout(int64_t connection, int milliseconds) {
	return sqlite3_busy_timeout((sqlite3 *)(intptr_t)connection, milliseconds);
}

int ravno_register(void) {
	/* Nobody asks SQLite how much memory it uses, and to know it every allocation takes a
	 * lock of the whole process. It is refused once SQLite is in use, which is no harm. */
	sqlite3_config(CONFIG_MEMSTATUS, 0);
	return sqlite3_auto_extension((void (*)(void))configure);
}
