/* SPDX-License-Identifier: MIT */
/* Waiting on a lock word: the one loop behind acquire, drain and switch, of every kind of lock. */
#ifndef TS_WAIT_H
#define TS_WAIT_H

#include "sys.h"
#include "word.h"

/* What a caller wants of the word. */
struct want {
    enum group group; /* whom it waits with */
    bool exclusive;   /* the lock's state B has one holder at a time */
    bool switching;   /* it holds the other state and wants to turn that into `group` */
    const char *call; /* for the message, if it is misuse */
};

/*
 * How long an acquire leaves the word alone when its fast path failed: two threads that let each
 * other finish some pairs are faster than two that pull the cache line to and fro. 2 us.
 */
#define WAIT_BACK_OFF_PAUSES_ 128

/* NULL, or a time that futex accepts. */
bool wait_deadline_valid_(const struct timespec *deadline);

/* Takes what is wanted if nothing stands in its way. */
bool wait_try_(struct twostate_lock *lock, const struct want *want);

/*
 * Takes what is wanted, sleeping as needed, until the deadline (NULL: for ever).
 * Returns 0, -ETIMEDOUT, -EOVERFLOW (the state is full) or -EDEADLK (somebody else is switching).
 */
int wait_until_(struct twostate_lock *lock, const struct want *want,
                const struct timespec *deadline);

/* One release: removes a holder of g and wakes whom that concerns. */
void wait_release_(struct twostate_lock *lock, enum group g, bool exclusive, const char *call);

/* Wakes the groups whose sleep bits a step from `before` to `after` cleared. */
void wait_wake_(struct twostate_lock *lock, uint64_t before, uint64_t after, bool exclusive);

/* Stops the program: `call` on a lock that is not in a state for it. */
_Noreturn void wait_misuse_(const struct twostate_lock *lock, uint64_t word, bool exclusive,
                            const char *call);

#endif
