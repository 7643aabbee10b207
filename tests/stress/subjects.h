/* SPDX-License-Identifier: MIT */
/*
 * What the stress programs run on, behind one table of calls: the lock, the IOLOCK and the pair, and
 * locks that are broken on purpose, which must be found out (or a check could not fail).
 *
 * The three are told to look alike: state A is also shared and buffered, B exclusive and direct,
 * frozen also the pair's EXCLUSIVE_IO.
 */
#ifndef TESTS_SUBJECTS_H
#define TESTS_SUBJECTS_H

#include <time.h>

#include <twostate/async.h>

#include "sequential.h"

union object {
    struct twostate_lock lock;
    struct twostate_iolock iolock;
    struct twostate_iopair pair;
};

enum how {
    HOW_WAIT,
    HOW_TRY,
    HOW_TIMED,
    HOW_ASYNC, /* a waiter, and a wait for it until the deadline */
};

/* Holds that are given back together or in pieces, by any thread. */
struct hold {
    enum mode mode;
    uint32_t n;
    bool phantom; /* a broken lock's: it holds nothing */
    struct twostate_hold pair;
};

struct view {
    enum mode mode;
    uint32_t holds;
    uint32_t waiting;
};

enum {
    CAN_N = 1,
    CAN_JOIN = 2,
    CAN_DRAIN = 4,
    CAN_FREEZE = 8,
    CAN_SWITCH = 16, /* any mode into any other state */
    CAN_DEMOTE = 32, /* B into A */
};

/* Calls that can fail return 0, -EAGAIN (a try), or what the lock's own call returns. */
struct subject {
    const char *name;
    bool broken;
    unsigned can;
    unsigned alone; /* a bit for each mode that has one hold at a time */
    void (*make)(union object *object, uint32_t patience_us, bool shared);
    int (*take)(union object *object, struct hold *hold, enum how how,
                const struct timespec *deadline);
    void (*give)(union object *object, struct hold *hold, uint32_t n);
    int (*join)(union object *object, struct hold *hold);
    int (*change)(union object *object, struct hold *hold, enum mode to, enum how how,
                  const struct timespec *deadline);
    int (*drain)(union object *object, enum how how, const struct timespec *deadline);
    int (*queue)(union object *object, struct hold *hold, struct twostate_waiter *waiter);
    bool (*cancel)(struct twostate_waiter *waiter);
    int (*wait)(struct twostate_waiter *waiter, const struct timespec *deadline);
    struct view (*look)(const union object *object);
    bool (*at_rest)(const union object *object);
    void (*destroy)(union object *object);
};

extern const struct subject subject_lock, subject_iolock, subject_pair;

/* NULL if there is none of that name. */
const struct subject *subject_find(const char *name);

#endif
