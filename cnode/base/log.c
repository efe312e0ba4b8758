/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines. Whoever logs only queues: a log file on a full disk or a stuck terminal
 * must never delay a tick (design rule 3).
 */
#include "cnode/base/base.h"

#include <stdio.h>

#define QUEUE_MAX 1024

struct line {
	struct line *next;
	enum cnode_log_level level;
	char text[];
};

struct cn_log {
	_Atomic int level;
	unsigned trace;             /* CN_TRACE_…; immutable once the log is used */
	cnode_log_fn *write;
	void *context;
	struct cn_mutex lock;       /* guards what follows */
	struct cn_cond wake;        /* the writer waits here */
	struct cn_cond written;     /* cn_log_flush waits here */
	struct line *first, **last;
	size_t count;
	uint64_t queued, done;      /* lines ever queued, ever written */
	uint64_t lost;              /* lines that found no room since the last report */
	bool ending;
	struct cn_thread writer;
};

static const char *const names[] = { "none", "error", "warning", "notice", "info", "debug" };

const char *cnode_log_level_name(enum cnode_log_level level)
{
	return (size_t)level < CN_ARRAY_SIZE(names) ? names[level] : "none";
}

int cnode_log_level_parse(const char *name, enum cnode_log_level *level)
{
	for (size_t i = 0; name && i < CN_ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*level = (enum cnode_log_level)i;
			return 0;
		}
	}
	return CNODE_EBADARG;
}

static void write_stderr(void *context, enum cnode_log_level level, const char *text)
{
	(void)context;
	fprintf(stderr, "cnode: %s: %s\n", cnode_log_level_name(level), text);
}

static void writer_run(void *arg)
{
	struct cn_log *log = arg;
	cn_mutex_lock(&log->lock);
	for (;;) {
		while (!log->first && !log->ending && !log->lost)
			cn_cond_wait(&log->wake, &log->lock);
		if (!log->first && !log->lost)
			break;
		struct line *l = log->first;
		uint64_t lost = 0;
		if (l) {
			log->first = l->next;
			if (!log->first)
				log->last = &log->first;
			log->count--;
		} else {
			lost = log->lost;
			log->lost = 0;
		}
		cn_mutex_unlock(&log->lock);
		if (l) {
			log->write(log->context, l->level, l->text);
			cn_free(l);
		} else {
			char text[80];
			snprintf(text, sizeof text, "%llu log lines were lost: the log is written too slowly",
				 (unsigned long long)lost);
			log->write(log->context, CNODE_LOG_WARNING, text);
		}
		cn_mutex_lock(&log->lock);
		if (l)
			log->done++;
		cn_cond_broadcast(&log->written);
	}
	cn_mutex_unlock(&log->lock);
}

int cn_log_new(enum cnode_log_level level, cnode_log_fn *write, void *context, struct cn_log **out)
{
	struct cn_log *log = cn_calloc(1, sizeof *log);
	if (!log)
		return CNODE_ENOMEM;
	atomic_init(&log->level, (int)level);
	log->write = write ? write : write_stderr;
	log->context = context;
	log->last = &log->first;
	cn_mutex_init(&log->lock);
	cn_cond_init(&log->wake);
	cn_cond_init(&log->written);
	int rc = cn_thread_start(&log->writer, "cnode-log", writer_run, log);
	if (rc != 0) {
		cn_cond_fini(&log->written);
		cn_cond_fini(&log->wake);
		cn_mutex_fini(&log->lock);
		cn_free(log);
		return rc;
	}
	*out = log;
	return 0;
}

void cn_log_free(struct cn_log *log)
{
	if (!log)
		return;
	cn_mutex_lock(&log->lock);
	log->ending = true;
	cn_cond_signal(&log->wake);
	cn_mutex_unlock(&log->lock);
	cn_thread_join(&log->writer);
	cn_cond_fini(&log->written);
	cn_cond_fini(&log->wake);
	cn_mutex_fini(&log->lock);
	cn_free(log);
}

void cn_log_set_level(struct cn_log *log, enum cnode_log_level level)
{
	atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool cn_log_on(const struct cn_log *log, enum cnode_log_level level)
{
	return log && level != CNODE_LOG_NONE &&
	       (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void cn_log_put(struct cn_log *log, enum cnode_log_level level, const char *fmt, va_list args)
{
	if (!log || level == CNODE_LOG_NONE)
		return;
	va_list again;
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, fmt, args);
	struct line *l = size < 0 ? NULL : cn_malloc(sizeof *l + (size_t)size + 1);
	if (l) {
		l->next = NULL;
		l->level = level;
		vsnprintf(l->text, (size_t)size + 1, fmt, again);
		/* One entry is one line, whatever a peer put into a name. */
		for (char *c = l->text; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				*c = ' ';
	}
	va_end(again);

	cn_mutex_lock(&log->lock);
	if (!l || log->count >= QUEUE_MAX) {
		log->lost++;
	} else {
		*log->last = l;
		log->last = &l->next;
		log->count++;
		log->queued++;
		l = NULL;
	}
	cn_cond_signal(&log->wake);
	cn_mutex_unlock(&log->lock);
	cn_free(l);
}

void cn_log_line(struct cn_log *log, enum cnode_log_level level, const char *fmt, ...)
{
	if (!cn_log_on(log, level))
		return;
	va_list args;
	va_start(args, fmt);
	cn_log_put(log, level, fmt, args);
	va_end(args);
}

/* ---- tracing ---- */

int cn_trace_parse(const char *text, unsigned *mask, const char **bad)
{
	static const struct {
		const char *word;
		unsigned bits;
	} words[] = {
#define WORD(name, word, bit) { word, bit },
		CN_TRACE_MAP(WORD)
#undef WORD
		{ "all", ~0u },
	};
	*mask = 0;
	while (*text) {
		size_t size = strcspn(text, ","), i = 0;
		while (i < CN_ARRAY_SIZE(words) && (strlen(words[i].word) != size || memcmp(words[i].word, text, size) != 0))
			i++;
		if (i == CN_ARRAY_SIZE(words)) {
			*bad = text;
			return CNODE_EBADARG;
		}
		*mask |= words[i].bits;
		text += size;
		text += *text == ',';
	}
	return 0;
}

void cn_log_set_trace(struct cn_log *log, unsigned mask)
{
	log->trace = mask;
}

bool cn_trace_on(const struct cn_log *log, enum cn_trace what)
{
	return log && (log->trace & what);
}

void cn_trace_line(struct cn_log *log, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	cn_log_put(log, CNODE_LOG_DEBUG, fmt, args);
	va_end(args);
}

void cn_log_flush(struct cn_log *log)
{
	if (!log)
		return;
	cn_mutex_lock(&log->lock);
	uint64_t upto = log->queued;
	while (log->done < upto)
		cn_cond_wait(&log->written, &log->lock);
	cn_mutex_unlock(&log->lock);
}

bool cn_log_pass(struct cn_log_gate *gate, uint32_t burst, uint32_t *held)
{
	uint64_t second = cn_now() / CN_NS_PER_S + 1;   /* never 0, the fresh gate's window */
	uint64_t window = atomic_load(&gate->window);
	*held = 0;
	if (window != second && atomic_compare_exchange_strong(&gate->window, &window, second)) {
		atomic_store(&gate->passed, 0);
		*held = atomic_exchange(&gate->held, 0);
	}
	if (atomic_fetch_add(&gate->passed, 1) < burst)
		return true;
	atomic_fetch_add(&gate->held, 1);
	return false;
}
