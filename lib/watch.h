/* SPDX-License-Identifier: MIT */
/*
 * What the locks tell to those who watch them: the validator and the statistics.
 *
 * A lock that was first used while somebody watches never gets its FAST bit, so every call on it
 * comes through the slow paths, and each tells what it does here. When nobody watches, watch_mask_
 * is 0, and all that is left is the test of it in the slow paths.
 */
#ifndef TS_WATCH_H
#define TS_WATCH_H

#include "word.h"

struct twostate_hold;
struct twostate_iopair;

enum {
    WATCH_VALIDATE = 1,
    WATCH_STATS = 2,
    WATCH_TSAN = 4, /* told beside the hooks below: tsan.h */
    WATCH_HOLDS = WATCH_VALIDATE | WATCH_STATS,
};

/* Who watches: set before the locks are used, by the environment or a call. */
extern uint32_t watch_mask_;

static inline bool watched_(void)
{
    return __builtin_expect(__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) != 0, 0);
}

/* One call on a lock, as its caller made it. */
struct watch_call {
    const struct twostate_lock *lock;
    const char *name; /* "acquire A", as in misuse messages */
    const void *site; /* where it was called from */
    enum group group; /* A or shared; B or exclusive; GROUP_DRAIN: drain and freeze */
    bool exclusive;   /* an IOLOCK */
    uint32_t holds;   /* how many holds it takes or gives back; 0: a drain */
    bool switching;   /* it turns a hold of the caller's into one of `group` */
    bool async;       /* what it takes belongs to a request, not to the calling thread */
    bool waits;       /* it was told to watch_wait_ */
};

/*
 * Before a call that may wait (not try, not join). Stops the program, or notes, if it breaks a rule.
 * Returns 0, or -EDEADLK: the call would wait for its own thread. A call that returns errors returns
 * this one; the others go on.
 */
int watch_wait_(const struct watch_call *call);

/* After a call that took holds: acquire, try, freeze, join. Async: the granting thread is not the owner. */
void watch_held_(const struct watch_call *call, bool async);

/* After a call that watch_wait_ was told of, and that took nothing: a drain, or it failed. */
void watch_nothing_(void);

/* Before holds are given back. */
void watch_release_(const struct watch_call *call);

/* After a hold of `from` became one of call->group (switch, demote, thaw_to). */
void watch_switched_(const struct watch_call *call, enum group from);

/* A hold left the calling thread for a request that any thread may complete. */
void watch_disown_(const struct watch_call *call);

/* A lock is made, or destroyed: it must be neither held nor waited for. */
void watch_init_(const struct twostate_lock *lock);
void watch_destroy_(const struct twostate_lock *lock, bool exclusive);

/* Whatever held the lock is gone (clear). */
void watch_clear_(const struct twostate_lock *lock);

/*
 * From here on this thread calls on the locks of these pairs (or NULL): their classes are known by
 * that. Returns those before, for the caller to put back.
 */
struct watch_pairs {
    const struct twostate_iopair *pairs[2];
};

struct watch_pairs watch_pairs_(struct watch_pairs now);

/* The locks that a pair's hold holds. Returns how many. */
unsigned watch_locks_of_(const struct twostate_hold *hold, const struct twostate_lock *locks[4]);

/* A wait in the slow path is over, after `ns` nanoseconds; refused: 0 or why. For the statistics. */
struct watch_wait {
    const struct twostate_lock *lock;
    enum group group;
    bool exclusive;
    bool async;     /* the waiter was called back, or was to be */
    bool impatient; /* its patience ran out: it claimed the turn */
    unsigned looks; /* spins before it slept */
    unsigned sleeps;
    uint32_t queue; /* registered waiters, with this one, when it began to wait */
    int result;
};

void watch_waited_(const struct watch_wait *wait, int64_t ns);

/* A step by which the holders of `from` made room for another group: an unlock, or a switch. */
void watch_phase_(const struct twostate_lock *lock, bool exclusive, enum group from);

#endif
