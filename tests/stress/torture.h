/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the torture share: the places where locks lie, the threads that use them, and
 * what each thread holds.
 *
 * Atomics here are relaxed where a lock itself must order things: a check that brought its own order
 * would hide from ThreadSanitizer that the lock's is missing.
 */
#ifndef TESTS_TORTURE_H
#define TESTS_TORTURE_H

#include "random.h"
#include "subjects.h"
#include "threads.h"

#define MOST_THREADS 300
#define SIDE_THREADS 1 /* the completion side */
#define PLACES       3
#define ENTRIES      5 /* holds of a thread */
#define ENTRY_GRANT  3 /* for what it is granted */
#define ENTRY_CALLED 4 /* for what is granted in callbacks, which can come meanwhile */

/* Where locks lie, one after the other: the lock is freed now and then, and another one made. */
struct place {
    union object *object;
    uint32_t closed;               /* nobody may begin: the lock is about to be freed */
    uint32_t queued;               /* requests that wait for the lock */
    uint32_t inside[MODES];        /* entries that hold it: G1 */
    struct twostate_waiter waiter; /* of the thread that frees */
    uint32_t renewed;
    unsigned long alone;                              /* plain; written by who must be alone */
    unsigned long cells[MOST_THREADS + SIDE_THREADS]; /* plain; written in state A, each thread its
                                                         own; read in the other modes */
};

enum entry_status {
    ENTRY_FREE,
    ENTRY_HELD,
    ENTRY_LEFT, /* whoever finds it gives it back: G6 */
    ENTRY_TAKEN,
};

/* Something that is held. */
struct entry {
    uint32_t status;
    uint64_t serial; /* 0, or another number for every hold: G8 */
    struct place *place;
    struct hold *hold;
    struct hold own;
};

struct request;

struct worker {
    struct task task;
    uint32_t number;
    uint32_t operations;
    uint32_t limit;  /* operations to do */
    uint64_t random; /* the operation's stream */
    uint64_t others; /* another, for what it does for others, which is not in its program */
    bool for_others;
    uint64_t serials;
    const char *doing;           /* for the watchdog */
    struct place *at;            /* where */
    struct place *submitting;    /* a place that must not be closed now */
    struct request *cancellable; /* whoever finds it cancels it */
    struct entry entries[ENTRIES];
};

struct torture {
    const struct subject *subject;
    uint32_t threads;
    uint32_t pace; /* one in so many holds sleeps */
    uint64_t seed; /* of the round */
    uint32_t stop;
    struct place places[PLACES];
    struct worker workers[MOST_THREADS + SIDE_THREADS];
    struct twostate_grants grants;
};

extern struct torture torture;
extern _Thread_local struct worker *self;

/* Ends the program: it is what is wanted of a broken lock, and a failure of a real one. */
_Noreturn void found(const char *what);

/* Says, for the watchdog and who reads its report, what the thread does. */
static inline void doing(const char *what, struct place *place)
{
    __atomic_store_n(&self->at, place, __ATOMIC_RELAXED);
    __atomic_store_n(&self->doing, what, __ATOMIC_RELAXED);
}

static inline uint32_t below(uint32_t limit)
{
    return random_below(self->for_others ? &self->others : &self->random, limit);
}

/* hold.c: what whoever holds a lock does and checks. */
struct entry *entry_new(void);
void entry_enter(struct entry *entry, struct place *place, struct hold *hold);
void entry_stay(struct entry *entry);
void entry_leave(struct entry *entry);
/* Leaves, gives everything back, and is free. */
void entry_end(struct entry *entry);
bool entries_adopt(struct worker *other);
void entry_change(struct entry *entry, enum mode to, enum how how);
/* A drain began; then: it is over, so what was held when it began must have ended. */
struct drain_check {
    uint64_t serials[(MOST_THREADS + SIDE_THREADS) * ENTRIES];
};
void drain_begins(const struct place *place, struct drain_check *check);
void drain_returned(const struct drain_check *check);

/* place.c: the locks' memory. */
void places_start(void);
void places_stop(void);
struct place *place_enter(void); /* a random one, kept open */
void place_entered(void);        /* held, or given up: it may be closed */
void place_free(void);           /* frees the lock of a random place, if nobody else is at it */
bool place_has(const void *address);

/* request.c: asynchronous acquires. */
void request_operate(struct place *place, struct hold *hold);
bool request_cancel_of(struct worker *other);
bool requests_complete(void);

/* worker.c */
void worker_run(void *worker);
enum how any_how(void);
struct timespec any_deadline(void);

#endif
