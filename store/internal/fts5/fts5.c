/* FTS5 as an extension that is linked in: it calls SQLite through the table of functions
 * SQLite hands it, so nothing here can disagree with the library at link time. */
#define NDEBUG 1 /* the source's own assertions need fields that only a debug build has */
#include "sqlite3.h"
#include "sqlite3ext.h"
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define SQLITE_PRIVATE static
#include "fts5_amalgamation.h"

#undef sqlite3_auto_extension /* before the first connection there is no table of functions */

int ravno_fts5_register(void) {
	return sqlite3_auto_extension((void (*)(void))sqlite3_fts5_init);
}
