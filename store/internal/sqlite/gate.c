//go:build unix

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The gate (gate.go) in terms of the wal-index, the -shm file of a database in WAL mode. Its
 * layout and its locks are part of SQLite's file format: https://www.sqlite.org/walformat.html.
 *
 *     offset 0 and 48   the header, twice; mxFrame, at 16, is the last frame of the last commit
 *     offset 96         nBackfill: all frames up to this one are in the database file
 *     offset 100        five read marks: who reads up to a frame holds the lock of a mark that says so
 *     offset 120 + n    the byte to lock for lock n: 0 to write, 1 to checkpoint, 3 to 7 the marks
 *
 * SQLite counts the locks of a process itself, because the system gives them to the process as a
 * whole. So a lock is first taken through SQLite, shared; then nothing that our other connections
 * do makes SQLite touch it in the system, and we may make it exclusive there, and shared again.
 *
 * The declarations are those of SQLite's C interface that are used here; see config.c. */
typedef struct sqlite3 sqlite3;
typedef struct file file;

struct methods { /* sqlite3_io_methods, version 2 */
	int version;
	int (*close)(file *);
	int (*read)(file *, void *, int, int64_t);
	int (*write)(file *, const void *, int, int64_t);
	int (*truncate)(file *, int64_t);
	int (*sync)(file *, int flags);
	int (*size)(file *, int64_t *);
	int (*lock)(file *, int);
	int (*unlock)(file *, int);
	int (*check_reserved)(file *, int *);
	int (*control)(file *, int, void *);
	int (*sector)(file *);
	int (*characteristics)(file *);
	int (*shm_map)(file *, int region, int size, int extend, void volatile **);
	int (*shm_lock)(file *, int first, int count, int flags);
	void (*shm_barrier)(file *);
	int (*shm_unmap)(file *, int);
};

struct file { const struct methods *methods; }; /* sqlite3_file */

extern int sqlite3_file_control(sqlite3 *, const char *schema, int op, void *);

enum {
	OK = 0,                                        /* SQLITE_OK */
	FILE_POINTER = 7,                              /* SQLITE_FCNTL_FILE_POINTER */
	JOURNAL_POINTER = 28,                          /* SQLITE_FCNTL_JOURNAL_POINTER: the -wal file */
	SYNC = 2,                                      /* SQLITE_SYNC_NORMAL */
	UNLOCK = 1, LOCK = 2, SHARED = 4, EXCLUSIVE = 8, /* SQLITE_SHM_... */
	REGION = 32768,                                /* of shared memory, as SQLite maps it */
	HEADER = 48, IS_INIT = 12, MAX_FRAME = 16, BACKFILL = 96, MARKS = 100, LOCKS = 120,
	CHECKPOINT_LOCK = 1, FIRST_MARK = 3, MARK_COUNT = 5, NOBODY = -1,
};

static const uint32_t unused = 0xffffffff; /* what a mark says that is for no frame */

/* What shutting the gate has come to; as in gate.go. */
enum { SHUT = 0, SOMEBODY_READS = 1, UNDER_WAY = 2, EARLIER_READ = 3 };

struct ravno_gate {
	file *file, *log; /* the database, and its -wal file */
	volatile unsigned char *shm;
	int descriptor;                /* of the -shm file */
	unsigned taken;                /* a bit for each mark whose lock is ours alone */
	int next;                      /* the mark for whoever comes after; 0: none was free */
	int no_checkpoints;            /* the checkpoint lock is ours */
	/* Who reads at a mark while we commit can no longer write: the frame of the mark, or NOBODY. First
	 * those who are there before the commit, and then, for as long as they read, those who were. */
	int64_t present[MARK_COUNT], outdated[MARK_COUNT];
	unsigned char before[HEADER]; /* the commit that they may read */
	int writing;                  /* a transaction of ours is on its way since then */
};

/* ravno_gate_new makes a gate of a connection that has read from a file in WAL mode, and that
 * is used for nothing else; null if that has no shared memory. The descriptor is of the -shm file. */
struct ravno_gate *ravno_gate_new(int64_t connection, int descriptor) {
	sqlite3 *db = (sqlite3 *)(intptr_t)connection;
	file *f = 0, *log = 0;
	void volatile *shm = 0;
	if (sqlite3_file_control(db, "main", FILE_POINTER, &f) != OK || !f || !f->methods || f->methods->version < 2 ||
		!f->methods->shm_map || f->methods->shm_map(f, 0, REGION, 0, &shm) != OK || !shm ||
		sqlite3_file_control(db, "main", JOURNAL_POINTER, &log) != OK || !log || !log->methods) {
		return 0;
	}
	struct ravno_gate *g = calloc(1, sizeof *g);
	if (g) {
		g->file = f;
		g->log = log;
		g->shm = shm;
		g->descriptor = descriptor;
		for (int mark = 0; mark < MARK_COUNT; mark++) {
			g->present[mark] = g->outdated[mark] = NOBODY;
		}
	}
	return g;
}

static volatile uint32_t *word(struct ravno_gate *g, int offset) { return (volatile uint32_t *)(g->shm + offset); }

static uint32_t load(struct ravno_gate *g, int offset) { return __atomic_load_n(word(g, offset), __ATOMIC_ACQUIRE); }

static uint32_t frame_of(struct ravno_gate *g, int mark) { return load(g, MARKS + 4 * mark); }

static void set_frame(struct ravno_gate *g, int mark, uint32_t frame) {
	__atomic_store_n(word(g, MARKS + 4 * mark), frame, __ATOMIC_RELEASE);
}

static int shm_lock(struct ravno_gate *g, int lock, int how) { return g->file->methods->shm_lock(g->file, lock, 1, how) == OK; }

/* in_system changes what the system knows of our lock on a mark; F_GETLK asks for another's. */
static int in_system(struct ravno_gate *g, int mark, int command, short *type) {
	struct flock f;
	memset(&f, 0, sizeof f);
	f.l_type = *type;
	f.l_whence = SEEK_SET;
	f.l_start = LOCKS + FIRST_MARK + mark;
	f.l_len = 1;
	int done = fcntl(g->descriptor, command, &f) == 0;
	*type = f.l_type;
	return done;
}

static int set_in_system(struct ravno_gate *g, int mark, short type) { return in_system(g, mark, F_SETLK, &type); }

/* take locks a mark against every other process: it fails if one of them reads there. */
static int take(struct ravno_gate *g, int mark) {
	if (!shm_lock(g, FIRST_MARK + mark, LOCK | SHARED)) {
		return 0;
	}
	if (!set_in_system(g, mark, F_WRLCK)) {
		shm_lock(g, FIRST_MARK + mark, UNLOCK | SHARED);
		return 0;
	}
	g->taken |= 1u << mark;
	g->outdated[mark] = NOBODY;
	return 1;
}

/* release gives taken marks back: those below an end. */
static void release(struct ravno_gate *g, int end) {
	for (int mark = 0; mark < end; mark++) {
		if (g->taken & 1u << mark) {
			set_in_system(g, mark, F_RDLCK);
			shm_lock(g, FIRST_MARK + mark, UNLOCK | SHARED);
			g->taken &= ~(1u << mark);
		}
	}
}

/* claim locks a mark that nobody uses, neither here nor elsewhere, and returns it; 0: there is none. */
static int claim(struct ravno_gate *g) {
	for (int mark = 1; mark < MARK_COUNT; mark++) {
		if (shm_lock(g, FIRST_MARK + mark, LOCK | EXCLUSIVE)) {
			return mark;
		}
	}
	return 0;
}

/* give sets a claimed mark to a frame and lets others read there. */
static void give(struct ravno_gate *g, int mark, uint32_t frame) {
	set_frame(g, mark, frame);
	shm_lock(g, FIRST_MARK + mark, UNLOCK | EXCLUSIVE);
}

/* header copies the header, if it is whole. */
static int header(struct ravno_gate *g, unsigned char *copy) {
	memcpy(copy, (const void *)g->shm, HEADER);
	g->file->methods->shm_barrier(g->file);
	return memcmp(copy, (const void *)(g->shm + HEADER), HEADER) == 0 && copy[IS_INIT] != 0;
}

/* ravno_gate_open lets everybody in again, at a mark that is set to what is committed by now. Without
 * it, whoever has just seen the commit could not claim a mark, and would read it at an earlier one,
 * where it looks like somebody who reads an earlier commit. Who has tried to claim one before goes
 * for those, so they stay locked until ravno_gate_leave. */
void ravno_gate_open(struct ravno_gate *g) {
	if (g->writing && memcmp(g->before, (const void *)g->shm, HEADER) != 0) {
		for (int mark = 1; mark < MARK_COUNT; mark++) {
			g->outdated[mark] = g->present[mark];
		}
	}
	g->writing = 0;
	if (g->next) {
		give(g, g->next, load(g, MAX_FRAME));
		g->next = 0;
	}
	release(g, 1);
	if (g->no_checkpoints) {
		shm_lock(g, CHECKPOINT_LOCK, UNLOCK | EXCLUSIVE);
		g->no_checkpoints = 0;
	}
}

/* ravno_gate_leave gives back what is locked still. */
void ravno_gate_leave(struct ravno_gate *g) {
	ravno_gate_open(g);
	release(g, MARK_COUNT);
}

/* find looks whether a mark is set to the last commit, and else sets one, as a reader would. */
static int find(struct ravno_gate *g, uint32_t frame) {
	int mark;
	for (mark = 1; mark < MARK_COUNT; mark++) {
		if (frame_of(g, mark) == frame) {
			return 1;
		}
	}
	mark = claim(g);
	if (mark) {
		give(g, mark, frame);
	}
	return mark != 0;
}

/* pass decides on a mark that could not be taken. Whoever reads an earlier commit cannot write any more, and
 * is no concern of ours. But an earlier mark does not tell: whoever goes through a result and commits what
 * it changes on the way reads its own commits, at the mark where it began. So it is waited for, unless a
 * commit of ours has outdated it. Insist says that it has been waited for. */
static int pass(struct ravno_gate *g, int mark, uint32_t frame, int insist) {
	short type = F_WRLCK;
	if (!in_system(g, mark, F_GETLK, &type) || type != F_RDLCK) {
		return UNDER_WAY; /* a mark is being claimed, or was given up just now */
	}
	uint32_t reads = frame_of(g, mark);
	if (reads == frame) {
		return SOMEBODY_READS;
	}
	if (g->outdated[mark] != (int64_t)reads && !insist) {
		return EARLIER_READ;
	}
	g->present[mark] = reads;
	return SHUT;
}

/* take_all takes every mark at which a process that begins to read now could do so, and every one
 * that it could claim: then it has to wait. The checkpoint lock is held, so the database file does not
 * become the last commit meanwhile. */
static int take_all(struct ravno_gate *g, uint32_t frame, int insist) {
	if (!find(g, frame)) {
		return SOMEBODY_READS; /* all marks are in use, some perhaps for the last commit */
	}
	int current = 0;
	for (int mark = 1; mark < MARK_COUNT; mark++) {
		if (frame_of(g, mark) != frame && !g->next && shm_lock(g, FIRST_MARK + mark, LOCK | EXCLUSIVE)) {
			set_frame(g, mark, unused);
			g->next = mark;
			g->outdated[mark] = NOBODY;
		} else if (take(g, mark)) {
			current |= frame_of(g, mark) == frame;
		} else {
			int outcome = pass(g, mark, frame, insist);
			if (outcome != SHUT) {
				return outcome;
			}
		}
	}
	if (load(g, BACKFILL) == frame && !take(g, 0)) {
		return SOMEBODY_READS;
	}
	return current ? SHUT : UNDER_WAY;
}

/* ravno_gate_together is the end of ravno_gate_alone. Where a reader of ours has come meanwhile, its lock
 * stays. */
void ravno_gate_together(struct ravno_gate *g) {
	for (int mark = 1; mark < MARK_COUNT; mark++) {
		short others = F_WRLCK;
		if (shm_lock(g, FIRST_MARK + mark, LOCK | EXCLUSIVE)) {
			shm_lock(g, FIRST_MARK + mark, UNLOCK | EXCLUSIVE); /* in the system, too */
		} else if (in_system(g, mark, F_GETLK, &others) && others == F_UNLCK) {
			set_in_system(g, mark, F_RDLCK);
		}
	}
	release(g, 1);
}

/* ravno_gate_header copies the header, which differs after every commit of anybody, and says whether it
 * was whole. It may be called beside the others, as may ravno_gate_sync. */
int ravno_gate_header(struct ravno_gate *g, unsigned char *copy) { return header(g, copy); }

/* ravno_gate_frames tells how many frames there are in the -wal file, and how many of them have yet to
 * come into the database file. */
void ravno_gate_frames(struct ravno_gate *g, int64_t *all, int64_t *left) {
	uint32_t frames = load(g, MAX_FRAME), done = load(g, BACKFILL);
	*all = frames;
	*left = frames > done ? frames - done : 0;
}

/* ravno_gate_sync puts the -wal file on disk: 0, or SQLite's code. */
int ravno_gate_sync(struct ravno_gate *g) { return g->log->methods->sync(g->log, SYNC); }

/* ravno_gate_alone locks every mark against other processes, but leaves those above the first to SQLite,
 * which locks them itself to begin the -wal file anew. It fails if anybody reads, here or elsewhere.
 * Whoever of ours begins to read meanwhile does so at the first, since all is in the database file. */
int ravno_gate_alone(struct ravno_gate *g) {
	ravno_gate_leave(g);
	for (int mark = 1; mark < MARK_COUNT; mark++) {
		if (!shm_lock(g, FIRST_MARK + mark, LOCK | EXCLUSIVE)) {
			return 0;
		}
		shm_lock(g, FIRST_MARK + mark, UNLOCK | EXCLUSIVE);
	}
	int alone = take(g, 0);
	for (int mark = 1; alone && mark < MARK_COUNT; mark++) {
		alone = set_in_system(g, mark, F_WRLCK);
	}
	if (!alone) {
		ravno_gate_together(g);
	}
	return alone;
}

/* ravno_gate_quiet says whether no other process reads anything. */
int ravno_gate_quiet(struct ravno_gate *g) {
	for (int mark = 0; mark < MARK_COUNT; mark++) {
		short type = F_WRLCK;
		if (!in_system(g, mark, F_GETLK, &type) || type != F_UNLCK) {
			return 0;
		}
	}
	return 1;
}

/* read_now says whether somebody reads the last commit where it is usually read. A look that finds him
 * touches no lock. */
static int read_now(struct ravno_gate *g) {
	uint32_t frame = load(g, MAX_FRAME);
	for (int mark = 0; mark < MARK_COUNT; mark++) {
		short type = F_WRLCK;
		if ((mark == 0 ? load(g, BACKFILL) : frame_of(g, mark)) == frame && in_system(g, mark, F_GETLK, &type) && type == F_RDLCK) {
			return 1;
		}
	}
	return 0;
}

/* ravno_gate_force notes, before a commit that waits for nobody any more, who reads: the commit outdates
 * them. ravno_gate_open is to follow it. */
void ravno_gate_force(struct ravno_gate *g) {
	ravno_gate_leave(g);
	g->writing = header(g, g->before);
	for (int mark = 1; mark < MARK_COUNT; mark++) {
		short type = F_WRLCK;
		int somebody = in_system(g, mark, F_GETLK, &type) && type == F_RDLCK;
		g->present[mark] = somebody ? (int64_t)frame_of(g, mark) : NOBODY;
	}
}

/* ravno_gate_shut shuts the gate, if nobody reads the last commit. Insist says that whoever may read it
 * at an earlier mark has been waited for. */
int ravno_gate_shut(struct ravno_gate *g, int insist) {
	unsigned char after[HEADER];
	uint32_t frame;
	ravno_gate_leave(g);
	for (int mark = 0; mark < MARK_COUNT; mark++) {
		g->present[mark] = NOBODY;
	}
	if (read_now(g)) {
		return SOMEBODY_READS;
	}
	if (!shm_lock(g, CHECKPOINT_LOCK, LOCK | EXCLUSIVE)) {
		return UNDER_WAY; /* a checkpoint */
	}
	g->no_checkpoints = 1;
	int outcome = UNDER_WAY; /* a commit, if the header is not whole */
	if (header(g, g->before)) {
		memcpy(&frame, g->before + MAX_FRAME, sizeof frame);
		outcome = take_all(g, frame, insist);
		g->file->methods->shm_barrier(g->file);
		if (outcome == SHUT && (!header(g, after) || memcmp(g->before, after, HEADER) != 0)) {
			outcome = UNDER_WAY; /* something was committed while we looked */
		}
	}
	g->writing = outcome == SHUT;
	if (outcome != SHUT) {
		ravno_gate_leave(g);
	}
	return outcome;
}
