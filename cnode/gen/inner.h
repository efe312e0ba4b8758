/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of gen share: the state of a behaviour's process. Everything belongs to its own thread. */
#ifndef CN_GEN_INNER_H
#define CN_GEN_INNER_H

#include "cnode/gen/gen.h"

/* What init needs, until it has run; straight-line code up to its end. */
struct start {
	cnode_behaviour behaviour;
	void *context;
	bool of_factory;
	cnode_term args;
	cnode_pid caller;
	void (*ended)(void *ended_context);
	void *ended_context;
};
void start_free(struct start *s);
/* As the program sees it. */
cnode_start start_shown(const struct start *s, const struct cnode_process *self);
/* The reason of a code that a callback returned, unless it called cnode_stop. Returns the code. */
int stop_with_code(struct cnode_process *self, int code);

struct cnode_from {
	struct gen *gen;
	cnode_pid pid;
	cnode_term tag;                 /* borrowed from the message; ours once it is kept */
	uint32_t refs;                  /* the callback's, the user's */
	bool kept;
	bool answered;
	bool system;                    /* of a system message, which sys:log and trace do not see */
	struct cnode_from *next, *prev; /* among the kept ones */
};

/* A call that was made and has not ended. */
struct request {
	cnode_ref ref;
	cnode_ref timer;                /* zeroed: none */
	cnode_done_fn *done;
	void *context;
	struct request *next;           /* by ref */
	struct request *timer_next;     /* by timer */
};

#define REQUEST_BUCKETS 256
struct requests {
	struct request *by_ref[REQUEST_BUCKETS];
	struct request *by_timer[REQUEST_BUCKETS];
};

struct gen {
	struct cnode_process *self;
	cnode_behaviour behaviour;      /* as large as ours: what the program's lacks is zero */
	void *context;
	void (*ended)(void *ended_context);     /* of cn_gen_spec */
	void *ended_context;
	struct cnode_from *from;        /* for the next call: there is always one */
	struct cnode_from *kept;
	struct requests *requests;      /* NULL until the first */
	struct cn_gen_attachment *attachments;
	struct debug *debug;            /* NULL: sys looks at nothing */
	cnode_ref idle;                 /* the idle timer */
	uint64_t last;                  /* when the last message came */
	cnode_name peer;                /* whose connection brought the one that is being handled; 0: this node */
	int undelivered;                /* the code of an answer that could not be sent to who called, in this callback; 0: none */
	struct cn_log_gate gate;        /* of what is logged about that */
	bool began;                     /* the program's init was called */
	bool suspended;
	struct cn_message *waiting, *waiting_last;  /* what came while it is suspended */
	_Alignas(16) uint8_t memory[];  /* the program's state */
};

/* The class of gens; NULL if the process is of another. */
struct gen *gen_of(struct cnode_process *self);

/* from.c */
struct cnode_from *from_new(struct gen *g);
void from_release(struct cnode_from *from);     /* the callback's reference */
void from_drop_all(struct gen *g);
/* {Pid,Tag} of a call. False: it is none. */
bool from_read(struct cnode_from *from, cnode_term term);
/* True if OTP 26 or later asks: its aliases have five words, those before have three. */
bool from_is_26(const struct cnode_from *from);

/*
 * What an answer of ours means for the process. A caller that cannot be reached is no fault
 * of it; without memory it ends, so that the caller hears of that at least.
 */
static inline int answered(int rc)
{
	return rc == CNODE_ENOMEM || rc == CNODE_EEXITED ? rc : 0;
}

/* request.c */
int requests_message(struct gen *g, struct cn_message *m, bool *used);  /* a completion? takes m if so */
void requests_free(struct gen *g);

/* straight.c */
extern const struct cn_process_class straight_class;
/* The bytes of its state before the program's. */
extern const size_t straight_size;
/* 0, CNODE_EBADARG: it has callbacks that nobody would call. */
int straight_check(const cnode_behaviour *b);

/* debug.c; the events only while g->debug is there */
void debug_in(struct gen *g, const struct cn_message *m);
void debug_out(struct gen *g, cnode_pid to, cnode_term tag, cnode_term message);        /* message: {Tag, Reply} */
void debug_noreply(struct gen *g);
int debug_command(struct gen *g, struct cnode_from *from, cnode_term what);
bool debug_begins(cnode_term what);     /* a command that has sys look at messages to come */
void debug_build_log(const struct gen *g, struct cnode_builder *b);     /* a list of events, the oldest first */
void debug_free(struct gen *g);

/* sys.c */
/* The state as sys shows it. *shown is yours. */
int show_state(struct gen *g, cnode_term *shown);
int sys_message(struct gen *g, struct cnode_from *from, cnode_term message);

#endif
