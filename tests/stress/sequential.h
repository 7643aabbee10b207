/* SPDX-License-Identifier: MIT */
/*
 * The two-state lock as a sequential object: what each call may answer, and what it changes, if
 * calls came one at a time.
 *
 * Nobody waits in a sequential object, so it has one thing more: a call can be *pending*. A failed
 * try or timed call is right while the lock is held or frozen against it; and, since a lock that is
 * being handed over looks free (G13), also while a call that may wait, of another group, is pending
 * and has not had its effect yet. That is as much as callers can see of a hand-over; where no such
 * call is pending, a failure on a free lock is wrong. Holders at the limit are not modelled.
 */
#ifndef TESTS_SEQUENTIAL_H
#define TESTS_SEQUENTIAL_H

#include <stdbool.h>
#include <stdint.h>

/* How a lock is held, or how a hold holds it. */
enum mode {
    MODE_A,
    MODE_B,
    MODE_FROZEN,
    MODE_NONE,
};

#define MODES 3

enum call_kind {
    CALL_TAKE,   /* acquire, freeze, with n holds */
    CALL_GIVE,   /* release, thaw */
    CALL_JOIN,   /* one more */
    CALL_CHANGE, /* switch, demote, thaw_to: the only hold of mode becomes one of `to` */
    CALL_DRAIN,
    CALL_LOOK, /* query */
};

enum outcome {
    OUTCOME_DONE,
    OUTCOME_REFUSED,   /* it failed, and not without a reason */
    OUTCOME_WITHDRAWN, /* an asynchronous call was cancelled */
};

struct call {
    uint8_t kind;
    uint8_t mode;
    uint8_t to;
    bool waits; /* it may wait: not a try */
    uint8_t outcome;
    uint8_t seen; /* a look: the mode */
    uint16_t n;   /* a look: the holds it saw */
};

struct sequential {
    uint8_t mode; /* MODE_NONE while holds == 0 */
    uint32_t holds;
};

/* Which calls of the other groups a pending one may be refused for: groups are A, B, unlocked. */
unsigned call_group(const struct call *call);

/*
 * Whether the call may come now to its outcome, and *lock as it is after that. `alone` has a bit for
 * each mode that has one hold at most; `kept` says that the lock may be kept for another group.
 */
bool sequential_step(struct sequential *lock, const struct call *call, unsigned alone, bool kept);

#endif
