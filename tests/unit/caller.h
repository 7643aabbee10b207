/* SPDX-License-Identifier: MIT */
/* A thread that makes one call on a two-state lock, which may wait. */
#ifndef TESTS_CALLER_H
#define TESTS_CALLER_H

#include "threads.h"

#include <twostate/lock.h>

enum call {
    CALL_ACQUIRE,
    CALL_ACQUIRE_TIMED,
    CALL_DRAIN,
    CALL_DRAIN_TIMED,
    CALL_SWITCH,
    CALL_SWITCH_TIMED,
    CALL_ACQUIRE_N,
    CALL_ACQUIRE_N_TIMED,
    CALL_FREEZE,
    CALL_FREEZE_TIMED,
    CALL_THAW_TO,
    CALL_THAW_TO_TIMED,
};

struct caller {
    struct task task;
    struct twostate_lock *lock;
    enum call call;
    enum twostate_state state;
    uint32_t n;               /* of acquire_n; timed: 3 */
    struct timespec deadline; /* of the timed calls */
    int result;
};

static inline enum twostate_state opposite(enum twostate_state s)
{
    return s == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A;
}

/* state is what is acquired or switched to; drains and freezes ignore it. */
void caller_start(struct caller *caller, struct twostate_lock *lock, enum call call,
                  enum twostate_state state);

/* The same, for acquire_n. */
void caller_start_n(struct caller *caller, struct twostate_lock *lock, enum twostate_state state,
                    uint32_t n);

/* The same, for the timed calls. */
void caller_start_timed(struct caller *caller, struct twostate_lock *lock, enum call call,
                        enum twostate_state state, long ms);

bool caller_done(const struct caller *caller);

/* What the call returned; 0 if it returns nothing. */
int caller_join(struct caller *caller);

#endif
