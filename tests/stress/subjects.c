/* SPDX-License-Identifier: MIT */
/* The real lock and its broken relatives: see subjects.h. */
#include "subjects.h"

#include "sys.h"
#include "word.h"

#include <stddef.h>
#include <string.h>

static void real_acquire(struct twostate_lock *lock, enum twostate_state state)
{
    twostate_lock_acquire(lock, state);
}

static bool real_try(struct twostate_lock *lock, enum twostate_state state)
{
    return twostate_lock_try_acquire(lock, state);
}

static void real_release(struct twostate_lock *lock, enum twostate_state state)
{
    twostate_lock_release(lock, state);
}

#define REAL                                                                                       \
    .acquire = real_acquire, .try_acquire = real_try,                                              \
    .acquire_timed = twostate_lock_acquire_timed, .release = real_release,                         \
    .drain = twostate_lock_drain, .drain_timed = twostate_lock_drain_timed,                        \
    .switch_to = twostate_lock_switch_timed, .try_switch = twostate_lock_try_switch

/* State B leaves no mark in the word, and so does not know of A, nor A of it. */

static void ignoring_acquire(struct twostate_lock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        twostate_lock_acquire(lock, state);
}

static bool ignoring_try(struct twostate_lock *lock, enum twostate_state state)
{
    return state == TWOSTATE_B || twostate_lock_try_acquire(lock, state);
}

static int ignoring_timed(struct twostate_lock *lock, enum twostate_state state,
                          const struct timespec *deadline)
{
    return state == TWOSTATE_B ? 0 : twostate_lock_acquire_timed(lock, state, deadline);
}

static void ignoring_release(struct twostate_lock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        twostate_lock_release(lock, state);
}

static int ignoring_switch(struct twostate_lock *lock, enum twostate_state to,
                           const struct timespec *deadline)
{
    (void)deadline;
    if (to == TWOSTATE_A)
        twostate_lock_acquire(lock, TWOSTATE_A);
    else
        twostate_lock_release(lock, TWOSTATE_A);
    return 0;
}

static bool ignoring_try_switch(struct twostate_lock *lock, enum twostate_state to)
{
    return ignoring_switch(lock, to, NULL) == 0;
}

/* A drain that does not wait. */

static void no_drain(struct twostate_lock *lock)
{
    (void)lock;
}

static int no_drain_timed(struct twostate_lock *lock, const struct timespec *deadline)
{
    (void)lock;
    (void)deadline;
    return 0;
}

/* A release that clears the sleep bits, and wakes nobody. */
static void silent_release(struct twostate_lock *lock, enum twostate_state state)
{
    const enum group g = (enum group)state;
    uint64_t w = sys_load_(&lock->word_);
    uint64_t next = 0;

    do {
        next = word_remove_holder(w);
        if ((next & WORD_STATES) == 0)
            next &= ~word_wake_at_unlock(next, g);
        else if (word_holders(next) == 1)
            next &= ~WORD_SLEEP_SW;
    } while (!sys_cas_(&lock->word_, &w, next));
}

static const struct subject subjects[] = {
    {.name = "twostate", .broken = false, REAL},
    {
        .name = "b-ignores-a",
        .broken = true,
        .acquire = ignoring_acquire,
        .try_acquire = ignoring_try,
        .acquire_timed = ignoring_timed,
        .release = ignoring_release,
        .drain = twostate_lock_drain,
        .drain_timed = twostate_lock_drain_timed,
        .switch_to = ignoring_switch,
        .try_switch = ignoring_try_switch,
    },
    {
        .name = "early-drain",
        .broken = true,
        .acquire = real_acquire,
        .try_acquire = real_try,
        .acquire_timed = twostate_lock_acquire_timed,
        .release = real_release,
        .drain = no_drain,
        .drain_timed = no_drain_timed,
        .switch_to = twostate_lock_switch_timed,
        .try_switch = twostate_lock_try_switch,
    },
    {
        .name = "no-wake",
        .broken = true,
        .acquire = real_acquire,
        .try_acquire = real_try,
        .acquire_timed = twostate_lock_acquire_timed,
        .release = silent_release,
        .drain = twostate_lock_drain,
        .drain_timed = twostate_lock_drain_timed,
        .switch_to = twostate_lock_switch_timed,
        .try_switch = twostate_lock_try_switch,
    },
};

const struct subject *subject_find(const char *name)
{
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        if (strcmp(subjects[i].name, name) == 0)
            return &subjects[i];
    return NULL;
}
