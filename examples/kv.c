/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv: a key-value store on SQLite. Keys and values are any Erlang terms. Each process of the
 * factory has the database open for itself; what put has answered is on disk, also after
 * kill -9. A callback waits for the disk and for other writers, and delays nobody by that.
 *
 *     cc -shared -fPIC kv.c $(pkg-config --cflags cnode sqlite3) $(pkg-config --libs sqlite3) -o kv.so
 *     cnoded -sname c -load ./kv -allow kv
 *
 *     Pid = spawn_link('c@host', kv, start, [<<"/var/lib/app/kv.db">>]),
 *     ok = gen_server:call(Pid, {put, {user, 17}, #{name => <<"Joe">>}}),
 *     {ok, #{}} = gen_server:call(Pid, {get, {user, 17}}),
 *     ok = gen_server:call(Pid, {delete, {user, 17}}),
 *     not_found = gen_server:call(Pid, {get, {user, 17}}),
 *     {ok, 0} = gen_server:call(Pid, count).
 *
 * Two keys are the same when they are the same bytes in the external term format: 1 and 1.0
 * differ, and so may two maps whose keys were put in another order.
 */
#include <cnode/cnode.h>
#include <sqlite3.h>
#include <string.h>

#define BUSY_MS 2000                    /* how long a writer waits for another */

struct kv {
	sqlite3 *db;
	sqlite3_stmt *put, *get, *delete, *count;
};

/* ---- SQLite ---- */

static int prepare(struct kv *s, const char *sql, sqlite3_stmt **made)
{
	return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, made, NULL);
}

static int open_store(struct kv *s, const char *path)
{
	int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(s->db, BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				  "CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
				  NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = prepare(s, "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", &s->put);
	if (rc == SQLITE_OK)
		rc = prepare(s, "SELECT value FROM kv WHERE key = ?1", &s->get);
	if (rc == SQLITE_OK)
		rc = prepare(s, "DELETE FROM kv WHERE key = ?1", &s->delete);
	if (rc == SQLITE_OK)
		rc = prepare(s, "SELECT count(*) FROM kv", &s->count);
	return rc;
}

/* Binds a term as its bytes, which are borrowed until the statement is reset. 0, a code of cnode/error.h. */
static int bind(sqlite3_stmt *statement, int index, cnode_term term)
{
	const char *bytes;
	int size;
	int rc = cnode_term_ei(term, &bytes, &size);
	if (rc != 0)
		return rc;
	return sqlite3_bind_blob(statement, index, bytes, size, SQLITE_STATIC) == SQLITE_OK ? 0 : CNODE_ENOMEM;
}

static int reset(sqlite3_stmt *statement)
{
	int rc = sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc;
}

/* ---- the process ---- */

static int kv_init(cnode_process *self, void *state, const cnode_start *how)
{
	struct kv *s = state;
	char path[4096];
	const char *given;
	size_t size;
	if (cnode_scan(how->args, "[~z]", &given, &size) != 0 || size == 0 || size >= sizeof path)
		return CNODE_EBADARG;
	memcpy(path, given, size);
	path[size] = '\0';
	if (open_store(s, path) == SQLITE_OK)
		return 0;
	/* {sqlite, Text}: the reason of the start. `release` closes what was opened. */
	int rc = cnode_stop(self, "{sqlite,~z}", s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
	return rc != 0 ? rc : CNODE_EEXITED;
}

static int failed(struct kv *s, cnode_from *from)
{
	return cnode_reply(from, "{error,{sqlite,~z}}", sqlite3_errmsg(s->db));
}

/* Runs a statement that has no rows. */
static int run(struct kv *s, cnode_from *from, sqlite3_stmt *statement)
{
	sqlite3_step(statement);
	return reset(statement) == SQLITE_OK ? cnode_reply(from, "ok") : failed(s, from);
}

static int answer_value(struct kv *s, cnode_from *from)
{
	cnode_term value;
	int rc = sqlite3_step(s->get);
	if (rc == SQLITE_DONE && reset(s->get) == SQLITE_OK)
		return cnode_reply(from, "not_found");
	if (rc != SQLITE_ROW) {
		reset(s->get);
		return failed(s, from);
	}
	/* What comes from the disk is verified like what comes from the network. */
	rc = cnode_term_from_bytes(sqlite3_column_blob(s->get, 0), (size_t)sqlite3_column_bytes(s->get, 0), &value);
	reset(s->get);
	if (rc != 0)
		return cnode_reply(from, "{error,damaged}");
	rc = cnode_reply(from, "{ok,~t}", value);
	cnode_term_drop(value);
	return rc;
}

static int answer_count(struct kv *s, cnode_from *from)
{
	if (sqlite3_step(s->count) != SQLITE_ROW) {
		reset(s->count);
		return failed(s, from);
	}
	int64_t count = sqlite3_column_int64(s->count, 0);
	reset(s->count);
	return cnode_reply(from, "{ok,~q}", count);
}

static int kv_call(cnode_process *self, void *state, cnode_from *from, cnode_term request)
{
	struct kv *s = state;
	cnode_term key, value;
	int rc;
	(void)self;
	if (cnode_scan(request, "count") == 0)
		return answer_count(s, from);
	if (cnode_scan(request, "{get,~t}", &key) == 0)
		return (rc = bind(s->get, 1, key)) != 0 ? rc : answer_value(s, from);
	if (cnode_scan(request, "{delete,~t}", &key) == 0)
		return (rc = bind(s->delete, 1, key)) != 0 ? rc : run(s, from, s->delete);
	if (cnode_scan(request, "{put,~t,~t}", &key, &value) == 0) {
		if ((rc = bind(s->put, 1, key)) != 0 || (rc = bind(s->put, 2, value)) != 0)
			return rc;
		return run(s, from, s->put);
	}
	return cnode_reply(from, "{error,bad_request}");
}

/* The last call, however the process ends: here is closed what must be closed. */
static void kv_release(void *state)
{
	struct kv *s = state;
	sqlite3_finalize(s->put);
	sqlite3_finalize(s->get);
	sqlite3_finalize(s->delete);
	sqlite3_finalize(s->count);
	sqlite3_close(s->db);
}

static const cnode_behaviour kv = {
	CNODE_BEHAVIOUR_INIT,
	.state_size = sizeof(struct kv),
	.init = kv_init,
	.handle_call = kv_call,
	.release = kv_release,
};

static int start(cnode_node *node, void **state)
{
	(void)state;
	return cnode_factory_add(node, "kv", &kv, NULL, CNODE_NO_NODES);
}

CNODE_MODULE("kv", start, NULL)
