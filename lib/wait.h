/* SPDX-License-Identifier: MIT */
/* Waiting on a lock word: the one loop behind acquire, drain and switch, of every kind of lock. */
#ifndef TS_WAIT_H
#define TS_WAIT_H

#include <twostate/async.h>

#include "sys.h"
#include "watch.h"
#include "word.h"

/* What a caller wants of the word. */
struct want {
    enum group group; /* whom it waits with */
    enum group from;  /* switching: the group whose state it holds */
    bool switching;   /* it wants to turn that into `group` */
    bool exclusive;   /* the lock's state B has one holder at a time */
    uint32_t holds;   /* how many it takes; 0: a drain */
    const char *call; /* for messages */
};

/* How a caller waits for it. */
struct limit {
    bool nowait;                     /* not at all */
    bool infallible;                 /* it can't be told of an error */
    const struct timespec *deadline; /* or else until then; NULL: for ever */
    struct twostate_waiter *waiter;  /* or else by being called back */
    const void *site;                /* where the call came from */
};

/* One waiter's progress. */
struct waiter {
    const struct want *want;
    int64_t patience_end; /* in ns of CLOCK_MONOTONIC */
    bool registered;      /* counted in the word */
    bool switching;       /* the word's switching bit is this waiter's */
    bool impatient;
    bool timed_out;
    bool async;     /* it has no thread: async.c looks for it */
    bool last;      /* async: the only one that is queued for the lock */
    uint32_t woken; /* async: the groups that its steps let in */
};

/* How often one looks that the word does not count, or may not count any more. 1 ms. */
#define LOOK_AGAIN_NS 1000000

enum {
    WAIT_SLEEPS = 1,    /* it may sleep on the word until it is woken */
    WAIT_UNCOUNTED = 2, /* the word has no room to count it: nobody will wake it */
};

/*
 * How long an acquire leaves the word alone when its fast path failed: two threads that let each
 * other finish some pairs are faster than two that pull the cache line to and fro. 2 us. Not where
 * others of the group sleep already: it will sleep too, and those who are woken meanwhile need the
 * processor. (Where somebody watches, there is no fast path that could have failed.)
 */
#define WAIT_BACK_OFF_PAUSES_ 128

static inline void wait_back_off_(const struct twostate_lock *lock, enum group g)
{
    if (!watched_() && (sys_load_(&lock->word_) & word_sleep(g)) == 0)
        sys_pause_(WAIT_BACK_OFF_PAUSES_);
}

/* NULL, or a time that futex accepts. */
bool wait_deadline_valid_(const struct timespec *deadline);

int64_t wait_now_ns_(void);

/*
 * Takes what is wanted, as the limit allows. Returns 0; -EAGAIN (nowait); -ETIMEDOUT; -EINVAL (no
 * such deadline); -EINPROGRESS (the waiter is queued: it may be granted, and gone, already);
 * -ENOTSUP (waiter); -EOVERFLOW (no room); -EDEADLK (somebody else is switching).
 */
int wait_take_(struct twostate_lock *lock, const struct want *want, const struct limit *limit);

/* The fast path, for a `want` that is known when this is compiled. */
static inline bool wait_fast_(struct twostate_lock *lock, const struct want *want)
{
    if (want->holds != 1 || want->switching || want->group == GROUP_DRAIN)
        return false;
    if (want->exclusive)
        return twostate_iolock_fast_acquire_((struct twostate_iolock *)lock,
                                             (enum twostate_iomode)want->group);
    return twostate_lock_fast_acquire_(lock, (enum twostate_state)want->group);
}

/*
 * One look at the word, which was *w: enters, or is refused, or makes it one to sleep on.
 * Returns 0, an error of wait_take_, WAIT_SLEEPS or WAIT_UNCOUNTED; *w is what the word is then.
 */
int wait_look_(struct twostate_lock *lock, uint64_t *w, struct waiter *waiter);

/* Counts out a waiter that won't look again. */
void wait_give_up_(struct twostate_lock *lock, struct waiter *waiter);

/* More holds of the state that the caller holds already. Returns 0 or -EOVERFLOW. */
int wait_join_(struct twostate_lock *lock, const struct want *want, const void *site);

/* Gives back the holds of want, and wakes whom that concerns. */
void wait_release_(struct twostate_lock *lock, const struct want *want, const void *site);

/* Stops the program: `call` on a lock that is not in a state for it. */
_Noreturn void wait_misuse_(const struct twostate_lock *lock, uint64_t word, bool exclusive,
                            const char *call);

/* Beginnings and ends of both kinds of locks. */
int wait_init_(struct twostate_lock *lock, unsigned flags, uint32_t patience_us);
void wait_destroy_(struct twostate_lock *lock, bool exclusive);
void wait_clear_(struct twostate_lock *lock, bool exclusive);

#endif
