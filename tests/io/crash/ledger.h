/* SPDX-License-Identifier: MIT */
/*
 * The ledger: what was asked of a file and what was acknowledged, in the order in which it happened,
 * in memory that outlives the process that writes it.
 *
 * A file is cells, which are overwritten, and where the shape says so records behind them, which are
 * appended. Each cell belongs to one thread, so that its versions have an order.
 */
#ifndef TESTS_CRASH_LEDGER_H
#define TESTS_CRASH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BLOCK = 4096, /* what a disk writes whole, or not at all */
    WORD = 8,     /* bytes, the unit of what is checked: see word_make */
    MOST_THREADS = 8,
    MOST_INDEX = 1 << 16,  /* words of a cell or a record, at most */
    MOST_VERSION = 1 << 24 /* requests of a ledger */
};

#define RECORD UINT32_MAX /* the place of what is appended */

/* What a file looks like. Chosen by a seed. */
struct shape {
    uint32_t cell; /* bytes, a multiple of WORD; not always of a sector */
    uint32_t cells;
    uint32_t run; /* cells side by side that belong to one thread */
    uint32_t threads;
    uint32_t salt;
    bool records; /* the file begins with all of its cells, and grows by records */
};

struct shape shape_choose(uint64_t seed, uint32_t bytes);
/* Where records begin, and cells end. */
int64_t shape_end(const struct shape *shape);

enum event_kind {
    EVENT_NONE = 0,
    EVENT_SUBMIT,   /* a write is about to begin */
    EVENT_COMPLETE, /* it was acknowledged */
    EVENT_DURABLE,  /* it was acknowledged as durable */
    EVENT_ZERO,     /* cells are about to be cut off or punched out */
    EVENT_ZEROED,   /* they are */
    EVENT_SYNCED,   /* so was all that was complete before event number `offset` */
    EVENT_LIFE,     /* a process took over the file: what was only complete may be gone */
    EVENT_FAILED,   /* a call answered `offset`, which it must not */
};

struct event {
    uint32_t kind;     /* atomic, and set last */
    uint32_t place;    /* the first cell, or RECORD */
    uint32_t count;    /* cells; words of a record */
    uint32_t version;  /* of a write, unique */
    int64_t offset;    /* of a record, once it is known; of a ZERO: the new size; else -1 */
    uint64_t position; /* in the log of the disk's writes: before a SUBMIT, after an answer */
};

struct ledger {
    struct shape shape;
    uint32_t version; /* the last one given out; atomic */
    uint32_t next;    /* events; atomic, goes beyond the limit */
    uint32_t limit;
    struct event events[];
};

/* In memory that children share. Ends the program if there is none. */
struct ledger *ledger_new(uint32_t limit);
void ledger_free(struct ledger *ledger);
void ledger_clear(struct ledger *ledger, const struct shape *shape);

/* Events so far. */
uint32_t ledger_count(const struct ledger *ledger);
/* false: it is full. */
bool ledger_add(struct ledger *ledger, struct event event);
/* A new one. */
uint32_t ledger_version(struct ledger *ledger);
bool ledger_used_up(const struct ledger *ledger);

/* The first failure, or NULL. */
const struct event *ledger_failure(const struct ledger *ledger);

/*
 * 8 bytes that tell who wrote them: version, index within the cell or record, and a check of both
 * and of the place. Never zero.
 */
uint64_t word_make(const struct shape *shape, uint32_t place, uint32_t version, uint32_t index);
uint32_t word_version(uint64_t word);
uint32_t word_index(uint64_t word);

/* Random numbers: the same seed gives the same ones. */
uint64_t random_next(uint64_t *state);
/* 0 <= result < end */
uint32_t random_below(uint64_t *state, uint32_t end);

#endif
